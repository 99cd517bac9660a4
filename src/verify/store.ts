import { numbers } from '../domain/arrays.ts'
import type { Db, Runner, Statement, Tx } from '../ports.ts'
import { PAYMENTS_IN_LIST, PAYMENTS_IN_RANGE } from './payments-store.ts'
import type { Accounts, Chunk, Finding } from './report.ts'
import type { RuleCode, Subject } from './rules.ts'
import { USERS_IN_LIST, USERS_IN_RANGE } from './users-store.ts'

/** A row of a checking statement. Which of the other columns are set depends on `kind`. */
export interface Seen {
  /** A violation; rows looked at; the sum of an account; where the next chunk begins. */
  readonly kind: 'finding' | 'checked' | 'account' | 'upto'
  readonly subject: string
  readonly id: bigint | null
  readonly paymentId: bigint | null
  readonly userId: bigint | null
  /** Codes, separated by commas. */
  readonly rules: string | null
  /** A number of any size. */
  readonly total: string | null
}

/** Below every id, so that a scan that begins after it also meets ids that cannot be. */
export const ID_BEFORE_ALL = -9_223_372_036_854_775_808n
/** What a chunk ends at when nothing is behind it. */
const ID_LAST = 9_223_372_036_854_775_807n

/** A shard, how many there are, and the time to compare with; null: the database's own clock. */
export interface Scope {
  readonly shard: number
  readonly shards: number
  readonly at: Date | null
}

/** What a checking statement is asked about: a range of at most `limit` rows after an id, or ids. */
export type Rows =
  { readonly after: bigint; readonly limit: number } | { readonly ids: readonly bigint[] }

/**
 * Nothing in this transaction can write; and each table is read through an index, once for each chunk,
 * whatever the statistics say: bounds are values that change with each chunk, so no plan is kept.
 */
const READ_ONLY: Statement<unknown> = {
  name: 'verify_read_only',
  text: `
  select
    set_config('transaction_read_only', 'on', true), set_config('jit', 'off', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)`,
}

/** The largest ids of a shard, and the last numbers that the sequences gave. */
export interface Sequences {
  readonly users: bigint
  readonly payments: bigint
  readonly letters: bigint
  readonly userIds: bigint
  readonly paymentIds: bigint
  readonly letterIds: bigint
}

/**
 * Read ids and sequences. A sequence is read as it is now and the ids as they were when the statement
 * began, and a number is taken before its row is written: so no traffic puts a sequence behind.
 */
const SEQUENCES: Statement<Sequences> = {
  name: 'verify_sequences',
  text: `
  select
    coalesce((select max(id) from users where shard = $1), 0) as users,
    coalesce((select max(id) from payments where shard = $1), 0) as payments,
    coalesce((select max(id) from dead_letters where shard = $1), 0) as letters,
    (select case when is_called then last_value else 0 end from user_ids) as "userIds",
    (select case when is_called then last_value else 0 end from payment_ids) as "paymentIds",
    (select case when is_called then last_value else 0 end from dead_letter_ids) as "letterIds"`,
}

/** Rows in shards that there are not: the one statement here that names no shard. */
const OUTSIDE: Statement<{ table: number; count: number }> = {
  name: 'verify_outside_shards',
  text: `
  select 0 as table, count(*)::int as count from users where shard < 0 or shard >= $1
  union all
  select 1, count(*)::int from payments where shard < 0 or shard >= $1
  union all
  select 2, count(*)::int from payment_tasks where shard < 0 or shard >= $1
  union all
  select 3, count(*)::int from payment_attempts where shard < 0 or shard >= $1
  union all
  select 4, count(*)::int from postings where shard < 0 or shard >= $1
  union all
  select 5, count(*)::int from dead_letters where shard < 0 or shard >= $1
  union all
  select 6, count(*)::int from operator_acts where shard < 0 or shard >= $1`,
}

/** The gateway keys of a range of payments, in hex, whose first byte leaves `$4` modulo `$5`. */
const GATEWAY_KEYS: Statement<{ keys: string | null; upto: bigint }> = {
  name: 'verify_gateway_keys',
  text: `
  with chunk as materialized (
    select id, uuid_send(gateway_key) as key
    from payments
    where shard = $1 and id > $2
    order by id
    limit $3::int
  )
  select
    string_agg(encode(key, 'hex'), '') filter (where get_byte(key, 0) % $5::int = $4::int) as keys,
    case when count(*) < $3 then 9223372036854775807 else max(id) end as upto
  from chunk`,
}

