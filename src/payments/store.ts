import type { AcceptedPayment } from '../domain/acceptance.ts'
import { columns, gatewayOf, numbers } from '../domain/array-parameters.ts'
import { TRANSITIONS, type Payment, type StoredStatus } from '../domain/payment.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'
import { PAYMENT_SHOWN, paymentEvents } from '../events/write-store.ts'
import { COUNT_FINISHED, countAccepted } from './counted-store.ts'
import { leaveReferences } from './details-store.ts'
import { UNDER_KEYS, underKeys, type Keyed } from './keys-store.ts'

/** How the error that is shown of a refused payment begins. */
const REFUSED = 'refused:'

/**
 * Why a payment was refused. The version before this column, which goes on accepting while it is
 * replaced, says it in the error alone.
 */
export const REFUSED_FOR = `coalesce(refused_for, substring(last_error from '^${REFUSED}(.*)$'))`

/**
 * What a payment begins as, of a draft and `clock`: open, or failed from the start because it was
 * refused.
 */
export const BEGUN = {
  columns: 'status, last_error, refused_for, created_at, finished_at',
  values: `case when refused_for is null then 'new' else 'failed' end,
      '${REFUSED}' || refused_for, refused_for, time,
      case when refused_for is null then null else time end`,
}

/** A payment's columns, as a `Payment`. */
export const PAYMENT_COLUMNS = `
    id, user_id as "userId", type, status, amount, commission, fee_bps as "feeBps", attempts,
    created_at as "createdAt", finished_at as "finishedAt", gateway_key as "gatewayKey",
    idempotency_key as "idempotencyKey", last_error as "lastError",
    ${REFUSED_FOR} as "refusedFor", gateway_ref as "gatewayRef", currency,
    ${gatewayOf()} as gateway`

const AS_ACCEPTED = `select
    payment.id, payment.user_id as "userId", payment.type, payment.amount, payment.commission,
    payment.idempotency_key as "idempotencyKey", ${REFUSED_FOR} as "refusedFor", payment.currency,
    ${gatewayOf('payment.gateway')} as gateway`

/**
 * The payments first made under these keys. The users of the keys are locked, so no other batch can
 * make one between this reading and the end of the transaction.
 */
const BY_KEYS: Statement<AcceptedPayment> = {
  name: 'payments_by_keys',
  text: `
  ${AS_ACCEPTED}
  from ${UNDER_KEYS}`,
}

/** The same by their ids: of payments in later ranges that have the keys. */
const ACCEPTED_BY_IDS: Statement<AcceptedPayment> = {
  name: 'payments_accepted_by_ids',
  ranged: 'payments',
  text: `
  ${AS_ACCEPTED}
  from payments payment
  where payment.shard = $1 and payment.id = any ($2::bigint[])`,
}

