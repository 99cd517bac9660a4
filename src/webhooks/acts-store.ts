import type { Global, Unsharded } from '../ports.ts'

/** What was done to an endpoint; `actor` null: the service did it. */
export interface EndpointAct {
  readonly act: 'create' | 'change' | 'rotate' | 'disable' | 'remove' | 'replay' | 'cancel_replay'
  readonly actor: string | null
  readonly requestId: string | null
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>>
  readonly createdAt: Date
}

/** The newest of what was done to an endpoint, newest first; replays are kept where they run. */
const ACTS: Unsharded<EndpointAct> = {
  name: 'endpoints_acts',
  sharded: false,
  text: `
  select act, actor, request_id as "requestId", before, after, created_at as "createdAt"
  from (
    (
      select act, actor, request_id, before, after, created_at, id
      from endpoint_acts
      where endpoint_id = $1
      order by id desc
      limit 100
    )
    union all
    (
      select
        did.act, did.actor, did.request_id, null,
        jsonb_build_object(
          'replay', run.id, 'reason', run.reason, 'filter', run.filter,
          'events', coalesce(run.total, cardinality(run.event_ids)),
          'rate_per_second', run.rate_per_second
        ), did.at, null
      from (
        select *
        from redrives
        where endpoint_id = $1 and started_at is not null
        order by id desc
        limit 100
      ) run
      cross join lateral (values
        ('replay', run.started_by, run.request_id, run.started_at),
        ('cancel_replay', run.canceled_by, null, run.ended_at)
      ) did (act, actor, request_id, at)
      where did.actor is not null
    )
  ) acts
  order by created_at desc, id desc nulls first
  limit 100`,
}

/** The newest 100 things that were done to an endpoint, newest first. */
export function actsOfEndpoint(db: Global, id: bigint): Promise<EndpointAct[]> {
  return db.run(ACTS, [id])
}
