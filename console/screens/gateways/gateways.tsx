import { useFeed } from '../../app/feed.ts'
import { session } from '../../app/session.ts'
import type {
  Gateway,
  GatewayHealth,
  GatewaySeries,
  Health,
  Missing,
  Series,
} from '../../app/shapes.ts'
import { groupBy } from '../../exact/group.ts'
import { withinMs, newest, totalsOf } from '../../exact/series.ts'
import { Facts, named, Section, State } from '../../parts/basics.tsx'
import { Chart } from '../../parts/chart.tsx'
import { LeftOut, Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { Spread } from '../../parts/spread.tsx'
import { Table } from '../../parts/table.tsx'
import { count, percent, span, words } from '../../words/words.ts'
import { Mock } from './mock.tsx'

/** The gateways, whether they can be reached, and in development how one misbehaves. */
export function Gateways() {
  const w = words.value
  const feed = useFeed<Health>('/health')
  const series = useFeed<Series>('/series?span=1h')
  const profiles = useFeed<Missing & { data: readonly Gateway[] }>('/gateways')
  return (
    <ScreenFrame title={w.screens.gateways}>
      <LeftOut feed={profiles} />
      <Loaded feed={feed}>{(health) => <Reachable gateways={health.gateways} />}</Loaded>
      <div class="charts">
        <Loaded feed={series}>
          {(known) =>
            known.gateways.map((one) => <GatewayChart key={one.gateway} of={one} series={known} />)
          }
        </Loaded>
        <Loaded feed={profiles}>
          {({ data }) => data.map((one) => <Profile key={one.name} of={one} />)}
        </Loaded>
      </div>
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
      <Table
        label={w.breakers}
        columns={[
          [w.gateway],
          ...operations.map((operation) => [named(w.operations, operation)] as const),
        ]}
      >
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
      </Table>
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

/** What a gateway can do, and which payments go to it. */
function Profile({ of }: { of: Gateway }) {
  const w = words.value
  const waiting = of.routes.reduce((sum, one) => sum + one.waiting, 0)
  const rules = of.rules
    .map((rule) => rule.slice(0, rule.indexOf('=')))
    .map((rule) => (rule === '*:*' ? w.every : rule))
    .join(', ')
  const oldest = Math.max(0, ...of.routes.map((one) => one.oldest_due_seconds ?? 0))
  return (
    <Section title={`${of.name}, ${w.profile}`}>
      <Facts
        facts={[
          [w.driver, of.driver],
          [w.can, of.operations.map((one) => named(w.operations, one)).join(', ')],
          [w.currencies, of.currencies?.join(', ') ?? w.every],
          [w.ledHere, rules === '' ? w.everyOther : rules],
          [w.onRepeat, named(w.repeatedKey, of.repeats)],
          [w.keyLife, span(of.key_life_seconds * 1_000)],
          [w.canAsk, named(w.lookupKinds, of.lookup)],
          [w.dueThere, oldest < 1 ? count(waiting) : `${count(waiting)} · ${span(oldest * 1_000)}`],
        ]}
      />
    </Section>
  )
}

/** What became of payments at a gateway over the last hour, and how long it took. */
function GatewayChart({ of, series }: { of: GatewaySeries; series: Series }) {
  const w = words.value
  const { times, latency } = series
  const points = times.map((time, at) => ({
    at: time * 1_000,
    value: (of.succeeded[at] ?? 0) + (of.failed[at] ?? 0),
  }))
  const { share } = totalsOf(of)
  const most = newest(of.p95_ms)
  const said = [
    share === null ? w.nothingEnded : `${w.succeededShare} ${percent(share)}`,
    most === null ? '' : w.most(span(withinMs(most))),
  ]
  return (
    <Section title={`${of.gateway}, ${w.spans['1h']}`}>
      <p class="quiet">{said.filter((text) => text !== '').join(' · ')}</p>
      <Chart
        label={`${of.gateway}, ${w.ended}`}
        kind="bars"
        points={points}
        over={of.failed}
        say={(value, at) => w.endedSaid(count(value), count(of.failed[at] ?? 0))}
        tick={count}
      />
      {most === null ? null : (
        <>
          <p class="quiet">{w.latencyOverTime}</p>
          <Chart
            label={`${of.gateway}, ${w.latencyOverTime}`}
            kind="line"
            points={times.map((time, at) => ({ at: time * 1_000, value: of.p95_ms[at] ?? null }))}
            say={(value) => w.most(span(withinMs(value)))}
            tick={span}
          />
          <p class="quiet">{w.latencySpread}</p>
          <Spread bounds={latency.bounds_ms} counts={of.latency_counts} />
        </>
      )}
    </Section>
  )
}
