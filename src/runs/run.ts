import type { Refusal } from '../domain/refusal.ts'
import { untilDueAgain } from '../domain/beat.ts'
import type { Clock } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import { readEndpoint } from '../webhooks/store.ts'
import { endedWithEndpoint, replayStep, waitsForEndpoint } from './events.ts'
import { redriveStep } from './letters.ts'
import { readRun, runStarted } from './read-store.ts'
import {
  advanceRun,
  beginStep,
  cancelRun,
  putOff,
  startRun,
  type Run,
  type RunKey,
  type RunStep,
} from './store.ts'

/** A second's worth is one transaction in each shard, so this bounds a transaction too. */
export const RATE_MAX = 500
export const RATE_DEFAULT = 10

/** What a dry run showed is what is started, as long as people still remember it. */
const SNAPSHOT_MS_MAX = 15 * 60_000

/** How long a process may work on one step before another takes it over. */
const STEP_LEASE_MS = 30_000

/** How often it is looked whether an endpoint that is not called now is called again. */
const REST_MS = 5_000

/** From the begin of a step to that of the next one of its run, in milliseconds. */
const STEP_MS = 1_000

/** How often a process looks for runs that are due: a step is a second's worth. */
const LOOK_MS = 1_000
/** How often it looks while there was none for so long, in milliseconds. */
const CALM = { lookMs: 3_000, afterMs: 10_000 }

