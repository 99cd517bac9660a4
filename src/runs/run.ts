import { againstRedrive, NO_EVIDENCE } from '../domain/evidence.ts'
import type { Operator } from '../domain/operator.ts'
import type { Refusal } from '../domain/refusal.ts'
import { isLocked, type Clock } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import { eachPart, eachShard, whole } from '../each-shard.ts'
import { GATEWAY } from '../domain/payment.ts'
import { readPayments } from '../payments/store.ts'
import { keyOf } from '../domain/acceptance.ts'
import { knownOf } from '../dead-letters/evidence-store.ts'
import { referencesLeft, type Left } from '../payments/details-store.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import { redrive, type RedriveAnswer, type RedriveRequest } from '../dead-letters/redrive.ts'
import { matchingLetters, type DeadLetter, type RedriveFilter } from '../dead-letters/store.ts'
import {
  advanceRun,
  beginStep,
  cancelRun,
  planRun,
  putOff,
  readRun,
  runStarted,
  startRun,
  type Run,
  type RunKey,
  type Step,
} from './store.ts'

/** The most letters of one run: enough for a bad night, few enough to be looked at. */
export const LETTERS_MAX = 5_000

/** A second's worth of letters is one transaction, so this bounds a transaction too. */
export const RATE_MAX = 500
export const RATE_DEFAULT = 10

/** Letters shown of a snapshot. */
const SAMPLE = 10

/** What a dry run showed is what is started, as long as people still remember it. */
const SNAPSHOT_MS_MAX = 15 * 60_000

/** How long a process may work on one step before another takes it over. */
const STEP_LEASE_MS = 30_000

/** How often a process looks for runs that are due. */
const LOOK_MS = 1_000

/** Letters in one currency; null: that of the books. */
export interface Sum {
  readonly currency: string | null
  readonly count: number
  readonly amount: bigint
}

/** What a dry run found. */
export interface Plan {
  readonly run: Run
  /** Letters that match, those beyond the limit of one run included. */
  readonly matching: number
  /** What they come to, by currency. */
  readonly sums: readonly Sum[]
  readonly byClass: readonly (Sum & { readonly class: DeadLetter['class'] })[]
  /** Letters that would be refused as things are, by why. */
  readonly refused: readonly (Sum & { readonly code: Refusal['code'] })[]
  readonly sample: readonly DeadLetter[]
}

/** Find the open letters that match and store exactly which they are: nothing else changes. */
export async function plan(world: ActWorld, filter: RedriveFilter, actor: string): Promise<Plan> {
  const { db } = world
  const shards = filter.userId === null ? db.shards : [db.of(filter.userId)]
  const found = whole(
    await eachShard(shards, (shard) => matchingLetters(shard, filter, LETTERS_MAX)),
  )
  const letters = found
    .flatMap((part) => part.letters)
    .sort((one, other) => Number(one.createdAt) - Number(other.createdAt))
    .slice(0, LETTERS_MAX)
  const letterIds = letters.map((letter) => letter.id)
  const stored = { filter: shown(filter), letterIds, ...totals(letters), actor }
  const run = await planRun(db.global, stored)
  const byClass = (['failed', 'unknown'] as const).flatMap((kind) => {
    const ofKind = letters.filter((letter) => letter.class === kind)
    return sums(ofKind).map((part) => ({ class: kind, ...part }))
  })
  const matching = found.reduce((count, part) => count + part.matching, 0)
  const refused = await refusedOf(world, letters)
  return { run, matching, sums: sums(letters), byClass, refused, sample: letters.slice(0, SAMPLE) }
}

/** Which of the letters would be refused by what is known of their payments, and why. */
async function refusedOf(
  world: ActWorld,
  letters: readonly DeadLetter[],
): Promise<Plan['refused']> {
  const byCode = new Map<Refusal['code'], DeadLetter[]>()
  const read = await eachPart(
    world.db,
    letters,
    ({ id }) => id,
    async (shard, group) => {
      const ids = group.map(({ paymentId }) => paymentId)
      // A payment that is not failed has its reference still.
      const failed = group.filter((letter) => letter.class === 'failed')
      const [known, payments, left] = await Promise.all([
        knownOf(shard, ids),
        readPayments(shard, ids),
        referencesLeft(
          shard,
          failed.map(({ paymentId }) => paymentId),
        ),
      ])
      const gateways = new Map(payments.map(({ id, gateway }) => [id, gateway]))
      const taken = new Set<string>()
      for (const letter of group) {
        const { paymentId, class: status } = letter
        const evidence = known.get(paymentId) ?? NO_EVIDENCE
        const refusal = againstRedrive(
          status,
          evidence,
          world.terms(gateways.get(paymentId) ?? GATEWAY),
        )
        const code = refusal?.code ?? (isTaken(left.get(paymentId), taken) ? TAKEN : null)
        if (code === null) continue
        byCode.set(code, [...(byCode.get(code) ?? []), letter])
      }
    },
  )
  whole(read)
  return [...byCode].flatMap(([code, refused]) => sums(refused).map((part) => ({ code, ...part })))
}

