import { send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { go } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Endpoint } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Empty, State, When } from '../../parts/basics.tsx'
import { Command } from '../../parts/command.tsx'
import { ask, tell } from '../../parts/dialog.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { Table } from '../../parts/table.tsx'
import { words } from '../../words/words.ts'

/** Who is told of events. */
export function Webhooks() {
  const w = words.value
  const feed = useFeed<{ data: readonly Endpoint[] }>('/webhook-endpoints')
  const add = may('operate') ? (
    <button type="button" onClick={askEndpoint}>
      {w.addEndpoint}
    </button>
  ) : null
  return (
    <ScreenFrame title={w.screens.webhooks} lead={w.webhooksLead} acts={add}>
      <Loaded feed={feed}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title={w.noEndpoints}>
              <p>{w.noEndpointsLead}</p>
              <Command
                text={`curl -X POST ${location.origin}/api/v1/webhook-endpoints -H 'Content-Type: application/json' -d '{"types": ["payment.*"]}'`}
              />
            </Empty>
          ) : (
            <List endpoints={data} />
          )
        }
      </Loaded>
    </ScreenFrame>
  )
}

function List({ endpoints }: { endpoints: readonly Endpoint[] }) {
  const w = words.value
  return (
    <Table
      label={w.screens.webhooks}
      columns={[[w.state], [w.endpoint], [w.types_, 'wide'], [w.made, 'wide number']]}
    >
      {endpoints.map((endpoint) => (
        <tr key={endpoint.id}>
          <td>
            <State state={endpoint.state} />
          </td>
          <td class="clip">
            <a href={hrefOf('webhooks', endpoint.id)}>{endpoint.url ?? w.polled(endpoint.id)}</a>
            {endpoint.description === null ? null : <div class="quiet">{endpoint.description}</div>}
          </td>
          <td class="wide clip quiet">{endpoint.types.join(', ')}</td>
          <td class="wide number quiet">
            <When at={endpoint.created_at} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

function askEndpoint(): void {
  const w = words.value
  ask({
    title: w.addEndpoint,
    says: w.addEndpointSays,
    fields: [
      { name: 'url', label: 'URL', optional: true, hint: w.urlHint },
      { name: 'types', label: w.types_, initial: 'payment.*, dead_letter.*' },
      { name: 'description', label: w.description, optional: true },
    ],
    verb: w.addEndpoint,
    run({ url = '', types = '', description = '' }) {
      const wanted = types.split(/[\s,]+/).filter((type) => type !== '')
      const body = {
        types: wanted,
        ...(url === '' ? {} : { url }),
        ...(description === '' ? {} : { description }),
      }
      return send('POST', '/webhook-endpoints', body)
    },
    done(made) {
      const { id, secret } = made as { id: number; secret: string | null }
      go(hrefOf('webhooks', id))
      if (secret !== null) tell(w.secretTitle, `${w.secretOnce} ${secret}`)
    },
  })
}
