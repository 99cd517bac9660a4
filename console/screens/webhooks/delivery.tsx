import { useState } from 'preact/hooks'
import { send } from '../../app/api.ts'
import { useFeed } from '../../app/feed.ts'
import { may } from '../../app/session.ts'
import type { Attempt, Delivery } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Facts, named, State, When } from '../../parts/basics.tsx'
import { reasonField } from '../../parts/asking.ts'
import { ask } from '../../parts/dialog.tsx'
import { Loaded } from '../../parts/screen.tsx'
import { span, words } from '../../words/words.ts'

interface DeliveryProps {
  readonly delivery: Delivery
  readonly endpointId: number
  /** Where it goes, where that is not known from the screen. */
  readonly url?: string | null
  /** Its payment, where that is not known from the screen. */
  readonly payment?: number | null
}

/** An event on its way to an endpoint: what came of it, and sending it again. */
export function DeliveryRow({ delivery, endpointId, url, payment }: DeliveryProps) {
  const w = words.value
  const [open, setOpen] = useState(false)
  const { event_id: event, last_attempt: last, next_attempt_at: next } = delivery
  const facts = [
    [w.event, <code>{event}</code>],
    ...(url === undefined
      ? []
      : [[w.endpoint, <a href={hrefOf('webhooks', endpointId)}>{url ?? endpointId}</a>] as const]),
    ...(payment === undefined
      ? []
      : [
          [
            w.payment,
            payment === null ? '—' : <a href={hrefOf('payments', payment)}>{payment}</a>,
          ] as const,
        ]),
    [w.attempts, delivery.attempts],
    [w.next, next === null ? '—' : <When at={next} form="age" />],
    [w.result, last === null ? '—' : told(last)],
  ] as const
  return (
    <details onToggle={(shown) => setOpen(shown.currentTarget.open)}>
      <summary>
        <State state={delivery.state} />
        <code>{delivery.type}</code>
        <span class="quiet">
          <When at={delivery.created_at} />
        </span>
      </summary>
      <Facts facts={facts} />
      {open && last !== null ? <Attempts of={delivery} endpointId={endpointId} /> : null}
      {may('operate') ? (
        <button type="button" onClick={() => askAgain(delivery, endpointId, url ?? null)}>
          {w.retry}
        </button>
      ) : null}
    </details>
  )
}

/** Each call of the endpoint for this event, the newest first, with what it answered. */
function Attempts({ of, endpointId }: { of: Delivery; endpointId: number }) {
  const path = `/webhook-endpoints/${endpointId}/deliveries/${of.event_id}/attempts`
  const feed = useFeed<{ data: readonly Attempt[] }>(path)
  return (
    <Loaded feed={feed}>
      {({ data }) => (
        <ol class="attempts">
          {data
            .toSorted((one, other) => Date.parse(other.at) - Date.parse(one.at))
            .map((attempt) => (
              <li key={attempt.at}>
                <span class="quiet">
                  <When at={attempt.at} form="exact" />
                </span>{' '}
                {told(attempt)}
                {attempt.reply === null || attempt.reply === '' ? null : (
                  <pre class="reply">{attempt.reply}</pre>
                )}
              </li>
            ))}
        </ol>
      )}
    </Loaded>
  )
}

/** Ask whether an event is to be sent once more. */
function askAgain({ event_id: event, type, state }: Delivery, id: number, url: string | null) {
  const w = words.value
  const arrived = state === 'delivered'
  ask({
    title: w.retryTitle(event),
    says: w.retrySays(type, url ?? String(id), arrived),
    fields: [reasonField()],
    verb: w.retry,
    run: ({ reason = '' }, key) =>
      send('POST', `/webhook-endpoints/${id}/deliveries/${event}/retry`, { reason }, key),
  })
}

function told({ status, reason, took_ms: took }: Attempt): string {
  const parts = [
    status === null ? '' : `HTTP ${status}`,
    reason === null ? '' : named(words.value.reasons, reason),
    span(took),
  ]
  return parts.filter((part) => part !== '').join(', ')
}
