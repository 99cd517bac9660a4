import { gatewayOf, numbers } from '../domain/array-parameters.ts'
import { ID_MAX } from '../domain/shard.ts'
import {
  NOW,
  timedUnsharded,
  type Global,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Unsharded,
} from '../ports.ts'
import { TABLES } from './report.ts'
import { inSnapshot } from './snapshot-store.ts'

/** Of users, payments and letters: the largest ids, or the last numbers that sequences gave. */
interface Ids {
  readonly users: bigint
  readonly payments: bigint
  readonly letters: bigint
}

/** The largest ids of a shard. */
const LARGEST: Statement<Ids> = {
  name: 'verify_largest_ids',
  text: `
  select
    coalesce((select max(id) from users where shard = $1), 0) as users,
    coalesce((select max(id) from payments where shard = $1), 0) as payments,
    coalesce((select max(id) from dead_letters where shard = $1), 0) as letters`,
}

/** The last numbers that the sequences gave. */
const SEQUENCES: Unsharded<Ids> = {
  name: 'verify_sequences',
  sharded: false,
  text: `
  select
    (select case when is_called then last_value else 0 end from user_ids) as users,
    (select case when is_called then last_value else 0 end from payment_ids) as payments,
    (select case when is_called then last_value else 0 end from dead_letter_ids) as letters`,
}

/**
 * Rows of a server outside the shards from `$1` to `$2`, at most `$3` of each table. It looks at
 * all shards at once, and so names none.
 */
const OUTSIDE: Unsharded<{ table: number; count: number }> = {
  name: 'verify_outside_shards',
  sharded: false,
  text: TABLES.map(
    (table, place) => `
  select ${place} as table, count(*)::int as count
  from (
    select 1
    from ${table}
    where shard < $1 or shard > $2
    limit $3
  ) row`,
  ).join(' union all '),
}

/** How many rows of a table outside all shards are counted: one is an alarm. */
const OUTSIDE_MAX = 1_000

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
  readonly currency: string | null
  readonly gateway: string
  /** It has a task: a worker will ask about it. */
  readonly queued: boolean
  /** It failed, and that the gateway executed it was booked afterwards. */
  readonly corrected: boolean
  /** Of a refund or a return: the payment that it is of. */
  readonly parentId: bigint | null
  /** Of a failed refund: the references of what came back of its deposit, a line each. */
  readonly returns: string | null
}

/** Read payments for the comparison with the gateway. */
const BOOKED: Statement<Booked> = {
  name: 'verify_booked',
  text: `
  select
    id, gateway_key::text as key, type, status, amount, currency,
    ${gatewayOf()} as gateway, parent_id as "parentId",
    exists (select from payment_tasks where shard = $1 and payment_id = payment.id) as queued,
    exists (
      select from postings
      where postings.shard = $1 and postings.user_id = payment.user_id
        and postings.payment_id = payment.id and kind = 'settle_late'
    ) as corrected,
    case when type = 'refund' and status = 'failed' then (
      select string_agg(ref, chr(10))
      from payment_children
      where shard = $1 and parent_id = payment.parent_id and ref is not null
    ) end as returns
  from payments payment
  where shard = $1 and id = any ($2::bigint[])`,
}

interface Succeeded {
  readonly ids: string | null
  readonly returns: string | null
  readonly checked: number
  readonly upto: bigint
}

/**
 * The successes of a range at the gateway `$5` that finished before `$4`, and the failures that
 * were booked as executed before it, their ids separated by commas. A return came back by itself:
 * the gateway executed nothing under its id. Those that came back in the ways `$6` an hour before
 * are told with the payment and the name, but for what has turned out to be a refund of ours.
 */
const SUCCEEDED: Statement<Succeeded> = {
  name: 'verify_succeeded',
  text: `
  with chunk as materialized (
    select
      id, user_id, type, status, gateway, finished_at, created_at, parent_id, return_kind,
      gateway_ref
    from payments
    where shard = $1 and id > $2
    order by id
    limit $3::int
  )
  select
    string_agg(id::text, ',') filter (
      where type <> 'return' and ${gatewayOf()} = $5
        and case status
          when 'success' then finished_at < $4
          when 'failed' then exists (
            select from postings
            where postings.shard = $1 and postings.user_id = chunk.user_id
              and postings.payment_id = chunk.id and kind = 'settle_late' and created_at < $4
          )
          else false
        end
    ) as ids,
    (json_agg(json_build_array(id::text, parent_id::text, gateway_ref)) filter (
      where type = 'return' and coalesce(gateway, 'http') = $5 and return_kind = any ($6::text[])
        and created_at < $4 - interval '1 hour' and not exists (
          select
          from payment_children child
          cross join lateral (
            select type, gateway_ref
            from payments
            where shard = $1 and id = child.payment_id
            limit 1
          ) refund
          where child.shard = $1 and child.parent_id = chunk.parent_id
            and refund.type = 'refund' and refund.gateway_ref = chunk.gateway_ref
        )
    ))::text as returns,
    count(*)::int as checked,
    case when count(*) < $3 then 9223372036854775807 else max(id) end as upto
  from chunk`,
}

