import { numbers } from '../domain/array-parameters.ts'
import { writeJson } from '../domain/exact-json.ts'
import { ID_MAX } from '../domain/shard.ts'
import { PAYMENTS_IN_LIST, PAYMENTS_IN_RANGE } from './payments-store.ts'
import type { AccountSums, Chunk, Finding } from './report.ts'
import type { RuleCode, Subject } from './rules.ts'
import { inSnapshot, walk, type SnapshotScope, type Seen, type IdSpan } from './snapshot-store.ts'
import { USERS_IN_LIST, USERS_IN_RANGE } from './users-store.ts'

/** A payment has at most three entries and a claim four calls, so every step gets past some. */
const LIMIT_MIN = 2

/**
 * So many postings of each user, or pieces of evidence of each payment, are read with those of
 * others; a row with more is walked through by itself. With the length of a list this bounds a
 * statement.
 */
const POSTINGS_MAX = 1_000
const EVIDENCE_MAX = 100
export const USERS_LISTED_MAX = 100
export const PAYMENTS_LISTED_MAX = 1_000

/**
 * A chunk of rows that were named, and those of them that are too large to be checked with others.
 */
export type ListedChunk = Chunk & { readonly large: readonly bigint[] }

/** Check the first users of a span with their postings; null: told to stop in the middle of one. */
export async function checkUsers(
  { shard, ...scope }: SnapshotScope,
  span: IdSpan,
  goesOn?: () => boolean,
): Promise<Chunk | null> {
  const values = given(scope, null)
  return chunkOf(
    await walk(shard, { statement: USERS_IN_RANGE, values }, atLeast(span), goesOn),
    span,
  )
}

/** Check users by id, a hundred at most. */
export async function checkUsersListed(
  { shard, ...scope }: SnapshotScope,
  ids: readonly bigint[],
): Promise<ListedChunk> {
  const values = [...given(scope, null), numbers(ids), POSTINGS_MAX]
  return listed(await inSnapshot(shard, USERS_IN_LIST, values))
}

/**
 * Check the first payments of a span with their postings, tasks, letters and evidence; null: told
 * to stop in the middle of one.
 */
export async function checkPayments(
  { shard, ...scope }: SnapshotScope,
  feeFloors: readonly Floor[] | null,
  span: IdSpan,
  goesOn?: () => boolean,
): Promise<Chunk | null> {
  const values = given(scope, feeFloors)
  return chunkOf(
    await walk(shard, { statement: PAYMENTS_IN_RANGE, values }, atLeast(span), goesOn),
    span,
  )
}

/** Check payments by id, a thousand at most. */
export async function checkPaymentsListed(
  { shard, ...scope }: SnapshotScope,
  ids: readonly bigint[],
): Promise<ListedChunk> {
  const values = [...given(scope, null), numbers(ids), EVIDENCE_MAX]
  return listed(await inSnapshot(shard, PAYMENTS_IN_LIST, values))
}

/** A least commission that there ever was in a currency, in minor units. */
export interface Floor {
  readonly currency: string
  readonly minor: bigint
}

/** What every statement judges by. */
function given(
  { count, books, grown, keyedFrom }: Omit<SnapshotScope, 'shard'>,
  floors: readonly Floor[] | null,
): [count: number, terms: string] {
  const known = floors === null ? [] : floors.map(({ currency, minor }) => `${currency}:${minor}`)
  const before = grown === null ? {} : { from: grown.from, below: `${grown.below}` }
  const kept = keyedFrom === null ? {} : { keyed_from: `${keyedFrom}` }
  return [count, writeJson({ books, floors: known, ...before, ...kept })]
}

function atLeast(span: IdSpan): IdSpan {
  return { ...span, limit: Math.max(LIMIT_MIN, span.limit) }
}

function chunkOf(walked: Awaited<ReturnType<typeof walk>>, { to }: IdSpan): Chunk | null {
  if (walked === null) return null
  const { next, ...chunk } = read(walked.seen)
  return { ...chunk, steps: walked.steps, next: next !== null && next < to ? next : null }
}

function listed(seen: readonly Seen[]): ListedChunk {
  const large = seen.flatMap(({ kind, id }) => (kind === 'large' && id !== null ? [id] : []))
  return { ...read(seen), next: null, large }
}

/** Put the rows of the statements together. */
function read(seen: readonly Seen[]): Chunk {
  const findings: Finding[] = []
  const checked: Partial<Record<Subject, number>> = {}
  let next: bigint | null = null
  for (const { kind, subject, id, paymentId, userId, rules, total } of seen) {
    // The statements spell subjects and rules as `rules.ts` does; a test compares them.
    const named = subject as Subject
    if (kind === 'checked') checked[named] = (checked[named] ?? 0) + Number(total)
    if (kind === 'upto' && id !== null && id < ID_MAX) next = id
    if (kind !== 'finding') continue
    for (const rule of (rules ?? '').split(',') as RuleCode[]) {
      findings.push({ rule, subject: named, id: id ?? 0n, paymentId, userId })
    }
  }
  return { findings, checked, ...accountsSeen(seen), next }
}

/** The sums of the accounts, which stand apart by currency; null where no user was looked at. */
function accountsSeen(seen: readonly Seen[]): Pick<Chunk, 'accounts' | 'others'> {
  const byCurrency = new Map<string | null, Record<string, bigint>>()
  for (const { kind, subject, rules: currency, total } of seen) {
    if (kind !== 'account') continue
    const sums = byCurrency.get(currency) ?? {}
    sums[subject] = (sums[subject] ?? 0n) + BigInt(total ?? 0)
    byCurrency.set(currency, sums)
  }
  if (byCurrency.size === 0) return { accounts: null }
  const others = new Map<string, AccountSums>()
  for (const [currency, sums] of byCurrency) {
    if (currency !== null) others.set(currency, accountsOf(sums))
  }
  const accounts = accountsOf(byCurrency.get(null) ?? {})
  return others.size === 0 ? { accounts } : { accounts, others }
}

function accountsOf(sums: Readonly<Record<string, bigint>>): AccountSums {
  const { user = 0n, user_held = 0n, gateway = 0n, fees = 0n, opening = 0n, losses = 0n } = sums
  return { user, user_held, gateway, fees, opening, losses }
}