const TAKEN = 'reference_taken'

/**
 * Whether somebody else has the reference of a failed payment, be it the repeat of a letter before
 * it; if nobody has, its own repeat will.
 */
function isTaken(left: Left | undefined, taken: Set<string>): boolean {
  if (left === undefined) return false
  const text = keyOf(left.userId, left.reference)
  if (left.takenBy !== null || taken.has(text)) return true
  taken.add(text)
  return false
}

/** What letters come to in each currency: in the books' first, then by code. */
function sums(letters: readonly DeadLetter[]): Sum[] {
  const found = new Map<string | null, Sum>()
  for (const { currency, amount } of letters) {
    const { count, amount: before } = found.get(currency) ?? { count: 0, amount: 0n }
    found.set(currency, { currency, count: count + 1, amount: before + amount })
  }
  return [...found.values()].sort((one, other) =>
    (one.currency ?? '') < (other.currency ?? '') ? -1 : 1,
  )
}

/** The same as a run keeps it. */
function totals(letters: readonly DeadLetter[]): Pick<Run, 'amount' | 'others'> {
  let amount = 0n
  const others: Record<string, { count: number; amount: string }> = {}
  for (const { currency, count, amount: sum } of sums(letters)) {
    if (currency === null) amount = sum
    else others[currency] = { count, amount: `${sum}` }
  }
  return { amount, others: Object.keys(others).length === 0 ? null : others }
}

/** A filter in the words of the API, without what it does not filter by. */
function shown(filter: RedriveFilter): Run['filter'] {
  return {
    ...(filter.class === null ? {} : { class: filter.class }),
    ...(filter.error === null ? {} : { error: filter.error }),
    ...(filter.type === null ? {} : { payment_type: filter.type }),
    ...(filter.userId === null ? {} : { user_id: Number(filter.userId) }),
    ...(filter.createdBefore === null
      ? {}
      : { created_before: filter.createdBefore.toISOString() }),
    ...(filter.createdAfter === null ? {} : { created_after: filter.createdAfter.toISOString() }),
  }
}

