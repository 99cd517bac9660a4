import type { ReturnDraft, SaidKind } from '../../src/domain/returns.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import { insist, nap } from './asking.ts'
import { must } from './promises.ts'
import type { PaymentRow } from './tables.ts'
import type { World } from './world-types.ts'

export const BY = { actor: 'joe', reason: 'asked for', requestId: 'r', redriveId: null }

/** How often a clerk looks for something to do before going on to something else. */
const LOOKS_MAX = 10

/** Payments that are as wanted, when there are some; none after a while. */
export async function some(
  world: World,
  wanted: (payment: PaymentRow) => boolean,
  napMsMax = 2_000,
): Promise<readonly PaymentRow[]> {
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const found = [...world.tables.payments.rows.values()].filter(wanted)
    if (found.length > 0) return found
    await nap(world, napMsMax)
  }
  return []
}

/** How payments of a type come back. */
export const KINDS: Readonly<Record<string, readonly SaidKind[]>> = {
  withdraw: ['payout_returned'],
  deposit: ['charged_back', 'charged_back', 'refunded_there', 'dispute_won'],
}

/** Tell what came back until it is answered, now and then twice. Returns whether this booked it. */
export async function book(world: World, draft: ReturnDraft): Promise<boolean> {
  const { faults, tables, plan } = world
  const { parentId, kind } = draft
  let booked = false
  const own = feePolicies(plan)
  for (let told = faults.pick([1, 1, 2]); told > 0; told -= 1) {
    const [answer] = await insist(world, ({ db }) => world.acts.book({ ...own, db }, BY, [draft]))
    if (answer === undefined) return booked
    world.count(answer.kind === 'refused' ? `return_${answer.refusal.code}` : answer.kind)
    if (answer.kind === 'refused') continue
    const id = answer.kind === 'booked' ? answer.payment.id : answer.paymentId
    const payment = tables.payments.get(id)
    const same = payment?.parentId === parentId && payment.amount === draft.amount
    must(same && payment.returnKind === kind, 'what came back is booked as it was told', payment)
    const key = `${parentId} ${draft.ref}`
    const before = world.told.get(key) ?? id
    must(before === id, 'what came back is booked once, however often it is told', answer)
    world.told.set(key, id)
    booked ||= answer.kind === 'booked'
  }
  return booked
}

/** All of a payment or a part came back, or more than there was, or in a way that it cannot. */
export function returnOf({ faults }: World, { id: parentId, type, amount, returned }: PaymentRow) {
  const kinds = KINDS[faults.between(0, 15) === 0 ? 'deposit' : type] ?? KINDS['deposit'] ?? []
  const part = BigInt(faults.between(1, Number(amount)))
  const draft: ReturnDraft = {
    parentId,
    ref: `back-${faults.between(0, 5)}`,
    kind: faults.pick((returned ?? 0n) > 0n ? [...kinds, 'dispute_won'] : kinds),
    amount: faults.pick([amount, part, part / 3n + 1n, amount + 1n]),
  }
  return draft
}
