import { operationOf } from '../../src/domain/payment.ts'
import type { Db } from '../../src/ports.ts'
import { watchNoticed } from '../../src/queue/watches-store.ts'
import { insist, nap } from './asking.ts'
import { failedRefOf, returnedThere, type CameBackThere } from './came-back.ts'
import { must } from './promises.ts'
import type { PaymentRow } from './tables.ts'
import { isCorrected } from './watch-statements.ts'
import type { World } from './world-types.ts'

/**
 * Something of a payment comes back at the gateway. It sends a notice, again and again until one is
 * answered; or none, as long as the payment is to be looked at anyway.
 */
export async function comeBackThere(world: World): Promise<void> {
  const { faults, tables, plan, back, steps } = world
  const { executed } = world.gateway.journal
  const payments = [...tables.payments.rows.values()]
  const done = payments.filter((one) => isDoneInVain(world, one) || moved(one))
  function moved(one: PaymentRow): boolean {
    // It may be executed there before anybody here knows.
    const there = one.status !== 'failed' && (executed.get(one.id)?.length ?? 0) > 0
    const went = one.status === 'success' || there || isExpectedBack(world, one)
    return went && (one.type === 'deposit' || one.type === 'withdraw')
  }
  if (done.length === 0) return nap(world)
  const payment = faults.pick(done)
  const { id, type, gateway } = payment
  if (isDoneInVain(world, payment)) return sayYes(world, payment)
  const own = back.get(id) ?? []
  const made = own.find(({ ours, failed }) => ours !== undefined && failed !== true)
  const fails = made !== undefined && faults.between(0, 1) === 0
  const one = fails ? null : returnOf(world, payment, own)
  if (!fails && one === null) return nap(world)
  if (one !== null) back.set(id, [...own, one])
  else
    back.set(
      id,
      own.map((each) => (each === made ? { ...made, failed: true } : each)),
    )
  world.count(one === null ? 'failed_there' : 'came_back_there')
  const last = plan.watchMs.at(-1) ?? 0
  const looked = steps.nowMs() < (payment.finishedAt ?? 0) + last
  if (looked && faults.pick([true, false])) return
  const route = { gateway, operation: operationOf(type as 'deposit') } as const
  await insist(world, ({ db }) => watchNoticed(db.of(id), id, route, { cameBack: true }))
}

/** Whether a payment failed here that its gateway executed, and nobody has booked that. */
function isDoneInVain({ tables, gateway }: World, payment: PaymentRow): boolean {
  const { id, type, status } = payment
  const executed = (gateway.journal.executed.get(id)?.length ?? 0) > 0
  const plain = type === 'deposit' || type === 'withdraw'
  return executed && plain && status === 'failed' && !isCorrected(tables, payment)
}

/** Its gateway says that it executed a payment that failed here. */
async function sayYes(world: World, payment: PaymentRow): Promise<void> {
  await insist(world, ({ db }) => sayYesTo(world, db, payment))
}

async function sayYesTo(world: World, db: Db, { id, type, gateway }: PaymentRow): Promise<void> {
  const route = { gateway, operation: operationOf(type as 'deposit') } as const
  await watchNoticed(db.of(id), id, route, { noNewsOf: ['success'] })
  world.saidYes.add(id)
  world.count('yes_after_failed')
}

/** In the end a gateway has said of all that it executed that it did. */
export async function sayTheRest(world: World, db: Db): Promise<void> {
  for (const payment of world.tables.payments.rows.values()) {
    if (isDoneInVain(world, payment)) await sayYesTo(world, db, payment)
  }
}

/** Whether a payment failed here that its gateway executed, which is booked as well. */
function isExpectedBack({ tables, gateway }: World, payment: PaymentRow): boolean {
  const executed = (gateway.journal.executed.get(payment.id)?.length ?? 0) > 0
  return executed && isCorrected(tables, payment)
}

/** A part of what has not come back yet, or of what has; null: there is nothing. */
function returnOf(
  { faults }: World,
  payment: PaymentRow,
  own: readonly CameBackThere[],
): CameBackThere | null {
  const { id, type, amount } = payment
  // Of what was refunded nothing is won in a dispute.
  const disputed = returnedThere(own.filter(({ ours }) => ours === undefined))
  const won = disputed > 0n && type === 'deposit' && faults.between(0, 3) === 0
  const left = won ? disputed : amount - returnedThere(own)
  if (left <= 0n) return null
  const kind = won ? 'dispute_won' : type === 'deposit' ? 'charged_back' : 'payout_returned'
  const part = faults.pick([left, BigInt(faults.between(1, Number(left))), left / 2n + 1n])
  const ref = `there-${id}-${own.length}`
  const one = { ref, kind, amount: part > left ? left : part, at: null } as const
  if (kind !== 'charged_back' || faults.between(0, 2) > 0) return one
  // Somebody has copied the names of a payment.
  const ours = { paymentId: faults.pick([id, id + 1_000_000n]), key: payment.gatewayKey }
  return { ...one, kind: 'refunded_there', ours }
}

/** At rest, what came back at the gateway is booked, each once, and nothing else is. */
export function checkBackThere(world: World): void {
  const { tables, back } = world
  checkYes(world)
  for (const [id, came] of back) {
    const payment = tables.payments.get(id)
    // What failed here after all is for people, until one of them corrects it.
    const expected = payment?.status === 'success' || (payment && isExpectedBack(world, payment))
    if (expected !== true) continue
    for (const one of came) checkBooked(tables, id, one)
  }
  for (const { id, type, parentId, gatewayRef } of tables.payments.rows.values()) {
    if (type !== 'return' || gatewayRef?.startsWith('refund ')) continue
    const there = back
      .get(parentId ?? -1n)
      ?.some(({ ref }) => gatewayRef === ref || gatewayRef === failedRefOf(ref))
    must(there === true, 'what is booked came back at the gateway, once under its name', id)
  }
}

/** What a gateway says of payments that failed here is for people, and they are told of it. */
function checkYes({ tables, saidYes }: World): void {
  const letters = [...tables.letters.rows.values()]
  for (const id of saidYes) {
    const payment = tables.payments.get(id)
    const letter = letters.some(
      ({ paymentId, error }) => paymentId === id && error === 'charged_after_failed',
    )
    const booked = payment !== undefined && isCorrected(tables, payment)
    must(letter || booked, 'a yes about a payment that failed here has a letter', payment)
  }
}

/** One that failed before anybody looked at it is nothing; otherwise that is booked as well. */
function checkBooked(tables: World['tables'], id: bigint, one: CameBackThere): void {
  const bookedAs = (ref: string) => tables.payments.get(tables.childRefs.get(`${id} ${ref}`) ?? -1n)
  const { ref, kind, amount, failed = false } = one
  const booked = bookedAs(ref)
  const same = booked?.amount === amount && booked.returnKind === kind
  const about = `${id} ${ref} ${kind} ${amount}`
  must(same || failed, 'what came back at the gateway is booked', about)
  const due = failed ? (booked?.amount ?? 0n) : 0n
  const taken = bookedAs(failedRefOf(ref))?.amount ?? 0n
  must(taken === due, 'a refund that failed after all is taken back', about)
}
