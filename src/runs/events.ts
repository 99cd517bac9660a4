import { wantedTypes } from '../domain/event.ts'
import { eachPart, eachShard, onceStored, partly, shardWith } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import {
  changesOfEndpoint,
  disabledLately,
  recordedSince,
  typesChanged,
} from '../webhooks/endpoint-acts-store.ts'
import { replayDeliveries } from '../webhooks/sent-again-store.ts'
import { replayStates, type ReplayFilter } from '../webhooks/replayed-store.ts'
import type { FoundEvents } from '../webhooks/replay-plan-bodies.ts'
import { readEndpoint, type Endpoint } from '../webhooks/store.ts'
import { readPauses } from '../webhooks/subscriptions-store.ts'
import { findMatching, type Bounds } from './matching.ts'
import { readRun, runsOfEndpoint, waitingInRuns } from './read-store.ts'
import { cancelRun, planRun, type Run, type RunStep, type StepCounts } from './store.ts'

/** How many events a second are sent again, if nothing else is said. */
export const REPLAY_RATE_DEFAULT = 100

/** What is asked for; `types` null: all that the endpoint is told of. */
export interface ReplayRequest extends Omit<ReplayFilter, 'types'> {
  readonly types: readonly string[] | null
}

/**
 * Find the events that match and store exactly which they are: nothing else changes. Only types
 * that the endpoint wants are sent to it, whatever is asked for. What another replay is still to
 * send is not undelivered.
 */
export async function planReplay(
  db: Db,
  endpoint: Endpoint,
  { bounds, ...asked }: ReplayRequest & { readonly bounds?: Bounds },
  actor: string,
): Promise<FoundEvents> {
  const wanted = wantedTypes(endpoint.types)
  const types = wantedTypes(asked.types ?? wanted).filter((type) => wanted.includes(type))
  // Read first: what is sent meanwhile is on its way by then.
  const waiting = asked.undelivered ? await waitingInRuns(db.global, endpoint.id) : NONE
  const filter = { ...asked, types }
  const found = await findMatching(db, endpoint.id, filter, { ...bounds, waiting })
  const { events, matching, until, missing } = found
  const ids = events.map(({ id }) => id)
  const none = { amount: 0n, others: null }
  const stored = { ...none, filter: shown(asked), ids, actor, endpointId: endpoint.id }
  const run = await planRun(db.global, stored)
  return {
    snapshot: run.id,
    count: run.total,
    matching,
    byType: counts(events),
    oldestAt: events[0]?.createdAt ?? null,
    newestAt: events.at(-1)?.createdAt ?? null,
    until,
    missing,
  }
}

const NONE: ReadonlySet<bigint> = new Set()

function counts(events: readonly { readonly type: string }[]): FoundEvents['byType'] {
  const found = new Map<string, number>()
  for (const { type } of events) found.set(type, (found.get(type) ?? 0) + 1)
  return [...found].map(([type, count]) => ({ type, count }))
}

/** A filter in the words of the API, without what it does not filter by. */
function shown({ types, undelivered, createdAfter, createdBefore }: ReplayRequest): Run['filter'] {
  return {
    ...(types === null ? {} : { types: types.join() }),
    ...(undelivered ? { only: 'undelivered' } : {}),
    ...(createdAfter === null ? {} : { created_after: createdAfter.toISOString() }),
    ...(createdBefore === null ? {} : { created_before: createdBefore.toISOString() }),
  }
}

/**
 * How long before it was disabled an endpoint may have begun to miss events, in milliseconds: a
 * delivery is given up after four days, or later where no worker ran meanwhile.
 */
const MISSED_MS = 14 * 86_400_000

/** For how long whoever asks again to enable an endpoint is told once more what it missed. */
const OFFERED_MS = 86_400_000

/**
 * What an endpoint has missed that somebody asked to enable; null: it was not disabled. Whoever
 * lost the answer asks again, and is told it again for a day.
 */
export async function missedUntilEnabled(
  db: Db,
  before: Endpoint,
  endpoint: Endpoint,
  actor: string,
): Promise<FoundEvents | null> {
  if (endpoint.state !== 'enabled' || endpoint.url === null) return null
  const disabledAt =
    before.state === 'disabled'
      ? before.disabledAt
      : await disabledLately(db.global, endpoint.id, OFFERED_MS)
  return disabledAt === null ? null : planMissed(db, { ...endpoint, disabledAt }, actor)
}

/**
 * A dry run of what an endpoint has missed: what never arrived of the two weeks before it was
 * disabled, and everything since. That is what failed, what happened while it was disabled before
 * that, and what had no place in the list yet when it was disabled. Nothing from before the
 * endpoint was made, or before it wanted the type.
 */
export async function planMissed(db: Db, before: Endpoint, actor: string): Promise<FoundEvents> {
  const disabledAt = (before.disabledAt ?? before.createdAt).getTime()
  const createdAfter = new Date(disabledAt - MISSED_MS)
  const unsentSince = await wantedSince(db, before, createdAfter)
  const asked = { types: null, undelivered: true, unsentSince, createdBefore: null }
  return planReplay(db, before, { ...asked, createdAfter }, actor)
}

/**
 * Since when an endpoint has wanted each of its types; not before `floor`, nor before what the
 * record still has.
 */
