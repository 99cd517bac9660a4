import { closeLetters, openLetters, type Closed, type NewLetter } from '../dead-letters/store.ts'
import { CHARGED_AFTER_FAILED, MAYBE_CHARGED_TWICE } from '../domain/explain.ts'
import { executed, undone } from '../domain/ends.ts'
import { isOpen } from '../domain/payment.ts'
import { CANCELED } from '../domain/cancel.ts'
import type { Decision } from '../domain/charge-decision.ts'
import { writeJson } from '../domain/exact-json.ts'
import { post } from '../ledger/post.ts'
import { isLocked, type Shard, type Tx } from '../ports.ts'
import { eachPart } from '../each-shard.ts'
import { cancelsAsked } from '../operators/acts-store.ts'
import { insertAttempts } from './evidence-store.ts'
import { attemptsOf } from './evidence.ts'
import type { LockedClaims } from './settle-store.ts'
import {
  chargedPayments,
  deleteTasks,
  releaseTasks,
  rescheduleTasks,
  type Rescheduled,
} from '../queue/store.ts'
import type { ChargeWorld, Settlement } from './charge.ts'
import { watchSettled } from './settle-after.ts'
import { lockAll, lockFree, movesMoney } from './settle-locks.ts'
import { moveGivenBack } from '../payments/back-store.ts'
import {
  finishPayments,
  namePayments,
  readPayments,
  tellPending,
  type Finish,
  type NamedPayment,
} from '../payments/store.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { takeBackBooked } from '../payments/was-refund.ts'
import type { NamedRefund } from '../domain/was-refund.ts'

export type SettleWorld = Pick<ChargeWorld, 'db' | 'clock'>

/**
 * What settling a batch did. `stale` claims had lost their lease: only their evidence was kept. Of
 * `busy` ones nothing was written, because somebody else has locked what they need.
 */
export interface Settled {
  readonly settlements: readonly Settlement[]
  readonly stale: number
  readonly busy: readonly Settlement[]
  /** What could not be written, although the settlements of other shards could, and why. */
  readonly failed: readonly {
    readonly settlements: readonly Settlement[]
    readonly error: unknown
  }[]
}

/**
 * Write what claims came to: payment, task, evidence, hold, postings and balance of N claims in one
 * transaction per shard, of two round trips; a third where refunds end well. Only claims that
 * still own their task change anything; the evidence of the others is kept as late, and changes one
 * thing: a yes settles a payment that is still open, whoever works on it now. Repeating it after a
 * lost COMMIT changes nothing. Nobody waits for somebody else's lock: what cannot be had in a
 * moment, or at once if it is not `patient`, is left out. Throws only where nothing was written in
 * any shard.
 */
export async function settle(
  world: SettleWorld,
  settlements: readonly Settlement[],
  patient = true,
): Promise<Settled> {
  const settled = await settleParts(world, settlements, patient)
  if (takenOf(settled, settlements) || settlements.length === 0) return settled
  throw settled.failed[0]?.error
}

/** Whether some shard took its part. */
export function takenOf({ failed }: Settled, asked: readonly Settlement[]): boolean {
  return failed.reduce((sum, part) => sum + part.settlements.length, 0) < asked.length
}

/** Settle, and say of each shard what it would not take. */
export async function settleParts(
  world: SettleWorld,
  settlements: readonly Settlement[],
  patient: boolean,
): Promise<Settled> {
  const parts = await eachPart(world.db, settlements, userIdOf, (shard, part) =>
    settleInShard(world, shard, part, patient),
  )
  const done = parts.done.map(({ value }) => value)
  return {
    settlements: done.flatMap(({ current }) => current),
    stale: done.reduce((sum, part) => sum + part.stale, 0),
    busy: done.flatMap(({ busy }) => busy),
    failed: parts.failed.map(({ shard, error }) => ({
      settlements: settlements.filter((one) => world.db.of(userIdOf(one)) === shard),
      error,
    })),
  }
}

