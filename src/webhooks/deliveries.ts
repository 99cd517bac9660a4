import { messageId } from '../domain/event.ts'
import type { Refusal } from '../domain/refusal.ts'
import { differing, sentFields } from '../domain/sent-fields.ts'
import { eachShard, onceStored, shardWith, whole } from '../each-shard.ts'
import type { Db, Shard } from '../ports.ts'
import { keepRetry, retryUnder, type RetryAct, type RetryKey } from './endpoint-acts-store.ts'
import { retryDelivery } from './sent-again-store.ts'
import type { DeliveryOf } from './delivery-values.ts'
import { readEndpoint, type EndpointBy } from './store.ts'
import { knownDelivery, listAttempts, listDeliveries } from './views-store.ts'
import type { AttemptView, DeliveryView } from './views-store.ts'

/** The newest deliveries of an endpoint in all shards, newest first. */
export async function newestDeliveries(
  db: Db,
  endpointId: bigint,
  state: DeliveryView['state'] | null,
  limit: number,
): Promise<DeliveryView[]> {
  const found = whole(
    await eachShard(db.shards, (shard) => listDeliveries(shard, endpointId, state, limit)),
  )
  return found
    .flat()
    .sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
    .slice(0, limit)
}

/** A delivery as it is asked for; null: what was said is the id of nothing. */
interface Asked {
  readonly endpointId: bigint | null
  readonly eventId: bigint | null
}

interface Refused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

/** The calls of a delivery, newest first. */
export async function deliveryAttempts(
  db: Db,
  { endpointId, eventId }: Asked,
): Promise<{ readonly kind: 'calls'; readonly calls: readonly AttemptView[] } | Refused> {
  const endpoint = endpointId === null ? null : await readEndpoint(db.global, endpointId)
  if (endpoint === null) return refused('endpoint_not_found')
  if (eventId === null) return refused('delivery_not_found')
  const calls = await listAttempts(await shardWith(db, 'event', eventId), eventId, endpoint.id)
  return calls === null ? refused('delivery_not_found') : { kind: 'calls', calls }
}

/** Who sends an event again, why, if that was said, and under which key. */
interface RetriedBy extends EndpointBy {
  readonly reason?: string | undefined
  readonly under?: RetryKey | null
}

type Again = { readonly kind: 'due'; readonly replayed: boolean } | Refused

/**
 * Send an event to an endpoint again, whether it has arrived or not: to nobody who is disabled. Who
 * asks for it is kept first, so nothing is sent again that nobody has asked for. The same request
 * under the same key is answered as the first one was, and carried out if that was cut short.
 */
export async function deliverAgain(db: Db, asked: Asked, by: RetriedBy): Promise<Again> {
  const reason = by.reason ?? null
  const path = `retry ${asked.endpointId} ${asked.eventId}`
  const under = by.under == null ? null : { ...by.under, sent: sentFields({ path, reason }) }
  const earlier = under === null ? null : await retryUnder(db.global, under)
  const other = earlier === null ? null : differs(under?.sent ?? {}, earlier.sent)
  if (other !== null) return other
  if (earlier !== null && (await isDone(db, asked, earlier.id))) {
    return { kind: 'due', replayed: true }
  }
  const found = await calledNow(db, asked)
  if (found.kind === 'refused') return found
  return earlier === null
    ? keepAndDo(db, found, { ...by, reason, under })
    : makeDue(db, found, earlier.id)
}

/** Keep who sends an event again, and do it. */
async function keepAndDo(
  db: Db,
  place: Place,
  by: EndpointBy & Pick<RetryAct, 'under'> & { readonly reason: string | null },
): Promise<Again> {
  const { eventId, endpointId } = place.which
  const { actor, requestId, reason, under } = by
  const known = await knownDelivery(place.shard, place.which)
  const refusal = whyNot(known)
  if (refusal === null) {
    const after = { event_id: messageId(eventId), ...(reason === null ? {} : { reason }) }
    const actId = await keepRetry(db.global, { endpointId, actor, requestId, after, under })
    if (actId !== null) return onceStored(() => makeDue(db, place, actId))
  }
  // Another request under the key came at the same time, or the endpoint is disabled by now.
  const first = under === null ? null : await retryUnder(db.global, under)
  if (first === null) return refused(refusal ?? 'endpoint_disabled')
  return differs(under?.sent ?? {}, first.sent) ?? makeDue(db, place, first.id)
}

/** Why a delivery cannot be made again now; null: it can. */
function whyNot(known: { readonly leased: boolean } | null): Refusal['code'] | null {
  if (known === null) return 'delivery_not_found'
  return known.leased ? 'not_deliverable' : null
}

/** What is said where a key was used for something else; null: it was not. */
function differs(...sent: Parameters<typeof differing>): Refused | null {
  const errors = differing(...sent)
  if (errors.length === 0) return null
  return { kind: 'refused', refusal: { code: 'idempotency_key_reuse', errors } }
}

interface Place {
  readonly kind: 'place'
  readonly shard: Shard
  readonly which: DeliveryOf
}

/** Where a delivery to an endpoint is that is called. */
async function calledNow(db: Db, { endpointId, eventId }: Asked): Promise<Place | Refused> {
  const endpoint = endpointId === null ? null : await readEndpoint(db.global, endpointId)
  if (endpoint === null) return refused('endpoint_not_found')
  if (endpoint.state === 'disabled') return refused('endpoint_disabled')
  if (eventId === null) return refused('delivery_not_found')
  const shard = await shardWith(db, 'event', eventId)
  return { kind: 'place', shard, which: { eventId, endpointId: endpoint.id } }
}

/** Carry out an act that was kept. */
async function makeDue(db: Db, { shard, which }: Place, actId: bigint): Promise<Again> {
  if (await retryDelivery(shard, which, actId)) return { kind: 'due', replayed: false }
  if (await isDone(db, which, actId)) return { kind: 'due', replayed: true }
  return refused('not_deliverable')
}

/** Whether an act has made a delivery due, or what it was about is no longer kept. */
async function isDone(db: Db, { endpointId, eventId }: Asked, actId: bigint): Promise<boolean> {
  if (endpointId === null || eventId === null) return false
  const shard = await shardWith(db, 'event', eventId)
  const known = await knownDelivery(shard, { eventId, endpointId })
  return known === null || (known.retryId ?? 0n) >= actId
}

function refused(code: Refusal['code']): Refused {
  return { kind: 'refused', refusal: { code } }
}
