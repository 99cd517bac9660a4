import type { Global, Unsharded } from '../ports.ts'

/** What was done to an endpoint; `actor` null: the service did it. */
export interface EndpointAct {
  readonly act: 'create' | 'change' | 'rotate' | 'disable' | 'remove'
  readonly actor: string | null
  readonly requestId: string | null
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>>
  readonly createdAt: Date
}

/** The newest of what was done to an endpoint, newest first. */
const ACTS: Unsharded<EndpointAct> = {
  name: 'endpoints_acts',
  sharded: false,
  text: `
  select
    act, actor, request_id as "requestId", before, after, created_at as "createdAt"
  from endpoint_acts
  where endpoint_id = $1
  order by id desc
  limit 100`,
}

/** The newest 100 things that were done to an endpoint, newest first. */
export function actsOfEndpoint(db: Global, id: bigint): Promise<EndpointAct[]> {
  return db.run(ACTS, [id])
}
