import type { Runner, Statement } from '../ports.ts'

/** The shared breaker of one gateway. Times in milliseconds from the database's now; 0: over. */
export interface SharedBreaker {
  readonly trips: number
  readonly openMs: number
}

/**
 * Open the breaker for `$2 × 2^trips` milliseconds, at most `$3`. A trip while it is open already
 * changes nothing, so that many workers that see one outage double the pause once.
 */
const TRIP: Statement<SharedBreaker> = {
  name: 'breaker_trip',
  text: `
  insert into gateway_breakers as breaker (gateway, operation, trips, open_until)
  values ($1, 'charge', 1, clock_timestamp() + least($2::float8, $3::float8) * interval '1 millisecond')
  on conflict (gateway, operation) do update
  set
    trips = breaker.trips + 1,
    open_until = clock_timestamp()
      + least($2::float8 * 2 ^ least(breaker.trips, 20), $3::float8) * interval '1 millisecond',
    probe_until = null
  where breaker.trips = 0 or breaker.open_until <= clock_timestamp()
  returning trips, extract(epoch from open_until - clock_timestamp())::float8 * 1000 as "openMs"`,
}

const READ: Statement<SharedBreaker> = {
  name: 'breaker_read',
  text: `
  select
    trips,
    greatest(extract(epoch from open_until - clock_timestamp()), 0)::float8 * 1000 as "openMs"
  from gateway_breakers
  where gateway = $1`,
}

/** Take the one probe of a breaker whose pause is over, for `$2` milliseconds. No row: not now. */
const PROBE: Statement<{ trips: number }> = {
  name: 'breaker_probe',
  text: `
  update gateway_breakers
  set probe_until = clock_timestamp() + $2::float8 * interval '1 millisecond'
  where gateway = $1 and trips > 0 and open_until <= clock_timestamp()
    and (probe_until is null or probe_until <= clock_timestamp())
  returning trips`,
}

const CLOSE: Statement<never> = {
  name: 'breaker_close',
  text: `
  update gateway_breakers
  set trips = 0, probe_until = null
  where gateway = $1`,
}

/** Open the breaker, unless it is open already. */
export async function tripBreaker(
  db: Runner,
  gateway: string,
  pauseMs: number,
  pauseMsMax: number,
): Promise<void> {
  await db.run(TRIP, [gateway, pauseMs, pauseMsMax])
}

/** The shared breaker; a gateway that never tripped has none, which is a closed one. */
export async function readBreaker(db: Runner, gateway: string): Promise<SharedBreaker> {
  const [row] = await db.run(READ, [gateway])
  return row ?? { trips: 0, openMs: 0 }
}

/** Take the probe; true if this process has it now. */
export async function takeProbe(db: Runner, gateway: string, leaseMs: number): Promise<boolean> {
  const rows = await db.run(PROBE, [gateway, leaseMs])
  return rows.length > 0
}

/** The gateway works again. */
export async function closeBreaker(db: Runner, gateway: string): Promise<void> {
  await db.run(CLOSE, [gateway])
}
