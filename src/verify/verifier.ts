import type { Grown } from '../domain/shard.ts'
import type { Places, Shard } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import { inEachShard, strides, withLedgerRule, type Pass, type VerifyWorld } from './pass.ts'
import { tally, type Chunk, type Report } from './report.ts'
import { firstKeyed, type IdSpan } from './snapshot-store.ts'
import {
  checkPayments,
  checkPaymentsListed,
  checkUsers,
  checkUsersListed,
  PAYMENTS_LISTED_MAX,
  USERS_LISTED_MAX,
  type ListedChunk,
} from './check-rows.ts'
import { newestPayments, newestUsers, openPayments, usersOf } from './store.ts'
import { checkWhole, EXAMPLES_MAX } from './verify.ts'

/** Payments looked at in one pass and shard, of each of: newest, being worked on, open letters. */
const PAYMENTS_MAX = 10_000
/** Payments below the newest of the last pass that are looked at again: they may have finished. */
const OVERLAP = 1_000
/** Users whose postings are summed up in one pass and shard; a user's can be many. */
const USERS_MAX = 1_000
const NEWEST_USERS_MAX = 200
/**
 * Rows found violating that later passes look at again, so that an alarm stays until it is mended.
 */
const SUSPECTS_MAX = 1_000
/** A pass ends after this long, however much is left: it must never be a burden. */
const PASS_MS_MAX = 10_000

/** What one pass leaves to the next. */
interface Memory {
  /** By shard: up to which id payments have been looked at, and which were open then. */
  readonly upto: Map<Shard, bigint>
  readonly open: Map<Shard, readonly bigint[]>
  payments: readonly bigint[]
  users: readonly bigint[]
}

/**
 * A check of what may have changed since its last call, bounded in rows and time, through existing
 * indexes alone. It covers, in each shard: payments made since the last call and the thousand
 * before them; payments with a task, those longest due first; payments that had a task at the last
 * call, so each one that finished since; payments with an open letter; the users of all these, and
 * the newest users; everything found wrong before; and the sequences. What it does not cover is
 * damage to rows at rest, which `verify` finds.
 */
export function recentVerifier(world: VerifyWorld): (signal?: AbortSignal) => Promise<Report> {
  const memory: Memory = { upto: new Map(), open: new Map(), payments: [], users: [] }
  return async (signal) => {
    const startedAt = world.clock.now()
    const startedMs = world.clock.elapsedMs()
    const pass: Pass = { world, options: {}, tally: tally(SUSPECTS_MAX), missing: new Set() }
    const within = () =>
      signal?.aborted !== true && world.clock.elapsedMs() - startedMs < PASS_MS_MAX
    await checkWhole(pass)
    const places = await world.db.find('payment', memory.payments)
    const known = { memory, places, grown: await world.db.growth() }
    const checked = await inEachShard(pass, (shard) => checkShard(pass, shard, known, within))
    const missing = [...pass.missing]
    const complete = missing.length === 0 && checked.every((one) => one)
    const durationMs = world.clock.elapsedMs() - startedMs
    const report = pass.tally.report({ scope: 'recent', complete, missing, startedAt, durationMs })
    remember(memory, report, {
      payment: (id) => missing.includes(places.of(id).number),
      user: (id) => missing.includes(world.db.of(id).number),
    })
    return withFewExamples(report)
  }
}

/** What a pass knows before it begins. */
interface Known {
  readonly memory: Memory
  /** Where the payments are that have to be looked at again. */
  readonly places: Places
  readonly grown: Grown | null
}

/** Returns whether everything in scope was looked at. */
async function checkShard(
  pass: Pass,
  shard: Shard,
  known: Known,
  within: () => boolean,
): Promise<boolean> {
  const { world } = pass
  const { db } = world
  const { memory, grown } = known
  const keyedFrom = await firstKeyed(shard)
  const scope = { shard, count: db.shards.length, books: db.currency, grown, keyedFrom }
  const changed = await changedPayments(world, shard, known)
  const payments = await eachRow(pass, changed.ids, within, {
    all: (ids) => checkPaymentsListed(scope, ids),
    listMax: PAYMENTS_LISTED_MAX,
    one: (span) => checkPayments(scope, null, span, within),
  })

  const here = (ids: readonly bigint[]) => ids.filter((id) => db.of(id) === shard)
  const touched = new Set(here(memory.users))
  for (const { id } of await newestUsers(shard, NEWEST_USERS_MAX)) touched.add(id)
  for (const { id } of await usersOf(shard, changed.ids)) touched.add(id)
  const userIds = [...touched].slice(0, USERS_MAX)
  const users = await eachRow(pass, userIds, within, {
    all: (ids) => checkUsersListed(scope, ids),
    listMax: USERS_LISTED_MAX,
    one: (span) => checkUsers(scope, span, within),
  })
  return payments && users && changed.complete && touched.size <= USERS_MAX
}

