import type { WholePayment } from '../payments/back-store.ts'
import { nameKeyOf, type Named } from '../payments/named-store.ts'
import type { Locked } from './lock.ts'

/** What operators say that the gateway calls payments. */
export function namesOf(
  requests: readonly { readonly letterId: bigint; readonly gatewayRef: string | null }[],
  { letters, payments }: Locked,
): Named[] {
  return requests.flatMap(({ letterId, gatewayRef: ref }) => {
    const payment = payments.get(letters.get(letterId)?.paymentId ?? 0n)
    if (ref === null || payment === undefined) return []
    const { id, userId, type, gateway } = payment
    return [{ id, userId, type, gateway, ref }]
  })
}

/** Give a payment its name at the gateway; the successful payment that has it already, or null. */
export function claimName(
  payment: Pick<WholePayment, 'id' | 'type' | 'gateway'>,
  ref: string | null,
  { named }: { readonly named: Map<string, bigint> },
): bigint | null {
  if (ref === null) return null
  const name = nameKeyOf({ ...payment, ref })
  const other = named.get(name)
  if (other === undefined) named.set(name, payment.id)
  return other ?? null
}
