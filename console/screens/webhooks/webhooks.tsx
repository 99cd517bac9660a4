import { send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { go } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Endpoint, State } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Empty, State as StateSign, When } from '../../parts/basics.tsx'
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
  const failing = useFeed<State>('/overview').known.value.data?.webhooks.at ?? []
  return (
    <Table
      label={w.screens.webhooks}
      columns={[[w.state], [w.endpoint], [w.types_, 'wide'], [w.made, 'wide number']]}
    >
      {endpoints.map((endpoint) => (
        <tr key={endpoint.id}>
          <td>
            <Health of={endpoint} failing={failing} />
          </td>
          <td class="clip url">
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

/** Whether an endpoint is told of anything, and since when it is not reached. */
function Health({ of, failing }: { of: Endpoint; failing: State['webhooks']['at'] }) {
  const w = words.value
  const waiting = failing.find(({ endpoint_id: id }) => id === of.id)
  if (waiting === undefined || of.state === 'disabled') return <StateSign state={of.state} />
  return (
    <>
      <StateSign state="unreached" />
      <div class="below quiet">
        {w.notArrived(waiting.deliveries)}, <When at={waiting.oldest_at} form="age" />
      </div>
    </>
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
    run({ url = '', types = '', description = '' }, key) {
      const wanted = types.split(/[\s,]+/).filter((type) => type !== '')
      const body = {
        types: wanted,
        ...(url === '' ? {} : { url }),
        ...(description === '' ? {} : { description }),
      }
      return send('POST', '/webhook-endpoints', body, key)
    },
    done(made) {
      const { id, secret } = made as { id: number; secret: string | null }
      go(hrefOf('webhooks', id))
      if (secret !== null) tell(w.secretTitle, `${w.secretOnce} ${secret}`)
    },
  })
}