/** The payments that may have changed, and whether there were no more than are looked at. */
async function changedPayments(
  { db }: VerifyWorld,
  shard: Shard,
  { memory, places }: Known,
): Promise<{ ids: bigint[]; complete: boolean }> {
  const upto = memory.upto.get(shard)
  const above = upto === undefined ? -1n : upto - BigInt(OVERLAP * db.shards.length)
  const [newest, [tasks, letters]] = await Promise.all([
    newestPayments(shard, above, upto === undefined ? OVERLAP : PAYMENTS_MAX),
    openPayments(shard, PAYMENTS_MAX),
  ])
  const finished = memory.open.get(shard) ?? []
  const suspects = memory.payments.filter((id) => places.of(id) === shard)
  const ids = new Set([...suspects, ...finished])
  for (const { id } of [...newest, ...tasks, ...letters]) ids.add(id)
  memory.open.set(
    shard,
    tasks.map(({ id }) => id),
  )
  if (newest[0] !== undefined) memory.upto.set(shard, newest[0].id)
  const complete = [newest, tasks, letters].every(({ length }) => length < PAYMENTS_MAX)
  return { ids: [...ids], complete }
}

/** How rows are checked: many at once, and one that has too many belongings for that. */
interface Checks {
  readonly all: (ids: readonly bigint[]) => Promise<ListedChunk>
  readonly listMax: number
  readonly one: (span: IdSpan) => Promise<Chunk | null>
}

/**
 * Check rows in lists of a size that follows the time they take, and then those with very many
 * belongings, step by step. False when time ran out before.
 */
async function eachRow(
  { world, tally: sum }: Pass,
  ids: readonly bigint[],
  within: () => boolean,
  checks: Checks,
): Promise<boolean> {
  const stride = strides(world.clock)
  const large: bigint[] = []
  for (let done = 0; done < ids.length;) {
    if (!within()) return false
    const from = done
    const { value, ms } = await stride(async (limit) => {
      const list = ids.slice(from, from + Math.min(limit, checks.listMax))
      done = from + list.length
      return checks.all(list)
    })
    large.push(...value.large)
    sum.add(withLedgerRule(value), ms)
  }
  const walking = strides(world.clock)
  for (const id of large) {
    if (!within()) return false
    const { value, ms } = await walking(
      (limit) => checks.one({ after: id - 1n, to: id, limit }),
      (chunk) => chunk?.steps ?? 1,
    )
    if (value === null) return false
    sum.add(withLedgerRule(value), ms)
  }
  return true
}

/**
 * Keep what was found, by the payment or user that has to be looked at to see it mended; and what
 * was found before in a shard that could not be asked this time.
 */
function remember(
  memory: Memory,
  report: Report,
  isMissing: Readonly<Record<'payment' | 'user', (id: bigint) => boolean>>,
): void {
  const payments = new Set(memory.payments.filter(isMissing.payment))
  const users = new Set(memory.users.filter(isMissing.user))
  for (const { subject, id, userId, paymentId } of report.rules.flatMap((rule) => rule.examples)) {
    if (subject === 'user') users.add(id)
    else if (subject === 'posting' && userId !== null) users.add(userId)
    else if (paymentId !== null) payments.add(paymentId)
    if (subject === 'payment' && userId !== null) users.add(userId)
  }
  memory.payments = [...payments].slice(0, SUSPECTS_MAX)
  memory.users = [...users].slice(0, SUSPECTS_MAX)
}

function withFewExamples(report: Report): Report {
  const rules = report.rules.map((rule) => ({
    ...rule,
    examples: rule.examples.slice(0, EXAMPLES_MAX),
  }))
  return { ...report, rules }
}

/**
 * Look at what changed every `everyMs`, beside the work, and report it; see `recentVerifier` for
 * what is covered. A pass that cannot be made, because the database is away, is told to `onError`
 * and made the next time. `stop` resolves when the pass in progress, a few statements, has ended.
 */
export function startVerifier(
  world: VerifyWorld & {
    readonly onReport: (report: Report) => void
    readonly onError?: (error: unknown) => void
    readonly everyMs: number
    /** Whether another process has just done the same; not there: none has. */
    readonly isDone?: () => Promise<boolean>
  },
): Background {
  const { isDone = () => Promise.resolve(false) } = world
  const verifyRecent = recentVerifier(world)
  let isStart = true
  const turn = async (stopping: AbortSignal) => {
    // A process that starts has other things to do.
    if (isStart) return void (isStart = false)
    if (await isDone()) return
    world.onReport(await verifyRecent(stopping))
  }
  return every(world.clock, world.everyMs, turn, world.onError)
}
