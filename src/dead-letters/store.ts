import { columns, numbers } from '../domain/array-parameters.ts'
import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import type { Operator } from '../domain/operator.ts'
import type { CarriedType } from '../domain/payment.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'
import { LETTER_SHOWN, letterEvents } from '../events/write-store.ts'

/** A payment that failed or that cannot be finished; amounts in minor units. */
export interface DeadLetter {
  readonly id: bigint
  readonly paymentId: bigint
  readonly userId: bigint
  readonly type: CarriedType
  readonly amount: bigint
  readonly commission: bigint
  /** Null: that of the books. */
  readonly currency: string | null
  readonly class: 'failed' | 'unknown'
  readonly error: string
  readonly attempts: number
  readonly state: 'open' | 'redriven' | 'resolved'
  readonly createdAt: Date
  readonly closedAt: Date | null
  readonly closedBy: string | null
  readonly closedReason: string | null
  /** The run that redrove it, if one did. */
  readonly redriveId: bigint | null
}

/** A letter's columns, as a `DeadLetter`. */
export const LETTER_COLUMNS = `
    id, payment_id as "paymentId", user_id as "userId", payment_type as "type", amount, commission,
    currency, class, error, attempts, state, created_at as "createdAt", closed_at as "closedAt",
    closed_by as "closedBy", closed_reason as "closedReason", redrive_id as "redriveId"`

/** What a letter is opened with. */
export type NewLetter = Pick<
  DeadLetter,
  | 'paymentId'
  | 'userId'
  | 'type'
  | 'amount'
  | 'commission'
  | 'currency'
  | 'class'
  | 'error'
  | 'attempts'
>

const LETTERS = columns<NewLetter & Pick<DeadLetter, 'id'>>({
  id: 'bigint',
  paymentId: 'bigint',
  userId: 'bigint',
  type: 'word',
  amount: 'bigint',
  commission: 'bigint',
  class: 'word',
  error: 'text',
  attempts: 'int',
  currency: 'text',
})

const RETURNED = LETTER_SHOWN.replace(/\b\w+\b/g, 'dead_letters.$&')

/**
 * Open a letter for each payment. A payment has one open letter at most, and a second says nothing
 * new, but for one thing: that a failed payment was charged after all. The open letter says so from
 * then on, because redriving it as failed would charge the user twice.
 */
const INSERT: Statement<never> = {
  name: 'dead_letters_insert',
  ...timed`
  with ${CLOCK}, opened as (
    insert into dead_letters
      (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
       currency, created_at)
    select
      $1::int, id, payment_id, user_id, type, amount, commission, class, error, attempts,
      currency, time
    from clock, ${LETTERS.unnest('letter', 3)}
    order by id
    on conflict (shard, payment_id) where state = 'open' do update
    set class = excluded.class, error = excluded.error
    where excluded.error = '${CHARGED_AFTER_FAILED}'
    -- Only a row that was there before has a deleter, or a locker.
    returning ${RETURNED}, (xmax = 0) as fresh
  ), counted as (
    insert into payment_counts (shard, letters)
    select $1::int, count(*)
    from opened
    where fresh
    having count(*) > 0
  )${letterEvents('(select * from opened where fresh)', 'dead_letter.opened')}`,
}

/**
 * Close the open letters of payments by the word of their gateway: of the rows `input`, of a
 * payment and a reason each, and only those that fulfil a further condition, if there is one.
 */
function closingOpen(input: string, further = '') {
  return timed`
  with ${CLOCK}, closed as (
    update dead_letters
    set
      state = 'resolved',
      closed_at = clock.time,
      closed_by = 'gateway',
      closed_reason = input.reason
    from clock, ${input}
    where shard = $1 and dead_letters.payment_id = input.payment_id and state = 'open'
      ${further}
    returning ${RETURNED}
  )${letterEvents('closed', 'dead_letter.closed')}`
}

/** A payment that was finished after all, and as what. */
export interface Closed {
  readonly paymentId: bigint
  readonly reason: 'success' | 'failed'
}

const CLOSINGS = columns<Closed>({ paymentId: 'bigint', reason: 'word' })

/** Close the open letters of payments that were finished after all. */
const CLOSE: Statement<never> = {
  name: 'dead_letters_close',
  ...closingOpen(CLOSINGS.unnest('input', 3)),
}

/** A failed payment that the gateway executed, and what the books say of that by now. */
export interface Agreeing {
  readonly paymentId: bigint
  /** `returned`: it is booked as a return; `failed`: it failed there as well. */
  readonly reason: 'returned' | 'failed'
}

const AGREEING = columns<Agreeing>({ paymentId: 'bigint', reason: 'word' })

/** Close the letters that say that failed payments were executed: the books agree with it. */
const CLOSE_AGREEING: Statement<never> = {
  name: 'dead_letters_close_agreeing',
  ...closingOpen(AGREEING.unnest('input', 3), `and error = '${CHARGED_AFTER_FAILED}'`),
}

/** Of failed payments, those with an open letter that says that the gateway executed them. */
const EXECUTED: Statement<{ paymentId: bigint }> = {
  name: 'dead_letters_executed',
  text: `
  select payment_id as "paymentId"
  from dead_letters
  where shard = $1 and payment_id = any ($2::bigint[]) and state = 'open'
    and error = '${CHARGED_AFTER_FAILED}'`,
}

/** The letters of one payment, oldest first. */
const OF_PAYMENT: Statement<DeadLetter> = {
  name: 'dead_letters_of_payment',
  text: `
  select ${LETTER_COLUMNS}
  from dead_letters
  where shard = $1 and payment_id = $2
  order by id`,
}

