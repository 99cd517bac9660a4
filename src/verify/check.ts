import { numbers } from '../domain/columns.ts'
import { PAYMENTS_IN_LIST, PAYMENTS_IN_RANGE } from './payments-store.ts'
import type { Accounts, Chunk, Finding } from './report.ts'
import type { RuleCode, Subject } from './rules.ts'
import { ID_LAST, inSnapshot, walk, type Scope, type Seen, type Span } from './snapshot-store.ts'
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
export type Listed = Chunk & { readonly large: readonly bigint[] }

/** Check the first users of a span with their postings; null: told to stop in the middle of one. */
export async function checkUsers(
  { shard, count }: Scope,
  span: Span,
  goesOn?: () => boolean,
): Promise<Chunk | null> {
  const values = [count, null]
  return chunkOf(
    await walk(shard, { statement: USERS_IN_RANGE, values }, atLeast(span), goesOn),
    span,
  )
}

/** Check users by id, a hundred at most. */
export async function checkUsersListed(
  { shard, count }: Scope,
  ids: readonly bigint[],
): Promise<Listed> {
  const values = [count, null, numbers(ids), POSTINGS_MAX]
  return listed(await inSnapshot(shard, USERS_IN_LIST, values))
}

/**
 * Check the first payments of a span with their postings, tasks, letters and evidence; null: told
 * to stop in the middle of one.
 */
export async function checkPayments(
  { shard, count }: Scope,
  feeFloors: readonly bigint[] | null,
  span: Span,
  goesOn?: () => boolean,
): Promise<Chunk | null> {
  const values = [count, feeFloors === null ? null : numbers(feeFloors)]
  return chunkOf(
    await walk(shard, { statement: PAYMENTS_IN_RANGE, values }, atLeast(span), goesOn),
    span,
  )
}

/** Check payments by id, a thousand at most. */
export async function checkPaymentsListed(
  { shard, count }: Scope,
  ids: readonly bigint[],
): Promise<Listed> {
  const values = [count, null, numbers(ids), EVIDENCE_MAX]
  return listed(await inSnapshot(shard, PAYMENTS_IN_LIST, values))
}

function atLeast(span: Span): Span {
  return { ...span, limit: Math.max(LIMIT_MIN, span.limit) }
}

function chunkOf(walked: Awaited<ReturnType<typeof walk>>, { to }: Span): Chunk | null {
  if (walked === null) return null
  const { next, ...chunk } = read(walked.seen)
  return { ...chunk, steps: walked.steps, next: next !== null && next < to ? next : null }
}

function listed(seen: readonly Seen[]): Listed {
  const large = seen.flatMap(({ kind, id }) => (kind === 'large' && id !== null ? [id] : []))
  return { ...read(seen), next: null, large }
}

/** Put the rows of the statements together. */
function read(seen: readonly Seen[]): Chunk {
  const findings: Finding[] = []
  const checked: Partial<Record<Subject, number>> = {}
  const accounts: Record<string, bigint> = {}
  let next: bigint | null = null
  for (const { kind, subject, id, paymentId, userId, rules, total } of seen) {
    // The statements spell subjects and rules as `rules.ts` does; a test compares them.
    const named = subject as Subject
    if (kind === 'checked') checked[named] = (checked[named] ?? 0) + Number(total)
    if (kind === 'account') accounts[subject] = (accounts[subject] ?? 0n) + BigInt(total ?? 0)
    if (kind === 'upto' && id !== null && id < ID_LAST) next = id
    if (kind !== 'finding') continue
    for (const rule of (rules ?? '').split(',') as RuleCode[]) {
      findings.push({ rule, subject: named, id: id ?? 0n, paymentId, userId })
    }
  }
  return { findings, checked, accounts: accountsOf(accounts), next }
}

/** Sums of accounts; null where no user was looked at. */
function accountsOf(sums: Readonly<Record<string, bigint>>): Accounts | null {
  const { user, user_held = 0n, gateway = 0n, fees = 0n, opening = 0n, losses = 0n } = sums
  return user === undefined ? null : { user, user_held, gateway, fees, opening, losses }
}
