import { eachShard, partly } from '../each-shard.ts'
import { Overloaded, type Db, type Shard } from '../ports.ts'
import {
  createdFirst,
  matchingEvents,
  eventRange,
  type MatchingEvent,
  type ReplayFilter,
} from '../webhooks/replayed-store.ts'

/** The most events of one run: a day of a busy endpoint, and a list that one row can hold. */
const EVENTS_MAX = 100_000

/** Looks that one dry run takes in all shards, of up to 10,000 events each: seconds of reading. */
const LOOKS_MAX = 400

/** What can be sent again. */
interface Matching {
  /** About in the order of time; those of one shard are in order. */
  readonly events: readonly Found[]
  /** How many match, as far as it was looked: more than there are events where that is too many. */
  readonly matching: number
  /** From when on it has to be looked again for the rest; null: there is none. */
  readonly until: Date | null
}

type Found = Pick<MatchingEvent, 'id' | 'type' | 'createdAt'>

/** A shard that is read a look ahead of what was taken of it. */
interface Reader {
  readonly shard: Shard
  readonly end: bigint
  /** What matches and was not taken yet, from `taken` on. */
  ahead: MatchingEvent[]
  taken: number
  /** How far it was looked; null: to the end. */
  upTo: bigint | null
  /** When that was created which is not looked at any more; null: nothing yet. */
  stoppedAt: Date | null
}

/** Bounds that tests make smaller. */
export interface Bounds {
  readonly events: number
  readonly looks: number
}

/** How it is looked; `waiting` are events that are left out, whatever matches. */
interface Terms extends Partial<Bounds> {
  readonly waiting?: ReadonlySet<bigint>
}

const NONE: ReadonlySet<bigint> = new Set()

/**
 * The oldest events of all shards that match, as many as fit into one run. Each shard is read a
 * look ahead, so that what is held is bounded, however much matches. Shards that cannot be read are
 * left out from then on, and named; throws where none is left.
 */
export async function findMatching(
  db: Db,
  endpointId: bigint,
  filter: ReplayFilter,
  { events: eventsMax = EVENTS_MAX, looks: looksMax = LOOKS_MAX, waiting = NONE }: Terms = {},
): Promise<Matching & { readonly missing: readonly number[] }> {
  const placed = await eachShard(db.shards, async (shard): Promise<Reader> => {
    const { after, end } = await eventRange(shard, filter)
    return { shard, end, ahead: [], taken: 0, upTo: after, stoppedAt: null }
  })
  const opened = partly(placed)
  let readers = [...opened.known]
  const missing = new Set(opened.missing)
  const events: Found[] = []
  let looks = 0
  while (events.length < eventsMax) {
    const empty = readers.filter(isEmpty)
    if (empty.length > 0 && looks >= looksMax) {
      readers = await withoutIll(readers, empty, stop, missing)
      continue
    }
    if (empty.length > 0) {
      looks += empty.length
      const look = (reader: Reader) => lookOn(reader, endpointId, filter, waiting)
      readers = await withoutIll(readers, empty, look, missing)
      continue
    }
    const next = oldest(readers)
    if (next === null) break
    events.push(next)
  }
  const left = await withoutIll(readers, readers, stop, missing)
  const rest = left.reduce((sum, one) => sum + one.ahead.length - one.taken, 0)
  return {
    events,
    matching: events.length + rest,
    until: restFrom(left),
    missing: [...missing].toSorted((one, other) => one - other),
  }
}

/**
 * Do something with some of the readers. Returns all but those whose shards failed in it, which are
 * missing from now on. Throws why, if no reader is left, or where it is not the shard's doing.
 */
async function withoutIll(
  readers: readonly Reader[],
  some: readonly Reader[],
  work: (reader: Reader) => Promise<void>,
  missing: Set<number>,
): Promise<Reader[]> {
  const byShard = new Map(some.map((reader) => [reader.shard, reader]))
  const { failed } = await eachShard([...byShard.keys()], async (shard) => {
    const reader = byShard.get(shard)
    if (reader !== undefined) await work(reader)
  })
  for (const { shard } of failed) missing.add(shard.number)
  const left = readers.filter(({ shard }) => !missing.has(shard.number))
  for (const { error } of failed) {
    if (left.length === 0 || error instanceof Overloaded) throw error
  }
  return left
}

/** Whether it has to be looked on before it is known which event is the oldest. */
function isEmpty({ ahead, taken, upTo, stoppedAt }: Reader): boolean {
  return taken === ahead.length && upTo !== null && stoppedAt === null
}

/** Look no further in a shard: nothing is taken that is newer than what is left there. */
async function stop(reader: Reader): Promise<void> {
  const { shard, end, upTo } = reader
  reader.stoppedAt = upTo === null ? null : await createdFirst(shard, { after: upTo, end })
  if (reader.stoppedAt === null) reader.upTo = null
}

async function lookOn(
  reader: Reader,
  endpointId: bigint,
  filter: ReplayFilter,
  waiting: ReadonlySet<bigint>,
): Promise<void> {
  const { shard, end, upTo: after } = reader
  if (after === null) return
  const { events, upTo } = await matchingEvents(shard, endpointId, filter, { after, end })
  const ahead = events.filter(({ id }) => !waiting.has(id))
  Object.assign(reader, { ahead, taken: 0, upTo })
}

/** Take the oldest event; null: there is none any more, or it is not known which it is. */
function oldest(readers: readonly Reader[]): Found | null {
  let first: { readonly reader: Reader; readonly event: MatchingEvent } | null = null
  for (const reader of readers) {
    const event = reader.ahead[reader.taken]
    if (event !== undefined && (first === null || event.createdAt < first.event.createdAt)) {
      first = { reader, event }
    }
  }
  if (first === null) return null
  const { id, type, createdAt } = first.event
  if (readers.some(({ stoppedAt }) => stoppedAt !== null && stoppedAt < createdAt)) return null
  first.reader.taken += 1
  return { id, type, createdAt }
}

/** The oldest time of what was not taken, or not looked at; the readers were stopped. */
function restFrom(readers: readonly Reader[]): Date | null {
  const times: Date[] = []
  for (const { ahead, taken, stoppedAt } of readers) {
    for (const { createdAt } of ahead.slice(taken)) times.push(createdAt)
    if (stoppedAt !== null) times.push(stoppedAt)
  }
  return times.reduce<Date | null>((first, at) => (first === null || at < first ? at : first), null)
}
