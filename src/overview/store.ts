import type { Runner, Statement } from '../ports.ts'

/** What is not finished, in one currency; null is that of the books. */
interface Sum {
  readonly currency: string | null
  readonly count: number
  readonly amount: bigint
  readonly oldestAt: Date
}

/** Payments of one shard that are counted; of a gateway that is slow there can be many. */
const PENDING_MAX = 10_000

/**
 * Payments that the gateway has and is not finished with. The limits keep the planner from reading
 * all payments for a join.
 */
const PENDING: Statement<Sum> = {
  name: 'overview_pending',
  text: `
  select
    payment.currency, count(*)::float8 as count, sum(payment.amount)::bigint as amount,
    min(payment.created_at) as "oldestAt"
  from (
    select payment_id
    from payment_tasks
    where shard = $1 and pendings > 0
    limit ${PENDING_MAX}
  ) task
  cross join lateral (
    select currency, amount, created_at
    from payments
    where shard = $1 and id = task.payment_id and status = 'new'
    limit 1
  ) payment
  group by payment.currency`,
}

/** Open letters of one class. */
interface Letters extends Sum {
  readonly class: 'failed' | 'unknown'
}

/** Open letters are few; an index holds exactly those. */
const LETTERS: Statement<Letters> = {
  name: 'overview_letters',
  text: `
  select
    class, currency, count(*)::float8 as count, sum(amount)::bigint as amount,
    min(created_at) as "oldestAt"
  from dead_letters
  where shard = $1 and state = 'open'
  group by class, currency`,
}

/** Deliveries of an endpoint that were tried and did not arrive yet. */
export interface Failing {
  readonly endpointId: bigint
  readonly count: number
  readonly oldestAt: Date
}

/** Deliveries of one shard that are looked at. */
const DELIVERIES_MAX = 10_000

const FAILING: Statement<Failing> = {
  name: 'overview_failing_deliveries',
  text: `
  select
    endpoint_id as "endpointId", count(*)::float8 as count, min(created_at) as "oldestAt"
  from (
    select endpoint_id, attempts, created_at
    from deliveries
    where shard = $1 and state = 'pending'
    limit ${DELIVERIES_MAX}
  ) pending
  where attempts > 0
  group by endpoint_id`,
}

/** What the gateway has not finished, by currency. */
export function readPending(shard: Runner): Promise<Sum[]> {
  return shard.run(PENDING, [])
}

/** Open letters by class and currency. */
export function readLetterSums(shard: Runner): Promise<Letters[]> {
  return shard.run(LETTERS, [])
}

/** Endpoints at which something did not arrive yet, although it was tried. */
export function readFailing(shard: Runner): Promise<Failing[]> {
  return shard.run(FAILING, [])
}
