import assert from 'node:assert'
import { exponentIn } from '../domain/currency.ts'
import type { Details } from '../domain/details.ts'
import { operationOf, OPERATIONS, type Operation, type Payment } from '../domain/payment.ts'
import type { Call, Decision, RetryPolicy, TaskState } from '../domain/charge-decision.ts'
import { doubtedNow } from '../domain/doubt.ts'
import { next } from '../domain/retry.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import type { Clock, Db, Evidence, Gateway, Runner, Shard } from '../ports.ts'
import { claimTasks, type ClaimedTask } from '../queue/claims-store.ts'
import { readShares, type Share } from '../payments/back-store.ts'
import { detailsOf } from '../payments/details-store.ts'
import { readPayments } from '../payments/store.ts'
import { readTraces } from '../payments/traces-store.ts'
import { beginningAt } from '../each-shard.ts'
import { claimInTurn, type ShardTurns } from '../queue/shard-turns.ts'
import type { GatewayHeard } from './heard.ts'

export interface ChargeWorld {
  readonly db: Db
  readonly clock: Clock
  readonly gateway: Gateway
  readonly policy: RetryPolicy
  /** How long a claim lasts, in milliseconds. */
  readonly leaseMs: number
  /** The longest a gateway call can take, in milliseconds. */
  readonly callMsMax: number
  /** Chance in [0, 1), for jitter. */
  readonly random: () => number
  /** What retries are paid from; without one they are free. */
  readonly budget?: Budget
  /**
   * Whether the gateway answered another payment of this operation well within the last `ageMs`
   * milliseconds. Then a payment that it would not talk about is the odd one, and not our settings.
   * Without it nothing is known of others: no.
   */
  readonly answeredSince?: (operation: Operation, ageMs: number) => boolean
  /**
   * What was heard of the gateway. With it "not found" proves nothing unless the gateway has been
   * at work for the grace since the charge.
   */
  readonly heard?: GatewayHeard
  /** Whether payments may belong to traces, which their calls then continue. */
  readonly traced?: boolean
  /** Which shards are asked for work now; without it all of them are. */
  readonly turns?: ShardTurns
}

/** What a claim is made with: no gateway is called. */
type ClaimWorld = Pick<
  ChargeWorld,
  'db' | 'clock' | 'leaseMs' | 'callMsMax' | 'random' | 'traced' | 'turns'
> & { readonly gateway: Pick<Gateway, 'profile'> }

/** A retry budget that is shared by the claims of a process. */
export interface Budget {
  /** A first attempt was made. */
  earn(): void
  /** Pay for a retry; false: nothing is left. */
  spend(): boolean
}

/** A claimed task with its payment, and when this process must have stopped working on it. */
export interface Claim {
  readonly task: ClaimedTask
  readonly payment: Payment
  /** Of a refund: what it gives back. */
  readonly refund?: Share
  /** What was said about it; not there: nothing, or its gateway is not told. */
  readonly details?: Details
  /** On the monotonic clock, not after the claim: the task's ages count from here. */
  readonly claimedMs: number
  /**
   * On the monotonic clock, not before the claim: its doubt is no older for what the claim had to
   * wait for. Not there: as `claimedMs`.
   */
  readonly readMs?: number
  /**
   * On the monotonic clock: no call begins after it, because the lease could end before the call.
   */
  readonly callsUntilMs: number
  /** The place of its request in a trace; not there: it is not traced. */
  readonly traceparent?: string
  /** How long after it has ended well it is looked at, in milliseconds; not there: never. */
  readonly watchMs?: number
  /**
   * What the gateway calls it is kept, once it has ended well; a refund that fails has its deposit
   * looked at.
   */
  readonly namesByRef?: true
  /** The gateway is asked out of turn: nothing is charged, and without a word nothing changes. */
  readonly lookupOnly?: true
  /** And it is to end the payment, because somebody wants that. */
  readonly ending?: true
}

/** A gateway call that was made, with its evidence. */
type CallMade = Call & {
  readonly sent: boolean
  readonly httpStatus: number | null
  /** On the monotonic clock of this process. */
  readonly startedMs: number
  readonly tookMs: number
}

/** What a claim came to: everything that settlement needs. */
export interface Settlement {
  readonly claim: Claim
  readonly calls: readonly CallMade[]
  readonly decision: Decision
}

/**
 * Claim up to `limit` due tasks of some operations of the gateway, oldest first in each shard and
 * operation. The claim is committed when this returns, so no byte leaves for the gateway before it
 * is counted.
 */
export async function claim(
  world: ClaimWorld,
  limit: number,
  operations: readonly Operation[] = OPERATIONS,
): Promise<Claim[]> {
  const { turns } = world
  const shards = (await turns?.next()) ?? anyFirst(world)
  return claimInTurn<Claim>(turns, shards, async (shard, claims) => {
    const before = claims.length
    for (const operation of operations) {
      const room = limit - claims.length
      if (room <= 0) return null
      claims.push(...(await claimInShard(world, shard, operation, room)))
    }
    return claims.length > before
  })
}

