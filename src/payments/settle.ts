import { crashPoint } from '../crash-points.ts'
import { closeLetters, openLetters, type NewLetter } from '../dead-letters/store.ts'
import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import { releaseEntry, settleEntry, type Entry } from '../domain/ledger.ts'
import { lookupDelayMs, type Decision } from '../domain/retry.ts'
import { post } from '../ledger/post.ts'
import type { Tx } from '../ports.ts'
import {
  chargedPayments,
  deleteTasks,
  insertAttempts,
  lockOwned,
  releaseTasks,
  rescheduleTasks,
  type Attempt,
} from '../queue/store.ts'
import { lockUsers } from '../users/store.ts'
import type { ChargeWorld, Settlement } from './charge.ts'
import { finishPayments, readPayments, type Finish } from './store.ts'

export type SettleWorld = Pick<ChargeWorld, 'db' | 'clock' | 'shards'>

/** What settling a batch did. `stale` claims had lost their lease: only their evidence was kept. */
export interface Settled {
  readonly settlements: readonly Settlement[]
  readonly stale: number
}

/**
 * Write what claims came to: payment, task, evidence, hold, postings and balance of N claims in one
 * transaction per shard, of two round trips. Only claims that still own their task change anything;
 * the evidence of the others is kept as late. Repeating it after a lost COMMIT changes nothing.
 */
export async function settle(
  world: SettleWorld,
  settlements: readonly Settlement[],
): Promise<Settled> {
  const settled: Settlement[] = []
  for (let shard = 0; shard < world.shards; shard += 1) {
    const own = settlements.filter((settlement) => settlement.claim.shard === shard)
    if (own.length > 0) settled.push(...(await settleInShard(world, shard, own)))
  }
  crashPoint('settle.after_commit')
  return { settlements: settled, stale: settlements.length - settled.length }
}

function settleInShard(
  world: SettleWorld,
  shard: number,
  settlements: readonly Settlement[],
): Promise<readonly Settlement[]> {
  const at = world.clock.database()
  const claims = settlements.map(({ claim }) => claim.task)
  const userIds = new Set<bigint>()
  for (const { claim, decision } of settlements) {
    if (movesMoney(decision)) userIds.add(claim.payment.userId)
  }
  return world.db.transaction(async (tx) => {
    // Tasks before users, both in id order: every settlement locks in the same order.
    const [owned] = await Promise.all([
      lockOwned(tx, shard, claims),
      lockUsers(tx, shard, [...userIds]),
    ])
    const newest = newestFences(settlements)
    const isCurrent = ({ claim: { task } }: Settlement): boolean =>
      owned.has(task.paymentId) && newest.get(task.paymentId) === task.fence
    const stale = settlements.filter((settlement) => !isCurrent(settlement))
    const owning = settlements.filter(isCurrent)
    const current = await withoutContradictions(tx, shard, owning, stale)
    const contradictions = await contradicted(tx, shard, stale)
    write(tx, world, shard, current, at)
    insertAttempts(tx, shard, [...attemptsOf(current, false), ...attemptsOf(stale, true)])
    openLetters(tx, shard, world.shards, contradictions, at)
    crashPoint('settle.before_commit')
    return current
  })
}

/**
 * The newest claim of each payment in a batch. A worker that stalls can bring a lost claim and its
 * successor together, and an owned task belongs to the newest claim alone.
 */
function newestFences(settlements: readonly Settlement[]): Map<bigint, number> {
  const newest = new Map<bigint, number>()
  for (const { claim } of settlements) {
    const { paymentId, fence } = claim.task
    newest.set(paymentId, Math.max(fence, newest.get(paymentId) ?? 0))
  }
  return newest
}

/**
 * A claim may decide that a payment failed although another claim saw the gateway say yes: a stalled
 * worker's late report, kept as evidence or in this very batch. Then nobody knows, so the payment is
 * in doubt: its hold is kept, and the gateway or an operator has the last word.
 */
async function withoutContradictions(
  tx: Tx,
  shard: number,
  current: readonly Settlement[],
  stale: readonly Settlement[],
): Promise<readonly Settlement[]> {
  const failing = current.filter(({ decision }) => decision.step === 'fail')
  if (failing.length === 0) return current
  const ids = failing.map(({ claim }) => claim.payment.id)
  const charged = new Set(await chargedPayments(tx, shard, ids))
  for (const { claim, decision } of stale) {
    if (decision.step === 'succeed') charged.add(claim.payment.id)
  }
  return current.map((settlement) => {
    const { claim, decision } = settlement
    if (decision.step !== 'fail' || !charged.has(claim.payment.id)) return settlement
    const delayMs = lookupDelayMs(claim.task.lookups)
    return {
      ...settlement,
      decision: { step: 'doubt', delayMs, reason: 'contradiction', doubt: false },
    }
  })
}

/** Whether a decision touches the user's balance; a failed deposit never held anything. */
function movesMoney(decision: Decision): boolean {
  return decision.step === 'succeed' || decision.step === 'fail'
}

