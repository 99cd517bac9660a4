import type { GatewaySeries, Series, State as Standing } from '../../app/shapes.ts'
import { newest, totalsOf } from '../../exact/series.ts'
import { named, Scroll, State } from '../../parts/basics.tsx'
import { count, percent, span, words } from '../../words/words.ts'

/** Each gateway: whether it can be reached, how often it succeeds, and how long it takes. */
export function GatewayTable({
  series,
  gateways: known,
}: {
  series: Series
  gateways: Standing['gateways']
}) {
  const w = words.value
  const names = [...new Set([...known, ...series.gateways].map(({ gateway }) => gateway))]
  return (
    <Scroll label={w.screens.gateways}>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">{w.gateway}</th>
            <th scope="col">{w.breakers}</th>
            <th scope="col" class="number">
              {w.succeededShare}
            </th>
            <th scope="col" class="wide number">
              {w.ended}
            </th>
            <th scope="col" class="wide number">
              {w.p95}
            </th>
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <Row
              key={name}
              name={name}
              series={series.gateways.find(({ gateway }) => gateway === name)}
              broken={known.filter(
                ({ gateway, breaker }) => gateway === name && breaker !== 'closed',
              )}
            />
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}

function Row(props: {
  name: string
  series: GatewaySeries | undefined
  broken: Standing['gateways']
}) {
  const w = words.value
  const { name, series, broken } = props
  const totals = series === undefined ? null : totalsOf(series)
  const most = series === undefined ? null : newest(series.p95_ms)
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        {broken.length === 0 ? (
          <State state="closed" />
        ) : (
          broken.map(({ operation, breaker }) => (
            <div key={operation}>
              <State state={breaker} /> <span class="quiet">{named(w.operations, operation)}</span>
            </div>
          ))
        )}
      </td>
      <td class="number">
        {totals === null || totals.share === null ? '—' : percent(totals.share)}
      </td>
      <td class="wide number">
        {totals === null ? '—' : count(totals.succeeded + totals.failed + totals.unknown)}
      </td>
      <td class="wide number">{most === null ? '—' : span(most)}</td>
    </tr>
  )
}
