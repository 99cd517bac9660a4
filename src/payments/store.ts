import type { AcceptedPayment, Verdict } from '../domain/acceptance.ts'
import { numbers, texts } from '../domain/arrays.ts'
import { operationOf, type Payment, type StoredStatus } from '../domain/payment.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** How a refusal that is stored as a failed payment is told from a gateway's decline: by the colon. */
const REFUSED = 'refused:'

/** A payment's columns, as a `Payment`. */
export const COLUMNS = `
    id, user_id as "userId", type, status, amount, commission, fee_bps as "feeBps", attempts,
    created_at as "createdAt", finished_at as "finishedAt", gateway_key as "gatewayKey",
    idempotency_key as "idempotencyKey", last_error as "lastError", gateway_ref as "gatewayRef"`

/**
 * Take `$1` unused payment ids of a shard: id = n × shards + shard. One text rather than a row each,
 * which would cost the driver more than the database.
 */
const IDS: Statement<{ ids: string }> = {
  name: 'payments_take_ids',
  text: `
  select string_agg((nextval('payment_ids') * $2::int + $3::int)::text, ',') as ids
  from generate_series(1, $1::int)`,
}

/**
 * The payments first made under these keys. The users of the keys are locked, so no other batch can
 * make one between this reading and the end of the transaction. The limit keeps the planner from
 * turning it into a join, for which it may read every payment there is while it takes the table for
 * empty: a plan lives for seconds, and that is long enough.
 */
const BY_KEYS: Statement<Omit<AcceptedPayment, 'refusedFor'> & { lastError: string | null }> = {
  name: 'payments_by_keys',
  text: `
  select
    payment.id, payment.user_id as "userId", payment.type, payment.amount, payment.commission,
    payment.idempotency_key as "idempotencyKey", payment.last_error as "lastError"
  from unnest($2::bigint[], $3::text[]) as request (user_id, key)
  cross join lateral (
    select *
    from payments
    where shard = $1 and user_id = request.user_id and idempotency_key = request.key
    limit 1
  ) payment`,
}

/**
 * Write what a batch of drafts came to: the payments, those refused for lack of funds included, which
 * are final from the start; the tasks of the others, due at once; and the holds, each with its posting
 * and the user's balances moved by their sums. The users are locked, so nothing waits here.
 *
 * One statement, although it writes to the tables of other features, which have no inserts of their
 * own for it: docs/decisions/0007-one-accept-statement.md has the figure.
 */
const ACCEPT: Statement<never> = {
  name: 'payments_accept',
  text: `
  with clock as materialized (
    select coalesce($9::timestamptz, clock_timestamp()) as time
  ), payment as (
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, idempotency_key, last_error,
       created_at, finished_at)
    select
      $1::int, id, user_id, type, case when refused is null then 'new' else 'failed' end, amount,
      commission, $10::int, key, refused, time, case when refused is null then null else time end
    from clock, unnest(
      $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]
    ) as draft (id, user_id, type, amount, commission, key, refused)
  ), task as (
    insert into payment_tasks (shard, payment_id, operation, run_at)
    select $1::int, id, operation, time
    from clock, unnest($11::bigint[], $16::text[]) as accepted (id, operation)
  ), counted as (
    insert into payment_counts (shard, enqueued)
    select $1::int, count(*)
    from unnest($11::bigint[])
    having count(*) > 0
  ), hold as materialized (
    select *
    from unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
      as hold (user_id, payment_id, available, held)
  ), posting as (
    insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
    select $1::int, user_id, payment_id, 'hold', available, held, 0, 0, 0, time
    from clock, hold
  )
  update users
  set available = users.available + moved.available, held = users.held + moved.held
  from (
    select user_id, sum(available)::bigint as available, sum(held)::bigint as held
    from hold
    group by user_id
  ) moved
  where users.shard = $1 and users.id = moved.user_id`,
}

