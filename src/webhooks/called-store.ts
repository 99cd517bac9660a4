import { columns } from '../domain/columns.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'
import { ENDPOINTS_MAX } from './store.ts'

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

/**
 * Where deliveries go, the sealed secrets that sign them, the newest first, and how many calls the
 * rate has left: what a second brings at most, none while more than that was used.
 */
const CALLED: Unsharded<CalledEndpoint> = {
  name: 'endpoints_called',
  ...timedUnsharded`
  select
    id, url, version, payload, ordered,
    case when secret_before_until > ${NOW} then array[secret, secret_before] else array[secret] end
      as sealed,
    floor(
      extract(epoch from least(${NOW} - coalesce(paced_until, '-infinity'), interval '1 second'))
        * rate_per_second
    )::int as left
  from webhook_endpoints
  where url is not null and state <> 'removed' and ($3::bigint is null or id = $3)
    and ($3 is not null or state = 'enabled')
  order by id
  limit $2`,
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
  return db.run(CALLED, [ENDPOINTS_MAX, id])
}

/** Use up the rates of endpoints that were called so often. */
export async function paceEndpoints(db: Global, paces: readonly Pace[]): Promise<void> {
  if (paces.length > 0) await db.run(PACE, PACES.of(paces))
}