function write(
  tx: Tx,
  world: SettleWorld,
  shard: number,
  settlements: readonly Settlement[],
  at: Date | null,
): void {
  const finished = settlements.filter(({ decision }) => leavesQueue(decision))
  finishPayments(tx, shard, settlements.flatMap(finishOf), at)
  post(tx, shard, settlements.flatMap(entryOf), at)
  deleteTasks(
    tx,
    shard,
    finished.map(({ claim }) => claim.task.paymentId),
  )
  rescheduleTasks(tx, shard, settlements.flatMap(rescheduleOf), at)
  const released = settlements.filter(({ decision }) => decision.step === 'release')
  releaseTasks(
    tx,
    shard,
    released.map(({ claim }) => claim.task.paymentId),
    at,
  )
  // A payment that was unknown ends its first letter before it may open another.
  closeLetters(tx, shard, settlements.flatMap(closingOf), at)
  openLetters(tx, shard, world.shards, settlements.flatMap(letterOf), at)
}

function leavesQueue(decision: Decision): boolean {
  return movesMoney(decision) || (decision.step === 'doubt' && decision.delayMs === null)
}

function finishOf({ claim, decision }: Settlement): Finish[] {
  const { id, status } = claim.payment
  const { attempts } = claim.task
  if (decision.step === 'succeed') {
    return [{ id, status: 'success', attempts, error: null, gatewayRef: decision.gatewayRef }]
  }
  if (decision.step === 'fail') {
    return [{ id, status: 'failed', attempts, error: decision.reason, gatewayRef: null }]
  }
  if (decision.step === 'doubt' && status === 'new') {
    return [{ id, status: 'unknown', attempts, error: decision.reason, gatewayRef: null }]
  }
  return []
}

function entryOf({ claim, decision }: Settlement): Entry[] {
  if (decision.step === 'succeed') return [settleEntry(claim.payment)]
  const held = claim.payment.type === 'withdraw'
  return decision.step === 'fail' && held ? [releaseEntry(claim.payment)] : []
}

function rescheduleOf({ claim, decision }: Settlement) {
  const { paymentId, lookups } = claim.task
  if (decision.step === 'retry') {
    const { delayMs, reason, doubt } = decision
    return [{ paymentId, delayMs, lookups, doubted: doubt, reason }]
  }
  if (decision.step === 'doubt' && decision.delayMs !== null) {
    const { delayMs, reason, doubt } = decision
    return [{ paymentId, delayMs, lookups: lookups + 1, doubted: doubt, reason }]
  }
  return []
}

function closingOf({ claim, decision }: Settlement) {
  if (claim.payment.status !== 'unknown' || !movesMoney(decision)) return []
  const reason = decision.step === 'succeed' ? 'success' : 'failed'
  return [{ paymentId: claim.payment.id, reason }]
}

function letterOf(settlement: Settlement): NewLetter[] {
  const { claim, decision } = settlement
  if (decision.step === 'fail') return [letter(settlement, 'failed', decision.reason)]
  const fresh = claim.payment.status === 'new'
  return decision.step === 'doubt' && fresh ? [letter(settlement, 'unknown', decision.reason)] : []
}

function letter({ claim }: Settlement, kind: 'failed' | 'unknown', error: string): NewLetter {
  const { id, userId, type, amount, commission } = claim.payment
  const { attempts } = claim.task
  return { paymentId: id, userId, type, amount, commission, class: kind, error, attempts }
}

/**
 * Late evidence that contradicts a final state: a stale claim saw the gateway say yes to a payment
 * that has failed since. A final state is never left, so a person has to look at it.
 */
async function contradicted(
  tx: Tx,
  shard: number,
  stale: readonly Settlement[],
): Promise<NewLetter[]> {
  const charged = stale.filter(({ decision }) => decision.step === 'succeed')
  if (charged.length === 0) return []
  const now = await readPayments(
    tx,
    shard,
    charged.map(({ claim }) => claim.payment.id),
  )
  const failed = new Set(now.filter(({ status }) => status === 'failed').map(({ id }) => id))
  // Of several claims of one payment that saw it charged, one is enough: it has one letter.
  return charged
    .filter(({ claim }) => failed.delete(claim.payment.id))
    .map((settlement) => letter(settlement, 'unknown', CHARGED_AFTER_FAILED))
}

function attemptsOf(settlements: readonly Settlement[], late: boolean): Attempt[] {
  return settlements.flatMap(({ claim, calls }) =>
    calls.map((call, index) => ({
      paymentId: claim.payment.id,
      fence: claim.task.fence,
      call: index + 1,
      kind: call.kind,
      outcome: call.outcome.kind,
      reason: 'reason' in call.outcome ? call.outcome.reason : null,
      sent: call.sent,
      httpStatus: call.httpStatus,
      startedAt: call.startedAt,
      tookMs: call.tookMs,
      late,
    })),
  )
}
