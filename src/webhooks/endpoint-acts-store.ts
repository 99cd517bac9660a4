import { writeJson } from '../domain/exact-json.ts'
import type { SentFields } from '../domain/sent-fields.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** Sent to an endpoint again: one event, or many. */
type SentAgain = 'retry' | 'replay' | 'cancel_replay'

/** What was done to an endpoint; `actor` null: the service did it. */
export interface EndpointAct {
  readonly act: 'create' | 'change' | 'rotate' | 'disable' | 'remove' | SentAgain
  readonly actor: string | null
  readonly requestId: string | null
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>>
  readonly createdAt: Date
}

/** What the record has of an endpoint: never its secret. */
export const recorded = (of: string) => `jsonb_build_object(
      'url', ${of}.url, 'types', ${of}.types, 'description', ${of}.description,
      'state', ${of}.state, 'payload', ${of}.payload, 'ordered', ${of}.ordered,
      'rate_per_second', ${of}.rate_per_second
    )`

/** Keep who did what; `by` are the parameters of the actor and the request. */
export const record = (act: string, by: string, rows: string, before: string) => `
    insert into endpoint_acts
      (id, endpoint_id, act, actor, request_id, before, after, created_at)
    select
      nextval('endpoint_act_ids'), changed.id, '${act}', ${by}, ${before}, ${recorded('changed')},
      clock.time
    from clock, ${rows}`

/**
 * Keep who sends an event to an endpoint again, under a key if there is one. Nothing is kept where
 * the key has an act already, nor for an endpoint that is not called by now.
 */
const RETRY: Unsharded<{ id: bigint }> = {
  name: 'endpoints_retry',
  ...timedUnsharded`
  with ${CLOCK}
  insert into endpoint_acts
    (id, endpoint_id, act, actor, request_id, after, created_at, api_key, key, sent)
  select
    nextval('endpoint_act_ids'), endpoint.id, 'retry', $3, $4, $5::jsonb, clock.time, $6, $7,
    $8::jsonb
  from clock, webhook_endpoints endpoint
  where endpoint.id = $2 and endpoint.state = 'enabled'
  on conflict (api_key, key) where key is not null do nothing
  returning id`,
}

/** The act that was asked for under a key. */
const RETRIED: Unsharded<KeptRetry> = {
  name: 'endpoints_retried',
  sharded: false,
  text: `
  select id, sent
  from endpoint_acts
  where api_key = $1 and key = $2`,
}

/** The newest changes of an endpoint, newest first: what was sent to it again is none of them. */
const CHANGES: Unsharded<EndpointAct> = {
  name: 'endpoints_changes',
  sharded: false,
  text: `
  select act, actor, request_id as "requestId", before, after, created_at as "createdAt"
  from endpoint_acts
  where endpoint_id = $1 and act <> 'retry'
  order by id desc
  limit 100`,
}

/** What an endpoint wanted before and after a change of its types, and when it last changed so. */
interface TypesChange {
  /** Null: it was made. */
  readonly before: Readonly<string[]> | null
  readonly after: Readonly<string[]> | null
  readonly at: Date
}

/** The newest changes of the types of an endpoint since `$2`, newest first. */
const TYPES_CHANGED: Unsharded<TypesChange> = {
  name: 'endpoints_types_changed',
  sharded: false,
  text: `
  select before -> 'types' as before, after -> 'types' as after, created_at as at
  from endpoint_acts
  where endpoint_id = $1 and act <> 'retry' and created_at >= $2
    and before -> 'types' is distinct from after -> 'types'
  order by id desc
  limit $3`,
}

/** Changes of types that are read of an endpoint. */
const TYPES_CHANGED_MAX = 1_000

/** Since when there is a record of an endpoint. */
const RECORDED_SINCE: Unsharded<{ since: Date }> = {
  name: 'endpoints_recorded_since',
  sharded: false,
  text: `
  select created_at as since
  from endpoint_acts
  where endpoint_id = $1 and act <> 'retry'
  order by id
  limit 1`,
}

/**
 * When an endpoint was disabled that was enabled again at most `$3` milliseconds ago. Only changes
 * of the state count, however many others there are.
 */
const DISABLED_LATELY: Unsharded<{ at: Date }> = {
  name: 'endpoints_disabled_lately',
  ...timedUnsharded`
  with enabled as (
    select id
    from endpoint_acts
    where endpoint_id = $2 and act <> 'retry'
      and created_at >= ${NOW} - $3::int * interval '1 millisecond'
      and before ->> 'state' <> 'enabled' and after ->> 'state' = 'enabled'
    order by id desc
    limit 1
  )
  select created_at as at
  from endpoint_acts
  where endpoint_id = $2 and act <> 'retry' and id < (select id from enabled)
    and before ->> 'state' <> 'disabled' and after ->> 'state' = 'disabled'
  order by id desc
  limit 1`,
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

/** An act under a key, and what was asked for then. */
interface KeptRetry {
  readonly id: bigint
  readonly sent: SentFields
}

/** The key of a request, which belongs to the API key that it came with. */
export interface RetryKey {
  readonly apiKey: string
  readonly key: string
}

/** Who sends an event again, and why, if that was said. */
export interface RetryAct {
  readonly endpointId: bigint
  readonly actor: string
  readonly requestId: string
  readonly after: { readonly event_id: string; readonly reason?: string }
  readonly under: (RetryKey & { readonly sent: SentFields }) | null
}

/** Keep an act, and return its number; null: its key has one, or the endpoint is not called. */
export async function keepRetry(db: Global, act: RetryAct): Promise<bigint | null> {
  const { endpointId, actor, requestId, after, under } = act
  const key = [under?.apiKey ?? null, under?.key ?? null, under && writeJson(under.sent)]
  const [row] = await db.run(RETRY, [endpointId, actor, requestId, writeJson(after), ...key])
  return row?.id ?? null
}

/** The act that was asked for under a key; null: none was. */
export async function retryUnder(db: Global, { apiKey, key }: RetryKey): Promise<KeptRetry | null> {
  const [row] = await db.run(RETRIED, [apiKey, key])
  return row ?? null
}

/** The newest 100 things that were done to an endpoint, newest first. */
export function actsOfEndpoint(db: Global, id: bigint): Promise<EndpointAct[]> {
  return db.run(ACTS, [id])
}

/** The newest 100 changes of an endpoint, newest first; none: there never was one. */
export function changesOfEndpoint(db: Global, id: bigint): Promise<EndpointAct[]> {
  return db.run(CHANGES, [id])
}

/**
 * Changes of the types of an endpoint since `floor`, oldest first; `since`: where there are too
 * many, from when on they are known, and else `floor`.
 */
export async function typesChanged(db: Global, id: bigint, floor: Date) {
  const newest = await db.run(TYPES_CHANGED, [id, floor, TYPES_CHANGED_MAX])
  const since = newest.length < TYPES_CHANGED_MAX ? floor : (newest.at(-1)?.at ?? floor)
  return { changes: newest.toReversed(), since }
}

/** Since when there is a record of an endpoint; null: there is none. */
export async function recordedSince(db: Global, id: bigint): Promise<Date | null> {
  const [row] = await db.run(RECORDED_SINCE, [id])
  return row?.since ?? null
}

/** When an endpoint was disabled that was enabled within so many milliseconds; null: it was not. */
export async function disabledLately(db: Global, id: bigint, withinMs: number) {
  const [row] = await db.run(DISABLED_LATELY, [id, withinMs])
  return row?.at ?? null
}
