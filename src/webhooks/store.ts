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
  /** Whether an event carries the payment, or only which one it is. */
  readonly payload: 'full' | 'thin'
  /** Events of a payment one after the other, each when the one before has arrived. */
  readonly ordered: boolean
  /** Why it was disabled, by whoever did it; null: it is not. */
  readonly disabledWhy: string | null
  readonly disabledAt: Date | null
  /** Counts its changes: a shard that knows an earlier one is behind. */
  readonly version: number
  readonly createdAt: Date
  readonly createdBy: string
}

const COLUMNS = `
    id, url, types, description, state, payload, ordered, version, disabled_why as "disabledWhy",
    disabled_at as "disabledAt", created_at as "createdAt", created_by as "createdBy"`

const INSERT: Unsharded<Endpoint> = {
  name: 'endpoints_insert',
  ...timedUnsharded`
  with ${CLOCK}
  insert into webhook_endpoints
    (id, url, types, description, state, payload, ordered, secret, created_at, created_by,
     changed_at, enabled_at)
  select
    nextval('webhook_endpoint_ids'), $2, $3::text[], $4, 'enabled', $6, $7, $8, time, $5, time, time
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

/** Change what was asked for; null stays as it is. Only what is called can be disabled. */
const CHANGE: Unsharded<Endpoint> = {
  name: 'endpoints_change',
  ...timedUnsharded`
  with ${CLOCK}
  update webhook_endpoints
  set
    types = coalesce($3::text[], types),
    description = case when $4 then $5 else description end,
    payload = coalesce($6, payload),
    ordered = coalesce($7, ordered),
    state = coalesce($8, state),
    disabled_why = case $8 when 'disabled' then $9 when 'enabled' then null else disabled_why end,
    disabled_at = case $8 when 'disabled' then clock.time when 'enabled' then null
      else disabled_at end,
    enabled_at = case when $8 = 'enabled' then clock.time else enabled_at end,
    version = version + 1,
    changed_at = clock.time
  from clock
  where id = $2 and state <> 'removed'
  returning ${COLUMNS}`,
}

/** Disable an endpoint that is enabled: of several who notice, one does it. */
const DISABLE: Unsharded<Endpoint> = {
  name: 'endpoints_disable',
  ...timedUnsharded`
  with ${CLOCK}
  update webhook_endpoints
  set
    state = 'disabled', disabled_why = $3, disabled_at = clock.time, version = version + 1,
    changed_at = clock.time
  from clock
  where id = $2 and state = 'enabled'
    and ($4::int is null or enabled_at <= clock.time - $4 * interval '1 millisecond')
  returning ${COLUMNS}`,
}

/** Give an endpoint a new secret; the one before is good for `$4` milliseconds longer. */
const ROTATE: Unsharded<Endpoint> = {
  name: 'endpoints_rotate',
  ...timedUnsharded`
  with ${CLOCK}
  update webhook_endpoints
  set
    secret = $3,
    secret_before = case when $4::int > 0 then secret end,
    secret_before_until =
      case when $4::int > 0 then clock.time + $4::int * interval '1 millisecond' end,
    changed_at = clock.time
  from clock
  where id = $2 and state <> 'removed' and url is not null
  returning ${COLUMNS}`,
}

/** Where deliveries go, and the sealed secrets that sign them, the newest first. */
const CALLED: Unsharded<CalledEndpoint> = {
  name: 'endpoints_called',
  ...timedUnsharded`
  select
    id, url, payload,
    case when secret_before_until > ${NOW} then array[secret, secret_before] else array[secret] end
      as sealed
  from webhook_endpoints
  where url is not null and state <> 'removed' and ($3::bigint is null or id = $3)
    and ($3 is not null or state = 'enabled')
  order by id
  limit $2`,
}

/** Remove an endpoint: what it wanted is no longer wanted by it. */
const REMOVE: Unsharded<Endpoint> = {
  name: 'endpoints_remove',
  ...timedUnsharded`
  update webhook_endpoints
  set
    state = 'removed', version = version + 1, changed_at = ${NOW}, url = null, secret = null,
    secret_before = null, secret_before_until = null
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
  readonly payload: Endpoint['payload']
  readonly ordered: boolean
}

/** An endpoint as it is called. */
export interface CalledEndpoint {
  readonly id: bigint
  readonly url: string
  readonly payload: 'full' | 'thin'
  readonly sealed: readonly string[]
}

/** `secret` is sealed; null where there is nobody to call. */
export async function insertEndpoint(
  db: Global,
  { url, types, description, payload, ordered }: NewEndpoint,
  by: string,
  secret: string | null,
): Promise<Endpoint> {
  const values = [url, types, description, by, payload, ordered, secret]
  const [row] = await db.run(INSERT, values)
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
  readonly payload?: Endpoint['payload']
  readonly ordered?: boolean
  readonly state?: 'enabled' | 'disabled'
}

/** What an operator disables says so. */
const BY_OPERATOR = 'operator'

export async function changeEndpoint(
  db: Global,
  id: bigint,
  change: EndpointChange,
): Promise<Endpoint | null> {
  const { types = null, description = null, payload = null, ordered = null, state = null } = change
  const said = ['description' in change, description]
  const values = [id, types, ...said, payload, ordered, state, BY_OPERATOR]
  const [row] = await db.run(CHANGE, values)
  return row ?? null
}

/** Disable an endpoint, if it has been enabled for `enabledMs`; null: any time. */
export async function disableEndpoint(
  db: Global,
  id: bigint,
  why: string,
  enabledMs: number | null,
): Promise<Endpoint | null> {
  const [row] = await db.run(DISABLE, [id, why, enabledMs])
  return row ?? null
}

/** Give an endpoint a new, sealed secret; null: there is none that is called. */
export async function rotateEndpoint(
  db: Global,
  id: bigint,
  secret: string,
  overlapMs: number,
): Promise<Endpoint | null> {
  const [row] = await db.run(ROTATE, [id, secret, overlapMs])
  return row ?? null
}

/** The endpoints that deliveries go to; or one, whether it is enabled or not. */
export function calledEndpoints(db: Global, id: bigint | null = null): Promise<CalledEndpoint[]> {
  return db.run(CALLED, [ENDPOINTS_MAX, id])
}

export async function removeEndpoint(db: Global, id: bigint): Promise<Endpoint | null> {
  const [row] = await db.run(REMOVE, [id])
  return row ?? null
}
