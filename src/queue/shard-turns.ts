import { beginningAt, eachInTurn, whole, withWork, type LookForWork } from '../each-shard.ts'
import type { Clock, Db, Shard } from '../ports.ts'
import { dueAfter } from '../domain/beat.ts'

/** Which shards a loop asks for work, and when: not those again and again that have none. */
export interface ShardTurns {
  /** The shards to ask now, beginning with any, so that none is always the first. */
  due(): Shard[]
  /** The same without those that a look at their servers shows to be without work. */
  next(): Promise<readonly Shard[]>
  /** It was asked, and had work, or had none. */
  asked(shard: Shard, found: boolean): void
  /** It could not be asked. */
  failed(shard: Shard, error: unknown): void
  /** How long none of them is to be asked, in milliseconds. */
  restMs(): number
  /** There may be work in a shard, or in any, so it is asked at the next turn. */
  wake(shard?: Shard): void
}

interface TurnsOptions extends Pick<Db, 'servers' | 'shards'> {
  readonly clock: Clock
  /** Chance in [0, 1): processes that start together soon ask at different times. */
  readonly random: () => number
  /** The first pause of a shard without work, in milliseconds. */
  readonly pauseMs: number
  /** Asks a shard for anything, to see whether it is well again. */
  readonly look: (shard: Shard) => Promise<unknown>
  /** Asks a server which of its shards have work; not there: each shard is asked by itself. */
  readonly lookForWork?: LookForWork
  /** Told when a shard turns out to be ill, and by what. */
  readonly onIll?: (shard: Shard, error: unknown) => void
}

/** The longest pause of a shard that has no work, in milliseconds. */
const EMPTY_MS_MAX = 2_000

/** Between two looks at a shard that is ill, in milliseconds. */
const LOOK_MS = 1_000

/**
 * How long a shard is left alone that failed, in milliseconds; it doubles where it answers looks
 * and fails at the work itself. Whoever asks it may wait for as long as a statement may take, and
 * all other shards with him.
 */
const FAILED_MS = { min: 250, max: 30_000 }

interface State {
  /** The pause that it had last; 0: it had work. */
  emptyMs: number
  nextMs: number
  /** How often it failed since it last gave an answer. */
  failures: number
  /** Which wake was its last: whoever is woken during a look does not rest after it. */
  wake: number
  ill: boolean
  looking: boolean
}

/**
 * Take turns with shards. One that has no work is asked after a pause, which doubles up to two
 * seconds; so however many shards there are, a process that has nothing to do asks for it no more
 * often; and where a look tells which shards of a server have work, it is one statement for them
 * all. Nothing is made for each shard at a turn without work: what a process leaves behind while it
 * has nothing to do costs as much as what it does. One that is ill is looked at beside the work
 * until it answers: nobody waits for it. A single shard is asked at every turn.
 */
export function shardTurns(options: TurnsOptions): ShardTurns {
  const { shards, clock, random, pauseMs, lookForWork, onIll = () => undefined } = options
  const states = new Map(shards.map((shard) => [shard, wellAndDue()]))
  const of = (shard: Shard) => states.get(shard) as State // There is one for each.
  let wakes = 0
  const emptyMsMax = Math.max(pauseMs, Math.min(EMPTY_MS_MAX, pauseMs * shards.length))

  const isDue = (shard: Shard, nowMs: number): boolean => {
    const state = of(shard)
    if (state.nextMs > nowMs) return false
    if (state.ill && !state.looking) lookAgain(options, shard, state)
    return !state.ill
  }

  const due = (): Shard[] => {
    if (shards.length === 1) return [...shards]
    const nowMs = clock.elapsedMs()
    const now = shards.filter((shard) => isDue(shard, nowMs))
    const first = Math.floor(random() * shards.length)
    const begin = now.findIndex(({ number }) => number >= first)
    return begin <= 0 ? now : beginningAt(now, begin)
  }

  /** Shards that were looked at together rest until the same time: they are again then. */
  const restTogether = (resting: readonly Shard[]): void => {
    let emptyMs = 0
    for (const shard of resting) emptyMs = Math.max(emptyMs, afterNone(of(shard).emptyMs))
    const nextMs = after(emptyMs)
    for (const shard of resting) {
      const state = of(shard)
      state.emptyMs = emptyMs
      state.nextMs = nextMs
      state.failures = 0
    }
  }
  const afterNone = (emptyMs: number) => Math.min(emptyMsMax, Math.max(pauseMs, emptyMs * 2))
  const after = (emptyMs: number) => dueAfter(clock.elapsedMs(), emptyMs * (0.75 + random() / 4))

  return {
    due,
    async next() {
      const now = due()
      if (lookForWork === undefined || now.length === 0) return now
      const before = wakes
      const { asked, without } = await withWork(options, now, lookForWork)
      restTogether(without.filter((shard) => of(shard).wake <= before))
      return asked
    },
    asked(shard, found) {
      const state = of(shard)
      state.failures = 0
      state.emptyMs = found ? 0 : afterNone(state.emptyMs)
      state.nextMs = after(state.emptyMs)
    },
    failed(shard, error) {
      const state = of(shard)
      if (state.failures === 0) onIll(shard, error)
      const restMs = Math.min(FAILED_MS.max, FAILED_MS.min * 2 ** state.failures)
      Object.assign(state, { ill: true, nextMs: clock.elapsedMs() + restMs })
      state.failures += 1
    },
    restMs: () => restOf(clock, states),
    wake(shard) {
      wakes += 1
      for (const one of shard === undefined ? shards : [shard]) woken(of(one), wakes)
    },
  }
}

/**
 * Claim in one shard after the other. `claimIn` adds what it claimed, and tells whether the shard
 * has work; null: it was not asked, so nobody knows. What was claimed in one shard is worked on,
 * although another cannot be asked: an error is thrown only where no shard could be.
 */
export async function claimInTurn<Claim>(
  turns: ShardTurns | undefined,
  shards: readonly Shard[],
  claimIn: (shard: Shard, claims: Claim[]) => Promise<boolean | null>,
): Promise<Claim[]> {
  const claims: Claim[] = []
  const { done, failed } = await eachInTurn(shards, async (shard) => {
    const claimed = await claimIn(shard, claims)
    if (claimed !== null) turns?.asked(shard, claimed)
  })
  for (const { shard, error } of failed) turns?.failed(shard, error)
  if (claims.length === 0 && done.length === 0) whole({ done, failed })
  return claims
}

/** Look beside the work whether a shard that is ill answers again. */
function lookAgain({ look, clock }: TurnsOptions, shard: Shard, state: State): void {
  state.looking = true
  look(shard)
    .then(
      () => (state.ill = false),
      () => (state.nextMs = clock.elapsedMs() + LOOK_MS),
    )
    .finally(() => (state.looking = false))
}

function woken(state: State, wake: number): void {
  state.wake = wake
  if (!state.ill) Object.assign(state, { nextMs: 0, emptyMs: 0 })
}

/** How long until one of them is to be asked, in milliseconds. */
function restOf(clock: Clock, states: ReadonlyMap<Shard, State>): number {
  if (states.size === 1) return 0
  let endMs = Infinity
  for (const { nextMs } of states.values()) endMs = Math.min(endMs, nextMs)
  const leftMs = endMs - clock.elapsedMs()
  // Whoever waits so long finds it due: a timer knows whole milliseconds only.
  return leftMs > 0 ? Math.ceil(leftMs) + 1 : 0
}

function wellAndDue(): State {
  return { emptyMs: 0, nextMs: 0, failures: 0, wake: 0, ill: false, looking: false }
}
