import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import type { FeePolicies } from '../domain/fee.ts'
import type { Operator } from '../domain/operator.ts'
import type { CameBack, UnreadReturn } from '../domain/outcome.ts'
import { isOpen, type Payment } from '../domain/payment.ts'
import type { Refusal } from '../domain/refusal.ts'
import { wentOut, type ReturnAnswer, type ReturnDraft } from '../domain/returns.ts'
import { WATCH_AGAIN_MS, nextWatchMs, watchAgainMs } from '../domain/watch.ts'
import { eachPart } from '../each-shard.ts'
import { corrections } from '../ledger/store.ts'
import { keepRef } from '../payments/gateway-refs-store.ts'
import { bookedUnder } from '../payments/returns-store.ts'
import { readPayments } from '../payments/store.ts'
import { readTraces } from '../payments/traces-store.ts'
import {
  CommitUnknown,
  isLocked,
  Unavailable,
  type Db,
  type Gateway,
  type Shard,
} from '../ports.ts'
import { claimInTurn, type ShardTurns } from '../queue/shard-turns.ts'
import {
  claimWatches,
  endWatches,
  holdWatch,
  type ClaimedWatch,
  type WatchEnd,
} from '../queue/watches-store.ts'
import { bookReturns } from '../refunds/returns.ts'
import { requestOf, UNTRACED } from './charge.ts'
import { lookAtFailed, whyNoWord } from './failed-there.ts'
import { compareRefunds, type Contradiction } from './told-refunds.ts'

/** What looking at final payments of a gateway takes. */
export interface WatchWorld extends FeePolicies {
  readonly db: Db
  readonly gateway: Gateway
  /** How long a claim lasts, in milliseconds. */
  readonly leaseMs: number
  /** Whether payments may belong to traces, which looks at them then continue. */
  readonly traced?: boolean
  /** The shards that are asked; not there: all, the first one first. */
  readonly turns?: ShardTurns
  /** Told which claims could not be ended, and why. */
  readonly onLost?: (ends: readonly WatchEnd[], error: unknown) => void
  /** Told what a look came to. */
  readonly onWatched: (seen: WatchSeen) => void
}

/** What is not booked of what came back; one whose `ref` is null cannot be named. */
interface NotBooked {
  readonly ref: string | null
  readonly code:
    Refusal['code'] | UnreadReturn['code'] | Contradiction['code'] | typeof CHARGED_AFTER_FAILED
}

/** What a look at a payment came to. */
export interface WatchSeen {
  readonly paymentId: bigint
  /**
   * `refused`: what came back contradicts the books, so a person has to look at it. `put_off`: it
   * cannot be said yet. `no_word`: the gateway did not say. `charged`: it failed here, and was
   * executed; a letter says so.
   */
  readonly what: 'nothing' | 'booked' | 'refused' | 'put_off' | 'no_word' | 'charged'
  /** Why something is not booked. */
  readonly refusals: readonly NotBooked[]
  /** Why the gateway did not say; not there: it did. */
  readonly reason?: string
  /** How long it asked not to be asked again, in milliseconds; not there: it did not. */
  readonly retryAfterMs?: number
}

