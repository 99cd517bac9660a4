import { batcher, type Later } from './batcher.ts'
import { Busy, CommitUnknown, Unavailable, type Clock } from '../ports.ts'

interface SettlerOptions<Done> {
  /**
   * Write results, and return those that were left out because somebody else has locked what they
   * need: at once, or after a moment if it is `patient`. Safe to repeat.
   */
  readonly settle: (done: readonly Done[], patient: boolean) => Promise<readonly Done[]>
  readonly clock: Clock
  /** Results per settlement. */
  readonly batchMax: number
  /** What a result that waits for a lock is known by; see `waitsFor`. */
  readonly keyOf: (done: Done) => unknown
  /** Whose result it is, where several loops share a settler. */
  readonly partOf?: (done: Done) => unknown
  /** How long a result that fails by itself is tried again, in milliseconds. */
  readonly faultyMsMax: number
  /**
   * Told when the database goes away, when the first result has to wait for a lock, and of faults.
   */
  readonly onError: (error: unknown) => void
  /** The last word about results that nobody will write any more, and why. */
  readonly onGivenUp: (done: readonly Done[], error: unknown) => void
}

/** Writes results, whatever stands in the way, and keeps them until they are written. */
export interface Settler<Done> {
  /** Resolves when the result is written or given up. Never rejects. */
  submit(done: Done): Promise<void>
  /** Whether the database is away: what is begun now may have to be kept for long. */
  away(): boolean
  /** Results that wait by themselves, for somebody else's lock: those of one part, or all. */
  aside(part?: unknown): number
  /** Whether a result with this key waits for somebody else's lock. */
  waitsFor(key: unknown): boolean
  /**
   * From now on no result is kept for longer than `ms`; after that it is tried once and given up.
   */
  hurry(ms: number): void
  /** Resolves when nothing waits and nothing is being written. */
  idle(): Promise<void>
}

/** Pause between two attempts, in milliseconds. */
const RETRY_MS = 200

/** What was not written, and why. */
type Left<Done> = ReadonlyMap<Done, unknown>

/**
 * Make a settler. Results are written in batches, in order. While the database is away a batch
 * stays and is tried again, for as long as that takes: a gateway's word that nobody writes down is
 * lost. A batch that fails for another reason is halved until what is wrong stands alone, so one
 * bad result never takes its neighbours along; that one, and those that somebody else's lock keeps
 * back, are tried again by themselves.
 */
export function openSettler<Done>(options: SettlerOptions<Done>): Settler<Done> {
  const { clock } = options
  const state = { away: false, untilMs: Number.POSITIVE_INFINITY }
  const over = () => clock.elapsedMs() >= state.untilMs
  const attempt = attempts(options, state, true)
  const aside = openAside(options, attempts(options, state, false), over)

  const write = async (done: readonly Done[]): Promise<Later<undefined>[]> => {
    const waiting = new Map<Done, Promise<undefined>>()
    let open = done
    for (;;) {
      const left = await attempt(open)
      const kept: Done[] = []
      for (const [item, why] of left) {
        if (isAway(why)) kept.push(item)
        else waiting.set(item, aside.add(item, why))
      }
      open = kept
      if (open.length === 0) break
      if (over()) {
        options.onGivenUp(open, left.get(open[0] as Done))
        break
      }
      await clock.sleep(RETRY_MS)
    }
    return done.map((item) => waiting.get(item))
  }

  const batches = batcher<Done, undefined>(write, {
    sizeMax: options.batchMax,
    waitingMax: Number.MAX_SAFE_INTEGER,
  })
  return {
    submit: (done) => batches.submit(done),
    away: () => state.away,
    aside: (...part) => (part.length === 0 ? aside.size() : aside.sizeOf(part[0])),
    waitsFor: aside.has,
    async idle() {
      await batches.idle()
      await aside.idle()
    },
    hurry: (ms) => (state.untilMs = Math.min(state.untilMs, clock.elapsedMs() + ms)),
  }
}

/** Whether nothing is wrong with a settlement but the way to the database. */
function isAway(error: unknown): boolean {
  return error instanceof Unavailable || error instanceof CommitUnknown
}

