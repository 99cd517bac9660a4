import { messageId } from '../../src/domain/event.ts'
import type { DeliveryRow } from './delivery-rows.ts'
import { knownKey, waitsForEarlier } from './delivery-statements.ts'
import type { Handler, Handlers } from './handlers.ts'
import { must } from './promises.ts'
import type { Receiver, Receivers } from './receivers.ts'
import type { Tables } from './tables.ts'

/** What is remembered of deliveries, to judge what becomes of them. */
export interface DeliveryAuditor {
  check(): void
  /** A message has arrived. */
  arrived(receiver: Receiver, id: string): void
  /** Somebody asks for events again, or has them kept back: their order is another from now on. */
  disturbed(endpointId: bigint): void
  /** Until when an endpoint has to be left alone, as far as told; null: it was changed. */
  paused(endpointId: bigint, untilMs: number | null): void
  /** The statements, with what must be true of what they claim. */
  judging(handlers: Handlers): Handlers
}

/** Calls until a delivery is given up. */
const CALLS = 10

/** Follows deliveries from commit to commit, and holds them against what receivers got. */
export function deliveryAuditor(tables: Tables, receivers: Receivers): DeliveryAuditor {
  const givenUp = new Set<string>()
  const over = new Set<string>()
  const disturbed = new Set<bigint>()
  const pauses = new Map<bigint, number>()
  let version = -1
  const receiverOf = (endpointId: bigint): Receiver | undefined =>
    receivers.all.get(tables.endpoints.get(endpointId)?.url ?? '')
  return {
    check() {
      if (tables.version() === version) return
      version = tables.version()
      for (const [key, row] of tables.deliveries.rows) {
        if (row.state === 'failed') givenUp.add(key)
        if (row.state === 'delivered') over.add(key)
        const stays = !over.has(key) || row.state === 'delivered' || disturbed.has(row.endpointId)
        must(stays, 'what was delivered stays so', row)
        checkEnd(row, receiverOf(row.endpointId))
      }
    },
    arrived({ url, taken }, id) {
      const [endpoint] = [...tables.endpoints.rows.values()].filter((one) => one.url === url)
      if (endpoint === undefined || !endpoint.ordered || disturbed.has(endpoint.id)) return
      const of = (row: DeliveryRow) => row.endpointId === endpoint.id
      const own = [...tables.deliveries.rows].filter(([, row]) => of(row))
      const [, now] = own.find(([, { eventId }]) => messageId(eventId) === id) ?? []
      if (now === undefined || now.paymentId === 0n) return
      for (const [key, { shard, eventId, paymentId, position }] of own) {
        if (shard !== now.shard || paymentId !== now.paymentId) continue
        if (position >= now.position) continue
        const done = taken.has(messageId(eventId)) || givenUp.has(key)
        must(done, 'an ordered endpoint gets the events of a payment in order', now)
      }
    },
    disturbed: (endpointId) => void disturbed.add(endpointId),
    paused(endpointId, untilMs) {
      if (untilMs === null) pauses.delete(endpointId)
      else pauses.set(endpointId, Math.max(pauses.get(endpointId) ?? 0, untilMs))
    },
    judging: (handlers) => ({
      ...handlers,
      deliveries_claim: judged(tables, pauses, handlers['deliveries_claim'] as Handler),
    }),
  }
}

/** What is final is so by what the receiver said. */
function checkEnd(row: DeliveryRow, receiver: Receiver | undefined): void {
  if (receiver === undefined) return
  const id = messageId(row.eventId)
  if (row.state === 'delivered') must(receiver.taken.has(id), 'what is delivered was taken', row)
  if (row.state !== 'failed') return
  const over = row.attempts >= CALLS || receiver.gone.has(id)
  must(over, 'a delivery is given up after ten calls, or for good', row)
}

/** The claim, and what must be true of each delivery that it takes. */
function judged(
  tables: Tables,
  pauses: ReadonlyMap<bigint, number>,
  { run, ...claim }: Handler,
): Handler {
  return {
    ...claim,
    run(own, values, context) {
      const rows = run(own, values, context) as Pick<DeliveryRow, 'eventId' | 'endpointId'>[]
      for (const { eventId, endpointId } of rows) {
        const row = tables.deliveries.get(`${eventId} ${endpointId}`)
        const known = tables.subscriptions.get(knownKey(values[0], endpointId))
        if (row === undefined || known === undefined) continue
        must(toldToCall(tables, endpointId, values[0]), 'nobody who is disabled is called', row)
        const pausedMs = pauses.get(endpointId) ?? 0
        must(pausedMs <= context.nowMs, 'an endpoint that asks for a pause has it', row)
        const first = !known.ordered || !waitsForEarlier(tables, row)
        must(first, 'an ordered endpoint has one event of a payment on its way', row)
      }
      return rows
    },
  }
}

/** Whether a shard may still call an endpoint: one that is disabled, until it has been told. */
function toldToCall(tables: Tables, endpointId: bigint, shard: unknown): boolean {
  const endpoint = tables.endpoints.get(endpointId)
  if (endpoint === undefined) return false
  const known = tables.subscriptions.get(knownKey(shard, endpointId))
  return endpoint.state === 'enabled' || (known?.version ?? 0) < endpoint.version
}