/** A final payment that is looked at, claimed. */
export interface WatchClaim {
  readonly watch: ClaimedWatch
  readonly payment: Payment
  /** The place of its request in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

/** Claim up to `limit` final payments that are to be looked at now. */
export async function claimWatched(world: WatchWorld, limit: number): Promise<WatchClaim[]> {
  const { turns } = world
  const shards = (await turns?.next()) ?? world.db.shards
  return claimInTurn<WatchClaim>(turns, shards, async (shard, claims) => {
    const room = limit - claims.length
    if (room <= 0) return null
    const claimed = await claimInShard(world, shard, room)
    claims.push(...claimed)
    return claimed.length > 0
  })
}

async function claimInShard(
  { gateway, leaseMs, traced = false }: WatchWorld,
  shard: Shard,
  limit: number,
): Promise<WatchClaim[]> {
  const watches = await claimWatches(shard, gateway.profile.name, limit, leaseMs)
  if (watches.length === 0) return []
  const ids = watches.map(({ paymentId }) => paymentId)
  const [payments, traces] = await Promise.all([
    readPayments(shard, ids),
    traced ? readTraces(shard, ids) : UNTRACED,
  ])
  const byId = new Map(payments.map((payment) => [payment.id, payment]))
  return watches.flatMap((held) => {
    const payment = byId.get(held.paymentId)
    if (payment === undefined) return []
    const traceparent = traces.get(held.paymentId)
    const claimed = { watch: held, payment }
    return [traceparent === undefined ? claimed : { ...claimed, traceparent }]
  })
}

/**
 * Look at a final payment: ask its gateway, and book what came back of it, each return once. What
 * is booked is committed before this returns, so a worker that dies in between leaves a claim whose
 * payment is looked at again, and finds it booked. Its status never changes: one that failed and
 * was executed after all gets a letter. `signal` stops it before it has asked.
 */
export async function watch(
  world: WatchWorld,
  claimed: WatchClaim,
  signal?: AbortSignal,
): Promise<WatchEnd> {
  const { payment } = claimed
  const { fence, claimedAt } = claimed.watch
  const end = (delayMs: number | null): WatchEnd => {
    return { paymentId: payment.id, userId: payment.userId, fence, delayMs }
  }
  if (signal?.aborted) return end(0)
  // A notice came before it had ended.
  if (isOpen(payment.status)) return end(WATCH_AGAIN_MS)
  const executed = await wasExecuted(world.db, payment)
  if (!(executed ? payment.type !== 'refund' : payment.attempts > 0)) return end(null)
  const seen = executed ? await look(world, claimed) : await lookThere(world, claimed)
  world.onWatched(seen)
  // Nothing speaks against it but somebody's lock.
  const inDoubt = seen.refusals.some(({ code }) => code === 'refund_in_doubt')
  if (seen.what === 'put_off' && !inDoubt) return end(WATCH_AGAIN_MS)
  // It has no ages at which it is looked at.
  if (!executed && seen.what !== 'no_word') return end(null)
  const { watchMs } = world.gateway.profile
  const nowMs = claimedAt.getTime()
  const ageMs = nowMs - (payment.finishedAt ?? payment.createdAt).getTime()
  if (seen.what !== 'put_off' && seen.what !== 'no_word') return end(nextWatchMs(watchMs, ageMs))
  // Numbers of claims rise from the time at which a payment began to be watched.
  return end(watchAgainMs(watchMs, { ageMs, watchedMs: nowMs - Number(fence) }))
}

/** What failed was not executed, as far as the books know, unless it was corrected. */
async function wasExecuted(db: Db, { id, userId, status }: Payment): Promise<boolean> {
  if (status !== 'failed') return true
  return (await corrections(db.of(userId), [userId], [id])).length > 0
}

/** Look at one that failed: what is booked of what came back has to wait until it is corrected. */
async function lookThere({ db, gateway }: WatchWorld, claimed: WatchClaim): Promise<WatchSeen> {
  const { ref = null, ...seen } = await lookAtFailed(db, gateway, claimed)
  const refusals = seen.what === 'charged' ? [{ ref, code: CHARGED_AFTER_FAILED } as const] : []
  return { paymentId: claimed.payment.id, ...seen, refusals }
}

async function look(world: WatchWorld, claimed: WatchClaim): Promise<WatchSeen> {
  const { payment, traceparent } = claimed
  const { db, gateway } = world
  const placed = traceparent === undefined ? { payment } : { payment, traceparent }
  const asked = { ...requestOf(placed, db.currency), watched: true } as const
  const { outcome } = await gateway.lookup(asked)
  const said = (what: WatchSeen['what'], refusals: WatchSeen['refusals'] = []): WatchSeen => {
    return { paymentId: payment.id, what, refusals }
  }
  if (outcome.kind === 'no_answer' || outcome.kind === 'misconfigured') {
    return { ...said('no_word'), ...whyNoWord(outcome) }
  }
  // That it does not know a payment which we have booked is for `verify --gateway` to tell.
  if (outcome.kind !== 'success') return said('nothing')
  await keepName(world, payment, outcome.gatewayRef)
  const compared = await unlessLocked(compareRefunds(db, payment, outcome.refunds ?? []))
  if (compared === null) return said('put_off')
  const told = readable({ ...outcome, returns: inOrder(outcome.returns ?? [], compared.returns) })
  const { fresh, unread } = await unbooked(db.of(payment.userId), payment.id, told)
  const seen =
    fresh.length === 0 ? said('nothing') : await bookUnlessLocked(world, claimed, fresh, said)
  const wrong = [...unread, ...compared.wrong]
  if (wrong.length === 0) return seen
  const what = seen.what === 'put_off' ? seen.what : 'refused'
  return said(what, [...seen.refusals, ...wrong])
}

/** Keep what a deposit is called where notices name it by that: it may have ended before. */
async function keepName(
  { db, gateway }: WatchWorld,
  { id: paymentId, userId, type, gateway: name, gatewayRef }: Payment,
  told: string | null,
): Promise<void> {
  const ref = told ?? gatewayRef
  if (gateway.profile.namesByRef !== true || type !== 'deposit' || ref === null) return
  const by = told === null ? 'books' : 'gateway'
  await keepRef(db.of(userId), { gateway: name, ref, paymentId }, by)
}

/**
 * What can be booked under the name that it has. With a space in it, it would be the name of what
 * takes a return back: see `was_refund`.
 */
function readable({
  returns,
  unread = [],
}: Back & { readonly returns: readonly CameBack[] }): Back {
  const odd = returns.filter(({ ref }) => ref.includes(' '))
  const more = odd.map(({ ref }) => ({ ref, code: 'ref_unreadable' }) as const)
  return { returns: returns.filter((one) => !odd.includes(one)), unread: [...unread, ...more] }
}

/**
 * What came back, with refunds that only say that they are ours. Those that failed come first:
 * what was not given back can come back in another way.
 */
function inOrder(returns: readonly CameBack[], refunds: readonly CameBack[]): readonly CameBack[] {
  const [failed, made] = [true, false].map((is) =>
    refunds.filter(({ undoes }) => (undoes !== undefined) === is),
  )
  return [...(failed ?? []), ...returns, ...(made ?? [])]
}

/**
 * What came back and is not booked yet, as it is booked, and what has to be by a person. What is
 * booked otherwise than it is told is not left out: it is refused, which is told.
 */
async function unbooked(
  shard: Shard,
  parentId: bigint,
  { returns = [], unread = [] }: Back,
): Promise<{ readonly fresh: ReturnDraft[]; readonly unread: UnreadReturn[] }> {
  const drafts = returns.map((told): ReturnDraft => ({ parentId, ...told }))
  const named = unread.flatMap(({ ref }) => (ref === null ? [] : [{ parentId, ref }]))
  const undone = drafts.flatMap(({ undoes: ref }) => (ref === undefined ? [] : [{ parentId, ref }]))
  const booked = await bookedUnder(shard, [...drafts, ...named, ...undone])
  const byRef = new Map(booked.map((one) => [one.ref, one]))
  const refs = new Set<string | null>(byRef.keys())
  const isBooked = ({ ref, amount, kind }: ReturnDraft) => {
    const was = byRef.get(ref)
    return was?.amount === amount && wentOut(was.kind) === wentOut(kind)
  }
  const told = new Set(drafts.map(({ ref }) => ref))
  /** Of what never was here, and is not told any more either, there is nothing to undo. */
  const wasNever = ({ undoes }: ReturnDraft) =>
    undoes !== undefined && !refs.has(undoes) && !told.has(undoes)
  return {
    fresh: drafts.filter((draft) => !isBooked(draft) && !wasNever(draft)),
    unread: unread.filter(({ ref }) => !refs.has(ref)),
  }
}

interface Back {
  readonly returns?: readonly CameBack[]
  readonly unread?: readonly UnreadReturn[]
}

type Say = (what: WatchSeen['what'], refusals?: WatchSeen['refusals']) => WatchSeen

async function bookUnlessLocked(
  world: WatchWorld,
  claimed: WatchClaim,
  drafts: readonly ReturnDraft[],
  said: Say,
): Promise<WatchSeen> {
  return (await unlessLocked(book(world, claimed, drafts, said))) ?? said('put_off')
}

/** What work comes to; null: somebody has locked what it needs. */
async function unlessLocked<Result>(work: Promise<Result>): Promise<Result | null> {
  try {
    return await work
  } catch (error) {
    if (!isLocked(error)) throw error
    return null
  }
}

/**
 * Book what a look saw, unless somebody has looked since: a worker that stood still knows of
 * refunds that have failed meanwhile.
 */
async function book(
  world: WatchWorld,
  { watch: held }: WatchClaim,
  drafts: readonly ReturnDraft[],
  said: Say,
): Promise<WatchSeen> {
  const answers = await bookInAnyOrder(world, held, drafts)
  const refused = answers.flatMap((answer, index) => {
    const draft = drafts[index]
    return draft !== undefined && answer.kind === 'refused' ? [{ draft, answer }] : []
  })
  const nothing = comeToNothing(refused.map(({ draft }) => draft))
  const open = refused
    .filter(({ draft }) => !nothing.has(draft))
    .map(({ draft, answer }) => ({ ref: draft.ref, code: answer.refusal.code }))
    // It is booked as the refund that it is.
    .filter(({ code }) => code !== 'return_is_refund')
  // A refund of ours that may be the same has to end first.
  if (open.some(({ code }) => code === 'refund_in_doubt')) return said('put_off', open)
  if (open.some(({ code }) => code === 'busy')) return said('put_off')
  if (open.length > 0) return said('refused', open)
  return said(answers.some(({ kind }) => kind === 'booked') ? 'booked' : 'nothing')
}

/**
 * Book returns in whichever order their gateway tells them: what could not have come back yet is
 * tried again behind what was booked, such as a dispute that is told before it was taken.
 */
async function bookInAnyOrder(
  world: WatchWorld,
  held: ClaimedWatch,
  drafts: readonly ReturnDraft[],
): Promise<readonly ReturnAnswer[]> {
  const by = toldBy(world.gateway.profile.name)
  const answers = new Map<ReturnDraft, ReturnAnswer>()
  for (let left = drafts; left.length > 0;) {
    const told = await bookReturns(world, by, left, (tx) => holdWatch(tx, held))
    left.forEach((draft, index) => answers.set(draft, told[index] as ReturnAnswer))
    const booked = told.some(({ kind }) => kind === 'booked')
    left = booked ? left.filter((draft) => isTooEarly(answers.get(draft))) : []
  }
  return drafts.map((draft) => answers.get(draft) as ReturnAnswer) // Each has one.
}

function isTooEarly(answer: ReturnAnswer | undefined): boolean {
  return answer?.kind === 'refused' && answer.refusal.code === 'not_returnable'
}

/** Charge-backs that are not booked and were won, with what undoes them: they need no person. */
function comeToNothing(refused: readonly ReturnDraft[]): ReadonlySet<ReturnDraft> {
  const byRef = new Map(refused.map((draft) => [draft.ref, draft]))
  const pairs = refused.flatMap((won) => {
    const taken = won.undoes === undefined ? undefined : byRef.get(won.undoes)
    return taken?.kind === 'charged_back' && taken.amount === won.amount ? [taken, won] : []
  })
  return new Set(pairs)
}

/** In whose name it is booked. */
function toldBy(gateway: string): Operator {
  const actor = `gateway ${gateway}`
  return { actor, reason: 'The gateway told it.', requestId: 'watch', redriveId: null }
}

/**
 * End claims: none is left for later. Those of a shard that is away are given up, because their
 * leases end them, so that nobody waits for it. Throws what else is wrong with one.
 */
export async function endWatched(
  { db, onLost }: Pick<WatchWorld, 'db' | 'onLost'>,
  ends: readonly WatchEnd[],
): Promise<never[]> {
  const { failed } = await eachPart(db, ends, ({ userId }) => userId, endWatches)
  for (const { error } of failed) {
    if (!(error instanceof Unavailable || error instanceof CommitUnknown)) throw error
  }
  for (const { shard, error } of failed) {
    onLost?.(
      ends.filter(({ userId }) => db.of(userId) === shard),
      error,
    )
  }
  return []
}
