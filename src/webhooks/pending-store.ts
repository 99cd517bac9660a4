import { numbers } from '../domain/array-parameters.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/**
 * Lock the deliveries of events, and say which events are still on their way to somebody: not to
 * an endpoint that was removed, which nothing is sent to any more.
 */
const ON_THEIR_WAY: Statement<{ eventId: bigint; pending: boolean }> = {
  name: 'deliveries_on_their_way',
  text: `
  select
    own.event_id as "eventId",
    own.state = 'pending' and exists (
      select
      from webhook_subscriptions known
      where known.shard = $1 and known.endpoint_id = own.endpoint_id and known.types <> '{}'
    ) as pending
  from deliveries own
  where own.shard = $1 and own.event_id = any ($2::bigint[])
  order by own.event_id, own.endpoint_id
  for update of own`,
}

/** Which events are still on their way to somebody, as the one above, and without a lock. */
const WAITED_FOR: Statement<{ eventId: bigint }> = {
  name: 'deliveries_waited_for',
  text: `
  select own.event_id as "eventId"
  from deliveries own
  where own.shard = $1 and own.event_id = any ($2::bigint[]) and own.state = 'pending'
    and exists (
      select
      from webhook_subscriptions known
      where known.shard = $1 and known.endpoint_id = own.endpoint_id and known.types <> '{}'
    )`,
}

/** Lock the deliveries of events; which of the events are still on their way to somebody. */
export async function eventsOnTheirWay(tx: Tx, eventIds: readonly bigint[]): Promise<Set<bigint>> {
  const rows = await tx.run(ON_THEIR_WAY, [numbers(eventIds)])
  return new Set(rows.filter(({ pending }) => pending).map(({ eventId }) => eventId))
}

/** Which of the events are on their way to somebody right now. Locks nothing. */
export async function eventsWaitedFor(
  shard: Runner,
  eventIds: readonly bigint[],
): Promise<Set<bigint>> {
  const rows = await shard.run(WAITED_FOR, [numbers(eventIds)])
  return new Set(rows.map(({ eventId }) => eventId))
}
