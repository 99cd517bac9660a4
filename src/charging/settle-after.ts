import { watchedOnceEnded } from '../domain/watch.ts'
import { keepRefs, type KeptRef } from '../payments/gateway-refs-store.ts'
import type { Tx } from '../ports.ts'
import { insertWatches, type Watched } from '../queue/watches-store.ts'
import type { Settlement } from './charge.ts'

/**
 * What payments that end need when something of them comes back: when they are looked at again, and
 * what their gateway calls them.
 */
export function watchSettled(tx: Tx, settlements: readonly Settlement[]): void {
  const watches = new Map(settlements.flatMap(watchesOf).map((one) => [one.paymentId, one]))
  insertWatches(tx, [...watches.values()])
  keepRefs(tx, settlements.flatMap(refOf))
}

/**
 * What may come back of a payment that ended well is asked about later, where that can be; at once
 * where the answer that ended it says that something has.
 */
function watchesOf({ claim, decision, calls }: Settlement): Watched[] {
  const { payment, watchMs, refund, namesByRef = false } = claim
  if (decision.step !== 'succeed' && decision.step !== 'fail') return []
  const outcome = decision.step === 'succeed' ? 'success' : 'failed'
  const ended = { id: payment.id, parentId: refund?.parentId ?? null, outcome } as const
  const paymentId = watchedOnceEnded(ended, namesByRef)
  if (paymentId === null) return []
  const delayMs = paymentId !== payment.id || calls.some(tellsBack) ? 0 : watchMs
  return delayMs === undefined ? [] : [{ paymentId, gateway: payment.gateway, delayMs }]
}

/** An answer that says of a success that something of it has come back. */
function tellsBack(call: Settlement['calls'][number]): boolean {
  const { kind, outcome } = call
  if (kind === 'charge' || outcome.kind !== 'success') return false
  const { refunded = 0n, returns = [], unread = [] } = outcome
  return refunded > 0n || returns.length > 0 || unread.length > 0
}

/** Its gateway may name it by nothing else, once it has ended well, and while it goes on. */
function refOf({ claim: { payment, namesByRef }, decision }: Settlement): KeptRef[] {
  if (namesByRef !== true || payment.type !== 'deposit') return []
  const { id: paymentId, gateway, gatewayRef: known } = payment
  const going = decision.step === 'pending' ? (decision.underway?.gatewayRef ?? known) : known
  const ref = decision.step === 'succeed' ? (decision.gatewayRef ?? known) : going
  const isNew = decision.step === 'succeed' || ref !== known
  return ref === null || !isNew ? [] : [{ gateway, ref, paymentId }]
}
