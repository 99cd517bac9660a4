import { keepRefs, type KeptRef } from '../payments/gateway-refs-store.ts'
import type { Tx } from '../ports.ts'
import { insertWatches, type Watched } from '../queue/watches-store.ts'
import type { Settlement } from './charge.ts'

/**
 * What payments that end well need when something of them comes back: when they are looked at
 * again, and what their gateway calls them.
 */
export function expectBack(tx: Tx, settlements: readonly Settlement[]): void {
  insertWatches(tx, settlements.flatMap(watchOf))
  keepRefs(tx, settlements.flatMap(refOf))
}

/** What may come back of a payment that ended well is asked about later, where that can be. */
function watchOf({ claim: { payment, watchMs }, decision }: Settlement): Watched[] {
  if (watchMs === undefined || decision.step !== 'succeed') return []
  return [{ paymentId: payment.id, gateway: payment.gateway, delayMs: watchMs }]
}

/** Its gateway may name it by nothing else. */
function refOf({ claim: { payment, namesByRef }, decision }: Settlement): KeptRef[] {
  if (namesByRef !== true || decision.step !== 'succeed') return []
  const ref = decision.gatewayRef ?? payment.gatewayRef
  return ref === null ? [] : [{ gateway: payment.gateway, ref, paymentId: payment.id }]
}
