import { writeJson } from '../domain/exact-json.ts'
import type { SentFields } from '../domain/sent-fields.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'
import { record, recorded } from './endpoint-acts-store.ts'

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
  /** Calls of it a second, over all processes; null: as many as there are. */
  readonly ratePerSecond: number | null
  /** Why it was disabled, by whoever did it; null: it is not. */
  readonly disabledWhy: string | null
  readonly disabledAt: Date | null
  /** Counts its changes: a shard that knows an earlier one is behind. */
  readonly version: number
  readonly createdAt: Date
  readonly createdBy: string
}

/** The columns of an `Endpoint`. */
export const COLUMNS = `
    id, url, types, description, state, payload, ordered, rate_per_second as "ratePerSecond",
    version, disabled_why as "disabledWhy", disabled_at as "disabledAt", created_at as "createdAt",
    created_by as "createdBy"`

/** The endpoint as it was, locked until it has changed. */
const BEFORE = `before as materialized (
    select *
    from webhook_endpoints
    where id = $2 and state <> 'removed'
    for update
  )`

/** Make an endpoint; under a key that has made one, nothing. */
const INSERT: Unsharded<Endpoint> = {
  name: 'endpoints_insert',
  ...timedUnsharded`
  with ${CLOCK}, changed as (
    insert into webhook_endpoints
      (id, url, types, description, state, payload, ordered, secret, created_at, created_by,
       changed_at, enabled_at, rate_per_second, api_key, key, sent)
    select
      nextval('webhook_endpoint_ids'), $2, $3::text[], $4, 'enabled', $6, $7, $8, time, $5, time,
      time, $9::int, $10, $11, $12::jsonb
    from clock
    on conflict (api_key, key) where key is not null do nothing
    returning *
  ), kept as (${record('create', '$5, $13', 'changed', 'null')}
  )
  select ${COLUMNS}
  from changed`,
}

/**
 * Forget the key of an endpoint that was not made after all, so that it can be asked for again. Of
 * one that somebody has shown or changed meanwhile, nothing.
 */
const FORGET: Unsharded<{ id: bigint }> = {
  name: 'endpoints_forget',
  sharded: false,
  text: `
  update webhook_endpoints
  set api_key = null, key = null, sent = null
  where id = $1 and version = 1
  returning id`,
}

