import { columns, numbers } from '../domain/array-parameters.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** The ids of the payments that were accepted within a minute. */
export interface Minute {
  readonly minuteMs: number
  readonly idMin: bigint
  readonly idMax: bigint
}

const MINUTES = columns<Minute>({ minuteMs: 'bigint', idMin: 'bigint', idMax: 'bigint' })

/** Widen minutes by what one process accepted in them. */
const NOTE: Statement<never> = {
  name: 'payment_minutes_note',
  text: `
  insert into payment_minutes as known (shard, minute, id_min, id_max)
  select $1::int, to_timestamp(minute_ms / 1000), id_min, id_max
  from ${MINUTES.unnest('noted', 2)}
  order by minute_ms
  on conflict (shard, minute) do update
  set
    id_min = least(known.id_min, excluded.id_min),
    id_max = greatest(known.id_max, excluded.id_max)`,
}

/**
 * Widen this minute by payments that a transaction writes. For what is written now and then: what
 * every batch did would make them wait for each other.
 */
const NOTE_NOW: Statement<never> = {
  name: 'payment_minutes_note_now',
  ...timed`
  insert into payment_minutes as known (shard, minute, id_min, id_max)
  select $1::int, date_trunc('minute', ${NOW}, 'UTC'), min(id), max(id)
  from unnest($3::bigint[]) as written (id)
  having count(*) > 0
  on conflict (shard, minute) do update
  set
    id_min = least(known.id_min, excluded.id_min),
    id_max = greatest(known.id_max, excluded.id_max)`,
}

/** Between which ids the payments of a time are, both included. */
interface IdRange {
  readonly low: bigint
  readonly high: bigint
}

/**
 * The ids of the payments from a time to another. The neighbouring minutes count too, because ids
 * are given ahead of time and clocks disagree; and so does everything up to the minutes on both
 * sides that were noted, because what a killed process noted last is lost.
 */
const RANGE: Statement<IdRange> = {
  name: 'payment_minutes_range',
  text: `
  select
    least(
      (
        select min(id_min)
        from payment_minutes
        where shard = $1 and minute >= $2::timestamptz and minute <= $3::timestamptz
      ),
      coalesce(
        (
          select id_max
          from payment_minutes
          where shard = $1 and minute < $2
          order by minute desc
          limit 1
        ), 0
      )
    ) as low,
    greatest(
      (
        select max(id_max)
        from payment_minutes
        where shard = $1 and minute >= $2 and minute <= $3
      ),
      coalesce(
        (
          select id_min
          from payment_minutes
          where shard = $1 and minute > $3
          order by minute
          limit 1
        ), 9223372036854775807
      )
    ) as high`,
}

/** Widen minutes of a shard. */
export async function noteMinutes(shard: Runner, minutes: readonly Minute[]): Promise<void> {
  if (minutes.length > 0) await shard.run(NOTE, MINUTES.of(minutes))
}

/** Note payments that are not accepted in batches, in the transaction that writes them. */
export function noteNow(tx: Tx, ids: readonly bigint[]): void {
  if (ids.length > 0) tx.write(NOTE_NOW, [numbers(ids)])
}

const MINUTE_MS = 60_000

/** Between which ids the payments of a time are; null: no bound on that side. */
export async function idsOfTime(
  shard: Runner,
  from: Date | null,
  to: Date | null,
): Promise<IdRange> {
  const padded = (time: Date | null, byMs: number) =>
    time === null ? null : new Date(time.getTime() + byMs)
  const [range] = await shard.run(RANGE, [
    padded(from, -2 * MINUTE_MS) ?? '-infinity',
    padded(to, 2 * MINUTE_MS) ?? 'infinity',
  ])
  return range as IdRange // It has one row, always.
}
