import { setImmediate as nextTurn } from 'node:timers/promises'

/** Something that runs: a process of ours, which may die or stand still, or the world around it. */
export interface Process {
  readonly name: string
  dead: boolean
  pausedUntilMs: number
  /** Called once when it dies. */
  readonly onDeath: (() => void)[]
}

/** How a step behaves when its process stands still or dies. */
export interface StepOptions {
  /** Not before this virtual time; now, if it is left out. */
  readonly atMs?: number
  /** It has left the process, so a pause does not hold it up. */
  readonly inFlight?: boolean
  /** The other side may carry it out although the process died. */
  readonly survives?: boolean
}

/** A step that can be brought forward. */
export interface Wakeable {
  readonly done: Promise<void>
  wake(atMs: number): void
}

interface Pending {
  readonly process: Process
  readonly label: string
  readonly inFlight: boolean
  readonly survives: boolean
  readonly go: () => void
  atMs: number
}

export interface Scheduler {
  /** The time in this world, which is also the database's. */
  nowMs(): number
  spawn(name: string): Process
  step(process: Process, label: string, options?: StepOptions): Promise<void>
  wakeable(process: Process, label: string, options?: StepOptions): Wakeable
  pause(process: Process, ms: number): void
  /** End a process between two steps. Requests that left it are kept when `survive`. */
  kill(process: Process, survive: boolean): void
  /**
   * Take steps until `done`, at most `stepsMax`. Returns why it stopped; `idle`: nobody waits for
   * anything, so nothing will ever happen again.
   */
  run(done: () => boolean, stepsMax: number): Promise<'done' | 'idle' | 'steps'>
  steps(): number
  /** A number that differs when any step of the history does. */
  trace(): number
}

/** When every history begins; any fixed moment. */
export const START_MS = Date.UTC(2030, 0, 1)

/** The longest time that passes by itself between two steps that are both ready. */
const DRIFT_MS = 4

/**
 * The only source of order. Whoever waits for the database, the gateway or time waits for a step,
 * and `random` picks which of the ready steps goes next; virtual time jumps when none is. After a
 * step everything that can run without another step runs to its end, so a seed is one history.
 */
export function scheduler(
  random: () => number,
  onStep: () => void,
  log: ((line: string) => void) | null = null,
): Scheduler {
  const pending: Pending[] = []
  let nowMs = START_MS
  let steps = 0
  let trace = 0

  const wakeable = (process: Process, label: string, options: StepOptions = {}): Wakeable => {
    const { atMs = nowMs, inFlight = false, survives = false } = options
    let go: () => void = () => undefined
    const done = new Promise<void>((resolve) => (go = resolve))
    const entry = { process, label, inFlight, survives, go, atMs }
    // Whoever waits in a dead process waits for ever: that is what being dead is.
    if (!process.dead) pending.push(entry)
    return { done, wake: (at) => (entry.atMs = Math.min(entry.atMs, at)) }
  }

  const takeOne = (): Pending | undefined => {
    const soonest = soonestMs(pending)
    if (soonest === Infinity) return undefined
    nowMs = Math.max(nowMs, soonest)
    return pending.splice(anyReady(pending, nowMs, random), 1)[0]
  }

  return {
    nowMs: () => nowMs,
    spawn: (name) => ({ name, dead: false, pausedUntilMs: 0, onDeath: [] }),
    wakeable,
    step: (process, label, options) => wakeable(process, label, options).done,
    pause(process, ms) {
      process.pausedUntilMs = Math.max(process.pausedUntilMs, nowMs + ms)
      log?.(`${nowMs - START_MS} ${process.name} stands still for ${ms} ms`)
    },
    kill(process, survive) {
      process.dead = true
      const left = pending.filter((one) => one.process !== process || (survive && one.survives))
      pending.splice(0, pending.length, ...left)
      log?.(`${nowMs - START_MS} ${process.name} dies`)
      for (const told of process.onDeath) told()
    },
    async run(done, stepsMax) {
      for (let count = 0; count < stepsMax; count += 1) {
        if (done()) return 'done'
        let entry = takeOne()
        if (entry === undefined) {
          // What was just started may not have come to its first step yet.
          await nextTurn()
          entry = takeOne()
          if (entry === undefined) return done() ? 'done' : 'idle'
        }
        log?.(`${nowMs - START_MS} ${entry.process.name} ${entry.label}`)
        steps += 1
        trace = mix(trace, `${nowMs} ${entry.process.name} ${entry.label}`)
        entry.go()
        // Two turns, because a batcher begins its batch on the turn after the one that filled it.
        await nextTurn()
        await nextTurn()
        onStep()
        nowMs += Math.floor(random() * DRIFT_MS)
      }
      return done() ? 'done' : 'steps'
    },
    steps: () => steps,
    trace: () => trace,
  }
}

function soonestMs(pending: readonly Pending[]): number {
  let soonest = Infinity
  for (const entry of pending) soonest = Math.min(soonest, readyMs(entry))
  return soonest
}

/** The place of one of those that are ready. */
function anyReady(pending: readonly Pending[], nowMs: number, random: () => number): number {
  const ready: number[] = []
  for (let index = 0; index < pending.length; index += 1) {
    if (readyMs(pending[index] as Pending) <= nowMs) ready.push(index)
  }
  return ready[Math.floor(random() * ready.length)] as number
}

function readyMs(entry: Pending): number {
  return entry.inFlight ? entry.atMs : Math.max(entry.atMs, entry.process.pausedUntilMs)
}

/** FNV-1a, 32 bits. */
function mix(hash: number, text: string): number {
  let mixed = hash ^ 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193)
  }
  return mixed >>> 0
}