function paymentIdOf({ claim }: Settlement): bigint {
  return claim.payment.id
}

function userIdOf({ claim }: Settlement): bigint {
  return claim.payment.userId
}

/**
 * How long a settlement waits for locks, in milliseconds, before it leaves out who is locked:
 * longer than a batch of accepted payments holds its users.
 */
const LOCK_MS = 250

/** What became of the settlements of a shard. */
interface Part {
  readonly current: readonly Settlement[]
  readonly stale: number
  readonly busy: readonly Settlement[]
}

async function settleInShard(
  world: SettleWorld,
  shard: Shard,
  settlements: readonly Settlement[],
  patient: boolean,
): Promise<Part> {
  if (!patient) return await settleWith(lockFree, world, shard, settlements)
  try {
    return await settleWith(lockAll, world, shard, settlements)
  } catch (error) {
    if (!isLocked(error)) throw error
    return await settleWith(lockFree, world, shard, settlements)
  }
}

function settleWith(
  lock: typeof lockAll,
  world: SettleWorld,
  shard: Shard,
  settlements: readonly Settlement[],
): Promise<Part> {
  return shard.transaction(async (tx) => {
    const { busy, ...locked } = await lock(tx, settlements)
    const newest = newestFences(settlements)
    const isCurrent = ({ claim: { task } }: Settlement): boolean =>
      locked.owned.has(task.paymentId) && newest.get(task.paymentId) === task.fence
    const free = busy.size === 0 ? settlements : settlements.filter((one) => !busy.has(one))
    const stale = free.filter((settlement) => !isCurrent(settlement))
    const owning = free.filter(isCurrent)
    const late = await lateWords(tx, stale, locked)
    const current = [...(await byEvidence(tx, owning, late.yes)), ...late.yes.values()]
    const takenBack = await takeBackBooked(tx, current.flatMap(namedRefund))
    await write(tx, current, late.contradictions)
    const nowMs = world.clock.elapsedMs()
    const evidence = [...attemptsOf(owning, false, nowMs), ...attemptsOf(stale, true, nowMs)]
    insertAttempts(tx, evidence)
    noteNow(tx, takenBack)
    const left = settlements.length - current.length - busy.size
    return { current, stale: left, busy: [...busy] }
  }, LOCK_MS)
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

/** What lost claims that saw the gateway say yes come to. */
interface LateWords {
  /** Open payments: each is settled by it, like by any other yes. */
  readonly yes: Map<bigint, Settlement>
  /** Failed ones: a final state is never left, so a person has to look at it. */
  readonly contradictions: readonly NewLetter[]
}

/**
 * Read what lost claims that saw a yes are up against. Their tasks and users are locked, so what is
 * read stays so: whoever holds a task now finds it gone when it settles, and its report is late.
 */
async function lateWords(
  tx: Tx,
  stale: readonly Settlement[],
  locked: LockedClaims,
): Promise<LateWords> {
  // Of several claims of one payment that saw it charged, one is enough.
  const said = new Map<bigint, Settlement>()
  for (const settlement of stale) {
    if (settlement.decision.step === 'succeed') said.set(settlement.claim.payment.id, settlement)
  }
  const yes = new Map<bigint, Settlement>()
  const contradictions: NewLetter[] = []
  if (said.size === 0) return { yes, contradictions }
  for (const payment of await readPayments(tx, [...said.keys()])) {
    const settlement = said.get(payment.id) as Settlement // It was asked for.
    // The claim that took over counted it: it may have been sent.
    const attempts = locked.attempts.get(payment.id) ?? payment.attempts
    const task = { ...settlement.claim.task, attempts }
    const now = { ...settlement, claim: { ...settlement.claim, payment, task }, calls: [] }
    if (isOpen(payment.status)) yes.set(payment.id, now)
    else if (payment.status === 'failed') {
      contradictions.push(letter(now, 'unknown', CHARGED_AFTER_FAILED))
    }
  }
  return { yes, contradictions }
}

/**
 * Evidence decides. A claim that would end in a no, or in nobody's knowing, although another claim
 * saw the gateway say yes, succeeds by that: whether it is in this batch (`yes`, then that one
 * settles it) or was stored before.
 */
async function byEvidence(
  tx: Tx,
  owning: readonly Settlement[],
  yes: Map<bigint, Settlement>,
): Promise<readonly Settlement[]> {
  const rest: Settlement[] = []
  for (const settlement of owning) {
    const { id } = settlement.claim.payment
    if (settlement.decision.step === 'succeed') yes.delete(id)
    if (!yes.has(id)) rest.push(settlement)
  }
  const doubted = rest.filter(({ decision }) => ['fail', 'doubt'].includes(decision.step))
  const ids = doubted.map(({ claim }) => claim.payment.id)
  const charged = new Set(await chargedPayments(tx, ids))
  if (charged.size === 0) return rest
  return rest.map((settlement) =>
    charged.has(settlement.claim.payment.id)
      ? { ...settlement, decision: { step: 'succeed', gatewayRef: null, twice: false } }
      : settlement,
  )
}

/** Write what owned claims come to, and the letters that a person has to look at beside them. */
async function write(
  tx: Tx,
  settlements: readonly Settlement[],
  contradictions: readonly NewLetter[],
): Promise<void> {
  const finished = settlements.filter(({ decision }) => leavesQueue(decision))
  finishPayments(tx, settlements.flatMap(finishOf))
  namePayments(tx, settlements.flatMap(nameOf))
  tellPending(tx, settlements.filter(isFirstPending).map(paymentIdOf))
  const ends = settlements.flatMap(endOf)
  post(
    tx,
    ends.flatMap(({ entries }) => entries),
  )
  moveGivenBack(
    tx,
    ends.flatMap(({ moves }) => moves),
  )
  deleteTasks(tx, finished.map(paymentIdOf))
  watchSettled(tx, settlements)
  rescheduleTasks(tx, settlements.flatMap(rescheduleOf))
  const released = settlements.filter(({ decision }) => decision.step === 'release')
  releaseTasks(tx, released.map(paymentIdOf))
  // A payment that was unknown ends its first letter before it may open another.
  closeLetters(tx, settlements.flatMap(closingOf))
  // The gateway's answer to who asked may have been lost; then another claim is told of the end.
  const canceled = settlements.filter((one) => isCanceled(one) && one.claim.ending !== true)
  const wanted = await cancelsAsked(tx, canceled.map(paymentIdOf))
  const letters = settlements.filter(
    (one) => !isCanceled(one) || (canceled.includes(one) && !wanted.has(paymentIdOf(one))),
  )
  await openLetters(tx, [...letters.flatMap(letterOf), ...contradictions])
}

/** A refund that the gateway executed, where it has a name there. */
function namedRefund({ claim: { payment, refund }, decision }: Settlement): NamedRefund[] {
  if (refund === undefined || decision.step !== 'succeed' || decision.gatewayRef === null) return []
  return [{ id: payment.id, parentId: refund.parentId, ref: decision.gatewayRef }]
}

function leavesQueue(decision: Decision): boolean {
  return movesMoney(decision) || (decision.step === 'doubt' && decision.delayMs === null)
}

/** The gateway works on a payment, and had not said so before. */
function isFirstPending({ claim, decision }: Settlement): boolean {
  return decision.step === 'pending' && claim.task.pendings === 0
}

/**
 * What the gateway calls a payment that it has not finished, where that is new. A refund has its
 * name only once it is done: until then a return under that name may turn out to be it.
 */
function nameOf({ claim, decision }: Settlement): NamedPayment[] {
  if (claim.refund !== undefined) return []
  const ref = decision.step === 'pending' ? (decision.underway?.gatewayRef ?? null) : null
  const { id, gatewayRef } = claim.payment
  return ref === null || ref === gatewayRef ? [] : [{ id, gatewayRef: ref }]
}

/** What the payer has to do, as it is kept: null leaves it as it is, '' takes it away. */
function actionOf(decision: Decision): string | null {
  if (decision.step === 'doubt') return ''
  if (decision.step !== 'pending' || decision.underway === undefined) return null
  const { action = null } = decision.underway
  if (action === null) return ''
  const { type, url, expiresAt } = action
  return writeJson({ type, url, expires_at: expiresAt?.toISOString() ?? null })
}

function finishOf(settlement: Settlement): Finish[] {
  const { claim, decision } = settlement
  const { id, status } = claim.payment
  const [attempts, resolves] = [attemptsAfter(settlement), status === 'unknown']
  if (decision.step === 'succeed') {
    const { gatewayRef } = decision
    return [{ id, status: 'success', attempts, error: null, gatewayRef, resolves }]
  }
  if (decision.step !== 'fail' && (decision.step !== 'doubt' || status !== 'new')) return []
  const end = decision.step === 'fail' ? 'failed' : 'unknown'
  return [{ id, status: end, attempts, error: decision.reason, gatewayRef: null, resolves }]
}

/** Charges of this claim of which a byte may have left: one at most. */
function sentBy({ calls }: Settlement): number {
  let sent = 0
  for (const call of calls) if (call.kind === 'charge' && call.sent) sent += 1
  return sent
}

function attemptsAfter(settlement: Settlement): number {
  return settlement.claim.task.attempts + sentBy(settlement)
}

/** What a payment books that ends, and what that changes on the payment that it gives back. */
function endOf({ claim, decision }: Settlement) {
  const { payment } = claim
  const refund = claim.refund ?? null
  if (decision.step === 'succeed') return [executed(payment, refund)]
  return decision.step === 'fail' ? [undone(payment, refund)] : []
}

function rescheduleOf(settlement: Settlement): Rescheduled[] {
  const { claim, decision } = settlement
  const { paymentId, lookups, pendings } = claim.task
  const { step } = decision
  const goesOn = step === 'retry' || step === 'wait' || step === 'pending' || step === 'leave'
  if (!goesOn && step !== 'doubt') return []
  if (decision.delayMs === null) return []
  const { doubt, reason } = decision.step === 'leave' ? { doubt: false, reason: null } : decision
  return [
    {
      paymentId,
      delayMs: decision.delayMs,
      lookups: step === 'doubt' ? lookups + 1 : lookups,
      pendings: step === 'pending' ? pendings + 1 : pendings,
      tries: decision.step === 'retry' && !decision.free ? 1 : 0,
      sent: sentBy(settlement),
      doubted: doubt,
      unsent: !doubt,
      refused: step === 'wait',
      reason,
      action: actionOf(decision),
    },
  ]
}

function closingOf({ claim, decision }: Settlement): Closed[] {
  if (claim.payment.status !== 'unknown' || !movesMoney(decision)) return []
  const reason = decision.step === 'succeed' ? 'success' : 'failed'
  return [{ paymentId: claim.payment.id, reason }]
}

/** Its gateway ended it; who asked for that needs nobody to look at it. */
function isCanceled({ decision }: Settlement): boolean {
  return decision.step === 'fail' && decision.reason === CANCELED
}

function letterOf(settlement: Settlement): NewLetter[] {
  const { claim, decision } = settlement
  if (decision.step === 'succeed') {
    return decision.twice ? [letter(settlement, 'unknown', MAYBE_CHARGED_TWICE)] : []
  }
  if (decision.step === 'fail') return [letter(settlement, 'failed', decision.reason)]
  const fresh = claim.payment.status === 'new'
  return decision.step === 'doubt' && fresh ? [letter(settlement, 'unknown', decision.reason)] : []
}

function letter(settlement: Settlement, kind: 'failed' | 'unknown', error: string): NewLetter {
  const { id, userId, type, amount, commission, currency } = settlement.claim.payment
  const attempts = attemptsAfter(settlement)
  const about = { paymentId: id, userId, type, amount, commission, currency }
  return { ...about, class: kind, error, attempts }
}
