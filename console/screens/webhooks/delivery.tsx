import { send } from '../../app/api.ts'
import { may } from '../../app/session.ts'
import type { Attempt, Delivery } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Facts, State, When } from '../../parts/basics.tsx'
import { ask } from '../../parts/dialog.tsx'
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
    <details>
      <summary>
        <State state={delivery.state} />
        <code>{delivery.type}</code>
        <span class="quiet">
          <When at={delivery.created_at} />
        </span>
      </summary>
      <Facts facts={facts} />
      {last?.reply === null || last?.reply === undefined ? null : (
        <pre class="reply">{last.reply}</pre>
      )}
      {may('operate') ? (
        <button type="button" onClick={() => askAgain(delivery, endpointId, url ?? null)}>
          {w.retry}
        </button>
      ) : null}
    </details>
  )
}

/** Ask whether an event is to be sent once more. */
function askAgain({ event_id: event, type, state }: Delivery, id: number, url: string | null) {
  const w = words.value
  const arrived = state === 'delivered'
  ask({
    title: w.retryTitle(event),
    says: w.retrySays(type, url ?? String(id), arrived),
    fields: [],
    verb: w.retry,
    run: () => send('POST', `/webhook-endpoints/${id}/deliveries/${event}/retry`),
  })
}

function told({ status, reason, took_ms: took }: Attempt): string {
  const parts = [status === null ? '' : `HTTP ${status}`, reason ?? '', span(took)]
  return parts.filter((part) => part !== '').join(', ')
}