/** The payments of a range with one of these gateway keys. */
const WITH_GATEWAY_KEYS: Statement<{ id: bigint; key: string; upto: bigint }> = {
  name: 'verify_with_gateway_keys',
  text: `
  with chunk as materialized (
    select id, gateway_key
    from payments
    where shard = $1 and id > $2
    order by id
    limit $3::int
  ), bound as (
    select case when count(*) < $3 then 9223372036854775807 else max(id) end as upto
    from chunk
  )
  select id, gateway_key::text as key, upto
  from bound
  left join chunk on gateway_key = any ($4::uuid[])`,
}

/** The newest payments with ids above `$2`, at most `$3`. */
const NEWEST_PAYMENTS: Statement<{ id: bigint }> = {
  name: 'verify_newest_payments',
  text: `
  select id
  from payments
  where shard = $1 and id > $2
  order by id desc
  limit $3::int`,
}

/** The newest users, at most `$2`. */
const NEWEST_USERS: Statement<{ id: bigint }> = {
  name: 'verify_newest_users',
  text: `
  select id
  from users
  where shard = $1
  order by id desc
  limit $2::int`,
}

/** The oldest payments that are in the queue, at most `$2`. */
const OPEN_TASKS: Statement<{ id: bigint }> = {
  name: 'verify_open_tasks',
  text: `
  select payment_id as id
  from payment_tasks
  where shard = $1
  order by payment_id
  limit $2::int`,
}

/** The payments of the newest open letters, at most `$2`: an index holds exactly the open ones. */
const OPEN_LETTERS: Statement<{ id: bigint }> = {
  name: 'verify_open_letters',
  text: `
  select payment_id as id
  from dead_letters
  where shard = $1 and state = 'open'
  order by payment_id desc
  limit $2::int`,
}

