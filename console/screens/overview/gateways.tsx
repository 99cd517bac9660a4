import type { GatewaySeries, Series, State as Standing } from '../../app/shapes.ts'
import { withinMs, newest, totalsOf } from '../../exact/series.ts'
import { named, State } from '../../parts/basics.tsx'
import { Table } from '../../parts/table.tsx'
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
    <Table
      label={w.screens.gateways}
      columns={[
        [w.gateway],
        [w.breakers],
        [w.succeededShare, 'number'],
        [w.ended, 'wide number'],
        [w.p95, 'wide number'],
      ]}
    >
      {names.map((name) => (
        <Row
          key={name}
          name={name}
          series={series.gateways.find(({ gateway }) => gateway === name)}
          broken={known.filter(({ gateway, breaker }) => gateway === name && breaker !== 'closed')}
        />
      ))}
    </Table>
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
      <td class="wide number">{most === null ? '—' : span(withinMs(most))}</td>
    </tr>
  )
}
