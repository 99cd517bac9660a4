import { columns } from '../domain/array-parameters.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'
import { ENDPOINTS_SEEN, type Endpoint } from './store.ts'

/** An endpoint as it is called. */
export interface CalledEndpoint {
  readonly id: bigint
  readonly url: string
  readonly version: number
  readonly payload: 'full' | 'thin'
  readonly ordered: boolean
  readonly sealed: readonly string[]
  /** Calls that its rate has left; null: it has none. */
  readonly left: number | null
}

/** How many calls an endpoint's rate has to pay for. */
interface Pace {
  readonly id: bigint
  readonly calls: number
}

/** The secrets of an endpoint before the one that it has, the newest first. */
const FORMER = `unnest(
        array_prepend(secret_before, secrets_older),
        array_prepend(secret_before_until, secrets_older_until)
      ) with ordinality as one (sealed, until, number)`

const SECOND = `interval '1 second'`

/**
 * Where deliveries go, the sealed secrets that sign them, the newest first, and how many calls the
 * rate has left: what a second brings at most, none while more than that was used.
 */
const CALLED: Unsharded<CalledEndpoint> = {
  name: 'endpoints_called',
  ...timedUnsharded`
  select
    id, url, version, payload, ordered,
    array_prepend(secret, array(
      select one.sealed
      from ${FORMER}
      where one.until > ${NOW}
      order by one.number
    )) as sealed,
    floor(
      extract(epoch from least(coalesce(${NOW} - paced_until, ${SECOND}), ${SECOND}))
        * rate_per_second
    )::int as left
  from webhook_endpoints
  where url is not null and state <> 'removed' and ($3::bigint is null or id = $3)
    and ($3 is not null or state = 'enabled')
  order by id
  limit $2`,
}

/** When the first of the former secrets signs no more; null: none does. */
const SIGNS_UNTIL: Unsharded<{ until: Date | null }> = {
  name: 'endpoints_signs_until',
  ...timedUnsharded`
  select min(one.until) as until
  from webhook_endpoints
  cross join lateral ${FORMER}
  where id = $2 and one.until > ${NOW}`,
}

/** An endpoint that was disabled by what its calls came to. */
export type DisabledEndpoint = Pick<Endpoint, 'id' | 'url' | 'disabledWhy' | 'disabledAt'>

/**
 * Disabled endpoints that nobody was told of in time. Whoever is given one tells of it, within a
 * minute: then others are given it.
 */
const UNTOLD: Unsharded<DisabledEndpoint> = {
  name: 'endpoints_untold',
  ...timedUnsharded`
  with ${CLOCK}
  update webhook_endpoints
  set tell_at = clock.time + interval '1 minute'
  from clock
  where state = 'disabled' and tell_at <= clock.time
  returning id, url, disabled_why as "disabledWhy", disabled_at as "disabledAt"`,
}

const TOLD: Unsharded<never> = {
  name: 'endpoints_told',
  sharded: false,
  text: `
  update webhook_endpoints
  set tell_at = null
  where id = $1 and state = 'disabled'`,
}

const PACES = columns<Pace>({ id: 'bigint', calls: 'int' })

/** Use up the rate of endpoints: what was called beyond it is waited for. */
const PACE: Unsharded<never> = {
  name: 'endpoints_pace',
  ...timedUnsharded`
  with ${CLOCK}
  update webhook_endpoints
  set
    paced_until = greatest(paced_until, clock.time - interval '1 second')
      + pace.calls * interval '1 second' / rate_per_second
  from clock, ${PACES.unnest('pace', 2)}
  where webhook_endpoints.id = pace.id and rate_per_second is not null`,
}

/** The endpoints that deliveries go to; or one, whether it is enabled or not. */
export function calledEndpoints(db: Global, id: bigint | null = null): Promise<CalledEndpoint[]> {
  return db.run(CALLED, [ENDPOINTS_SEEN, id])
}

/** When the first of an endpoint's former secrets signs no more; null: none does. */
export async function signsUntil(db: Global, id: bigint): Promise<Date | null> {
  const [row] = await db.run(SIGNS_UNTIL, [id])
  return row?.until ?? null
}

/** Use up the rates of endpoints that were called so often. */
export async function paceEndpoints(db: Global, paces: readonly Pace[]): Promise<void> {
  if (paces.length > 0) await db.run(PACE, PACES.of(paces))
}

/** Disabled endpoints that are to be told of now, because whoever should have told has not. */
export function untoldEndpoints(db: Global): Promise<DisabledEndpoint[]> {
  return db.run(UNTOLD, [])
}

/** It is written that an endpoint was disabled. */
export async function markTold(db: Global, id: bigint): Promise<void> {
  await db.run(TOLD, [id])
}
