import type { Worker } from 'node:cluster'
import type { Logger } from 'pino'
import { countsOf, textOfAll, type MetricsSample } from '../adapters/metrics.ts'
import type { Clock } from '../ports.ts'
import type { FromMember, ToMember } from './member.ts'

/** A member that lives no longer than this has not got going. */
const SHORT_MS = 10_000
/** So many in a row that have not got going are not started again: something is wrong. */
const SHORT_MAX = 5
/** How long a member that ended is waited for before the next one, in milliseconds. */
const PAUSES_MS = [0, 1_000, 2_000, 4_000, 8_000]
/** How long a member may take to say what its metrics are; without it the others' are shown. */
const MEASURE_MS_MAX = 2_000

/** Where a process listens, or the exit code of one that could not start: it has said why. */
type Begun = { readonly url: string } | { readonly code: number }

/** A group of processes that share a port. */
interface Group {
  /** Start them; resolves when all are ready, or one could not start. */
  start(): Promise<Begun>
  /** Start each anew, in turn: one is ended in order when another has taken its place. */
  restart(): Promise<void>
  /** End them in order; resolves when none is left. */
  stop(): Promise<void>
  /** End at once those that are left. */
  kill(): void
}

interface GroupOptions {
  readonly count: number
  /** Start a process of this program as a member. */
  readonly fork: () => MemberProcess
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly clock: Pick<Clock, 'sleep' | 'elapsedMs'>
  /** How long a member may take to stop before it is killed, in milliseconds. */
  readonly stopMsMax: number
  /** Told when members end as soon as they start. */
  readonly onLost: (error: Error) => void
}

/** What is asked of a process that is a member. */
export type MemberProcess = Pick<Worker, 'on' | 'once' | 'send' | 'isConnected'> & {
  readonly process: Pick<Worker['process'], 'pid' | 'kill'>
}

/** A member, and how it is going. */
interface Held {
  readonly worker: MemberProcess
  readonly startedMs: number
  /** Settled when it is ready, or has ended before. */
  readonly begun: Promise<Begun>
  readonly ended: Promise<void>
  ready: boolean
  /** It was told to end. */
  leaving: boolean
}

/**
 * Hold `count` processes of this program together: they share the port that each listens on, one
 * that dies is replaced, and what they measure is shown as that of one. They end when this process
 * does, however it ends.
 */
export function openGroup(options: GroupOptions): Group {
  const { count, log } = options
  const state = { stopping: false, short: 0 }
  const members = openMembers(options, (held, why) => {
    if (!state.stopping && !held.leaving && held.ready) void replace(held, why)
  })
  const replace = replacer(options, members, state)
  let restarting: Promise<void> | null = null

  const renew = async (): Promise<void> => {
    for (const old of members.all().filter(({ ready }) => ready)) {
      if (state.stopping || !members.has(old)) continue
      // Should it die meanwhile, its place is taken already.
      old.leaving = true
      const begun = await members.fork().begun
      if (state.stopping) return
      if ('url' in begun) {
        await members.leave(old, true)
        continue
      }
      old.leaving = false
      log.error(begun, 'a new process could not start: those that run stay')
      if (!members.has(old)) await replace(old, 'ended')
      return
    }
    log.info({ processes: count }, 'every process was started anew')
  }

  return {
    async start() {
      // The first alone: what prevents a start is said once, and what is to be made is made once.
      const first = await members.fork().begun
      if ('code' in first || state.stopping) return first
      const others = Array.from({ length: count - 1 }, () => members.fork().begun)
      return (await Promise.all(others)).find((begun) => 'code' in begun) ?? first
    },
    restart: () =>
      (restarting ??= renew().finally(() => {
        restarting = null
      })),
    async stop() {
      state.stopping = true
      await Promise.all(members.all().map((held) => members.leave(held, false)))
    },
    kill() {
      for (const { worker } of members.all()) worker.process.kill('SIGKILL')
    },
  }
}

/**
 * Start another in the place of one that ended by itself, until one gets going. While others work,
 * it is tried for as long as it takes.
 */