/** Read payments of a shard by id. */
const READ: Statement<Payment> = {
  name: 'payments_read',
  ranged: 'payments',
  text: `
  select ${PAYMENT_COLUMNS}
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/** The columns that events show, of an alias. */
export function returned(alias: string): string {
  return PAYMENT_SHOWN.replace(/\b\w+\b/g, `${alias}.$&`)
}

/** A change of a payment's status, conditional on its being open. */
export interface Finish {
  readonly id: bigint
  readonly status: Exclude<StoredStatus, 'new'>
  readonly attempts: number
  readonly error: string | null
  readonly gatewayRef: string | null
  /** It was unknown, and ends. */
  readonly resolves?: boolean
}

const FINISHES = columns<Finish>({
  id: 'bigint',
  status: 'word',
  attempts: 'int',
  error: 'text',
  gatewayRef: 'text',
})

/** Every legal change of a status, from and to, as a list of SQL. */
const CHANGES = Object.entries(TRANSITIONS)
  .flatMap(([from, next]) => next.map((to) => `('${from}', '${to}')`))
  .join(', ')

/**
 * Finish payments, or mark them unknown. Only legal changes are made: a final status is never left,
 * whoever asks. What is finished is counted in the minute in which it is, with how long it took.
 * Those in `$8` were unknown, and end. The events that somebody wants are written here, so that
 * none is without its change, nor the other way.
 */
const FINISH: Statement<never> = {
  name: 'payments_finish',
  ranged: 'payments',
  ...timed`
  with ${CLOCK}, finished as (
    update payments payment
    set
      status = input.status,
      attempts = input.attempts,
      last_error = input.error,
      gateway_ref = coalesce(input.gateway_ref, payment.gateway_ref),
      finished_at = case when input.status = 'unknown' then null else clock.time end,
      transitions =
        coalesce(payment.transitions, 0)
        + case when payment.id = any ($8::bigint[]) then 2 else 1 end
    from clock, ${FINISHES.unnest('input', 3)}
    where payment.shard = $1 and payment.id = input.id
      and (payment.status, input.status) in (${CHANGES})
    returning ${returned('payment')}, payment.gateway
  ), ${COUNT_FINISHED}${paymentEvents(
    'finished',
    `
    (
      case when changed.id = any ($8::bigint[]) then 'payment.resolved' end,
      changed.transitions - 1
    ),
    (case changed.status
      when 'success' then 'payment.succeeded' else 'payment.' || changed.status end,
    changed.transitions)`,
  )}`,
}

/**
 * Say that the gateway works on payments, if somebody wants to know: the first time that it says
 * so. Nothing else about them changes.
 */
const PENDING: Statement<never> = {
  name: 'payments_pending',
  ...timed`
  with ${CLOCK}, pending as (
    update payments payment
    set transitions = coalesce(payment.transitions, 0) + 1
    where payment.shard = $1 and payment.id = any ($3::bigint[]) and payment.status = 'new'
      and exists (
        select from event_wants
        where shard = $1 and 'payment.pending' = any (types)
      )
    returning ${returned('payment')}
  )${paymentEvents('pending', `('payment.pending', changed.transitions)`)}`,
}

/** What the gateway calls a payment. */
export interface NamedPayment {
  readonly id: bigint
  readonly gatewayRef: string
}

const NAMED = columns<NamedPayment>({ id: 'bigint', gatewayRef: 'text' })

/** Keep what the gateway calls payments that it has not finished. */
const NAME: Statement<never> = {
  name: 'payments_name',
  text: `
  update payments payment
  set gateway_ref = input.gateway_ref
  from ${NAMED.unnest('input', 2)}
  where payment.shard = $1 and payment.id = input.id and payment.status in ('new', 'unknown')`,
}

/**
 * Open payments of unknown outcome again: they are about to be looked up, and sent if that is safe.
 */
const REOPEN: Statement<never> = {
  name: 'payments_reopen',
  text: `
  update payments
  set status = 'new', last_error = null
  where shard = $1 and id = any ($2::bigint[]) and (status, 'new') in (${CHANGES})`,
}

interface Repeat {
  readonly id: bigint
  readonly repeated: bigint
}

const REPEATED = columns<Repeat>({ id: 'bigint', repeated: 'bigint' })

/**
 * Insert new payments that repeat failed ones: same user, type, amount and commission, because that
 * is what the user agreed to, but a gateway key of their own, because they are other charges.
 */
const INSERT_REPEATS: Statement<never> = {
  name: 'payments_insert_repeats',
  ...timed`
  with ${CLOCK}, ${countAccepted('unnest($3::bigint[])')}
  insert into payments
    (shard, id, user_id, type, status, amount, commission, fee_bps, redrive_of, currency,
     gateway, created_at)
  select
    $1::int, input.id, first.user_id, first.type, 'new', first.amount, first.commission,
    first.fee_bps, first.id, first.currency, first.gateway, time
  from clock, ${REPEATED.unnest('input', 3)}
  join payments first on first.shard = $1 and first.id = input.repeated`,
}

/** A payment's ties to others. */
interface Repeats {
  /** The failed payment that it repeats. */
  readonly repeated: bigint | null
  /** The newest payment that repeats it. */
  readonly repeatedBy: bigint | null
}

/** Which payment one repeats, and which repeats it. */
const REPEATS: Statement<Repeats> = {
  name: 'payments_repeats',
  text: `
  select
    payment.redrive_of as "repeated",
    (
      select max(id)
      from payments
      where shard = $1 and redrive_of = $2
    ) as "repeatedBy"
  from payments payment
  where payment.shard = $1 and payment.id = $2`,
}

/** The payments first made under these keys of these users. */
export function paymentsByKeys(
  tx: Runner,
  requests: readonly Keyed[],
): Promise<readonly AcceptedPayment[]> {
  return underKeys(tx, requests, BY_KEYS, (ids) => tx.run(ACCEPTED_BY_IDS, [numbers(ids)]))
}

/** Read payments of a shard by id, in no order; those that do not exist are left out. */
export function readPayments(shard: Runner, ids: readonly bigint[]): Promise<Payment[]> {
  return shard.run(READ, [numbers(ids)])
}

/** Change the status of open payments; those that fail give up their references. */
export function finishPayments(tx: Tx, finishes: readonly Finish[]): void {
  if (finishes.length === 0) return
  const resolved = finishes.filter(({ resolves }) => resolves === true)
  tx.write(FINISH, [...FINISHES.of(finishes), numbers(resolved.map(({ id }) => id))])
  const failed = finishes.filter(({ status }) => status === 'failed')
  leaveReferences(
    tx,
    failed.map(({ id }) => id),
  )
}

/** Keep what the gateway calls payments that it has not finished. */
export function namePayments(tx: Tx, named: readonly NamedPayment[]): void {
  if (named.length > 0) tx.write(NAME, NAMED.of(named))
}

/** Say that the gateway works on payments, to whoever wants to know. */
export function tellPending(tx: Tx, ids: readonly bigint[]): void {
  if (ids.length > 0) tx.write(PENDING, [numbers(ids)])
}

/** Open payments of unknown outcome again. */
export function reopenPayments(tx: Tx, ids: readonly bigint[]): void {
  if (ids.length > 0) tx.write(REOPEN, [numbers(ids)])
}

/** Insert new payments, each repeating a failed one. */
export function insertRepeats(tx: Tx, repeats: readonly Repeat[]): void {
  if (repeats.length > 0) tx.write(INSERT_REPEATS, REPEATED.of(repeats))
}

/** Which payment this one repeats, and which repeats it. */
export async function repeatsOf(shard: Runner, id: bigint): Promise<Repeats> {
  const [repeats] = await shard.run(REPEATS, [id])
  return repeats ?? { repeated: null, repeatedBy: null }
}