async function wantedSince(
  db: Db,
  { id, types, createdAt }: Endpoint,
  floor: Date,
): Promise<ReadonlyMap<string, Date>> {
  const known = (await recordedSince(db.global, id)) ?? createdAt
  const read = await typesChanged(db.global, id, known > floor ? known : floor)
  const since = new Map<string, Date>(wantedTypes(types).map((type) => [type, read.since]))
  // Oldest first: the last time that a type was added counts.
  for (const { before, after, at } of read.changes) {
    const had = before === null ? null : typesIn(before)
    for (const type of typesIn(after)) if (had?.includes(type) === false) since.set(type, at)
  }
  return since
}

/** The types that an endpoint wanted, as the record has them. */
function typesIn(recorded: unknown): readonly string[] {
  return Array.isArray(recorded) ? wantedTypes(recorded.map(String)) : []
}

/**
 * Put the events of a step on their way to their endpoint again, spread over a second. `busy` are
 * those of shards that failed: the others are sent all the same.
 */
export async function replayStep(
  db: Db,
  { id, endpointId, ids, ratePerSecond }: RunStep & { readonly endpointId: bigint },
  onError: (error: unknown) => void = () => undefined,
): Promise<StepCounts & { readonly busy: ReadonlySet<string> }> {
  const events = ids.map((eventId, index) => ({
    eventId: BigInt(eventId),
    delayMs: Math.floor((index * 1_000) / ratePerSecond),
  }))
  const places = await db.find('event', ids.map(BigInt))
  const { done, failed } = await eachPart(
    places,
    events,
    ({ eventId }) => eventId,
    (shard, part) => replayDeliveries(shard, endpointId, id, part),
  )
  for (const { error } of failed) onError(error)
  const ill = new Set(failed.map(({ shard }) => shard))
  const busy = new Set(ids.filter((eventId) => ill.has(places.of(BigInt(eventId)))))
  const carriedOut = done.reduce((sum, { value }) => sum + value, 0)
  const skipped = events.length - busy.size - carriedOut
  return { carriedOut, skipped, refused: 0, refusals: {}, busy }
}

/**
 * Whether what a step sends would wait: its endpoint is disabled, or asked not to be called for a
 * while, which every shard knows. One that is gone waits for nothing.
 */
export async function waitsForEndpoint(
  db: Db,
  { endpointId, ids }: Pick<RunStep, 'ids'> & { readonly endpointId: bigint },
): Promise<boolean> {
  const endpoint = await readEndpoint(db.global, endpointId)
  const [first] = ids
  if (endpoint === null || first === undefined) return false
  if (endpoint.state === 'disabled') return true
  const shard = await shardWith(db, 'event', BigInt(first))
  // A shard that is ill has its turn again, and sends nothing.
  const pauses = await readPauses(shard).catch(() => [])
  return pauses.some((pause) => pause.endpointId === endpointId)
}

/** A replay, and what has become of the events that it sent. */
export interface Replay {
  readonly run: Run
  readonly delivered: number
  readonly failed: number
  /** On their way, or waiting for it. */
  readonly pending: number
  /** Sent, and none of these any more; null: not known, as shards are missing. */
  readonly other: number | null
  /** Shards that could not be asked: what they sent is in none of these. */
  readonly missing: readonly number[]
}

/** A replay with what its deliveries have come to; null: the endpoint has none of this id. */
export async function readReplay(db: Db, endpointId: bigint, id: bigint): Promise<Replay | null> {
  const run = await readRun(db.global, id, endpointId)
  return run === null ? null : replayOf(db, run)
}

/**
 * The newest replays of an endpoint that were started, newest first, also of one that was removed;
 * null: there never was one of this id.
 */
export async function replaysOf(db: Db, endpointId: bigint): Promise<Replay[] | null> {
  // Every endpoint was made.
  if ((await changesOfEndpoint(db.global, endpointId)).length === 0) return null
  const found: Replay[] = []
  for (const run of await runsOfEndpoint(db.global, endpointId)) found.push(await replayOf(db, run))
  return found
}

/** A run of events with what its deliveries have come to. */
export async function replayOf(db: Db, run: Run): Promise<Replay> {
  const asked = await eachShard(db.shards, (shard) => replayStates(shard, run.id))
  const { known, missing } = partly(asked)
  const states = known.flat()
  const inState = (wanted: string) =>
    states.reduce((sum, { state, count }) => sum + (state === wanted ? count : 0), 0)
  const [delivered, failed, waiting] = [inState('delivered'), inState('failed'), inState('pending')]
  // What waits for an endpoint that was removed is on its way no more.
  const pending = waiting === 0 || (await isThere(db, run.endpointId)) ? waiting : 0
  // A step is counted after it was sent.
  const rest = Math.max(0, run.carriedOut - delivered - failed - pending)
  return { run, delivered, failed, pending, other: missing.length > 0 ? null : rest, missing }
}

/** The same of a run that was started or canceled just now. */
export function changedReplay(db: Db, run: Run): Promise<Replay> {
  return onceStored(() => replayOf(db, run))
}

async function isThere({ global }: Db, endpointId: bigint | null): Promise<boolean> {
  return endpointId !== null && (await readEndpoint(global, endpointId)) !== null
}

/**
 * End a replay whose endpoint was removed: the service does it, and nothing more is sent. False:
 * the endpoint is there.
 */
export async function endedWithEndpoint(
  db: Db,
  { id, endpointId }: { readonly id: bigint; readonly endpointId: bigint },
): Promise<boolean> {
  if (await isThere(db, endpointId)) return false
  await cancelRun(db.global, id, null, endpointId)
  return true
}