function replacer(
  { count, log, clock, onLost }: GroupOptions,
  members: ReturnType<typeof openMembers>,
  state: { readonly stopping: boolean; short: number },
) {
  /** Those that are to stay. */
  const staying = () => members.all().filter(({ leaving }) => !leaving)

  return async (dead: Held, why: string | number): Promise<void> => {
    log.error({ pid: dead.worker.process.pid, why }, 'a process ended by itself: it is replaced')
    const endedMs = clock.elapsedMs()
    for (let from = dead.startedMs; ;) {
      state.short = clock.elapsedMs() - from < SHORT_MS ? state.short + 1 : 0
      if (state.short >= SHORT_MAX && !staying().some(({ ready }) => ready)) {
        return onLost(new Error(LOOP))
      }
      const pauseMs = PAUSES_MS[Math.min(state.short, PAUSES_MS.length - 1)] ?? 0
      if (pauseMs > 0) await clock.sleep(pauseMs)
      if (state.stopping || staying().length >= count) return
      from = clock.elapsedMs()
      const { begun: beginning, worker } = members.fork()
      const begun = await beginning
      if (state.stopping) return
      if ('url' in begun) {
        const ms = Math.round(clock.elapsedMs() - endedMs)
        return log.info({ pid: worker.process.pid, ms }, 'another process is in its place')
      }
      log.error(begun, 'a process could not start: it is tried again')
    }
  }
}

/** The processes of a group. `onEnd` is told of each that ends. */
function openMembers(
  { fork, clock, stopMsMax }: GroupOptions,
  onEnd: (held: Held, why: string | number) => void,
) {
  const members = new Set<Held>()
  const measures = openMeasures(() => [...members].filter(({ ready }) => ready), clock)
  return {
    all: () => [...members],
    has: (held: Held) => members.has(held),
    fork(): Held {
      const worker = fork()
      const begun = new Promise<Begun>((resolve) => {
        worker.on('message', (said: FromMember) => {
          if (said.kind !== 'ready') return measures.heard(held, said)
          held.ready = true
          resolve({ url: said.url })
        })
        worker.once('exit', (code) => resolve({ code: code ?? FAILED }))
        // It was never there, so it does not exit either.
        worker.once('error', () => resolve({ code: FAILED }))
      })
      const ended = new Promise<void>((resolve) => {
        worker.once('exit', () => resolve())
        worker.once('error', () => held.ready || resolve())
      })
      const startedMs = clock.elapsedMs()
      const held: Held = { worker, startedMs, begun, ended, ready: false, leaving: false }
      members.add(held)
      worker.once('error', () => held.ready || members.delete(held))
      worker.once('exit', (code, signal) => {
        members.delete(held)
        measures.left(held)
        onEnd(held, signal ?? code)
      })
      return held
    },
    /** Have one end in order, or at once when that takes too long. */
    async leave(held: Held, replaced: boolean): Promise<void> {
      held.leaving = true
      // Before it is ready it may not hear what it is told.
      if (held.ready) tell(held, { kind: 'stop', replaced })
      else held.worker.process.kill('SIGTERM')
      const over = new AbortController()
      const late = clock.sleep(stopMsMax, over.signal).then(() => {
        if (!over.signal.aborted) held.worker.process.kill('SIGKILL')
      })
      await held.ended
      over.abort()
      await late
    },
  }
}

const FAILED = 1
const LOOP =
  'Processes end as soon as they start, again and again: see what they said above. ' +
  'Nothing that was answered is lost.'

function tell({ worker }: Held, what: ToMember): void {
  if (worker.isConnected()) worker.send(what, () => undefined)
}

/**
 * Ask all for their metrics when one is asked, and tell it what they come to. What was counted
 * stays counted: of one that does not answer in time by what it said last, and of those that ended.
 */
function openMeasures(all: () => readonly Held[], clock: Pick<Clock, 'sleep'>) {
  const rounds = new Map<number, (from: Held) => void>()
  const newest = new Map<Held, MetricsSample>()
  let gone: Promise<MetricsSample> = Promise.resolve([])
  let rounded = 0

  const measure = async (): Promise<string> => {
    const number = (rounded += 1)
    const asked = all()
    const waited = new Set(asked)
    const complete = new Promise<void>((resolve) => {
      rounds.set(number, (from) => {
        waited.delete(from)
        if (waited.size === 0) resolve()
      })
    })
    for (const held of asked) tell(held, { kind: 'measure', number })
    const over = new AbortController()
    await Promise.race([complete, clock.sleep(MEASURE_MS_MAX, over.signal)])
    over.abort()
    rounds.delete(number)
    return textOfAll([...newest.values(), await gone])
  }

  return {
    heard(from: Held, said: Exclude<FromMember, { kind: 'ready' }>): void {
      if (said.kind === 'sample') {
        newest.set(from, said.sample)
        rounds.get(said.number)?.(from)
        return
      }
      const { number } = said
      // Without metrics rather than without an answer.
      void measure()
        .catch(() => '')
        .then((text) => tell(from, { kind: 'metrics', number, text }))
    },
    left(held: Held): void {
      const last = newest.get(held)
      newest.delete(held)
      if (last === undefined) return
      const before = gone
      gone = before.then((counts) => countsOf([counts, last])).catch(() => before)
    },
  }
}