/** Whether it is nothing about the result itself. */
function isPassing(error: unknown): boolean {
  return isAway(error) || error instanceof Busy
}

/** Make one attempt to write results: what is left is told with the reason. */
function attempts<Done>(
  options: SettlerOptions<Done>,
  state: { away: boolean },
  patient: boolean,
): (done: readonly Done[]) => Promise<Left<Done>> {
  const attempt = async (done: readonly Done[]): Promise<Left<Done>> => {
    try {
      const busy = await options.settle(done, patient)
      state.away = false
      return new Map(busy.map((item) => [item, new Busy('locked')]))
    } catch (error) {
      if (isAway(error)) {
        if (!state.away) options.onError(error)
        state.away = true
      }
      if (isAway(error) || done.length === 1) return new Map(done.map((item) => [item, error]))
      const middle = Math.ceil(done.length / 2)
      const first = await attempt(done.slice(0, middle))
      return new Map([...first, ...(await attempt(done.slice(middle)))])
    }
  }
  return attempt
}

/** A result that waits by itself. */
interface Waiting<Done> {
  readonly item: Done
  readonly resolve: () => void
  /** Until when a fault of its own is tried again; null: it has none. */
  faultyUntilMs: number | null
}

/** How many there are of each key. */
function tallied() {
  const counts = new Map<unknown, number>()
  return {
    has: (key: unknown) => counts.has(key),
    of: (key: unknown) => counts.get(key) ?? 0,
    count(key: unknown, by: 1 | -1): void {
      const now = (counts.get(key) ?? 0) + by
      if (now > 0) counts.set(key, now)
      else counts.delete(key)
    },
  }
}

/** Results that wait by themselves are tried again together, beside those that come after them. */
function openAside<Done>(
  options: SettlerOptions<Done>,
  attempt: (done: readonly Done[]) => Promise<Left<Done>>,
  over: () => boolean,
) {
  const { clock, batchMax, keyOf, partOf = () => undefined } = options
  const entries = new Set<Waiting<Done>>()
  const keys = tallied()
  const parts = tallied()
  let running: Promise<void> | null = null

  const finish = (entry: Waiting<Done>): void => {
    entries.delete(entry)
    keys.count(keyOf(entry.item), -1)
    parts.count(partOf(entry.item), -1)
    entry.resolve()
  }

  /** Whether it is kept for another attempt. */
  const stays = (entry: Waiting<Done>, why: unknown): boolean => {
    if (over()) return false
    if (isPassing(why)) return true
    entry.faultyUntilMs ??= clock.elapsedMs() + options.faultyMsMax
    return clock.elapsedMs() < entry.faultyUntilMs
  }

  const turn = async (): Promise<void> => {
    const batch = [...entries].slice(0, batchMax)
    const left = await attempt(batch.map(({ item }) => item))
    const late: Done[] = []
    for (const entry of batch) {
      const why = left.get(entry.item)
      if (why !== undefined && stays(entry, why)) {
        // Others have their turn before it.
        entries.delete(entry)
        entries.add(entry)
        continue
      }
      if (isPassing(why)) late.push(entry.item)
      else if (why !== undefined) options.onGivenUp([entry.item], why)
      finish(entry)
    }
    if (late.length > 0) options.onGivenUp(late, left.get(late[0] as Done))
  }

  const run = async (): Promise<void> => {
    while (entries.size > 0) {
      await clock.sleep(RETRY_MS)
      await turn()
    }
    running = null
  }

  return {
    idle: () => running ?? Promise.resolve(),
    size: () => entries.size,
    sizeOf: parts.of,
    has: keys.has,
    add(item: Done, why: unknown): Promise<undefined> {
      if (!(why instanceof Busy) || entries.size === 0) options.onError(why)
      return new Promise((resolve) => {
        entries.add({ item, resolve: () => resolve(undefined), faultyUntilMs: null })
        keys.count(keyOf(item), 1)
        parts.count(partOf(item), 1)
        running ??= run()
      })
    },
  }
}
