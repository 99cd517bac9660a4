import { BUSY, type Answer, type PaymentDraft } from '../domain/acceptance.ts'
import type { Clock } from '../ports.ts'

/** Where the drafts of users wait whose rows somebody else has locked, beside all others. */
interface SideLane {
  /**
   * Whether this user's drafts belong here: earlier ones wait here, behind which later ones have to
   * wait to keep their order, or the user was still locked a moment ago.
   */
  has(userId: bigint): boolean
  /** Whether that is so of nobody, as nearly always. */
  isEmpty(): boolean
  /** Put a draft behind those of its user. `busy` when its time is up, or too many wait. */
  add(draft: PaymentDraft): Promise<Answer>
  /** Resolves when nobody waits. */
  idle(): Promise<void>
}

interface SideLaneOptions {
  /**
   * Accept drafts; those of users that are still locked after `lockMs` are answered with `BUSY`.
   */
  readonly accept: (drafts: readonly PaymentDraft[], lockMs: number) => Promise<readonly Answer[]>
  readonly clock: Clock
  /** How long a draft waits here, in milliseconds. */
  readonly waitMsMax: number
  /** Drafts that may wait; further ones are `busy` at once. */
  readonly waitingMax: number
  /** Drafts that share a transaction. */
  readonly sizeMax: number
}

/**
 * How long the lane stands in line for one user's lock, in milliseconds. Standing in line is also
 * its pause: while somebody is locked there is one statement that waits, and nothing that spins.
 */
const IN_LINE_MS = 100

/**
 * How long a user who stayed locked to the end is remembered, in milliseconds, and how many are.
 * Its next draft is tried here at once, so it loses nothing if the lock is gone; without the memory
 * it would hold up a batch again.
 */
const REMEMBERED_MS = 60_000
const REMEMBERED_MAX = 10_000

interface Waiting {
  readonly draft: PaymentDraft
  readonly untilMs: number
  /** Found locked here at least once: nobody is refused untried, even after a long standstill. */
  tried: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** The drafts that wait, by user. */
interface Queues {
  /**
   * The users, in order of whose turn it is to be waited for: first those who have just come,
   * because most locks are gone soon.
   */
  users(): bigint[]
  has(userId: bigint): boolean
  isEmpty(): boolean
  /** False: too many wait. */
  push(entry: Waiting): boolean
  /** The first entries of a user, at most `count`. */
  first(userId: bigint, count: number): readonly Waiting[]
  /** Remove and return the first `count` entries of a user. */
  leave(userId: bigint, count: number): readonly Waiting[]
  /** Others have their turn before this user again. */
  toTheEnd(userId: bigint): void
}

function openQueues(waitingMax: number): Queues {
  const queues = new Map<bigint, Waiting[]>()
  let waiting = 0
  return {
    users() {
      const [fresh, tried]: [bigint[], bigint[]] = [[], []]
      for (const [userId, [first]] of queues) (first?.tried ? tried : fresh).push(userId)
      return [...fresh, ...tried]
    },
    has: (userId) => queues.has(userId),
    isEmpty: () => queues.size === 0,
    push(entry) {
      if (waiting >= waitingMax) return false
      const { userId } = entry.draft
      const queue = queues.get(userId)
      if (queue === undefined) queues.set(userId, [entry])
      else queue.push(entry)
      waiting += 1
      return true
    },
    first: (userId, count) => queues.get(userId)?.slice(0, count) ?? [],
    leave(userId, count) {
      const queue = queues.get(userId) ?? []
      const left = queue.splice(0, count)
      waiting -= left.length
      if (queue.length === 0) queues.delete(userId)
      return left
    },
    toTheEnd(userId) {
      const queue = queues.get(userId)
      if (queue === undefined) return
      queues.delete(userId)
      queues.set(userId, queue)
    },
  }
}

/** The users that stayed locked to the end, for a while. */
function openMemory(clock: Clock) {
  const untilMs = new Map<bigint, number>()
  return {
    has(userId: bigint): boolean {
      const until = untilMs.get(userId)
      if (until === undefined) return false
      if (until > clock.elapsedMs()) return true
      untilMs.delete(userId)
      return false
    },
    add(userId: bigint): void {
      if (untilMs.size < REMEMBERED_MAX) untilMs.set(userId, clock.elapsedMs() + REMEMBERED_MS)
    },
    forget: (userId: bigint) => untilMs.delete(userId),
    isEmpty: () => untilMs.size === 0,
  }
}

/**
 * Make a side lane. It uses one connection at most, however many users are locked: in turn it
 * stands in line for the lock of one, alone, and then takes all others that can be had without
 * waiting.
 */
export function sideLane(options: SideLaneOptions): SideLane {
  const { clock, waitMsMax, sizeMax } = options
  const queues = openQueues(options.waitingMax)
  const remembered = openMemory(clock)
  let running: Promise<void> | null = null

  const refuseLate = (): void => {
    const nowMs = clock.elapsedMs()
    for (const userId of queues.users()) {
      const waits = queues.first(userId, Number.MAX_SAFE_INTEGER)
      const inTime = waits.findIndex(({ untilMs, tried }) => untilMs > nowMs || !tried)
      const late = queues.leave(userId, inTime < 0 ? waits.length : inTime)
      for (const { resolve } of late) resolve(BUSY)
      if (late.length > 0) remembered.add(userId)
    }
  }

  /** Accept the first drafts of these users, as many as fit into a transaction. */
  const take = async (userIds: readonly bigint[], lockMs: number): Promise<void> => {
    const waits: Waiting[] = []
    for (const userId of userIds) waits.push(...queues.first(userId, sizeMax - waits.length))
    if (waits.length === 0) return
    const drafts = waits.map(({ draft }) => draft)
    const answers = await options.accept(drafts, lockMs).catch((error: Error) => error)
    waits.forEach((entry, at) => {
      const { draft, resolve, reject } = entry
      entry.tried = true
      const answer = answers instanceof Error ? answers : answers[at]
      // A user is busy for all of its drafts or for none.
      if (answer === BUSY) return
      queues.leave(draft.userId, 1)
      remembered.forget(draft.userId)
      if (answer instanceof Error) reject(answer)
      else resolve(answer ?? BUSY)
    })
  }

  const run = async (): Promise<void> => {
    for (;;) {
      refuseLate()
      const [first, ...others] = queues.users()
      if (first === undefined) break
      await take([first], IN_LINE_MS)
      await take(others, 0)
      queues.toTheEnd(first)
    }
    running = null
  }

  return {
    has: (userId) => queues.has(userId) || remembered.has(userId),
    isEmpty: () => queues.isEmpty() && remembered.isEmpty(),
    idle: () => running ?? Promise.resolve(),
    add(draft) {
      const answer = new Promise<Answer>((resolve, reject) => {
        const untilMs = clock.elapsedMs() + waitMsMax
        if (!queues.push({ draft, untilMs, tried: false, resolve, reject })) return resolve(BUSY)
        running ??= run()
      })
      // It may fail before its batch has ended, when nobody listens yet.
      answer.catch(() => undefined)
      return answer
    },
  }
}
