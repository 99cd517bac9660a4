import { useFeed } from '../../app/feed.ts'
import { session } from '../../app/session.ts'
import type { GatewayHealth, GatewaySeries, Health, Series } from '../../app/shapes.ts'
import { groupBy } from '../../exact/group.ts'
import { newest, totalsOf } from '../../exact/series.ts'
import { named, Scroll, Section, State } from '../../parts/basics.tsx'
import { Chart } from '../../parts/chart.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { count, percent, span, words } from '../../words/words.ts'
import { Mock } from './mock.tsx'

/** The gateways, whether they can be reached, and in development how one misbehaves. */
export function Gateways() {
  const w = words.value
  const feed = useFeed<Health>('/health')
  const series = useFeed<Series>('/series?span=1h')
  return (
    <ScreenFrame title={w.screens.gateways}>
      <Loaded feed={feed}>{(health) => <Reachable gateways={health.gateways} />}</Loaded>
      <Loaded feed={series}>{(known) => <Outcomes series={known} />}</Loaded>
      {session.value?.service.mock_gateway === true ? <Mock /> : null}
    </ScreenFrame>
  )
}

function Reachable({ gateways }: { gateways: readonly GatewayHealth[] }) {
  const w = words.value
  const names = [...groupBy(gateways, ({ gateway }) => gateway)]
  const operations = [...new Set(gateways.map(({ operation }) => operation))]
  return (
    <Section title={w.breakers}>
      <p class="quiet note">{w.breakersNote}</p>
      <Scroll label={w.breakers}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{w.gateway}</th>
              {operations.map((operation) => (
                <th key={operation} scope="col">
                  {named(w.operations, operation)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map(([name, those]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {operations.map((operation) => (
                  <td key={operation}>
                    <Breaker health={those.find((one) => one.operation === operation)} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  )
}

function Breaker({ health }: { health: GatewayHealth | undefined }) {
  const w = words.value
  if (health === undefined) return <>—</>
  return (
    <>
      <State state={health.breaker} />
      {health.misconfigured ? (
        <p class="quiet">{`${w.outcomes.misconfigured}: ${health.reason ?? ''}`}</p>
      ) : null}
    </>
  )
}

/** What became of payments at each gateway, over the last hour. */
function Outcomes({ series }: { series: Series }) {
  const { gateways, times } = series
  return (
    <div class="charts">
      {gateways.map((one) => (
        <GatewayChart key={one.gateway} of={one} times={times} />
      ))}
    </div>
  )
}

function GatewayChart({ of, times }: { of: GatewaySeries; times: readonly number[] }) {
  const w = words.value
  const wrong = of.failed.map((value, at) => value + (of.unknown[at] ?? 0))
  const points = times.map((time, at) => ({
    at: time * 1_000,
    value: (of.succeeded[at] ?? 0) + (wrong[at] ?? 0),
  }))
  const { share } = totalsOf(of)
  const most = newest(of.p95_ms)
  const said = [
    share === null ? w.nothingEnded : `${w.succeededShare} ${percent(share)}`,
    most === null ? '' : w.most(span(most)),
  ]
  return (
    <Section title={`${of.gateway}, ${w.spans['1h']}`}>
      <p class="quiet">{said.filter((text) => text !== '').join(' · ')}</p>
      <Chart
        label={`${of.gateway}, ${w.ended}`}
        kind="bars"
        points={points}
        over={wrong}
        say={(value, at) => w.endedSaid(count(value), count(wrong[at] ?? 0))}
        tick={count}
      />
    </Section>
  )
}
