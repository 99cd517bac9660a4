import type { AcceptedPayment, Verdict } from '../domain/acceptance.ts'
import { columns } from '../domain/columns.ts'
import type { Entry } from '../domain/ledger.ts'
import { GATEWAY, operationOf, type Operation } from '../domain/payment.ts'
import { CLOCK, timed, type Statement, type Tx } from '../ports.ts'
import { ACCEPTED } from './counted-store.ts'
import { BEGUN } from './store.ts'

const DRAFTS = columns<AcceptedPayment>({
  id: 'bigint',
  userId: 'bigint',
  type: 'word',
  amount: 'bigint',
  commission: 'bigint',
  idempotencyKey: 'text',
  refusedFor: 'text',
})

interface Queued {
  readonly id: bigint
  readonly operation: Operation
  readonly gateway: string
}

const QUEUED = columns<Queued>({ id: 'bigint', operation: 'word' })

/** The same where some payment goes to another gateway than `http`. */
const DRAFTS_ROUTED = columns<AcceptedPayment>({
  id: 'bigint',
  userId: 'bigint',
  type: 'word',
  amount: 'bigint',
  commission: 'bigint',
  idempotencyKey: 'text',
  refusedFor: 'text',
  gateway: 'text',
})

const QUEUED_ROUTED = columns<Queued>({ id: 'bigint', operation: 'word', gateway: 'text' })

const HOLDS = columns<Entry>({
  userId: 'bigint',
  paymentId: 'bigint',
  user: 'bigint',
  held: 'bigint',
})

/** The holds of a batch, each with its posting, and the users' balances moved by their sums. */
const HELD = `, posting as (
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
  where users.shard = $1 and users.id = moved.user_id`

/**
 * Write what a batch of drafts came to: the payments, those refused for lack of funds included,
 * which are final from the start; the tasks of the others, due at once; and the holds, each with
 * its posting and the user's balances moved by their sums. The users are locked, so nothing waits
 * here.
 *
 * One statement, although it writes to the tables of other features, which have no inserts of their
 * own for it: docs/decisions/0007-one-accept-statement.md has the figure.
 */
const ACCEPT: Statement<never> = {
  name: 'payments_accept',
  ...timed`
  with ${CLOCK}, payment as (
    insert into payments
      (shard, id, user_id, type, amount, commission, fee_bps, idempotency_key,
       ${BEGUN.columns})
    select
      $1::int, id, user_id, type, amount, commission, $3::int, idempotency_key,
      ${BEGUN.values}
    from clock, ${DRAFTS.unnest('draft', 4)}
  ), task as (
    insert into payment_tasks (shard, payment_id, operation, run_at)
    select $1::int, id, operation, time
    from clock, ${QUEUED.unnest('queued', 11)}
  ), counted as (
    insert into payment_counts (shard, enqueued, ${ACCEPTED.columns})
    select $1::int, count(*), ${ACCEPTED.values}
    from clock, unnest($11::bigint[])
    group by time
  ), hold as materialized (
    select user_id, payment_id, hold."user" as available, held
    from ${HOLDS.unnest('hold', 13)}
  )${HELD}`,
}

/**
 * The same where some payment of the batch goes to another gateway than `http`. A statement of its
 * own, so that accepting the others sends and writes nothing for it.
 */
const ACCEPT_ROUTED: Statement<never> = {
  name: 'payments_accept_routed',
  ...timed`
  with ${CLOCK}, payment as (
    insert into payments
      (shard, id, user_id, type, amount, commission, fee_bps, idempotency_key, gateway,
       ${BEGUN.columns})
    select
      $1::int, id, user_id, type, amount, commission, $3::int, idempotency_key,
      nullif(gateway, '${GATEWAY}'), ${BEGUN.values}
    from clock, ${DRAFTS_ROUTED.unnest('draft', 4)}
  ), task as (
    insert into payment_tasks (shard, payment_id, operation, gateway, run_at)
    select $1::int, id, operation, gateway, time
    from clock, ${QUEUED_ROUTED.unnest('queued', 12)}
  ), counted as (
    insert into payment_counts (shard, enqueued, ${ACCEPTED.columns})
    select $1::int, count(*), ${ACCEPTED.values}
    from clock, unnest($12::bigint[])
    group by time
  ), hold as materialized (
    select user_id, payment_id, hold."user" as available, held
    from ${HOLDS.unnest('hold', 15)}
  )${HELD}`,
}

interface InCurrency {
  readonly id: bigint
  readonly currency: string
}

const IN_CURRENCY = columns<InCurrency>({ id: 'bigint', currency: 'text' })

/**
 * Say in which currency payments are that are not in the books'. A statement of its own, so that
 * accepting the others sends and writes nothing for it.
 */
const SET_CURRENCY: Statement<never> = {
  name: 'payments_set_currency',
  text: `
  update payments payment
  set currency = input.currency
  from ${IN_CURRENCY.unnest('input', 2)}
  where payment.shard = $1 and payment.id = input.id`,
}

/** Write decided payments with their tasks and holds. */
export function writeAccepted(
  tx: Tx,
  { payments, holds }: Pick<Verdict, 'payments' | 'holds'>,
  feeBps: number,
): void {
  if (payments.length === 0) return
  const queued: Queued[] = []
  let routed = false
  for (const { id, type, refusedFor, gateway } of payments) {
    if (gateway !== GATEWAY) routed = true
    if (refusedFor === null) queued.push({ id, operation: operationOf(type), gateway })
  }
  const [drafts, tasks] = routed ? [DRAFTS_ROUTED, QUEUED_ROUTED] : [DRAFTS, QUEUED]
  const values = [feeBps, ...drafts.of(payments), ...tasks.of(queued), ...HOLDS.of(holds)]
  tx.write(routed ? ACCEPT_ROUTED : ACCEPT, values)
  const named: InCurrency[] = []
  for (const { id, currency } of payments) if (currency !== null) named.push({ id, currency })
  if (named.length > 0) tx.write(SET_CURRENCY, IN_CURRENCY.of(named))
}
