import type { Runner, Statement } from '../ports.ts'

/** Which events are to be sent to an endpoint again. */
export interface ReplayFilter {
  /** Kinds written out. */
  readonly types: readonly string[]
  /** Only what never arrived and is not on its way: what failed, or was never sent. */
  readonly undelivered: boolean
  readonly createdAfter: Date | null
  readonly createdBefore: Date | null
}

/** An event that matches. */
export interface MatchingEvent {
  readonly id: bigint
  readonly type: string
  readonly createdAt: Date
}

/**
 * The oldest events that match, at most `$7`, each with how many match in all. The positions keep
 * events out that have no place in the list yet: they are still to be sent for the first time.
 */
const MATCHING: Statement<MatchingEvent & { matching: number }> = {
  name: 'replayed_matching',
  text: `
  with matching as materialized (
    select event.id, event.type, event.created_at, event.position
    from events event
    where event.shard = $1 and event.position is not null and event.type = any ($3::text[])
      and event.created_at >= $5::timestamptz and event.created_at < $6::timestamptz
      and not ($4 and exists (
        select
        from deliveries own
        where own.shard = $1 and own.event_id = event.id and own.endpoint_id = $2
          and own.state <> 'failed'
      ))
  )
  select id, type, created_at as "createdAt", (select count(*)::int from matching) as matching
  from matching
  order by position
  limit $7`,
}

const ALWAYS = new Date('9999-12-31T00:00:00Z')

/** The oldest events of a shard that match, in the order of the feed, and how many match in all. */
export async function matchingEvents(
  shard: Runner,
  endpointId: bigint,
  filter: ReplayFilter,
  limit: number,
): Promise<{ readonly events: readonly MatchingEvent[]; readonly matching: number }> {
  const { types, undelivered, createdAfter, createdBefore } = filter
  const range = [createdAfter ?? new Date(0), createdBefore ?? ALWAYS]
  const events = await shard.run(MATCHING, [endpointId, types, undelivered, ...range, limit])
  return { events, matching: events[0]?.matching ?? 0 }
}

/** How many deliveries are in a state. */
interface ReplayState {
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly count: number
}

/** How many of the deliveries that a run has sent again are in a state. */
const REPLAY_STATES: Statement<ReplayState> = {
  name: 'deliveries_replay_states',
  text: `
  select state, count(*)::int as count
  from deliveries
  where shard = $1 and replay_id = $2
  group by state`,
}

/** What the deliveries of a shard that a run has sent again have come to. */
export function replayStates(shard: Runner, replayId: bigint): Promise<ReplayState[]> {
  return shard.run(REPLAY_STATES, [replayId])
}
