import { useFeed } from '../../app/feed.ts'
import { session } from '../../app/session.ts'
import type { GatewayHealth, Health } from '../../app/shapes.ts'
import { groupBy } from '../../exact/group.ts'
import { named, Scroll, Section, State } from '../../parts/basics.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { words } from '../../words/words.ts'
import { Mock } from './mock.tsx'

/** The gateways, whether they can be reached, and in development how one misbehaves. */
export function Gateways() {
  const w = words.value
  const feed = useFeed<Health>('/health')
  return (
    <ScreenFrame title={w.screens.gateways}>
      <Loaded feed={feed}>{(health) => <Reachable gateways={health.gateways} />}</Loaded>
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
