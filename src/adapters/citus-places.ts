import { Unavailable } from '../ports.ts'
import { citusStatement, type HeldPart } from './citus-tables.ts'
import type { Driver } from './shard-session.ts'

/** Where a shard is. */
export interface CitusPlace {
  /** Null: on the coordinator, or where only that can ask. */
  readonly node: { readonly host: string; readonly port: number } | null
  /** The part of Citus that it is in, as its node calls it; null: that cannot be asked itself. */
  readonly part: HeldPart | null
}

interface PlaceRow {
  readonly number: number
  readonly host: string
  readonly port: number
  readonly group: number
  readonly direct: boolean
  readonly bucket: string
  /** Pairs of a table and what it is called on the node. */
  readonly tables: string
}

/** The group of the coordinator. */
const HOME = 0

/**
 * Where each of our shards is. A node is asked itself if it knows where everything is, as each does
 * since Citus 11. Tables that are placed together have parts of the same bounds.
 */
const PLACES = `
  with asked as materialized (
    select number, get_shard_id_for_distribution_column('users', number) as shardid
    from generate_series(0, $1::int - 1) number
  ), parts as materialized (
    select
      colocationid, shardminvalue,
      string_agg(logicalrelid::regclass || '=' || shard_name(logicalrelid, shardid), ',') as tables
    from pg_dist_shard
    join pg_dist_partition using (logicalrelid)
    group by colocationid, shardminvalue
  )
  select
    number, nodename as host, nodeport as port, groupid as "group",
    groupid = ${HOME} or (hasmetadata and metadatasynced) as direct,
    shardid::text as bucket, tables
  from asked
  join pg_dist_shard using (shardid)
  join pg_dist_partition using (logicalrelid)
  join parts using (colocationid, shardminvalue)
  join pg_dist_placement using (shardid)
  join pg_dist_node using (groupid)
  where noderole = 'primary'
  order by number`

/** How old what is known of the places may be, in milliseconds. */
const PLACES_MS = 5_000

/** How long nobody looks again after a look, in milliseconds, whatever fails meanwhile. */
const LOOK_MS = 250

interface World {
  readonly coordinator: Pick<Driver, 'run'>
  readonly shards: number
  readonly elapsedMs: () => number
}

/** Tells of shards where they are. */
interface CitusPlaces {
  of(number: number): Promise<CitusPlace>
  /** Where all of them are; empty: nobody has asked yet. */
  readonly known: () => readonly CitusPlace[]
  /** Look anew. Throws what the coordinator says. */
  read(): Promise<void>
  /** A node did not do what it was asked for: its shards may be elsewhere by now. */
  doubt(): void
}

/**
 * Where Citus has our shards, as its coordinator told last. It is asked again every few seconds,
 * and once something failed; nobody waits for it but who asks first. What is known may be old, as
 * long as the coordinator is away or because a shard was moved a moment ago: every node can run
 * every statement, and passes it on to the one that holds the shard.
 */
export function citusPlaces({ coordinator, shards, elapsedMs }: World): CitusPlaces {
  let known: readonly CitusPlace[] = []
  const kept = new Map<string, CitusPlace>()
  let lookedMs = Number.NEGATIVE_INFINITY
  let dueMs = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | null = null

  const look = async (): Promise<void> => {
    lookedMs = elapsedMs()
    dueMs = lookedMs + PLACES_MS
    const rows = await coordinator.run(citusStatement<PlaceRow>('citus_places', PLACES), [shards])
    if (rows.length !== shards || rows.some(({ number }, index) => number !== index)) {
      throw new Unavailable('Citus does not tell of every shard where it is')
    }
    known = placesOf(rows, kept)
  }
  const read = (): Promise<void> => {
    looking ??= look().finally(() => (looking = null))
    return looking
  }
  return {
    known: () => known,
    read,
    async of(number) {
      if (known.length === 0) await read()
      // Nobody waits for it, and what fails is tried again.
      else if (elapsedMs() >= dueMs) read().catch(() => undefined)
      return known[number] ?? NOWHERE
    },
    doubt: () => void (dueMs = Math.min(dueMs, lookedMs + LOOK_MS)),
  }
}

const NOWHERE: CitusPlace = { node: null, part: null }

/**
 * One object for each part, however many of our shards are in it, and the same one as before where
 * nothing has changed: what is known of it is kept by it.
 */
function placesOf(rows: readonly PlaceRow[], before: Map<string, CitusPlace>): CitusPlace[] {
  const now = new Map<string, CitusPlace>()
  const places = rows.map((row) => {
    const { host, port, group, direct, bucket, tables } = row
    if (!direct) return NOWHERE
    const key = [host, port, group, bucket, tables].join(' ')
    const place = now.get(key) ?? before.get(key) ?? placeOf(row)
    now.set(key, place)
    return place
  })
  before.clear()
  for (const [key, place] of now) before.set(key, place)
  return places
}

function placeOf({ host, port, group, bucket, tables }: PlaceRow): CitusPlace {
  const names = tables.split(',').map((pair): [string, string] => {
    const [table = '', held = ''] = pair.split('=')
    return [table, held]
  })
  return {
    node: group === HOME ? null : { host, port },
    part: { bucket, group, tables: new Map(names) },
  }
}
