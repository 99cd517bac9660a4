import { useState } from 'preact/hooks'
import { remove, send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { filter, go, route } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Attempt, Delivery, Endpoint } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { OVERLAP_MAX, readWhole } from '../../exact/whole.ts'
import { Facts, named, Section, State, When } from '../../parts/basics.tsx'
import { refusedHere } from '../../exact/answer.ts'
import { ask, perform, tell } from '../../parts/dialog.tsx'
import { Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { refusal, span, words } from '../../words/words.ts'
import { DeliveryRow } from './delivery.tsx'
import { askReplay, ReplayRun } from './replay.tsx'

/** So many deliveries are listed. */
const LIMIT = 50
const STATES = ['', 'pending', 'delivered', 'failed'] as const

/** One endpoint: how it does, what was sent to it, and what it said. */
export function EndpointScreen({ id }: { id: string }) {
  const w = words.value
  const feed = useFeed<Endpoint>(`/webhook-endpoints/${id}`)
  const endpoint = feed.known.value.data
  const run = route.value.query['replay']
  return (
    <ScreenFrame
      title={endpoint === null ? w.endpoint : (endpoint.url ?? w.polled(endpoint.id))}
      acts={endpoint !== null && may('operate') ? <Acts endpoint={endpoint} /> : undefined}
    >
      {run === undefined ? null : <ReplayRun endpoint={id} id={run} />}
      <Loaded feed={feed}>{(known) => <About endpoint={known} />}</Loaded>
      <Deliveries id={id} />
    </ScreenFrame>
  )
}

function About({ endpoint }: { endpoint: Endpoint }) {
  const w = words.value
  return (
    <div class="narrow">
      <Facts
        facts={[
          [w.state, <State state={endpoint.state} />],
          ...(endpoint.disabled_reason === null
            ? []
            : [[w.reason, endpoint.disabled_reason] as const]),
          ...(endpoint.paused_until === null
            ? []
            : [[w.pausedUntil, <When at={endpoint.paused_until} />] as const]),
          [w.types_, endpoint.types.join(', ')],
          [w.description, endpoint.description ?? '—'],
          [w.payload, named(w.payloads, endpoint.payload)],
          [w.ordered, endpoint.ordered ? w.yes : w.no],
          [w.made, <When at={endpoint.created_at} />],
        ]}
      />
    </div>
  )
}

function Acts({ endpoint }: { endpoint: Endpoint }) {
  const w = words.value
  const { id, url, state } = endpoint
  const path = `/webhook-endpoints/${id}`
  const next = state === 'enabled' ? 'disabled' : 'enabled'
  const [testing, setTesting] = useState(false)
  const test = async () => {
    setTesting(true)
    await tested(path)
    setTesting(false)
  }
  const turn = () =>
    perform(next === 'disabled' ? w.disable : w.enable, send('PATCH', path, { state: next }))
  return (
    <>
      {url === null ? null : (
        <>
          <button type="button" disabled={testing} onClick={() => void test()}>
            {testing ? w.working : w.test}
          </button>
          <button type="button" onClick={() => askRotate(path)}>
            {w.rotate}
          </button>
          <button type="button" onClick={() => askReplay(id)}>
            {w.replay}
          </button>
        </>
      )}
      <button type="button" onClick={() => void turn()}>
        {next === 'disabled' ? w.disable : w.enable}
      </button>
      <button type="button" onClick={() => askRemove(path)}>
        {w.delete}
      </button>
    </>
  )
}

/** Call the endpoint, and tell what it answered. */
async function tested(path: string): Promise<void> {
  const w = words.value
  const answer = await send<Omit<Attempt, 'at'>>('POST', `${path}/test`)
  if (answer.kind === 'refused') return tell(w.test, refusal(answer.problem))
  if (answer.kind !== 'ok') return tell(w.test, w.actLost)
  const { status, reason, took_ms: took, reply } = answer.data
  const said = status === null ? named(w.reasons, reason ?? '') : `HTTP ${status}`
  tell(w.test, `${said}, ${span(took)}. ${reply ?? ''}`)
}

function askRotate(path: string): void {
  const w = words.value
  const bounds = w.fromTo(0, OVERLAP_MAX)
  ask({
    title: w.rotate,
    says: w.rotateSays,
    fields: [{ name: 'overlap', label: w.overlap, initial: '86400', hint: bounds }],
    verb: w.rotate,
    unkeyed: true,
    async run({ overlap = '' }) {
      const read = readWhole(overlap, 0, OVERLAP_MAX)
      if (read === null) return refusedHere(`${w.overlap}: ${bounds}`)
      return send('POST', `${path}/rotate-secret`, { overlap_seconds: read })
    },
    done: (made) => tell(w.secretTitle, `${w.secretOnce} ${(made as { secret: string }).secret}`),
  })
}

function askRemove(path: string): void {
  const w = words.value
  ask({
    title: w.deleteEndpoint,
    says: w.deleteSays,
    fields: [],
    verb: w.delete,
    danger: true,
    run: () => remove(path),
    done: () => go(hrefOf('webhooks')),
  })
}

function Deliveries({ id }: { id: string }) {
  const w = words.value
  const state = route.value.query['state'] ?? ''
  const asked = new URLSearchParams({ limit: String(LIMIT), ...(state === '' ? {} : { state }) })
  const path = `/webhook-endpoints/${id}/deliveries`
  const feed = useFeed<{ data: readonly Delivery[] }>(`${path}?${asked}`)
  const segments = (
    <div class="segments" role="group" aria-label={w.state}>
      {STATES.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={one === state}
          onClick={() => filter({ state: one })}
        >
          {one === '' ? w.all : w.states[one]}
        </button>
      ))}
    </div>
  )
  return (
    <Section title={w.deliveries} aside={segments}>
      <Loaded feed={feed}>
        {({ data }) =>
          data.length === 0 ? (
            <p class="quiet">{w.noDeliveries}</p>
          ) : (
            <div class="deliveries">
              {data.map((delivery) => (
                <DeliveryRow
                  key={delivery.event_id}
                  delivery={delivery}
                  endpointId={Number(id)}
                  payment={delivery.payment_id}
                />
              ))}
              {data.length < LIMIT ? null : <p class="quiet note">{w.newestShown(LIMIT)}</p>}
            </div>
          )
        }
      </Loaded>
    </Section>
  )
}