type RunAnswer =
  | { readonly kind: 'run'; readonly run: Run; readonly replayed: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** How a snapshot is to be started. */
interface StartRequest {
  readonly actor: string
  readonly reason: string
  readonly requestId: string
  readonly ratePerSecond: number
  /** Not there or null: the request has none. */
  readonly under?: RunKey | null
}

/**
 * Start a snapshot. From then on any process carries it out, a second's worth at a time. The same
 * request under the same key is answered as the first one was, however far the run has come.
 */
export async function start(world: ActWorld, id: bigint, by: StartRequest): Promise<RunAnswer> {
  const { under: key = null } = by
  if (key === null) return startOnce(world, id, by)
  const { global } = world.db
  const find = async () => again(await runStarted(global, key), id, by)
  const earlier = await find()
  if (earlier !== null) return earlier
  try {
    const answer = await startOnce(world, id, by)
    // The first request under the key may have come at the same time.
    return answer.kind === 'refused' ? ((await find()) ?? answer) : answer
  } catch (error) {
    const first = await find().catch(() => null)
    if (first !== null) return first
    throw error
  }
}

async function startOnce(world: ActWorld, id: bigint, by: StartRequest): Promise<RunAnswer> {
  const asked = { ...by, key: by.under ?? null, ageMsMax: SNAPSHOT_MS_MAX }
  const run = await startRun(world.db.global, id, asked)
  if (run !== null) return { kind: 'run', run, replayed: false }
  const now = await readRun(world.db.global, id)
  if (now === null) return refuse('redrive_not_found')
  return refuse(now.state === 'planned' ? 'redrive_expired' : 'redrive_started')
}

/** What a request under the key of an earlier one is answered with; null: there is none. */
function again(
  run: Run | null,
  id: bigint,
  { reason, ratePerSecond }: StartRequest,
): RunAnswer | null {
  if (run === null) return null
  const asked = { rate_per_second: ratePerSecond, reason, snapshot: id }
  const first = { rate_per_second: run.ratePerSecond, reason: run.reason, snapshot: run.id }
  const names = Object.keys(asked) as (keyof typeof asked)[]
  const errors = names
    .filter((name) => asked[name] !== first[name])
    .map((name) => ({ field: name, code: 'differs' }))
  if (errors.length === 0) return { kind: 'run', run: asStarted(run), replayed: true }
  return { kind: 'refused', refusal: { code: 'idempotency_key_reuse', errors } }
}

/** A run as it was when it was started. */
function asStarted(run: Run): Run {
  const none = { position: 0, redriven: 0, skipped: 0, refused: 0, refusals: {}, canceledBy: null }
  return run.total === 0
    ? { ...run, ...none, state: 'done', endedAt: run.startedAt }
    : { ...run, ...none, state: 'running', endedAt: null }
}

/** Stop a run: letters whose turn has not come stay open. */
export async function cancel(world: ActWorld, id: bigint, actor: string): Promise<RunAnswer> {
  const run = await cancelRun(world.db.global, id, actor)
  if (run !== null) return { kind: 'run', run, replayed: false }
  const now = await readRun(world.db.global, id)
  return refuse(now === null ? 'redrive_not_found' : 'redrive_not_running')
}

function refuse(code: Refusal['code']): RunAnswer {
  return { kind: 'refused', refusal: { code } }
}

/**
 * Do the next due step of run `id`, or of any run: a second's worth of letters, their tasks spread
 * over that second. Returns how many letters it did; null: no step is due. A step that is repeated
 * after a crash redrives nothing twice and counts the same. Letters that somebody else's lock keeps
 * back have their turn again after all others.
 */
export async function step(world: ActWorld, id: bigint | null): Promise<number | null> {
  const begun = await beginStep(world.db.global, id, STEP_LEASE_MS)
  if (begun === null) return null
  const { busy, ...counts } = await redriveStep(world, begun)
  if (busy.size > 0) await putOff(world.db.global, begun, counts, busy)
  else await advanceRun(world.db.global, begun, counts)
  return begun.letterIds.length - busy.size
}

async function redriveStep(world: ActWorld, begun: Step) {
  const { id, letterIds, ratePerSecond, startedBy, reason, requestId } = begun
  const by = { actor: startedBy, reason, requestId, redriveId: id }
  const requests = letterIds.map((letterId, index) => ({
    letterId: BigInt(letterId),
    delayMs: Math.floor((index * 1_000) / ratePerSecond),
  }))
  const answers = await redriveApart(world, by, requests)
  const refusals: Record<string, number> = {}
  const counts = { redriven: 0, skipped: 0, refused: 0, refusals, busy: new Set<string>() }
  answers.forEach((answer, index) => {
    if (answer.kind === 'redriven') counts.redriven += 1
    else if (answer.refusal.code === 'letter_not_open') counts.skipped += 1
    else if (answer.refusal.code === 'busy') counts.busy.add(letterIds[index] ?? '')
    else {
      const { code } = answer.refusal
      counts.refused += 1
      refusals[code] = (refusals[code] ?? 0) + 1
    }
  })
  return counts
}

/**
 * Redrive letters; where that fails for a lock that cannot be left out, halve until one stands
 * alone.
 */
async function redriveApart(
  world: ActWorld,
  by: Operator,
  requests: readonly RedriveRequest[],
): Promise<RedriveAnswer[]> {
  try {
    return await redrive(world, by, requests)
  } catch (error) {
    if (!isLocked(error)) throw error
    if (requests.length === 1) return [{ kind: 'refused', refusal: { code: 'busy' } }]
    const middle = Math.ceil(requests.length / 2)
    const first = await redriveApart(world, by, requests.slice(0, middle))
    return [...first, ...(await redriveApart(world, by, requests.slice(middle)))]
  }
}

/**
 * Carry out whatever runs are due, in this process as in any other: steps are taken under a lease,
 * so they are done by one of them, and a process that dies leaves its step to the others.
 */
export function startRedriver(
  world: ActWorld & { readonly clock: Clock },
  onError?: (error: unknown) => void,
): Background {
  return every(world.clock, LOOK_MS, async () => (await step(world, null)) !== null, onError)
}
