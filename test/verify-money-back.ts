import { randomUUID } from 'node:crypto'
import {
  chargebackEntry,
  correctionEntry,
  disputeWonEntry,
  holdEntry,
  payoutReturnedEntry,
  refundHoldEntry,
  refundReleaseEntry,
  refundSettleEntry,
  releaseEntry,
  settleEntry,
  type Entry,
} from '../src/domain/ledger.ts'
import { post } from '../src/ledger/post.ts'
import type { Tx } from '../src/ports.ts'
import { raw, type TestWorld } from './harness.ts'
import { payment } from './verify-picks.ts'

export const REFUND = payment("type = 'refund' and status = 'success'")
export const OPEN_REFUND = payment("type = 'refund' and status = 'new'")
export const CANCELED = payment("last_error = 'canceled'")
export const GAVE_BACK = payment('refund_reserved > 0')
export const CHARGED_BACK = payment("return_kind = 'charged_back'")
export const DISPUTE = payment("return_kind = 'dispute_won'")
export const PAYOUT_RETURNED = payment("return_kind = 'payout_returned'")
export const WATCHED = payment("type = 'withdraw' and returned > 0")
/** What came back of a payout that was corrected at a loss. */
export const WON_BACK = payment("return_kind = 'payout_returned' and amount = 1500")
/** A failed withdrawal that was settled late. */
export const CORRECTED =
  "(select min(payment_id) from postings where kind = 'settle_late' and losses < 0)"

/** What is the same in every payment of this history, unless a row says otherwise. */
const COMMON = { commission: 0, fee_bps: 200, attempts: 0 }

/**
 * A history in which money goes back in every way: refunds that are done, failed, open and
 * canceled, a payout that came back, a charge-back that a user cannot pay for, a dispute won, and a
 * failed withdrawal that the gateway had executed and of which a part came back. Its rows are
 * written here, so that the rules are tested on what the design says and not on what the features
 * do.
 */
export async function moneyGoesBack(world: TestWorld): Promise<void> {
  const userId = await world.user(100_000n)
  await world.db.of(userId).transaction(async (tx) => {
    const ids = await tx.ids('payment_ids', 11)
    const letters = await tx.ids('dead_letter_ids', 2)
    const [act] = await tx.ids('operator_act_ids', 1)
    const at = world.clock.now().toISOString()
    const shard = world.db.of(userId).number
    const rows = paymentsOf(ids).map((row) => ({
      ...COMMON,
      shard,
      user_id: Number(userId),
      gateway_key: randomUUID(),
      created_at: at,
      ...(row['status'] === 'new' ? {} : { finished_at: at }),
      ...row,
      ...(row['type'] === 'return' ? { gateway_ref: refOf(row) } : {}),
    }))
    await insert(tx, 'payments', rows)
    await insert(tx, 'payment_children', childrenOf(rows))
    await insert(tx, 'payment_attempts', attemptsOf(rows, at))
    const about = { shard, created_at: at }
    await insert(tx, 'dead_letters', lettersOf(rows, letters, about))
    await insert(tx, 'payment_tasks', tasksOf(rows, at))
    const word = { letter_id: Number(letters[1]), act: 'correct', actor: 'ann', reason: 'seen' }
    const states = { request_id: 'r', before: {}, after: {} }
    const payment_id = Number(ids[9])
    await insert(tx, 'operator_acts', [
      { ...about, id: Number(act), payment_id, ...word, ...states },
    ])
    post(tx, entriesOf(ids, userId))
  })
}

type Row = Readonly<Record<string, unknown>>

/** The payments, in the order of their ids. */
function paymentsOf(ids: readonly bigint[]): Row[] {
  const [deposit, withdrawal] = ids.map(Number)
  const lost = Number(ids[9])
  const done = { status: 'success', attempts: 1 }
  const of = { type: 'refund', parent_id: deposit }
  const came = { type: 'return', status: 'success' }
  const back = {
    refund_reserved: 2_500,
    fee_reserved: 40,
    refunded: 2_000,
    returned: 2_000,
    returned_fee: 60,
  }
  return [
    { type: 'deposit', amount: 10_000, commission: 200, ...done, ...back },
    {
      type: 'withdraw',
      amount: 5_000,
      commission: 100,
      ...done,
      returned: 1_000,
      returned_fee: 20,
    },
    { ...of, amount: 2_000, fee_returned: 40, ...done },
    {
      ...of,
      amount: 1_000,
      fee_returned: 0,
      status: 'failed',
      attempts: 1,
      last_error: 'http_402',
    },
    { ...of, amount: 500, fee_returned: 0, status: 'new' },
    { ...of, amount: 700, fee_returned: 10, status: 'failed', last_error: 'canceled' },
    {
      ...came,
      parent_id: withdrawal,
      amount: 1_000,
      fee_returned: 20,
      return_kind: 'payout_returned',
    },
    { ...came, parent_id: deposit, amount: 3_000, fee_returned: 60, return_kind: 'charged_back' },
    { ...came, parent_id: deposit, amount: 1_000, fee_returned: 0, return_kind: 'dispute_won' },
    {
      type: 'withdraw',
      amount: 90_000,
      commission: 1_800,
      status: 'failed',
      attempts: 1,
      last_error: 'http_402',
      returned: 1_500,
      returned_fee: 30,
    },
    {
      ...came,
      parent_id: lost,
      amount: 1_500,
      fee_returned: 30,
      return_kind: 'payout_returned',
    },
  ].map((row, index) => ({ ...row, id: Number(ids[index]) }))
}

