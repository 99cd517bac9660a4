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

/** Add up a shard's whole journal. Reads every entry: for people who close the books. */
const TRIAL_BALANCE: Statement<TrialBalance> = {
  name: 'postings_trial_balance',
  text: `
  select
    coalesce(sum(user_available), 0)::bigint as "user",
    coalesce(sum(user_held), 0)::bigint as "held",
    coalesce(sum(gateway), 0)::bigint as gateway,
    coalesce(sum(fees), 0)::bigint as fees,
    coalesce(sum(opening), 0)::bigint as opening,
    count(*)::float8 as entries
  from postings
  where shard = $1`,
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

/** Add up the journals of all shards. */
export async function trialBalance(db: Runner, shards: number): Promise<TrialBalance> {
  const all = Array.from({ length: shards }, (_, shard) => db.run(TRIAL_BALANCE, [shard]))
  const rows = (await Promise.all(all)).flat()
  const total = (of: (row: TrialBalance) => bigint) => rows.reduce((sum, row) => sum + of(row), 0n)
  return {
    user: total((row) => row.user),
    held: total((row) => row.held),
    gateway: total((row) => row.gateway),
    fees: total((row) => row.fees),
    opening: total((row) => row.opening),
    entries: rows.reduce((sum, row) => sum + row.entries, 0),
  }
}
