import { NOW, timed, type Global, type Runner, type Statement, type Unsharded } from '../ports.ts'

/** How far behind the deliveries to an endpoint are, in one shard. */
interface Behind {
  readonly endpointId: bigint
  /** Of the delivery that has been due for longest, without a pause that the endpoint asked for. */
  readonly dueSeconds: number
  /** A delivery waits for more than a minute: it has failed twice at least. */
  readonly failing: boolean
}

/**
 * What waits for each endpoint that is called. Both ends of its deliveries are read through the
 * index of claims, so a long line costs no more than a short one. A lease is shorter than a minute.
 */
const BEHIND: Statement<Behind> = {
  name: 'webhooks_behind',
  ...timed`
  select
    known.endpoint_id as "endpointId",
    greatest(
      0, extract(epoch from ${NOW} - greatest(oldest.run_at, known.paused_until))
    )::float8 as "dueSeconds",
    newest.run_at > ${NOW} + interval '1 minute' as failing
  from webhook_subscriptions known
  cross join lateral (
    select run_at
    from deliveries
    where deliveries.shard = $1 and deliveries.endpoint_id = known.endpoint_id
      and deliveries.state = 'pending'
    order by run_at
    limit 1
  ) oldest
  cross join lateral (
    select run_at
    from deliveries
    where deliveries.shard = $1 and deliveries.endpoint_id = known.endpoint_id
      and deliveries.state = 'pending'
    order by run_at desc
    limit 1
  ) newest
  where known.shard = $1 and known.deliver`,
}

/** Endpoints that the service itself disabled: nobody is told there any more. */
const DISABLED: Unsharded<{ count: number }> = {
  name: 'webhooks_disabled',
  sharded: false,
  text: `
  select count(*)::int as count
  from webhook_endpoints
  where state = 'disabled' and disabled_why <> 'operator'`,
}

/** What waits for each endpoint that is called, in a shard. */
export function readBehind(shard: Runner): Promise<Behind[]> {
  return shard.run(BEHIND, [])
}

/** How many endpoints the service itself disabled. */
export async function countDisabled(db: Global): Promise<number> {
  const [row] = await db.run(DISABLED, [])
  return row?.count ?? 0
}
