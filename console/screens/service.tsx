import { useFeed } from '../app/feed.ts'
import { groupBy } from '../exact/group.ts'
import { Facts, Section, State, When } from '../parts/basics.tsx'
import { Loaded } from '../parts/screen.tsx'
import { Table } from '../parts/table.tsx'
import { words } from '../words/words.ts'

interface Process {
  readonly process: string
  readonly role: string
  readonly version: string
  readonly host: string
  readonly pid: number
  readonly started_at: string
  readonly seen_at: string
  readonly alive: boolean
}

/** The processes of the service that were seen lately. */
export function Processes() {
  const w = words.value
  const feed = useFeed<{ data: readonly Process[] }>('/processes')
  return (
    <Section title={w.processes}>
      <Loaded feed={feed}>
        {({ data }) => (
          <Table
            label={w.processes}
            columns={[
              [w.state],
              [w.role],
              [w.host, 'wide'],
              [w.version, 'wide'],
              [w.runsSince, 'wide number'],
              [w.seen, 'number'],
            ]}
          >
            {data.map((one) => (
              <tr key={one.process}>
                <td>
                  <State state={one.alive ? 'ok' : 'unavailable'} />
                </td>
                <td>{one.role}</td>
                <td class="wide quiet">
                  {one.host} · {one.pid}
                </td>
                <td class="wide quiet">{one.version}</td>
                <td class="wide number quiet">
                  <When at={one.started_at} form="age" />
                </td>
                <td class="number quiet">
                  <When at={one.seen_at} form="age" />
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Loaded>
    </Section>
  )
}

interface Setting {
  readonly name: string
  readonly group: string
  readonly value: string | null
  readonly set: boolean
  readonly secret: boolean
}

/** Every setting as it is in force; secrets are not shown. */
export function Configuration() {
  const w = words.value
  const feed = useFeed<{ data: readonly Setting[] }>('/configuration')
  return (
    <Section title={w.configuration}>
      <Loaded feed={feed}>
        {({ data }) => (
          <div class="deliveries">
            {[...groupBy(data, ({ group }) => group)].map(([group, settings]) => (
              <details key={group}>
                <summary lang="en">{group}</summary>
                <Facts
                  facts={settings.map((one) => [
                    one.name,
                    <>
                      <code>{one.secret ? w.hidden : (one.value ?? '—')}</code>
                      {one.set ? null : <span class="quiet"> {w.byDefault}</span>}
                    </>,
                  ])}
                />
              </details>
            ))}
          </div>
        )}
      </Loaded>
    </Section>
  )
}
