import { Unavailable, type Unsharded } from '../ports.ts'
import type { Driver } from './shard-session.ts'

/** Where a shard is; null: on the coordinator, or where only that can ask. */
export type CitusPlace = { readonly host: string; readonly port: number } | null

interface PlaceRow {
  readonly number: number
  readonly host: string
  readonly port: number
  readonly direct: boolean
}

/**
 * Where each of our shards is. A node is asked itself if it knows where everything is, as each does
 * since Citus 11.
 */
const PLACES = `
  select
    number, nodename as host, nodeport as port,
    groupid <> 0 and hasmetadata and metadatasynced as direct
  from generate_series(0, $1::int - 1) number
  join pg_dist_placement on
    shardid = get_shard_id_for_distribution_column('users', number)
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
  let lookedMs = Number.NEGATIVE_INFINITY
  let dueMs = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | null = null

  const look = async (): Promise<void> => {
    lookedMs = elapsedMs()
    dueMs = lookedMs + PLACES_MS
    const rows = await coordinator.run(statementOf<PlaceRow>('citus_places', PLACES), [shards])
    if (rows.length !== shards || rows.some(({ number }, index) => number !== index)) {
      throw new Unavailable('Citus does not tell of every shard where it is')
    }
    known = rows.map(({ host, port, direct }) => (direct ? { host, port } : null))
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
      return known[number] ?? null
    },
    doubt: () => void (dueMs = Math.min(dueMs, lookedMs + LOOK_MS)),
  }
}

/** Not among the statements of the service, each of which PostgreSQL can prepare without Citus. */
function statementOf<Row>(name: string, text: string): Unsharded<Row> {
  return { name, sharded: false, text }
}