/** Begins at any shard, so that a busy one cannot starve those behind it. */
function anyFirst({ db: { shards }, random }: ClaimWorld): readonly Shard[] {
  return beginningAt(shards, shards.length === 1 ? 0 : Math.floor(random() * shards.length))
}

const NOTHING_SAID: ReadonlyMap<bigint, Details> = new Map()
/** The traces of payments where nothing is traced. */
export const UNTRACED: ReadonlyMap<bigint, string> = new Map()

async function claimInShard(
  world: ClaimWorld,
  shard: Shard,
  operation: Operation,
  limit: number,
): Promise<Claim[]> {
  const { clock, leaseMs } = world
  // Taken before the claim, so our own deadline is never later than the lease.
  const claimedMs = clock.elapsedMs()
  const callsUntilMs = claimedMs + leaseMs - world.callMsMax
  const { profile } = world.gateway
  const route = { gateway: profile.name, operation }
  const tasks = await claimTasks(shard, route, limit, leaseMs)
  if (tasks.length === 0) return []
  const readMs = clock.elapsedMs()
  const ids = tasks.map((task) => task.paymentId)
  const [payments, said, traces] = await Promise.all([
    readPayments(shard, ids),
    profile.details ? detailsOf(shard, ids) : NOTHING_SAID,
    world.traced === true ? readTraces(shard, ids) : UNTRACED,
  ])
  const byId = new Map(payments.map((payment) => [payment.id, payment]))
  const looked = watched(profile, operation)
  const claims = tasks.flatMap((task) => {
    const payment = byId.get(task.paymentId)
    // A task without a payment is damage that `verify` reports; its lease hides it from the others.
    if (payment === undefined) return []
    const claimed = { ...looked, task, payment, claimedMs, readMs, callsUntilMs }
    const details = said.get(payment.id)
    const told = details === undefined ? claimed : { ...claimed, details }
    const traceparent = traces.get(payment.id)
    return traceparent === undefined ? [told] : [{ ...told, traceparent }]
  })
  return operation === 'refund' ? withParents(shard, claims) : claims
}

/** When what is carried out now is looked at first, and whether a notice may name it otherwise. */
export function watched(
  { watchMs: [first], namesByRef }: Pick<GatewayProfile, 'watchMs' | 'namesByRef'>,
  operation: Operation,
): Pick<Claim, 'watchMs' | 'namesByRef'> {
  const named = namesByRef === true && operation !== 'payout' ? { namesByRef } : NEVER
  return first === undefined || operation === 'refund' ? named : { ...named, watchMs: first }
}

const NEVER = {}

/** Claims of refunds with what they give back: only they have more to read. */
export async function withParents(shard: Runner, claims: readonly Claim[]): Promise<Claim[]> {
  const shares = await readShares(
    shard,
    claims.map(({ payment }) => payment.id),
  )
  return claims.flatMap((claimed) => {
    const refund = shares.get(claimed.payment.id)
    return refund === undefined ? [] : [{ ...claimed, refund }]
  })
}

/**
 * When a payment is tried again whose user somebody else has locked, in milliseconds. What would be
 * charged now could not be settled, and would wait in memory.
 */
const PUT_OFF_MS = 5_000

/**
 * Charge claims, but for those of users that settlements wait for already: they are put off as they
 * are, and nothing is counted. So a user who stays locked takes no room from everybody else.
 */
export function chargeUnlessLocked(
  world: ChargeWorld,
  waitsFor: (userId: bigint) => boolean,
): (claimed: Claim, signal?: AbortSignal) => Promise<Settlement> {
  const putOff = (claimed: Claim): Settlement => {
    return { claim: claimed, calls: [], decision: { step: 'leave', delayMs: PUT_OFF_MS } }
  }
  return async (claimed, signal) =>
    waitsFor(claimed.payment.userId) ? putOff(claimed) : charge(world, claimed, signal)
}

/**
 * Make the gateway calls that a claim asks for, at most three, and decide. Stops before the next
 * call when `signal` aborts or the lease runs out: a claim that made no call is given back
 * uncounted.
 */
export async function charge(
  world: ChargeWorld,
  claimed: Claim,
  signal?: AbortSignal,
): Promise<Settlement> {
  const calls: CallMade[] = []
  for (;;) {
    const state = stateOf(world, claimed)
    const step = next(state, calls, world.policy, world.random())
    if (step.kind === 'decide') {
      return { claim: claimed, calls, decision: budgeted(world, claimed, step.decision) }
    }
    const late = world.clock.elapsedMs() > claimed.callsUntilMs
    if (late || signal?.aborted) {
      return { claim: claimed, calls, decision: interrupted(world, state, calls) }
    }
    calls.push(await make(world, step.call, claimed, state))
  }
}