/** The gateways that payments went to; of those of before there were several, the first. */
const GATEWAYS: Statement<{ gateway: string }> = {
  name: 'verify_gateways_used',
  text: `
  select distinct ${gatewayOf()} as gateway
  from payments
  where shard = $1 and type in ('deposit', 'withdraw')
  order by 1`,
}

/** The database's time, which stamps what is finished. */
const TIME: Unsharded<{ time: Date }> = {
  name: 'verify_time',
  ...timedUnsharded`select ${NOW} as time`,
}

const NO_IDS: Ids = { users: 0n, payments: 0n, letters: 0n }

/** A shard's largest ids. */
export async function largestIds(shard: Runner): Promise<Ids> {
  return { ...NO_IDS, ...(await shard.run(LARGEST, []))[0] }
}

/** The last numbers that the sequences gave. */
export async function readSequences(db: Global): Promise<Ids> {
  return { ...NO_IDS, ...(await db.run(SEQUENCES, []))[0] }
}

/**
 * How many rows each table of a server has outside its shards, up to a bound, in the order of
 * `report.ts`. Any session of the server will do: its transaction makes the snapshot.
 */
export function rowsOutside(
  session: Shard,
  { first, last }: Server,
): Promise<{ table: number; count: number }[]> {
  return inSnapshot(session, OUTSIDE, [first, last, OUTSIDE_MAX])
}

/** The gateway keys of a range, 16 bytes each, and where the next range begins; null: nowhere. */
export async function gatewayKeys(
  shard: Shard,
  range: { readonly after: bigint; readonly limit: number },
  part: { readonly index: number; readonly of: number },
): Promise<{ keys: Buffer; next: bigint | null }> {
  const values = [range.after, range.limit, part.index, part.of]
  const [row] = await inSnapshot(shard, GATEWAY_KEYS, values)
  return { keys: Buffer.from(row?.keys ?? '', 'hex'), next: nextOf(row?.upto) }
}

/** The payments of a range with one of these gateway keys. */
export async function withGatewayKeys(
  shard: Shard,
  range: { readonly after: bigint; readonly limit: number },
  keys: readonly string[],
): Promise<{ rows: { id: bigint; key: string }[]; next: bigint | null }> {
  const values = [range.after, range.limit, keys]
  const rows = await inSnapshot(shard, WITH_GATEWAY_KEYS, values)
  return { rows: rows.filter((row) => row.id !== null), next: nextOf(rows[0]?.upto) }
}

function nextOf(upto: bigint | undefined): bigint | null {
  return upto === undefined || upto === ID_MAX ? null : upto
}

/** The newest payments above an id, newest first. */
export function newestPayments(
  shard: Runner,
  above: bigint,
  limit: number,
): Promise<{ id: bigint }[]> {
  return shard.run(NEWEST_PAYMENTS, [above, limit])
}

/** The newest users, newest first. */
export function newestUsers(shard: Runner, limit: number): Promise<{ id: bigint }[]> {
  return shard.run(NEWEST_USERS, [limit])
}

/** The payments that are worked on, longest due first, and those with an open letter. */
export function openPayments(
  shard: Runner,
  limit: number,
): Promise<[tasks: { id: bigint }[], letters: { id: bigint }[]]> {
  return Promise.all([shard.run(OPEN_TASKS, [limit]), shard.run(OPEN_LETTERS, [limit])])
}

/** Whose payments these are. */
export function usersOf(shard: Runner, paymentIds: readonly bigint[]): Promise<{ id: bigint }[]> {
  return shard.run(USERS_OF, [numbers(paymentIds)])
}

/** The names of the gateways that payments of a shard went to. */
export async function gatewaysUsed(shard: Runner): Promise<string[]> {
  const rows = await shard.run(GATEWAYS, [])
  return rows.map(({ gateway }) => gateway)
}

/** What the books say of payments; those that do not exist are left out. */
export function readBooked(shard: Runner, paymentIds: readonly bigint[]): Promise<Booked[]> {
  return shard.run(BOOKED, [numbers(paymentIds)])
}

/** Payments of a range that succeeded at a gateway before a moment, and where the next begins. */
export async function succeededBefore(
  shard: Shard,
  range: { readonly after: bigint; readonly limit: number },
  {
    gateway,
    before,
    tells,
  }: { readonly gateway: string; readonly before: Date; readonly tells: readonly string[] },
): Promise<{
  ids: readonly bigint[]
  /** What came back: its id, of which payment, and as what. */
  returns: readonly (readonly [bigint, bigint, string])[]
  checked: number
  next: bigint | null
}> {
  const { after, limit } = range
  const [row] = await inSnapshot(shard, SUCCEEDED, [after, limit, before, gateway, tells])
  const ids = row?.ids?.split(',').map(BigInt) ?? []
  // As the statement builds them.
  const rows = JSON.parse(row?.returns ?? '[]') as readonly [string, string, string][]
  const returns = rows.map(([id, of, ref]) => [BigInt(id), BigInt(of), ref] as const)
  return { ids, returns, checked: row?.checked ?? 0, next: nextOf(row?.upto) }
}

/** What time it is on the clock of a session's server. */
export async function databaseTime(session: Runner): Promise<Date> {
  const [row] = await session.run(TIME, [])
  if (row === undefined) throw new Error('the database did not say the time')
  return row.time
}
