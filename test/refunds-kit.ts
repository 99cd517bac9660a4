import assert from 'node:assert/strict'
import type { FeePolicy } from '../src/domain/fee.ts'
import { parseDecimal } from '../src/domain/money.ts'
import type { RefundAnswer, RefundDraft } from '../src/domain/refund.ts'
import { sentFields } from '../src/domain/sent-fields.ts'
import { isLocked, type Db } from '../src/ports.ts'
import { acceptRefunds } from '../src/refunds/refund.ts'
import { books, type TestWorld } from './harness.ts'

/** A successful payment of 100.00, by a user who has 1,000.00 besides. */
export async function done(
  world: TestWorld,
  type: 'deposit' | 'withdraw' = 'deposit',
  balance = 100_000n,
): Promise<{ readonly id: bigint; readonly userId: bigint }> {
  const userId = await world.user(balance)
  const [answer] = await world.accept([{ type, userId, amount: 10_000n, idempotencyKey: null }])
  assert(answer?.kind === 'accepted')
  await world.work()
  const { id } = answer.payment
  assert.equal((await world.view(id)).payment.status, 'success')
  return { id, userId }
}

/** A refund as it is asked for. */
export function refundOf(
  parentId: bigint,
  amount: string | null,
  idempotencyKey: string | null = null,
): RefundDraft {
  const read = amount === null ? null : parseDecimal(amount)
  if (read !== null && !read.ok) throw new Error(read.problem)
  const reason = 'returned goods'
  const sent = sentFields({ amount, reason })
  return { parentId, amount: read?.decimal ?? null, idempotencyKey, reason, sent }
}

/** Ask for refunds; each may be asked for on a database of its own. */
export function refund(
  db: Db,
  drafts: readonly RefundDraft[],
  refundFee: FeePolicy = 'keep',
): Promise<readonly RefundAnswer[]> {
  return acceptRefunds({ db, refundFee, returnFee: 'keep' }, drafts)
}

/** Ask for one refund that is accepted, and return its id. */
export async function refunded(
  world: TestWorld,
  parentId: bigint,
  amount: string | null,
  refundFee: FeePolicy = 'keep',
): Promise<bigint> {
  const [answer] = await refund(world.db, [refundOf(parentId, amount)], refundFee)
  assert(
    answer?.kind === 'accepted',
    JSON.stringify(answer, (_, one) => String(one)),
  )
  return answer.payment.id
}

/** Ask again as long as somebody else holds a lock for too long: then nothing was done. */
export async function untilFree<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (!isLocked(error)) throw error
    return untilFree(ask)
  }
}

/** What is written on a payment of its giving back. */
export async function givenBack(world: TestWorld, id: bigint) {
  const [row] = await world.sql<Record<string, bigint>>(
    `select
       coalesce(refund_reserved, 0) as reserved, coalesce(fee_reserved, 0) as fee,
       coalesce(refunded, 0) as refunded, coalesce(returned, 0) as returned,
       coalesce(returned_fee, 0) as "returnedFee"
     from payments
     where id = $1`,
    [id],
  )
  assert(row !== undefined)
  return row
}

/** The books, which must balance, losses among them, and agree with the stored balances. */
export async function balanced(world: TestWorld): Promise<Record<string, bigint>> {
  const sums = await books(world)
  const [{ losses = 0n } = {}] = await world.sql<{ losses: bigint }>(
    'select coalesce(sum(losses), 0)::bigint as losses from postings',
  )
  const { user = 0n, held = 0n, gateway = 0n, fees = 0n, opening = 0n } = sums
  assert.equal(user + held + gateway + fees + opening + losses, 0n)
  assert.equal(user, sums['available_stored'])
  assert.equal(held, sums['held_stored'])
  return { ...sums, losses }
}