/** The task as of now: what waited in this process has grown older since its claim. */
function stateOf(world: ChargeWorld, claimed: Claim): TaskState {
  const { task, payment, claimedMs, readMs = claimedMs, lookupOnly, ending } = claimed
  const nowMs = world.clock.elapsedMs()
  const sinceMs = nowMs - claimedMs
  const { tries, lookups, pendings, pendingAgeMs = null, misconfiguredAgeMs } = task
  const odd =
    misconfiguredAgeMs !== null &&
    world.answeredSince?.(operationOf(payment.type), misconfiguredAgeMs + sinceMs) === true
  // Named one by one: a copy of a row is several times as slow, and this is asked before every
  // call.
  return {
    tries,
    triedAgeMs: aged(task.triedAgeMs, sinceMs),
    lookups,
    pendings,
    pendingAgeMs: aged(pendingAgeMs, sinceMs),
    // The grace must be over for certain, and a key alive for certain.
    doubtAgeMs: aged(task.doubtAgeMs, nowMs - readMs),
    firstSentAgeMs: aged(task.firstSentAgeMs, sinceMs),
    odd,
    lookupOnly: lookupOnly === true,
    ending: ending === true,
  }
}

function aged(ageMs: number | null, byMs: number): number | null {
  return ageMs === null ? null : ageMs + byMs
}

/**
 * A retry that nothing pays for waits as long as any retry may, so that a bad day does not double.
 */
function budgeted(world: ChargeWorld, { task }: Claim, decision: Decision): Decision {
  if (task.tries === 0 && task.lookups === 0 && task.pendings === 0) world.budget?.earn()
  if (decision.step !== 'retry' || (world.budget?.spend() ?? true)) return decision
  return { ...decision, delayMs: Math.max(decision.delayMs, world.policy.backoffMaxMs) }
}

/** What becomes of a claim that has to stop between two calls. */
function interrupted(world: ChargeWorld, state: TaskState, calls: readonly CallMade[]): Decision {
  if (calls.every(({ kind }) => kind !== 'charge')) return { step: 'release' }
  const doubt = doubtedNow({ task: state, calls, policy: world.policy })
  return { step: 'retry', delayMs: 0, reason: 'interrupted', doubt }
}

async function make(
  world: ChargeWorld,
  kind: Call['kind'],
  claimed: Claim,
  { doubtAgeMs, firstSentAgeMs }: TaskState,
): Promise<CallMade> {
  const { clock, gateway } = world
  const sentAt = firstSentAgeMs === null ? null : new Date(clock.now().getTime() - firstSentAgeMs)
  const request = requestOf(claimed, world.db.currency, { sentAt })
  const startedMs = clock.elapsedMs()
  const doubtMs = unheard(world, request.kind, doubtAgeMs) ? null : doubtAgeMs
  const stamp = <Outcome extends { readonly kind: string }>(evidence: Evidence<Outcome>) => {
    const { outcome, sent, httpStatus } = evidence
    if (WORDS.has(outcome.kind)) world.heard?.answered(request.kind, startedMs)
    const tookMs = Math.round(clock.elapsedMs() - startedMs)
    return { outcome, sent, httpStatus, startedMs, tookMs }
  }
  if (kind === 'lookup') {
    return { ...stamp(await gateway.lookup(request)), kind, doubtAgeMs: doubtMs }
  }
  if (kind === 'cancel') {
    assert(gateway.cancel !== undefined, 'only what can end a payment is asked to')
    return { ...stamp(await gateway.cancel(request)), kind, doubtAgeMs }
  }
  return { ...stamp(await gateway.execute(request)), kind }
}

/** What a gateway says that is at work; pages come from whoever stands in front of it. */
const WORDS: ReadonlySet<string> = new Set(['success', 'declined', 'pending', 'not_found'])

/** Whether the gateway may have stood still ever since the charge, but for less than the grace. */
function unheard({ heard }: ChargeWorld, operation: Operation, doubtAgeMs: number | null): boolean {
  if (heard === undefined || doubtAgeMs === null) return false
  const agoMs = heard.agoMs(operation)
  return agoMs === null || agoMs > doubtAgeMs
}

/** A payment as its gateway is asked about it, with when it may have been sent first. */
export function requestOf(
  claimed: Pick<Claim, 'payment' | 'refund' | 'details' | 'traceparent'>,
  books: string,
  { sentAt = null }: Pick<GatewayOperation, 'sentAt'> = {},
): GatewayOperation {
  const { payment, refund, details, traceparent } = claimed
  const { id, userId, amount, commission, type, gatewayKey, gatewayRef } = payment
  // Named one by one: nearly every payment is this one object, and copies cost more than all else.
  const about = {
    kind: operationOf(type),
    key: gatewayKey,
    paymentId: id,
    userId,
    amount,
    commission,
    currency: payment.currency ?? books,
    exponent: exponentIn(payment.currency, books),
    sentAt,
  }
  const named = gatewayRef === null ? about : { ...about, gatewayRef }
  const told = details === undefined ? named : { ...named, details }
  const request = traceparent === undefined ? told : { ...told, traceparent }
  if (refund === undefined) return request
  return { ...request, parent: { paymentId: refund.parentId, gatewayRef: refund.parentRef } }
}