type RunAnswer =
  | { readonly kind: 'run'; readonly run: Run; readonly replayed: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** How a snapshot is to be started. */
interface StartRequest {
  readonly actor: string
  readonly reason: string
  readonly requestId: string
  readonly ratePerSecond: number
  /** Not there or null: the request has none. */
  readonly under?: RunKey | null
  /** The endpoint whose events are sent again; not there: letters are redriven. */
  readonly endpointId?: bigint
  /** The place of the request in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

/**
 * Start a snapshot. From then on any process carries it out, a second's worth at a time. The same
 * request under the same key is answered as the first one was, however far the run has come.
 */
export async function start(
  world: Pick<ActWorld, 'db'>,
  id: bigint,
  by: StartRequest,
): Promise<RunAnswer> {
  const { under: key = null } = by
  if (key === null) return startOnce(world, id, by)
  const find = () => startedBefore(world, id, by)
  const earlier = await find()
  if (earlier !== null) return earlier
  try {
    const answer = await startOnce(world, id, by)
    // The first request under the key may have come at the same time.
    return answer.kind === 'refused' ? ((await find()) ?? answer) : answer
  } catch (error) {
    const first = await find().catch(() => null)
    if (first !== null) return first
    throw error
  }
}

/**
 * What the same request under the same key was answered with before, whatever has become of the
 * endpoint since; null: there was none.
 */
export async function startedBefore(
  { db }: Pick<ActWorld, 'db'>,
  id: bigint,
  by: StartRequest,
): Promise<RunAnswer | null> {
  return by.under == null ? null : again(await runStarted(db.global, by.under), id, by)
}

async function startOnce(
  world: Pick<ActWorld, 'db'>,
  id: bigint,
  by: StartRequest,
): Promise<RunAnswer> {
  const { under: key = null, endpointId = null } = by
  const { global } = world.db
  if (endpointId !== null && (await readEndpoint(global, endpointId))?.state === 'disabled') {
    return { kind: 'refused', refusal: { code: 'endpoint_disabled' } }
  }
  const run = await startRun(global, id, { ...by, key, endpointId, ageMsMax: SNAPSHOT_MS_MAX })
  if (run !== null) return { kind: 'run', run, replayed: false }
  const now = await readRun(global, id, endpointId)
  if (now === null) return refuse(endpointId, 'not_found')
  return refuse(endpointId, now.state === 'planned' ? 'expired' : 'started')
}

/** What a request under the key of an earlier one is answered with; null: there is none. */
function again(run: Run | null, id: bigint, by: StartRequest): RunAnswer | null {
  if (run === null) return null
  const { reason, ratePerSecond, endpointId = null } = by
  if (run.endpointId !== endpointId) {
    // What it started is read elsewhere, so nothing is said of how its fields differ.
    const errors = [{ field: 'path', code: 'differs' }]
    return { kind: 'refused', refusal: { code: 'idempotency_key_reuse', errors } }
  }
  const asked = { rate_per_second: ratePerSecond, reason, snapshot: id }
  const first = { rate_per_second: run.ratePerSecond, reason: run.reason, snapshot: run.id }
  const names = Object.keys(asked) as (keyof typeof asked)[]
  const errors = names
    .filter((name) => asked[name] !== first[name])
    .map((name) => ({ field: name, code: 'differs' }))
  if (errors.length === 0) return { kind: 'run', run: asStarted(run), replayed: true }
  return { kind: 'refused', refusal: { code: 'idempotency_key_reuse', errors } }
}

/** A run as it was when it was started. */
function asStarted(run: Run): Run {
  const none = { position: 0, carriedOut: 0, skipped: 0, refused: 0, refusals: {} }
  const then = { ...run, ...none, canceledBy: null }
  return run.total === 0
    ? { ...then, state: 'done', endedAt: run.startedAt }
    : { ...then, state: 'running', endedAt: null }
}

/** Stop a run: what has not had its turn stays as it is. */
export async function cancel(
  { db }: Pick<ActWorld, 'db'>,
  id: bigint,
  actor: string,
  endpointId: bigint | null = null,
): Promise<RunAnswer> {
  const run = await cancelRun(db.global, id, actor, endpointId)
  if (run !== null) return { kind: 'run', run, replayed: false }
  const now = await readRun(db.global, id, endpointId)
  return refuse(endpointId, now === null ? 'not_found' : 'not_running')
}

/** A refusal in the words of what the run does. */
function refuse(
  endpointId: bigint | null,
  why: 'not_found' | 'expired' | 'started' | 'not_running',
): RunAnswer {
  const code = endpointId === null ? (`redrive_${why}` as const) : (`replay_${why}` as const)
  return { kind: 'refused', refusal: { code } }
}

/**
 * Do the next due step of run `id`, or of any run: a second's worth of letters or events, spread
 * over that second. Returns how many it did; null: no step is due. A step that is repeated after a
 * crash does nothing twice and counts the same. Letters that somebody else's lock keeps back have
 * their turn again after all others, and so have letters and events of a shard that fails: it is
 * told to `onError`. A replay waits while its endpoint is not called, so that what it sends does
 * not pile up and arrive all at once, and ends when its endpoint was removed.
 */
export async function step(
  world: ActWorld,
  id: bigint | null,
  onError?: (error: unknown) => void,
): Promise<number | null> {
  const begun = await beginStep(world.db.global, id, STEP_LEASE_MS)
  if (begun === null) return null
  const { endpointId, ids } = begun
  if (endpointId !== null && (await waitsForEndpoint(world.db, { endpointId, ids }))) {
    await advanceRun(world.db.global, restingFrom(begun), NOTHING)
    return 0
  }
  const { busy, ...counts } = await (endpointId === null
    ? redriveStep(world, begun, onError)
    : replayStep(world.db, { ...begun, endpointId }, onError))
  if (endpointId !== null && counts.carriedOut === 0 && counts.skipped > 0) {
    if (await endedWithEndpoint(world.db, { id: begun.id, endpointId })) return 0
  }
  if (busy.size > 0) await putOff(world.db.global, begun, counts, busy)
  else await advanceRun(world.db.global, begun, counts)
  return ids.length - busy.size
}

const NOTHING = { carriedOut: 0, skipped: 0, refused: 0, refusals: {} }

/** A step in which nothing has its turn, and after which the next one is due later. */
function restingFrom(begun: RunStep): RunStep {
  return { ...begun, ids: [], begunAt: new Date(begun.begunAt.getTime() + REST_MS - 1_000) }
}

/**
 * Carry out whatever runs are due, in this process as in any other: steps are taken under a lease,
 * so they are done by one of them, and a process that dies leaves its step to the others.
 */
export function startRunner(
  world: ActWorld & { readonly clock: Clock },
  onError?: (error: unknown) => void,
): Background {
  const { clock } = world
  let foundMs = clock.elapsedMs()
  let goesOn = false
  const turn = async (): Promise<boolean | number> => {
    const beganMs = clock.elapsedMs()
    if ((await step(world, null, onError)) !== null) {
      foundMs = beganMs
      goesOn = true
      return true
    }
    const sinceMs = clock.elapsedMs() - foundMs
    const dueMs = goesOn ? untilDueAgain(sinceMs, STEP_MS) : null
    return dueMs ?? (sinceMs >= CALM.afterMs ? CALM.lookMs : LOOK_MS)
  }
  return every(clock, LOOK_MS, turn, onError)
}
