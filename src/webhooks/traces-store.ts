import { numbers } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'

interface TracedEvent {
  readonly eventId: bigint
  readonly traceparent: string
}

/** To which traces the payments of events belong: those that are not traced are not in it. */
const TRACES: Statement<TracedEvent> = {
  name: 'deliveries_traces',
  text: `
  select event.id as "eventId", traced.traceparent
  from unnest($2::bigint[]) as wanted (id)
  cross join lateral (
    select id, payment_id
    from events
    where shard = $1 and id = wanted.id
    limit 1
  ) event
  cross join lateral (
    select traceparent
    from payment_traces
    where shard = $1 and payment_id = event.payment_id
    limit 1
  ) traced`,
}

/** The `traceparent` of the payments of those events that have one. */
export async function tracesOfEvents(
  shard: Runner,
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, string>> {
  const rows = await shard.run(TRACES, [numbers(ids)])
  return new Map(rows.map(({ eventId, traceparent }) => [eventId, traceparent]))
}