/** Read letters by id. */
const READ: Statement<DeadLetter> = {
  name: 'dead_letters_read',
  text: `
  select ${LETTER_COLUMNS}
  from dead_letters
  where shard = $1 and id = any ($2::bigint[])`,
}

/** Lock letters in id order: of two acts on one letter, the second finds it closed. */
const LOCK: Statement<DeadLetter> = {
  name: 'dead_letters_lock',
  text: `
  select ${LETTER_COLUMNS}
  from dead_letters
  where shard = $1 and id = any ($2::bigint[])
  order by id
  for update`,
}

/** The same without waiting: letters that somebody else has locked are not among the rows. */
const LOCK_FREE: Statement<DeadLetter> = {
  name: 'dead_letters_lock_free',
  text: `${LOCK.text} skip locked`,
}

/** Close letters by an operator's act. Their rows are locked, and were open. */
const END: Statement<never> = {
  name: 'dead_letters_end',
  ...timed`
  with ${CLOCK}, closed as (
    update dead_letters
    set
      state = $4,
      closed_at = clock.time,
      closed_by = $5,
      closed_reason = $6,
      redrive_id = $7::bigint
    from clock
    where shard = $1 and id = any ($3::bigint[]) and state = 'open'
    returning ${RETURNED}
  )${letterEvents('closed', 'dead_letter.closed')}`,
}

/**
 * The open letters that match a filter, oldest first, and how many there are beyond the limit.
 * Those that must not be sent again are never among them.
 */
const MATCHING: Statement<DeadLetter & { matching: number }> = {
  name: 'dead_letters_matching',
  text: `
  select ${LETTER_COLUMNS}, (count(*) over ())::float8 as matching
  from dead_letters
  where shard = $1 and state = 'open' and error <> '${CHARGED_AFTER_FAILED}'
    and ($2::text is null or class = $2)
    and ($3::text is null or error = $3)
    and ($4::text is null or payment_type = $4)
    and ($5::bigint is null or user_id = $5)
    and ($6::timestamptz is null or created_at < $6)
    and ($7::timestamptz is null or created_at >= $7)
  order by id
  limit $8`,
}

/** Open letters in the order given. */
export async function openLetters(tx: Tx, letters: readonly NewLetter[]): Promise<void> {
  if (letters.length === 0) return
  const ids = await tx.ids('dead_letter_ids', letters.length)
  const numbered = letters.map((letter, index) => ({ ...letter, id: ids[index] as bigint }))
  tx.write(INSERT, LETTERS.of(numbered))
}

/** Close the open letters of payments, each with what the gateway said. */
export function closeLetters(tx: Tx, closings: readonly Closed[]): void {
  if (closings.length > 0) tx.write(CLOSE, CLOSINGS.of(closings))
}

/** Close the letters of payments that failed and were executed, of which the books know by now. */
export function closeAgreeing(tx: Tx, agreeing: readonly Agreeing[]): void {
  if (agreeing.length > 0) tx.write(CLOSE_AGREEING, AGREEING.of(agreeing))
}

/** Which failed payments have an open letter that says that the gateway executed them. */
export async function executedAfterAll(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<bigint[]> {
  if (paymentIds.length === 0) return []
  const rows = await shard.run(EXECUTED, [numbers(paymentIds)])
  return rows.map((row) => row.paymentId)
}

/** Read letters of a shard by id; those that do not exist are left out. */
export async function readLetters(shard: Runner, ids: readonly bigint[]): Promise<DeadLetter[]> {
  return ids.length === 0 ? [] : shard.run(READ, [numbers(ids)])
}

/** Lock letters in id order and read them. */
export function lockLetters(tx: Runner, ids: readonly bigint[]): Promise<DeadLetter[]> {
  return tx.run(LOCK, [numbers(ids)])
}

/** Lock those letters that nobody else has locked, without waiting, and read them. */
export function lockFreeLetters(tx: Runner, ids: readonly bigint[]): Promise<DeadLetter[]> {
  return tx.run(LOCK_FREE, [numbers(ids)])
}

/** Close open letters by an operator's act. */
export function endLetters(
  tx: Tx,
  ids: readonly bigint[],
  state: 'redriven' | 'resolved',
  by: Operator,
): void {
  if (ids.length === 0) return
  tx.write(END, [numbers(ids), state, by.actor, by.reason, by.redriveId])
}

/** Which open letters to redrive; null: any. */
export interface RedriveFilter {
  readonly class: DeadLetter['class'] | null
  readonly error: string | null
  readonly type: CarriedType | null
  readonly userId: bigint | null
  readonly createdBefore: Date | null
  readonly createdAfter: Date | null
}

/** Up to `limit` open letters of a shard that match, oldest first, and how many match in all. */
export async function matchingLetters(
  shard: Runner,
  filter: RedriveFilter,
  limit: number,
): Promise<{ letters: DeadLetter[]; matching: number }> {
  const { error, type, userId, createdBefore, createdAfter } = filter
  const values = [filter.class, error, type, userId, createdBefore, createdAfter, limit]
  const rows = await shard.run(MATCHING, values)
  return { letters: rows, matching: rows[0]?.matching ?? 0 }
}

/** Every letter a payment ever had, oldest first. */
export function lettersOfPayment(shard: Runner, paymentId: bigint): Promise<DeadLetter[]> {
  return shard.run(OF_PAYMENT, [paymentId])
}
