import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** Who wants to be told of events. */
export interface Endpoint {
  readonly id: bigint
  /** Null: nobody is called; somebody polls. */
  readonly url: string | null
  /** Types and kinds, such as `payment.*`, as they were asked for. */
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled' | 'removed'
  /** Counts its changes: a shard that knows an earlier one is behind. */
  readonly version: number
  readonly createdAt: Date
  readonly createdBy: string
}

const COLUMNS = `
    id, url, types, description, state, version, created_at as "createdAt",
    created_by as "createdBy"`

const INSERT: Unsharded<Endpoint> = {
  name: 'endpoints_insert',
  ...timedUnsharded`
  with ${CLOCK}
  insert into webhook_endpoints
    (id, url, types, description, state, created_at, created_by, changed_at)
  select nextval('webhook_endpoint_ids'), $2, $3::text[], $4, 'enabled', time, $5, time
  from clock
  returning ${COLUMNS}`,
}

/** Read an endpoint that was not removed. */
const READ: Unsharded<Endpoint> = {
  name: 'endpoints_read',
  sharded: false,
  text: `
  select ${COLUMNS}
  from webhook_endpoints
  where id = $1 and state <> 'removed'`,
}

const LIST: Unsharded<Endpoint> = {
  name: 'endpoints_list',
  sharded: false,
  text: `
  select ${COLUMNS}
  from webhook_endpoints
  where state <> 'removed'
  order by id
  limit $1`,
}

/**
 * What shards are compared with: all endpoints, and for a day those that were removed, until every
 * shard has forgotten them.
 */
const KNOWN: Unsharded<Endpoint> = {
  name: 'endpoints_known',
  ...timedUnsharded`
  select ${COLUMNS}
  from webhook_endpoints
  where state <> 'removed' or changed_at > ${NOW} - interval '1 day'
  order by id`,
}

/** Change what was asked for; null stays as it is. */
const CHANGE: Unsharded<Endpoint> = {
  name: 'endpoints_change',
  ...timedUnsharded`
  update webhook_endpoints
  set
    types = coalesce($3::text[], types),
    description = case when $4 then $5 else description end,
    version = version + 1,
    changed_at = ${NOW}
  where id = $2 and state <> 'removed'
  returning ${COLUMNS}`,
}

/** Remove an endpoint: what it wanted is no longer wanted by it. */
const REMOVE: Unsharded<Endpoint> = {
  name: 'endpoints_remove',
  ...timedUnsharded`
  update webhook_endpoints
  set state = 'removed', version = version + 1, changed_at = ${NOW}
  where id = $2 and state <> 'removed'
  returning ${COLUMNS}`,
}

/** How many endpoints are shown, and how many there may be. */
export const ENDPOINTS_MAX = 100

/** What an endpoint is made of. */
export interface NewEndpoint {
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
}

export async function insertEndpoint(
  db: Global,
  { url, types, description }: NewEndpoint,
  by: string,
): Promise<Endpoint> {
  const [row] = await db.run(INSERT, [url, types, description, by])
  return row as Endpoint // The statement inserts one.
}

export async function readEndpoint(db: Global, id: bigint): Promise<Endpoint | null> {
  const [row] = await db.run(READ, [id])
  return row ?? null
}

export function listEndpoints(db: Global): Promise<Endpoint[]> {
  return db.run(LIST, [ENDPOINTS_MAX])
}

/** All endpoints that some shard may not know as they are. */
export function knownEndpoints(db: Global): Promise<Endpoint[]> {
  return db.run(KNOWN, [])
}

/** What changes of an endpoint; what is not there stays. */
export interface EndpointChange {
  readonly types?: readonly string[]
  readonly description?: string | null
}

export async function changeEndpoint(
  db: Global,
  id: bigint,
  change: EndpointChange,
): Promise<Endpoint | null> {
  const { types = null, description = null } = change
  const [row] = await db.run(CHANGE, [id, types, 'description' in change, description])
  return row ?? null
}

export async function removeEndpoint(db: Global, id: bigint): Promise<Endpoint | null> {
  const [row] = await db.run(REMOVE, [id])
  return row ?? null
}
