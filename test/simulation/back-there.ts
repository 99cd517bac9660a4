import type { CameBack } from '../../src/domain/outcome.ts'
import { operationOf } from '../../src/domain/payment.ts'
import { watchNoticed } from '../../src/queue/watches-store.ts'
import { insist, nap } from './asking.ts'
import { returnedThere } from './came-back.ts'
import { must } from './promises.ts'
import type { PaymentRow } from './tables.ts'
import type { World } from './world-types.ts'

/**
 * Something of a payment comes back at the gateway. It sends a notice, again and again until one is
 * answered; or none, as long as the payment is to be looked at anyway.
 */
export async function comeBackThere(world: World): Promise<void> {
  const { faults, tables, plan, back, steps } = world
  const done = [...tables.payments.rows.values()].filter(({ type, status }) => {
    return status === 'success' && (type === 'deposit' || type === 'withdraw')
  })
  if (done.length === 0) return nap(world)
  const payment = faults.pick(done)
  const { id, type, gateway } = payment
  const own = back.get(id) ?? []
  const one = returnOf(world, payment, own)
  if (one === null) return nap(world)
  back.set(id, [...own, one])
  world.count('came_back_there')
  const last = plan.watchMs.at(-1) ?? 0
  const looked = steps.nowMs() < (payment.finishedAt ?? 0) + last
  if (looked && faults.pick([true, false])) return
  const route = { gateway, operation: operationOf(type as 'deposit') } as const
  await insist(world, ({ db }) => watchNoticed(db.of(id), id, route))
}

/** A part of what has not come back yet, or of what has; null: there is nothing. */
function returnOf({ faults }: World, payment: PaymentRow, own: readonly CameBack[]) {
  const { id, type, amount } = payment
  const returned = returnedThere(own)
  const won = returned > 0n && type === 'deposit' && faults.between(0, 3) === 0
  const left = won ? returned : amount - returned
  if (left <= 0n) return null
  const kind = won ? 'dispute_won' : type === 'deposit' ? 'charged_back' : 'payout_returned'
  const part = faults.pick([left, BigInt(faults.between(1, Number(left))), left / 2n + 1n])
  const ref = `there-${id}-${own.length}`
  return { ref, kind, amount: part > left ? left : part, at: null } satisfies CameBack
}

/** At rest, what came back at the gateway is booked, each once, and nothing else is. */
export function checkBackThere({ tables, back }: World): void {
  for (const [id, came] of back) {
    for (const { ref, kind, amount } of came) {
      const booked = tables.payments.get(tables.childRefs.get(`${id} ${ref}`) ?? -1n)
      const same = booked?.amount === amount && booked.returnKind === kind
      must(same, 'what came back at the gateway is booked', `${id} ${ref} ${kind} ${amount}`)
    }
  }
  for (const { id, type, parentId, gatewayRef } of tables.payments.rows.values()) {
    if (type !== 'return' || gatewayRef?.startsWith('refund ')) continue
    const there = back.get(parentId ?? -1n)?.some(({ ref }) => ref === gatewayRef)
    must(there === true, 'what is booked came back at the gateway, once under its name', id)
  }
}
