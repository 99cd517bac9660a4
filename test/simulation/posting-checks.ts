import { must } from './promises.ts'
import type { PaymentRow, PostingRow, Tables } from './tables.ts'

type Legs = readonly [user: bigint, held: bigint, gateway: bigint, fees: bigint, losses: bigint]

/** The entries of a payment are those that its state asks for, and move what it came to. */
export function checkPostings(payment: PaymentRow, tables: Tables, corrected: boolean): void {
  const { id, userId, type, status } = payment
  const refused = payment.refusedFor !== null
  const holds = (type === 'withdraw' || type === 'refund') && !refused
  const cost = costOf(payment)
  const entry = (kind: string) => tables.postings.get(`${userId} ${id} ${kind}`)
  const expect = (kind: string, wanted: boolean, legs: (posting: PostingRow) => Legs): void => {
    const posting = entry(kind)
    must((posting !== undefined) === wanted, `${kind} is posted exactly when it should be`, payment)
    if (posting === undefined) return
    must(legsOf(posting) === legs(posting).join(), `the legs of ${kind}`, posting)
  }
  expect('hold', holds, () => [-cost, cost, 0n, 0n, 0n])
  expect('release', holds && status === 'failed', () => [cost, -cost, 0n, 0n, 0n])
  expect('settle', status === 'success', (posting) => settled(payment, posting))
  expect('settle_late', corrected, (posting) => settledLate(payment, posting))
}

/** What a payment costs its user in all, while it is held. */
export function costOf({ amount, commission, feeReturned }: PaymentRow): bigint {
  return amount + commission - (feeReturned ?? 0n)
}

function legsOf({ user, held, gateway, fees, losses }: PostingRow): string {
  return [user, held, gateway, fees, losses].join()
}

function settled(payment: PaymentRow, posting: PostingRow): Legs {
  const { type, amount, commission } = payment
  const fee = payment.feeReturned ?? 0n
  if (type === 'deposit') return [amount - commission, 0n, -amount, commission, 0n]
  if (type === 'return') return returned(payment, posting)
  return [0n, -costOf(payment), amount, commission - fee, 0n]
}

/** What a return moves; how much of it the user pays is checked when it arrives. */
function returned({ amount, feeReturned, returnKind }: PaymentRow, { user }: PostingRow): Legs {
  const fee = feeReturned ?? 0n
  if (returnKind === 'payout_returned') {
    must(user >= 0n && user <= amount + fee, 'a payout gives back no more than it was', user)
    return [user, 0n, -amount, -fee, amount + fee - user]
  }
  if (returnKind === 'dispute_won' || returnKind === 'was_refund') {
    must(user >= 0n && user <= amount - fee, 'a dispute gives no more than it was', user)
    return [user, 0n, -amount, fee, amount - fee - user]
  }
  must(user <= 0n && -user <= amount - fee, 'a charge-back takes no more than it was', user)
  return [user, 0n, amount, -fee, -(amount - fee + user)]
}

/** What an operator's correction moves; the hold of a withdrawal was given back before. */
function settledLate({ type, amount, commission }: PaymentRow, { user }: PostingRow): Legs {
  if (type === 'deposit') return [amount - commission, 0n, -amount, commission, 0n]
  const cost = amount + commission
  must(user <= 0n && -user <= cost, 'a correction takes no more than it was', user)
  return [user, 0n, amount, commission, -(cost + user)]
}