/** Read payments of a shard by id. */
const READ: Statement<Payment> = {
  name: 'payments_read',
  text: `
  select ${COLUMNS}
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/**
 * Finish payments, or mark them unknown. Only open payments change: a final status is never left,
 * whoever asks. What is asked for is counted: the callers hold the locks that keep a payment open.
 */
const FINISH: Statement<never> = {
  name: 'payments_finish',
  text: `
  with clock as materialized (
    select coalesce($7::timestamptz, clock_timestamp()) as time
  ), counted as (
    insert into payment_counts (shard, succeeded, failed, in_doubt)
    select
      $1::int, count(*) filter (where status = 'success'),
      count(*) filter (where status = 'failed'), count(*) filter (where status = 'unknown')
    from unnest($3::text[]) as input (status)
  )
  update payments payment
  set
    status = input.status,
    attempts = input.attempts,
    last_error = input.error,
    gateway_ref = input.gateway_ref,
    finished_at = case when input.status = 'unknown' then null else clock.time end
  from clock, unnest($2::bigint[], $3::text[], $4::int[], $5::text[], $6::text[])
    as input (id, status, attempts, error, gateway_ref)
  where payment.shard = $1 and payment.id = input.id and payment.status in ('new', 'unknown')`,
}

/** Open payments of unknown outcome again: they are about to be looked up, and sent if that is safe. */
const REOPEN: Statement<never> = {
  name: 'payments_reopen',
  text: `
  update payments
  set status = 'new', last_error = null
  where shard = $1 and id = any ($2::bigint[]) and status = 'unknown'`,
}

/**
 * Insert new payments that repeat failed ones: same user, type, amount and commission, because that
 * is what the user agreed to, but a gateway key of their own, because they are other charges.
 */
const INSERT_REPEATS: Statement<never> = {
  name: 'payments_insert_repeats',
  text: `
  insert into payments
    (shard, id, user_id, type, status, amount, commission, fee_bps, redrive_of, created_at)
  select
    $1::int, input.id, first.user_id, first.type, 'new', first.amount, first.commission,
    first.fee_bps, first.id, coalesce($4::timestamptz, clock_timestamp())
  from unnest($2::bigint[], $3::bigint[]) as input (id, repeated)
  join payments first on first.shard = $1 and first.id = input.repeated`,
}

/** A payment's ties to others. */
export interface Repeats {
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

/** A change of a payment's status, conditional on its being open. */
export interface Finish {
  readonly id: bigint
  readonly status: Exclude<StoredStatus, 'new'>
  readonly attempts: number
  readonly error: string | null
  readonly gatewayRef: string | null
}

/** Take `count` unused payment ids of a shard. */
export async function takePaymentIds(
  tx: Runner,
  count: number,
  shards: number,
  shard: number,
): Promise<bigint[]> {
  if (count <= 0) return []
  const [row] = await tx.run(IDS, [count, shards, shard])
  return row === undefined ? [] : row.ids.split(',').map(BigInt)
}

/** The payments first made under these keys of these users. */
export async function paymentsByKeys(
  tx: Runner,
  shard: number,
  requests: readonly { readonly userId: bigint; readonly key: string }[],
): Promise<AcceptedPayment[]> {
  if (requests.length === 0) return []
  const rows = await tx.run(BY_KEYS, [
    shard,
    numbers(requests.map((request) => request.userId)),
    requests.map((request) => request.key),
  ])
  return rows.map(({ lastError, ...payment }) => ({
    ...payment,
    refusedFor: lastError === `${REFUSED}insufficient_funds` ? 'insufficient_funds' : null,
  }))
}

/** Write decided payments with their tasks and holds. */
export function writeAccepted(
  tx: Tx,
  shard: number,
  { payments, holds }: Pick<Verdict, 'payments' | 'holds'>,
  feeBps: number,
  at: Date | null,
): void {
  if (payments.length === 0) return
  const queued = payments.filter((payment) => payment.refusedFor === null)
  tx.write(ACCEPT, [
    shard,
    numbers(payments.map((payment) => payment.id)),
    numbers(payments.map((payment) => payment.userId)),
    `{${payments.map((payment) => payment.type).join(',')}}`,
    numbers(payments.map((payment) => payment.amount)),
    numbers(payments.map((payment) => payment.commission)),
    texts(payments.map((payment) => payment.idempotencyKey)),
    texts(payments.map((payment) => payment.refusedFor && REFUSED + payment.refusedFor)),
    at,
    feeBps,
    numbers(queued.map((payment) => payment.id)),
    numbers(holds.map((hold) => hold.userId)),
    numbers(holds.map((hold) => hold.paymentId)),
    numbers(holds.map((hold) => hold.user)),
    numbers(holds.map((hold) => hold.held)),
    `{${queued.map((payment) => operationOf(payment.type)).join(',')}}`,
  ])
}

/** Read payments of a shard by id, in no order; those that do not exist are left out. */
export function readPayments(
  db: Runner,
  shard: number,
  ids: readonly bigint[],
): Promise<Payment[]> {
  return db.run(READ, [shard, numbers(ids)])
}

/** Change the status of open payments. */
export function finishPayments(
  tx: Tx,
  shard: number,
  finishes: readonly Finish[],
  at: Date | null,
): void {
  if (finishes.length === 0) return
  tx.write(FINISH, [
    shard,
    numbers(finishes.map((finish) => finish.id)),
    `{${finishes.map((finish) => finish.status).join(',')}}`,
    numbers(finishes.map((finish) => finish.attempts)),
    texts(finishes.map((finish) => finish.error)),
    texts(finishes.map((finish) => finish.gatewayRef)),
    at,
  ])
}

/** Open payments of unknown outcome again. */
export function reopenPayments(tx: Tx, shard: number, ids: readonly bigint[]): void {
  if (ids.length > 0) tx.write(REOPEN, [shard, numbers(ids)])
}

/** Insert new payments, each repeating a failed one. */
export function insertRepeats(
  tx: Tx,
  shard: number,
  repeats: readonly { readonly id: bigint; readonly repeated: bigint }[],
  at: Date | null,
): void {
  if (repeats.length === 0) return
  tx.write(INSERT_REPEATS, [
    shard,
    numbers(repeats.map((repeat) => repeat.id)),
    numbers(repeats.map((repeat) => repeat.repeated)),
    at,
  ])
}

/** Which payment this one repeats, and which repeats it. */
export async function repeatsOf(db: Runner, shard: number, id: bigint): Promise<Repeats> {
  const [repeats] = await db.run(REPEATS, [shard, id])
  return repeats ?? { repeated: null, repeatedBy: null }
}