/** Whose payments these are. */
const USERS_OF: Statement<{ id: bigint }> = {
  name: 'verify_users_of',
  text: `
  select distinct user_id as id
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/** What the books say of payments that the gateway charged. */
export interface Booked {
  readonly id: bigint
  readonly key: string
  readonly type: string
  readonly status: string
  readonly amount: bigint
}

/** Read payments for the comparison with the gateway. */
const BOOKED: Statement<Booked> = {
  name: 'verify_booked',
  text: `
  select id, gateway_key::text as key, type, status, amount
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/** The successes of a range that finished before `$4`, their ids separated by commas. */
const SUCCEEDED: Statement<{ ids: string | null; checked: number; upto: bigint }> = {
  name: 'verify_succeeded',
  text: `
  with chunk as materialized (
    select id, status, finished_at
    from payments
    where shard = $1 and id > $2
    order by id
    limit $3::int
  )
  select
    string_agg(id::text, ',') filter (where status = 'success' and finished_at < $4) as ids,
    count(*)::int as checked,
    case when count(*) < $3 then 9223372036854775807 else max(id) end as upto
  from chunk`,
}

/** The database's time, which stamps what is finished. */
const TIME: Statement<{ time: Date }> = {
  name: 'verify_time',
  text: 'select clock_timestamp() as time',
}

/** Run one statement in a read-only transaction of its own, which is one snapshot. */
export function inSnapshot<Row>(
  db: Db,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  return db.transaction(async (tx: Tx) => {
    const [, rows] = await Promise.all([tx.run(READ_ONLY, []), tx.run(statement, values)])
    return rows
  })
}

/** Check users with their postings and keys. */
export async function checkUsers(db: Db, scope: Scope, rows: Rows): Promise<Chunk> {
  const { shard, shards, at } = scope
  const seen =
    'ids' in rows
      ? await inSnapshot(db, USERS_IN_LIST, [shard, at, shards, numbers(rows.ids)])
      : await inSnapshot(db, USERS_IN_RANGE, [shard, at, shards, rows.after, rows.limit])
  return toChunk(seen)
}

/** Check payments with their postings, tasks, letters and evidence. */
export async function checkPayments(
  db: Db,
  scope: Scope,
  feeFloors: readonly bigint[] | null,
  rows: Rows,
): Promise<Chunk> {
  const { shard, shards, at } = scope
  const values = [shard, at, shards, feeFloors === null ? null : numbers(feeFloors)]
  const seen =
    'ids' in rows
      ? await inSnapshot(db, PAYMENTS_IN_LIST, [...values, numbers(rows.ids)])
      : await inSnapshot(db, PAYMENTS_IN_RANGE, [...values, rows.after, rows.limit])
  return toChunk(seen)
}

function toChunk(seen: readonly Seen[]): Chunk {
  const findings: Finding[] = []
  const checked: Partial<Record<Subject, number>> = {}
  const accounts: Record<string, bigint> = {}
  let next: bigint | null = null
  for (const { kind, subject, id, paymentId, userId, rules, total } of seen) {
    // The statements spell subjects and rules as `rules.ts` does; a test compares them.
    const named = subject as Subject
    if (kind === 'checked') checked[named] = Number(total)
    if (kind === 'account') accounts[subject] = BigInt(total ?? 0)
    if (kind === 'upto' && id !== null && id < ID_LAST) next = id
    if (kind !== 'finding') continue
    for (const rule of (rules ?? '').split(',') as RuleCode[]) {
      findings.push({ rule, subject: named, id: id ?? 0n, paymentId, userId })
    }
  }
  const { user, user_held = 0n, gateway = 0n, fees = 0n, opening = 0n } = accounts
  const sums: Accounts | null =
    user === undefined ? null : { user, user_held, gateway, fees, opening }
  return { findings, checked, accounts: sums, next }
}

/** A shard's largest ids, and the last numbers its sequences gave. */
export async function readSequences(
  db: Runner,
  shard: number,
): Promise<
  Record<'users' | 'payments' | 'letters' | 'userIds' | 'paymentIds' | 'letterIds', bigint>
> {
  const [row] = await db.run(SEQUENCES, [shard])
  const none = { users: 0n, payments: 0n, letters: 0n }
  return { ...none, userIds: 0n, paymentIds: 0n, letterIds: 0n, ...row }
}

/** How many rows each table has in shards that there are not, in the order of `report.ts`. */
export function rowsOutside(db: Db, shards: number): Promise<{ table: number; count: number }[]> {
  return inSnapshot(db, OUTSIDE, [shards])
}

/** The gateway keys of a range, 16 bytes each, and where the next range begins; null: nowhere. */
export async function gatewayKeys(
  db: Db,
  shard: number,
  range: { readonly after: bigint; readonly limit: number },
  part: { readonly index: number; readonly of: number },
): Promise<{ keys: Buffer; next: bigint | null }> {
  const values = [shard, range.after, range.limit, part.index, part.of]
  const [row] = await inSnapshot(db, GATEWAY_KEYS, values)
  return { keys: Buffer.from(row?.keys ?? '', 'hex'), next: nextOf(row?.upto) }
}

/** The payments of a range with one of these gateway keys. */
export async function withGatewayKeys(
  db: Db,
  shard: number,
  range: { readonly after: bigint; readonly limit: number },
  keys: readonly string[],
): Promise<{ found: { id: bigint; key: string }[]; next: bigint | null }> {
  const values = [shard, range.after, range.limit, keys]
  const rows = await inSnapshot(db, WITH_GATEWAY_KEYS, values)
  return { found: rows.filter((row) => row.id !== null), next: nextOf(rows[0]?.upto) }
}

function nextOf(upto: bigint | undefined): bigint | null {
  return upto === undefined || upto === ID_LAST ? null : upto
}

/** The newest payments above an id, newest first. */
export function newestPayments(
  db: Runner,
  shard: number,
  above: bigint,
  limit: number,
): Promise<{ id: bigint }[]> {
  return db.run(NEWEST_PAYMENTS, [shard, above, limit])
}

/** The newest users, newest first. */
export function newestUsers(db: Runner, shard: number, limit: number): Promise<{ id: bigint }[]> {
  return db.run(NEWEST_USERS, [shard, limit])
}

/** The payments that are worked on, longest due first, and those with an open letter. */
export function openPayments(
  db: Runner,
  shard: number,
  limit: number,
): Promise<[tasks: { id: bigint }[], letters: { id: bigint }[]]> {
  return Promise.all([db.run(OPEN_TASKS, [shard, limit]), db.run(OPEN_LETTERS, [shard, limit])])
}

/** Whose payments these are. */
export function usersOf(
  db: Runner,
  shard: number,
  paymentIds: readonly bigint[],
): Promise<{ id: bigint }[]> {
  return db.run(USERS_OF, [shard, numbers(paymentIds)])
}

/** What the books say of payments; those that do not exist are left out. */
export function readBooked(
  db: Runner,
  shard: number,
  paymentIds: readonly bigint[],
): Promise<Booked[]> {
  return db.run(BOOKED, [shard, numbers(paymentIds)])
}

/** The payments of a range that succeeded before a moment, and where the next range begins. */
export async function succeededBefore(
  db: Db,
  shard: number,
  range: { readonly after: bigint; readonly limit: number },
  before: Date,
): Promise<{ ids: readonly bigint[]; checked: number; next: bigint | null }> {
  const [row] = await inSnapshot(db, SUCCEEDED, [shard, range.after, range.limit, before])
  const ids = row?.ids?.split(',').map(BigInt) ?? []
  return { ids, checked: row?.checked ?? 0, next: nextOf(row?.upto) }
}

/** What time it is on the database's clock. */
export async function databaseTime(db: Runner, at: Date | null): Promise<Date> {
  if (at !== null) return at
  const [row] = await db.run(TIME, [])
  if (row === undefined) throw new Error('the database did not say the time')
  return row.time
}