/** Keep an endpoint that is about to be shown to who repeats a request from being taken back. */
const SHOW: Unsharded<{ id: bigint }> = {
  name: 'endpoints_show',
  sharded: false,
  text: `
  update webhook_endpoints
  set version = greatest(version, 2)
  where id = $1 and key is not null and state <> 'removed'
  returning id`,
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

/**
 * Change what was asked for; null stays as it is. The URL of one that is called, to another. One
 * that is disabled already has missed what it missed since then, whoever disables it again.
 */
const CHANGE: Unsharded<Endpoint> = {
  name: 'endpoints_change',
  ...timedUnsharded`
  with ${CLOCK}, ${BEFORE}, changed as (
    update webhook_endpoints endpoint
    set
      types = coalesce($3::text[], endpoint.types),
      description = case when $4 then $5 else endpoint.description end,
      payload = coalesce($6, endpoint.payload),
      ordered = coalesce($7, endpoint.ordered),
      state = coalesce($8, endpoint.state),
      disabled_why = case nullif($8, before.state) when 'disabled' then $9 when 'enabled' then null
        else endpoint.disabled_why end,
      disabled_at = case nullif($8, before.state) when 'disabled' then clock.time
        when 'enabled' then null else endpoint.disabled_at end,
      tell_at = case when nullif($8, before.state) is null then endpoint.tell_at end,
      enabled_at = case nullif($8, before.state) when 'enabled' then clock.time
        else endpoint.enabled_at end,
      url = coalesce($10, endpoint.url),
      rate_per_second = case when $11 then $12::int else endpoint.rate_per_second end,
      version = endpoint.version + 1,
      changed_at = clock.time
    from clock, before
    where endpoint.id = before.id and ($10::text is null or endpoint.url is not null)
    returning endpoint.*
  ), kept as (${record('change', '$13, $14', 'before, changed', recorded('before'))}
  )
  select ${COLUMNS}
  from changed`,
}

/** Disable an endpoint that is enabled, at the URL that was called: of several, one does it. */
const DISABLE: Unsharded<Endpoint> = {
  name: 'endpoints_disable',
  ...timedUnsharded`
  with ${CLOCK}, ${BEFORE}, changed as (
    update webhook_endpoints endpoint
    set
      state = 'disabled', disabled_why = $3, disabled_at = clock.time,
      tell_at = clock.time + interval '1 minute',
      version = endpoint.version + 1, changed_at = clock.time
    from clock, before
    where endpoint.id = before.id and before.state = 'enabled' and before.url = $5
      and ($4::int is null or before.enabled_at <= clock.time - $4 * interval '1 millisecond')
    returning endpoint.*
  ), kept as (${record('disable', 'null, $3', 'before, changed', recorded('before'))}
  )
  select ${COLUMNS}
  from changed`,
}

/** Secrets that sign at the same time: the newest, and those before while their overlap lasts. */
const SECRETS_MAX = 10
/** Of those, how many come before the one before the newest. */
const OLDER_MAX = String(SECRETS_MAX - 2)

/**
 * Give an endpoint a new secret. The one before is good for `$4` milliseconds longer, and those
 * before that one for as long as was said of them; where `$4` is 0 the new one alone signs. Nothing
 * is changed where more than `SECRETS_MAX` would sign.
 */
const ROTATE: Unsharded<Endpoint> = {
  name: 'endpoints_rotate',
  ...timedUnsharded`
  with ${CLOCK}, ${BEFORE}, former as (
    select
      coalesce(array_agg(one.sealed order by one.number), '{}') as sealed,
      coalesce(array_agg(one.until order by one.number), '{}') as until,
      count(*) as count
    from clock, before
    cross join lateral unnest(
      array_prepend(before.secret_before, before.secrets_older),
      array_prepend(before.secret_before_until, before.secrets_older_until)
    ) with ordinality as one (sealed, until, number)
    where one.until > clock.time and $4::int > 0
  ), changed as (
    update webhook_endpoints endpoint
    set
      secret = $3,
      secret_before = case when $4::int > 0 then endpoint.secret end,
      secret_before_until =
        case when $4::int > 0 then clock.time + $4::int * interval '1 millisecond' end,
      secrets_older = former.sealed,
      secrets_older_until = former.until,
      rotated_at = clock.time,
      version = endpoint.version + 1,
      changed_at = clock.time
    from clock, before, former
    where endpoint.id = before.id and endpoint.url is not null
      and former.count <= ${OLDER_MAX}
    returning endpoint.*
  ), kept as (${record('rotate', '$5, $6', 'before, changed', recorded('before'))}
  )
  select ${COLUMNS}
  from changed`,
}

/** Remove an endpoint: what it wanted is no longer wanted by it. */
const REMOVE: Unsharded<Endpoint> = {
  name: 'endpoints_remove',
  ...timedUnsharded`
  with ${CLOCK}, ${BEFORE}, changed as (
    update webhook_endpoints endpoint
    set
      state = 'removed', version = endpoint.version + 1, changed_at = clock.time, url = null,
      secret = null, secret_before = null, secret_before_until = null, secrets_older = '{}',
      secrets_older_until = '{}'
    from clock, before
    where endpoint.id = before.id
    returning endpoint.*
  ), kept as (${record('remove', '$3, $4', 'before, changed', recorded('before'))}
  )
  select ${COLUMNS}
  from changed`,
}

/** How many endpoints there may be. */
export const ENDPOINTS_MAX = 100
/**
 * How many are shown and called: more, so that one that nobody took back, because whoever should
 * have has died, takes no place of another.
 */
export const ENDPOINTS_SEEN = 2 * ENDPOINTS_MAX

/** What an endpoint is made of. */
export interface NewEndpoint {
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly payload: Endpoint['payload']
  readonly ordered: boolean
  /** Null, or not there: as many as there are. */
  readonly ratePerSecond?: number | null
}

/** Who does something to an endpoint, for the record. */
export interface EndpointBy {
  readonly actor: string
  readonly requestId: string
}

/** The key under which an endpoint is made once, and what was asked for under it. */
export interface EndpointKey {
  readonly apiKey: string
  readonly key: string
  readonly sent: SentFields
}

/** `secret` is sealed; null where there is nobody to call. Null: the key has made one before. */
export async function insertEndpoint(
  db: Global,
  draft: NewEndpoint,
  { actor, requestId, under }: EndpointBy & { readonly under: EndpointKey | null },
  sealed: string | null,
): Promise<Endpoint | null> {
  const { url, types, description, payload, ordered, ratePerSecond = null } = draft
  const fields = [url, types, description, actor, payload, ordered, sealed, ratePerSecond]
  const key = [under?.apiKey ?? null, under?.key ?? null, under && writeJson(under.sent)]
  const [row] = await db.run(INSERT, [...fields, ...key, requestId])
  return row ?? null
}

/**
 * Let the key of an endpoint that was not made after all be used again. False: somebody else was
 * shown it, or has changed it.
 */
export async function forgetKey(db: Global, id: bigint): Promise<boolean> {
  return (await db.run(FORGET, [id])).length > 0
}

/** Have an endpoint stay that is shown under its key. False: it was taken back. */
export async function keepShown(db: Global, id: bigint): Promise<boolean> {
  return (await db.run(SHOW, [id])).length > 0
}

export async function readEndpoint(db: Global, id: bigint): Promise<Endpoint | null> {
  const [row] = await db.run(READ, [id])
  return row ?? null
}

export function listEndpoints(db: Global): Promise<Endpoint[]> {
  return db.run(LIST, [ENDPOINTS_SEEN])
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
  readonly url?: string
  readonly ratePerSecond?: number | null
}

/** What an operator disables says so. */
const BY_OPERATOR = 'operator'

/** Null: there is none, or it is not called and so has no URL to change. */
export async function changeEndpoint(
  db: Global,
  id: bigint,
  change: EndpointChange,
  { actor, requestId }: EndpointBy,
): Promise<Endpoint | null> {
  const { types = null, description = null, payload = null, ordered = null, state = null } = change
  const said = ['description' in change, description]
  const rate = ['ratePerSecond' in change, change.ratePerSecond ?? null]
  const values = [id, types, ...said, payload, ordered, state, BY_OPERATOR, change.url ?? null]
  const [row] = await db.run(CHANGE, [...values, ...rate, actor, requestId])
  return row ?? null
}

/** Disable an endpoint at this URL, if it has been enabled for `enabledMs`; null: any time. */
export async function disableEndpoint(
  db: Global,
  { id, url }: { readonly id: bigint; readonly url: string },
  why: string,
  enabledMs: number | null,
): Promise<Endpoint | null> {
  const [row] = await db.run(DISABLE, [id, why, enabledMs, url])
  return row ?? null
}

/** Give an endpoint a new, sealed secret; null: it is not called, or too many would sign. */
export async function rotateEndpoint(
  db: Global,
  id: bigint,
  { secret, overlapMs }: { readonly secret: string; readonly overlapMs: number },
  { actor, requestId }: EndpointBy,
): Promise<Endpoint | null> {
  const [row] = await db.run(ROTATE, [id, secret, overlapMs, actor, requestId])
  return row ?? null
}

export async function removeEndpoint(
  db: Global,
  id: bigint,
  { actor, requestId }: EndpointBy,
): Promise<Endpoint | null> {
  const [row] = await db.run(REMOVE, [id, actor, requestId])
  return row ?? null
}
