import type { AcceptedPayment, AcceptanceVerdict } from '../domain/acceptance.ts'
import { columns } from '../domain/array-parameters.ts'
import type { Entry } from '../domain/ledger.ts'
import { GATEWAY, operationOf, type Operation } from '../domain/payment.ts'
import { CLOCK, timed, type Statement, type Tx } from '../ports.ts'
import { ACCEPTED } from './counted-store.ts'
import { BEGUN } from './store.ts'

interface Queued {
  readonly id: bigint
  readonly operation: Operation
  readonly gateway: string
}

const DRAFT = {
  id: 'bigint',
  userId: 'bigint',
  type: 'word',
  amount: 'bigint',
  commission: 'bigint',
  idempotencyKey: 'text',
  refusedFor: 'text',
} as const

const TASK = { id: 'bigint', operation: 'word' } as const

/** How a batch is written of which all goes to the gateway `http`: nothing is sent for that. */
const PLAIN = {
  drafts: columns<AcceptedPayment>(DRAFT),
  tasks: columns<Queued>(TASK),
  column: '',
  value: '',
  tasksAt: 11,
  holdsAt: 13,
}

/** The same where some payment of it goes to another one. */
const ROUTED: typeof PLAIN = {
  drafts: columns<AcceptedPayment>({ ...DRAFT, gateway: 'text' }),
  tasks: columns<Queued>({ ...TASK, gateway: 'text' }),
  column: ', gateway',
  value: `nullif(gateway, '${GATEWAY}'), `,
  tasksAt: 12,
  holdsAt: 15,
}

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
function written({ drafts, tasks, column, value, tasksAt, holdsAt }: typeof PLAIN) {
  return timed`
  with ${CLOCK}, payment as (
    insert into payments
      (shard, id, user_id, type, amount, commission, fee_bps, idempotency_key${column},
       ${BEGUN.columns})
    select
      $1::int, id, user_id, type, amount, commission, $3::int, idempotency_key,
      ${value}${BEGUN.values}
    from clock, ${drafts.unnest('draft', 4)}
  ), task as (
    insert into payment_tasks (shard, payment_id, operation${column}, run_at)
    select $1::int, id, operation${column}, time
    from clock, ${tasks.unnest('queued', tasksAt)}
  ), counted as (
    insert into payment_counts (shard, enqueued, ${ACCEPTED.columns})
    select $1::int, count(*), ${ACCEPTED.values}
    from clock, unnest($${String(tasksAt)}::bigint[])
    group by time
  ), hold as materialized (
    select user_id, payment_id, hold."user" as available, held
    from ${HOLDS.unnest('hold', holdsAt)}
  )${HELD}`
}

const ACCEPT: Statement<never> = {
  name: 'payments_accept',
  ...written(PLAIN),
}

const ACCEPT_ROUTED: Statement<never> = {
  name: 'payments_accept_routed',
  ...written(ROUTED),
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
  { payments, holds }: Pick<AcceptanceVerdict, 'payments' | 'holds'>,
  feeBps: number,
): void {
  if (payments.length === 0) return
  const queued: Queued[] = []
  let routed = false
  for (const { id, type, refusedFor, gateway } of payments) {
    if (gateway !== GATEWAY) routed = true
    if (refusedFor === null) queued.push({ id, operation: operationOf(type), gateway })
  }
  const { drafts, tasks } = routed ? ROUTED : PLAIN
  const values = [feeBps, ...drafts.of(payments), ...tasks.of(queued), ...HOLDS.of(holds)]
  tx.write(routed ? ACCEPT_ROUTED : ACCEPT, values)
  const named: InCurrency[] = []
  for (const { id, currency } of payments) if (currency !== null) named.push({ id, currency })
  if (named.length > 0) tx.write(SET_CURRENCY, IN_CURRENCY.of(named))
}
