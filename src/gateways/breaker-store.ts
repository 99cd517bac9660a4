import type { SharedState, Why } from '../domain/breaker.ts'
import type { Operation, Route } from '../domain/payment.ts'
import { columns } from '../domain/array-parameters.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** The shared breaker of one route, as it is stored. Ages in milliseconds; null: never. */
export interface SharedBreaker extends SharedState {
  readonly operation: Operation
  /** How long ago the outage began. */
  readonly outageMs: number | null
  readonly closedMs: number | null
  readonly answeredMs: number | null
  readonly workedMs: number | null
}

/**
 * Open the breaker for `$4 × 2^trips` milliseconds, at most `$5`. A trip while it is open already
 * changes nothing, so that many workers that see one outage double the pause once. An outage that
 * ended less than a minute ago goes on: one lucky call does not begin its age anew.
 */
const TRIP: Unsharded<{ trips: number }> = {
  name: 'breaker_trip',
  ...timedUnsharded`
  with ${CLOCK}
  insert into gateway_breakers as breaker
    (gateway, operation, trips, cause, reason, opened_at, open_until)
  select
    $2, $3, 1, $6, $7, time, time + least($4::float8, $5::float8) * interval '1 millisecond'
  from clock
  on conflict (gateway, operation) do update
  set
    trips = breaker.trips + 1,
    cause = excluded.cause,
    reason = excluded.reason,
    opened_at = case
      when breaker.trips > 0 or breaker.closed_at > excluded.opened_at - interval '1 minute'
      then breaker.opened_at
      else excluded.opened_at
    end,
    open_until = excluded.opened_at
      + least($4::float8 * 2 ^ least(breaker.trips, 20), $5::float8) * interval '1 millisecond',
    probe_until = null
  where breaker.trips = 0 or breaker.open_until <= excluded.opened_at
  returning trips`,
}

/** The breakers of gateways: a row for each operation that was ever worked on. */
const READ: Unsharded<SharedBreaker & Route> = {
  name: 'breaker_read',
  ...timedUnsharded`
  with ${CLOCK}
  select
    gateway, operation, trips, cause, reason,
    greatest(coalesce(extract(epoch from open_until - time), 0), 0)::float8 * 1000 as "openMs",
    (extract(epoch from time - opened_at) * 1000)::float8 as "outageMs",
    (extract(epoch from time - closed_at) * 1000)::float8 as "closedMs",
    (extract(epoch from time - answered_at) * 1000)::float8 as "answeredMs",
    (extract(epoch from time - worked_at) * 1000)::float8 as "workedMs"
  from clock
  join gateway_breakers on gateway = any ($2::text[])`,
}

/** Take the one probe of a breaker whose pause is over, for `$4` milliseconds. No row: not now. */
const PROBE: Unsharded<{ trips: number }> = {
  name: 'breaker_probe',
  ...timedUnsharded`
  with ${CLOCK}
  update gateway_breakers
  set probe_until = time + $4::float8 * interval '1 millisecond'
  from clock
  where gateway = $2 and operation = $3 and trips > 0 and open_until <= time
    and (probe_until is null or probe_until <= time)
  returning trips`,
}

/** Close it. No row: it was closed already. */
const CLOSE: Unsharded<{ operation: string }> = {
  name: 'breaker_close',
  ...timedUnsharded`
  update gateway_breakers
  set
    trips = 0, cause = null, reason = null, probe_until = null,
    closed_at = ${NOW}
  where gateway = $2 and operation = $3 and trips > 0
  returning operation`,
}

/** When an operation was last answered well, in milliseconds; null: never. */
interface Answered {
  readonly operation: Operation
  readonly answeredMs: number | null
}

const ANSWERED = columns<Answered>({ operation: 'word', answeredMs: 'float8' })

/**
 * Say that a worker lives, and how long ago the gateway last answered it well. In order, so that
 * workers that say so at once never wait in a circle.
 */
const BEAT: Unsharded<never> = {
  name: 'breaker_beat',
  ...timedUnsharded`
  with ${CLOCK}
  insert into gateway_breakers as breaker (gateway, operation, answered_at, worked_at)
  select $2, operation, time - answered_ms * interval '1 millisecond', time
  from clock, ${ANSWERED.unnest('input', 3)}
  order by operation
  on conflict (gateway, operation) do update
  set
    answered_at = greatest(breaker.answered_at, excluded.answered_at),
    worked_at = greatest(breaker.worked_at, excluded.worked_at)`,
}

/** Open the breaker; false if it was open already. */
export async function tripBreaker(
  db: Global,
  { gateway, operation }: Route,
  trip: Why & { readonly pauseMs: number; readonly pauseMsMax: number },
): Promise<boolean> {
  const { pauseMs, pauseMsMax, cause, reason } = trip
  const rows = await db.run(TRIP, [gateway, operation, pauseMs, pauseMsMax, cause, reason])
  return rows.length > 0
}

/** The shared breakers of a gateway. An operation without one was never worked on: it is closed. */
export async function readBreakers(
  db: Global,
  gateway: string,
): Promise<Map<Operation, SharedBreaker>> {
  const [breakers] = await readBreakersOf(db, [gateway])
  return breakers ?? new Map()
}

/** The same of several gateways, in their order. */
export async function readBreakersOf(
  db: Global,
  gateways: readonly string[],
): Promise<Map<Operation, SharedBreaker>[]> {
  const rows = await db.run(READ, [gateways])
  return gateways.map((name) => {
    const found = rows.filter(({ gateway }) => gateway === name)
    return new Map(found.map((row) => [row.operation, row]))
  })
}

/** Take the probe; true if this process has it now. */
export async function takeProbe(
  db: Global,
  { gateway, operation }: Route,
  leaseMs: number,
): Promise<boolean> {
  const rows = await db.run(PROBE, [gateway, operation, leaseMs])
  return rows.length > 0
}

/** The gateway works again; false if others knew. */
export async function closeBreaker(db: Global, { gateway, operation }: Route): Promise<boolean> {
  const rows = await db.run(CLOSE, [gateway, operation])
  return rows.length > 0
}

/**
 * Say that a worker of these routes lives, and how long ago each was answered well; null: never.
 */
export async function keepBreaker(
  db: Global,
  gateway: string,
  answered: readonly Answered[],
): Promise<void> {
  await db.run(BEAT, [gateway, ...ANSWERED.of(answered)])
}
