import { numbers } from '../domain/arrays.ts'
import type { Entry } from '../domain/ledger.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** Append journal entries. The primary key refuses a second hold, settlement or release. */
const INSERT: Statement<never> = {
  name: 'postings_insert',
  text: `
  insert into postings
    (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening, created_at)
  select
    $1::int, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
    coalesce($10::timestamptz, clock_timestamp())
  from unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[]
  ) as entry (user_id, payment_id, kind, user_available, user_held, gateway, fees, opening)`,
}

/**
 * Move the balances of users by the sums of the journal entries posted with it. The users are locked
 * or new, so nothing waits here; the checks on the table refuse to spend what is not there.
 */
const MOVE: Statement<never> = {
  name: 'users_move',
  text: `
  update users
  set available = users.available + moved.available, held = users.held + moved.held
  from (
    select user_id, sum(available_delta)::bigint as available, sum(held_delta)::bigint as held
    from unnest($2::bigint[], $3::bigint[], $4::bigint[])
      as entry (user_id, available_delta, held_delta)
    group by user_id
  ) moved
  where users.shard = $1 and users.id = moved.user_id`,
}

/** A journal entry as it is stored. */
export interface Posting extends Entry {
  readonly createdAt: Date
}

/**
 * One page of a user's journal, newest payment first; within a payment the latest entry first. The
 * cursor is the last entry of the page before.
 */
const PAGE: Statement<Posting> = {
  name: 'postings_page',
  text: `
  select
    user_id as "userId", payment_id as "paymentId", kind, user_available as "user",
    user_held as "held", gateway, fees, opening, created_at as "createdAt"
  from postings
  where shard = $1 and user_id = $2 and (payment_id, kind) < ($3, $4)
  order by payment_id desc, kind desc
  limit $5`,
}

/** The entries of one payment, oldest first: a hold comes before its settlement or release. */
const OF_PAYMENT: Statement<Posting> = {
  name: 'postings_of_payment',
  text: `
  select
    user_id as "userId", payment_id as "paymentId", kind, user_available as "user",
    user_held as "held", gateway, fees, opening, created_at as "createdAt"
  from postings
  where shard = $1 and user_id = $2 and payment_id = $3
  order by kind`,
}

/** What each account comes to, in minor units, and how many entries that is. */
export interface TrialBalance {
  readonly user: bigint
  readonly held: bigint
  readonly gateway: bigint
  readonly fees: bigint
  readonly opening: bigint
  readonly entries: number
}

/** Where a step through a journal ended. */
export interface Place {
  readonly userId: bigint
  readonly paymentId: bigint
  readonly kind: string
}

/** A part of a journal, added up; the place is null behind the last entry. */
interface Part extends TrialBalance {
  readonly userId: bigint | null
  readonly paymentId: bigint | null
  readonly lastKind: string | null
  /** When the transaction began that reads it. */
  readonly time: Date
}

/** All statements of this transaction see the journal as it is at the first of them. */
const ONE_SNAPSHOT: Statement<unknown> = {
  name: 'postings_one_snapshot',
  text: 'set transaction isolation level repeatable read, read only',
}

/** A journal is read along its key, whatever the statistics say: nothing else ends after a step. */
const ALONG_KEY: Statement<unknown> = {
  name: 'postings_along_key',
  text: `
  select
    set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true)`,
}

/** Add up at most `$5` entries of a shard's journal behind a place, and say where they end. */
const ADD_UP: Statement<Part> = {
  name: 'postings_add_up',
  text: `
  with part as materialized (
    select user_id, payment_id, kind, user_available, user_held, gateway, fees, opening
    from postings
    where shard = $1 and (user_id, payment_id, kind) > ($2, $3, $4)
    order by user_id, payment_id, kind
    limit $5::int
  ), last as materialized (
    select user_id, payment_id, kind
    from part
    order by user_id desc, payment_id desc, kind desc
    limit 1
  )
  select
    coalesce(sum(user_available), 0)::bigint as "user",
    coalesce(sum(user_held), 0)::bigint as "held",
    coalesce(sum(gateway), 0)::bigint as gateway,
    coalesce(sum(fees), 0)::bigint as fees,
    coalesce(sum(opening), 0)::bigint as opening,
    count(*)::float8 as entries,
    (select user_id from last) as "userId",
    (select payment_id from last) as "paymentId",
    (select kind from last) as "lastKind",
    now() as time
  from part`,
}

/** Append entries; the caller moves the balances in the same transaction. */
export function insertPostings(
  tx: Tx,
  shard: number,
  entries: readonly Entry[],
  at: Date | null,
): void {
  tx.write(INSERT, [
    shard,
    numbers(entries.map((entry) => entry.userId)),
    numbers(entries.map((entry) => entry.paymentId)),
    `{${entries.map((entry) => entry.kind).join(',')}}`,
    numbers(entries.map((entry) => entry.user)),
    numbers(entries.map((entry) => entry.held)),
    numbers(entries.map((entry) => entry.gateway)),
    numbers(entries.map((entry) => entry.fees)),
    numbers(entries.map((entry) => entry.opening)),
    at,
  ])
}

/** Move balances by the sums of `entries`; only `post` calls this. */
export function moveBalances(tx: Tx, shard: number, entries: readonly Entry[]): void {
  tx.write(MOVE, [
    shard,
    numbers(entries.map((entry) => entry.userId)),
    numbers(entries.map((entry) => entry.user)),
    numbers(entries.map((entry) => entry.held)),
  ])
}

/** A page of a user's journal, newest first, after the entry `before`. */
export function postingsOfUser(
  db: Runner,
  shard: number,
  userId: bigint,
  before: { readonly paymentId: bigint; readonly kind: string },
  limit: number,
): Promise<Posting[]> {
  return db.run(PAGE, [shard, userId, before.paymentId, before.kind, limit])
}

/** Every entry of one payment, oldest first. */
export function postingsOfPayment(
  db: Runner,
  shard: number,
  userId: bigint,
  paymentId: bigint,
): Promise<Posting[]> {
  return db.run(OF_PAYMENT, [shard, userId, paymentId])
}

/** Begin to read journals as they are now; in this transaction they stay so. */
export async function readOneSnapshot(tx: Tx): Promise<void> {
  await Promise.all([tx.run(ONE_SNAPSHOT, []), tx.run(ALONG_KEY, [])])
}

/** Before the first entry of every journal. */
const BEGINNING: Place = { userId: -9_223_372_036_854_775_808n, paymentId: 0n, kind: '' }

/** Add up the next entries of a shard's journal; null: from the beginning. */
export async function addUp(
  tx: Tx,
  shard: number,
  behind: Place | null,
  limit: number,
): Promise<{ readonly sums: TrialBalance; readonly place: Place | null; readonly time: Date }> {
  const { userId, paymentId, kind } = behind ?? BEGINNING
  const [part] = await tx.run(ADD_UP, [shard, userId, paymentId, kind, limit])
  if (part === undefined) throw new Error('the journal was not added up')
  const { userId: user, paymentId: payment, lastKind, time, ...sums } = part
  const ended = user === null || payment === null || lastKind === null || sums.entries < limit
  return { sums, place: ended ? null : { userId: user, paymentId: payment, kind: lastKind }, time }
}
