import { numbers } from '../domain/arrays.ts'
import type { PaymentType } from '../domain/payment.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** A payment that failed or that cannot be finished; amounts in minor units. */
export interface DeadLetter {
  readonly id: bigint
  readonly paymentId: bigint
  readonly userId: bigint
  readonly type: PaymentType
  readonly amount: bigint
  readonly commission: bigint
  readonly class: 'failed' | 'unknown'
  readonly error: string
  readonly attempts: number
  readonly state: 'open' | 'redriven' | 'resolved'
  readonly createdAt: Date
  readonly closedAt: Date | null
  readonly closedBy: string | null
  readonly closedReason: string | null
}

/** Open a letter for each payment. A payment has one open letter at most: a second says nothing new. */
const INSERT: Statement<never> = {
  name: 'dead_letters_insert',
  text: `
  insert into dead_letters
    (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
     created_at)
  select
    $1::int, nextval('dead_letter_ids') * $12::int + $1::int, payment_id, user_id, type, amount,
    commission, class, error, attempts, coalesce($11::timestamptz, clock_timestamp())
  from unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
    $9::int[], $10::int[]
  ) as letter (payment_id, user_id, type, amount, commission, class, error, attempts, ordinal)
  order by ordinal
  on conflict (shard, payment_id) where state = 'open' do nothing`,
}

/** Close the open letters of payments that were finished after all. */
const CLOSE: Statement<never> = {
  name: 'dead_letters_close',
  text: `
  update dead_letters
  set
    state = 'resolved',
    closed_at = coalesce($4::timestamptz, clock_timestamp()),
    closed_by = 'gateway',
    closed_reason = input.reason
  from unnest($2::bigint[], $3::text[]) as input (payment_id, reason)
  where shard = $1 and dead_letters.payment_id = input.payment_id and state = 'open'`,
}

/** A page, newest first, for the limit and offset of the original API. */
const PAGE: Statement<DeadLetter> = {
  name: 'dead_letters_page',
  text: `
  select
    id, payment_id as "paymentId", user_id as "userId", payment_type as "type", amount, commission,
    class, error, attempts, state, created_at as "createdAt", closed_at as "closedAt",
    closed_by as "closedBy", closed_reason as "closedReason"
  from dead_letters
  where shard = $1
  order by id desc
  limit $2 offset $3`,
}

/** The letters of one payment, oldest first. */
const OF_PAYMENT: Statement<DeadLetter> = {
  name: 'dead_letters_of_payment',
  text: `
  select
    id, payment_id as "paymentId", user_id as "userId", payment_type as "type", amount, commission,
    class, error, attempts, state, created_at as "createdAt", closed_at as "closedAt",
    closed_by as "closedBy", closed_reason as "closedReason"
  from dead_letters
  where shard = $1 and payment_id = $2
  order by id`,
}

/** What a letter is opened with. */
export type NewLetter = Pick<
  DeadLetter,
  'paymentId' | 'userId' | 'type' | 'amount' | 'commission' | 'class' | 'error' | 'attempts'
>

/** Open letters in the order given. */
export function openLetters(
  tx: Tx,
  shard: number,
  shards: number,
  letters: readonly NewLetter[],
  at: Date | null,
): void {
  if (letters.length === 0) return
  tx.write(INSERT, [
    shard,
    numbers(letters.map((letter) => letter.paymentId)),
    numbers(letters.map((letter) => letter.userId)),
    `{${letters.map((letter) => letter.type).join(',')}}`,
    numbers(letters.map((letter) => letter.amount)),
    numbers(letters.map((letter) => letter.commission)),
    `{${letters.map((letter) => letter.class).join(',')}}`,
    letters.map((letter) => letter.error),
    numbers(letters.map((letter) => letter.attempts)),
    numbers(letters.map((_, index) => index)),
    at,
    shards,
  ])
}

/** Close the open letters of payments, each with what the gateway said. */
export function closeLetters(
  tx: Tx,
  shard: number,
  closings: readonly { readonly paymentId: bigint; readonly reason: string }[],
  at: Date | null,
): void {
  if (closings.length === 0) return
  tx.write(CLOSE, [
    shard,
    numbers(closings.map((closing) => closing.paymentId)),
    closings.map((closing) => closing.reason),
    at,
  ])
}

/** A page of a shard's letters, newest first. */
export function pageOfLetters(
  db: Runner,
  shard: number,
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  return db.run(PAGE, [shard, limit, offset])
}

/** Every letter a payment ever had, oldest first. */
export function lettersOfPayment(
  db: Runner,
  shard: number,
  paymentId: bigint,
): Promise<DeadLetter[]> {
  return db.run(OF_PAYMENT, [shard, paymentId])
}