function childrenOf(rows: readonly Row[]): Row[] {
  return rows
    .filter((row) => row['parent_id'] !== undefined)
    .map((row) => {
      const { shard, parent_id, id, type } = row
      return { shard, parent_id, payment_id: id, ref: type === 'return' ? refOf(row) : null }
    })
}

/** The gateway's reference of a return. */
function refOf({ id }: Row): string {
  return `re_${String(id)}`
}

/** A yes for what succeeded, a no for what failed; of the last one a late yes as well. */
function attemptsOf(rows: readonly Row[], at: string): Row[] {
  const call = { call: 1, kind: 'charge', sent: true, started_at: at, took_ms: 1, late: false }
  const last = rows[9]
  return [
    ...rows
      .filter(({ attempts }) => attempts === 1)
      .map(({ shard, id, status }) => {
        const outcome = status === 'success' ? 'success' : 'declined'
        return { shard, payment_id: id, fence: 1, ...call, outcome }
      }),
    { shard: last?.['shard'], payment_id: last?.['id'], fence: 2, ...call, outcome: 'success' },
  ]
}

function lettersOf(rows: readonly Row[], ids: readonly bigint[], about: Row): Row[] {
  const [, , , failed, , , , , , corrected] = rows
  const closed = { state: 'resolved', closed_at: about['created_at'], closed_by: 'ann' }
  const letter = (row: Row | undefined, id: bigint | undefined) => ({
    ...about,
    id: Number(id),
    payment_id: row?.['id'],
    user_id: row?.['user_id'],
    payment_type: row?.['type'],
    amount: row?.['amount'],
    commission: row?.['commission'],
    attempts: 1,
  })
  return [
    { ...letter(failed, ids[0]), class: 'failed', error: 'http_402', state: 'open' },
    { ...letter(corrected, ids[1]), class: 'unknown', error: 'charged_after_failed', ...closed },
  ]
}

/** The open refund's, and one that watches the withdrawal. */
function tasksOf(rows: readonly Row[], at: string): Row[] {
  const fresh = { run_at: at, fence: 1, attempts: 0, lookups: 0, leased: false }
  const zeros = { tries: 0, pendings: 0, gateway: 'http' }
  const task = (row: Row | undefined, operation: string, purpose: string) => {
    return {
      shard: row?.['shard'],
      payment_id: row?.['id'],
      ...fresh,
      ...zeros,
      operation,
      purpose,
    }
  }
  return [task(rows[4], 'refund', 'charge'), task(rows[1], 'payout', 'watch')]
}

function entriesOf(ids: readonly bigint[], userId: bigint): Entry[] {
  const of = (index: number) => ({ id: ids[index] ?? 0n, userId })
  const deposit = { ...of(0), type: 'deposit', amount: 10_000n, commission: 200n } as const
  const paid = { ...of(1), type: 'withdraw', amount: 5_000n, commission: 100n } as const
  const done = { ...of(2), amount: 2_000n, feeReturned: 40n }
  const failed = { ...of(3), amount: 1_000n, feeReturned: 0n }
  const canceled = { ...of(5), amount: 700n, feeReturned: 10n }
  const late = { ...of(9), type: 'withdraw', amount: 90_000n, commission: 1_800n } as const
  return [
    settleEntry(deposit),
    holdEntry(paid),
    settleEntry(paid),
    refundHoldEntry(done),
    refundSettleEntry(done),
    refundHoldEntry(failed),
    refundReleaseEntry(failed),
    refundHoldEntry({ ...of(4), amount: 500n, feeReturned: 0n }),
    refundHoldEntry(canceled),
    refundReleaseEntry(canceled),
    payoutReturnedEntry(of(6), 1_000n, 20n),
    chargebackEntry(of(7), { user: 2_900n, fee: 60n, loss: 40n }),
    disputeWonEntry(of(8), { user: 960n, fee: 0n, loss: 40n }),
    holdEntry(late),
    releaseEntry(late),
    correctionEntry(late, 90_000n),
    payoutReturnedEntry(of(10), 1_500n, 30n, 1_800n),
  ]
}

/** Write rows; what a row leaves out is null. */
async function insert(tx: Tx, table: string, rows: readonly Row[]): Promise<void> {
  const text = `insert into ${table} select * from jsonb_populate_recordset(null::${table}, $1)`
  await tx.run(raw(text), [JSON.stringify(rows)])
}
