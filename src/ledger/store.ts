import { columns, numbers } from '../domain/array-parameters.ts'
import type { Entry } from '../domain/ledger.ts'
import {
  BEGAN,
  NOW,
  timed,
  type Runner,
  type Statement,
  type Tx,
  type Unsharded,
} from '../ports.ts'

const FIELDS = {
  userId: 'bigint',
  paymentId: 'bigint',
  kind: 'word',
  user: 'bigint',
  held: 'bigint',
  gateway: 'bigint',
  fees: 'bigint',
  opening: 'bigint',
} as const

const ENTRIES = columns<Entry>(FIELDS)

/**
 * Append journal entries. The primary key refuses a second hold, settlement or release. The hold of
 * a withdrawal is not placed here: `ACCEPT` in src/payments/accept-store.ts places it, in the
 * statement that accepts the withdrawal.
 */
const INSERT: Statement<never> = {
  name: 'postings_insert',
  ...timed`
  insert into postings
    (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
     created_at)
  select
    $1::int, user_id, payment_id, kind, entry."user", held, gateway, fees, opening,
    ${NOW}
  from ${ENTRIES.unnest('entry', 3)}`,
}

const LOSSES = columns<Entry>({ ...FIELDS, losses: 'bigint' })

/** The same of entries that move losses, which no plain payment has. */
const INSERT_LOSSES: Statement<never> = {
  name: 'postings_insert_losses',
  ...timed`
  insert into postings
    (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening, losses,
     created_at)
  select
    $1::int, user_id, payment_id, kind, entry."user", held, gateway, fees, opening, losses, ${NOW}
  from ${LOSSES.unnest('entry', 3)}`,
}

/** What an entry moves. */
const MOVES = columns<Entry>({ userId: 'bigint', user: 'bigint', held: 'bigint' })

/**
 * Move the balances of users by the sums of the journal entries posted with it. The users are
 * locked or new, so nothing waits here; the checks on the table refuse to spend what is not there.
 */
const MOVE: Statement<never> = {
  name: 'users_move',
  text: `
  update users
  set available = users.available + moved.available, held = users.held + moved.held
  from (
    select user_id, sum(entry."user")::bigint as available, sum(entry.held)::bigint as held
    from ${MOVES.unnest('entry', 2)}
    group by user_id
  ) moved
  where users.shard = $1 and users.id = moved.user_id`,
}

/** A journal entry as it is stored. */
export type Posting = Entry & { readonly createdAt: Date }

/** What a `Posting` is read from. */
const COLUMNS = `user_id as "userId", payment_id as "paymentId", kind, user_available as "user",
    user_held as "held", gateway, fees, opening, losses, created_at as "createdAt"`

/**
 * One page of a user's journal, newest payment first; within a payment the latest entry first. The
 * cursor is the last entry of the page before.
 */
const PAGE: Statement<Posting> = {
  name: 'postings_page',
  text: `
  select ${COLUMNS}
  from postings
  where shard = $1 and user_id = $2 and (payment_id, kind) < ($3, $4)
  order by payment_id desc, kind desc
  limit $5`,
}

/** The entries of one payment, oldest first: a hold comes before its settlement or release. */
const OF_PAYMENT: Statement<Posting> = {
  name: 'postings_of_payment',
  text: `
  select ${COLUMNS}
  from postings
  where shard = $1 and user_id = $2 and payment_id = $3
  order by kind`,
}

/** What each account comes to in one currency, in minor units, and how many entries that is. */
export interface TrialBalance {
  readonly user: bigint
  readonly held: bigint
  readonly gateway: bigint
  readonly fees: bigint
  readonly opening: bigint
  readonly losses: bigint
  readonly entries: number
}

/** Where a step through a journal ended. */
export interface EntryPlace {
  readonly userId: bigint
  readonly paymentId: bigint
  readonly kind: string
}

/**
 * A part of a journal, added up, of the accounts in one currency; null is that of the books. The
 * place is null behind the last entry.
 */
interface Part extends TrialBalance {
  readonly currency: string | null
  readonly userId: bigint | null
  readonly paymentId: bigint | null
  readonly lastKind: string | null
  /** When it was read: when the transaction began that does so. */
  readonly time: Date
}

/** All statements of this transaction see the journal as it is at the first of them. */
const ONE_SNAPSHOT: Unsharded<unknown> = {
  name: 'postings_one_snapshot',
  sharded: false,
  text: 'set transaction isolation level repeatable read, read only',
}

/** A journal is read along its key, whatever the statistics say: nothing else ends after a step. */
const ALONG_KEY: Unsharded<unknown> = {
  name: 'postings_along_key',
  sharded: false,
  text: `
  select
    set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true)`,
}

/**
 * Add up at most `$6` entries of a shard's journal behind a place, by the currency of their
 * accounts, and say where they end. Each user is looked up once. Without entries it is one row.
 */
