import type { Operator } from '../domain/operator.ts'
import type { Refusal } from '../domain/refusal.ts'
import { isLocked } from '../ports.ts'
import { eachPart, eachShard, whole } from '../each-shard.ts'
import { readWhole } from '../payments/back-store.ts'
import { refusedLetter, type ActWorld } from '../dead-letters/letter-act.ts'
import { redrive, type RedriveAnswer, type RedriveRequest } from '../dead-letters/redrive.ts'
import { againstLetter, readFacts } from '../dead-letters/redrivable.ts'
import { referenceTaken, take, type Taken } from '../dead-letters/references.ts'
import { matchingLetters, type DeadLetter, type RedriveFilter } from '../dead-letters/store.ts'
import { planRun, type Run, type RunStep } from './store.ts'

/** The most letters of one run: enough for a bad night, few enough to be looked at. */
export const LETTERS_MAX = 5_000

/** Letters shown of a snapshot. */
const SAMPLE = 10

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
  const parts = whole(
    await eachShard(shards, (shard) => matchingLetters(shard, filter, LETTERS_MAX)),
  )
  const letters = parts
    .flatMap((part) => part.letters)
    .sort((one, other) => Number(one.createdAt) - Number(other.createdAt))
    .slice(0, LETTERS_MAX)
  const ids = letters.map((letter) => letter.id)
  const stored = { filter: shown(filter), ids, ...totals(letters), actor, endpointId: null }
  const run = await planRun(db.global, stored)
  const byClass = (['failed', 'unknown'] as const).flatMap((kind) => {
    const ofKind = letters.filter((letter) => letter.class === kind)
    return sums(ofKind).map((part) => ({ class: kind, ...part }))
  })
  const matching = parts.reduce((count, part) => count + part.matching, 0)
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
    ({ userId }) => userId,
    async (shard, group) => {
      const ids = group.map(({ paymentId }) => paymentId)
      const payments = new Map((await readWhole(shard, ids)).map((one) => [one.id, one]))
      const facts = await readFacts(shard, payments.values())
      const taken: Taken = new Map()
      for (const letter of group) {
        const payment = payments.get(letter.paymentId)
        if (payment === undefined) continue
        const left = facts.left.get(payment.id)
        const against = againstLetter(letter, payment, facts, world.terms)
        const refusal = against ?? referenceTaken(left, taken)
        if (refusal !== null) {
          byCode.set(refusal.code, [...(byCode.get(refusal.code) ?? []), letter])
        } else if (left !== undefined) take(taken, left, payment.id)
      }
    },
  )
  whole(read)
  return [...byCode].flatMap(([code, refused]) => sums(refused).map((part) => ({ code, ...part })))
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

/**
 * Redrive the letters of a step, their tasks spread over a second. `busy` are those that somebody
 * else's lock keeps back, and those of shards that failed: the others are redriven all the same.
 */
export async function redriveStep(
  world: ActWorld,
  begun: RunStep,
  onError: (error: unknown) => void = () => undefined,
) {
  const { id, ids, ratePerSecond, startedBy, reason, requestId, traceparent } = begun
  const place = traceparent === null ? {} : { traceparent }
  const by = { actor: startedBy, reason, requestId, redriveId: id, ...place }
  const requests = ids.map((letterId, index) => ({
    letterId: BigInt(letterId),
    delayMs: Math.floor((index * 1_000) / ratePerSecond),
  }))
  const answers = new Map<bigint, RedriveAnswer>()
  const { failed } = await eachPart(
    await world.db.find('letter', ids.map(BigInt)),
    requests,
    ({ letterId }) => letterId,
    async (_shard, part) => {
      const given = await redriveApart(world, by, part)
      part.forEach(({ letterId }, index) =>
        answers.set(letterId, given[index] ?? refusedLetter('busy')),
      )
    },
  )
  for (const { error } of failed) onError(error)
  const refusals: Record<string, number> = {}
  const counts = { carriedOut: 0, skipped: 0, refused: 0, refusals, busy: new Set<string>() }
  for (const letterId of ids) {
    const answer = answers.get(BigInt(letterId)) ?? refusedLetter('busy')
    if (answer.kind === 'redriven') counts.carriedOut += 1
    else if (answer.refusal.code === 'letter_not_open') counts.skipped += 1
    else if (answer.refusal.code === 'busy') counts.busy.add(letterId)
    else {
      const { code } = answer.refusal
      counts.refused += 1
      refusals[code] = (refusals[code] ?? 0) + 1
    }
  }
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
    if (requests.length === 1) return [refusedLetter('busy')]
    const middle = Math.ceil(requests.length / 2)
    const first = await redriveApart(world, by, requests.slice(0, middle))
    return [...first, ...(await redriveApart(world, by, requests.slice(middle)))]
  }
}