const ADD_UP: Statement<Part> = {
  name: 'postings_add_up',
  ...timed`
  with part as materialized (
    select user_id, payment_id, kind, user_available, user_held, gateway, fees, opening, losses
    from postings
    where shard = $1 and (user_id, payment_id, kind) > ($3, $4, $5)
    order by user_id, payment_id, kind
    limit $6::int
  ), last as materialized (
    select user_id, payment_id, kind
    from part
    order by user_id desc, payment_id desc, kind desc
    limit 1
  ), owned as materialized (
    select
      user_id, sum(user_available) as available, sum(user_held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening, sum(losses) as losses, count(*) as entries
    from part
    group by user_id
  )
  select
    owner.currency,
    coalesce(sum(owned.available), 0)::bigint as "user",
    coalesce(sum(owned.held), 0)::bigint as "held",
    coalesce(sum(owned.gateway), 0)::bigint as gateway,
    coalesce(sum(owned.fees), 0)::bigint as fees,
    coalesce(sum(owned.opening), 0)::bigint as opening,
    coalesce(sum(owned.losses), 0)::bigint as losses,
    coalesce(sum(owned.entries), 0)::float8 as entries,
    (select user_id from last) as "userId",
    (select payment_id from last) as "paymentId",
    (select kind from last) as "lastKind",
    ${BEGAN} as time
  from (select) one
  left join owned on true
  left join users owner on owner.shard = $1 and owner.id = owned.user_id
  group by owner.currency`,
}

/** That a failed payment was executed is booked; `losses`: what nobody paid for, negative or 0. */
interface Correction {
  readonly paymentId: bigint
  readonly losses: bigint
}

/** The payments that have an entry of a correction. */
const CORRECTED: Statement<Correction> = {
  name: 'postings_corrected',
  text: `
  select payment_id as "paymentId", losses
  from postings
  where shard = $1 and user_id = any ($2::bigint[]) and payment_id = any ($3::bigint[])
    and kind = 'settle_late'`,
}

/** Which of these payments of these users have been corrected. */
export async function corrections(
  tx: Runner,
  userIds: readonly bigint[],
  paymentIds: readonly bigint[],
): Promise<Correction[]> {
  if (paymentIds.length === 0) return []
  return tx.run(CORRECTED, [numbers(userIds), numbers(paymentIds)])
}

/** Append entries; the caller moves the balances in the same transaction. */
export function insertPostings(tx: Tx, entries: readonly Entry[]): void {
  const losing = entries.filter(({ losses }) => losses !== 0n)
  if (losing.length > 0) tx.write(INSERT_LOSSES, LOSSES.of(losing))
  const plain = losing.length === 0 ? entries : entries.filter(({ losses }) => losses === 0n)
  if (plain.length > 0) tx.write(INSERT, ENTRIES.of(plain))
}

/** Move balances by the sums of `entries`; only `post` calls this. */
export function moveBalances(tx: Tx, entries: readonly Entry[]): void {
  tx.write(MOVE, MOVES.of(entries))
}

/** A page of a user's journal, newest first, after the entry `before`. */
export function postingsOfUser(
  shard: Runner,
  userId: bigint,
  before: { readonly paymentId: bigint; readonly kind: string },
  limit: number,
): Promise<Posting[]> {
  return shard.run(PAGE, [userId, before.paymentId, before.kind, limit])
}

/** Every entry of one payment, oldest first. */
export function postingsOfPayment(
  shard: Runner,
  userId: bigint,
  paymentId: bigint,
): Promise<Posting[]> {
  return shard.run(OF_PAYMENT, [userId, paymentId])
}

/** Begin to read journals as they are now; in this transaction they stay so. */
export async function readOneSnapshot(tx: Tx): Promise<void> {
  await Promise.all([tx.run(ONE_SNAPSHOT, []), tx.run(ALONG_KEY, [])])
}

/** Before the first entry of every journal. */
const BEGINNING: EntryPlace = { userId: -9_223_372_036_854_775_808n, paymentId: 0n, kind: '' }

/** Add up the next entries of a shard's journal; null: from the beginning. */
export async function addUp(tx: Tx, behind: EntryPlace | null, limit: number): Promise<AddedUp> {
  const { userId, paymentId, kind } = behind ?? BEGINNING
  const parts = await tx.run(ADD_UP, [userId, paymentId, kind, limit])
  const [part] = parts
  if (part === undefined) throw new Error('the journal was not added up')
  const { userId: user, paymentId: payment, lastKind, time } = part
  const entries = parts.reduce((count, one) => count + one.entries, 0)
  const ended = user === null || payment === null || lastKind === null || entries < limit
  const place = ended ? null : { userId: user, paymentId: payment, kind: lastKind }
  return { sums: parts, place, time }
}

/** What the next entries come to, by currency; null is that of the books. */
interface AddedUp {
  readonly sums: readonly (TrialBalance & { readonly currency: string | null })[]
  readonly place: EntryPlace | null
  readonly time: Date
}
