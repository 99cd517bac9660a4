import type { BreakerPolicy } from '../domain/breaker.ts'
import type { Clock, Runner } from '../ports.ts'
import { closeBreaker, readBreaker, takeProbe, tripBreaker } from './store.ts'

/** The breaker of this process, as the guarded gateway keeps it. */
export interface LocalBreaker {
  breaker(): 'closed' | 'open' | 'half_open'
  /** How many of `wanted` tasks this process's own breaker lets through. */
  admitted(wanted: number, running: number): number
  /** Try the gateway with a few calls, whatever this process has seen itself. */
  probe(): void
}

export interface SharedBreakerLoop {
  /** How many of `wanted` tasks may be claimed now, beside `running` ones. */
  admitted(wanted: number, running: number): number
  state(): 'closed' | 'open' | 'half_open'
  stop(): Promise<void>
}

/** How often the shared state is read, and how long a probe may take, in milliseconds. */
const LOOK_MS = 250
const PROBE_MS = 10_000
/** After an outage the calls in flight may double this often: the backlog returns as a ramp. */
const DOUBLING_MS = 500

/**
 * Share the breaker of a gateway between all workers through the database: one worker's trip stops
 * them all, one worker at a time probes, and its success lets them all back in, slowly at first.
 * While the database cannot be asked nothing changes; nothing can be claimed then either.
 */
export function shareBreaker(world: {
  readonly db: Runner
  readonly clock: Clock
  readonly gateway: string
  readonly local: LocalBreaker
  readonly policy: BreakerPolicy
}): SharedBreakerLoop {
  const { db, clock, gateway, local, policy } = world
  const stopping = new AbortController()
  let state: 'closed' | 'open' | 'half_open' = 'closed'
  let closedMs = Number.NEGATIVE_INFINITY

  const look = async (): Promise<void> => {
    const own = local.breaker()
    if (own === 'open' && state !== 'open') {
      await tripBreaker(db, gateway, policy.pauseMs, policy.pauseMsMax)
    } else if (own === 'closed' && state === 'half_open') {
      await closeBreaker(db, gateway)
    }
    const shared = await readBreaker(db, gateway)
    if (shared.trips === 0) {
      if (state !== 'closed') closedMs = clock.elapsedMs()
      // A process that learns of the recovery from others forgets what it saw itself.
      if (own === 'open') local.probe()
      state = 'closed'
    } else if (shared.openMs > 0) {
      state = 'open'
    } else if (await takeProbe(db, gateway, PROBE_MS)) {
      local.probe()
      state = 'half_open'
    }
  }
  const loop = async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => undefined)
      await clock.sleep(LOOK_MS, stopping.signal)
    }
  }
  const looping = loop()

  return {
    state: () => state,
    admitted(wanted, running) {
      if (state === 'open') return 0
      const doublings = Math.min((clock.elapsedMs() - closedMs) / DOUBLING_MS, 30)
      const ramp = state === 'closed' ? Math.floor(policy.probes * 2 ** doublings) : policy.probes
      return Math.min(local.admitted(wanted, running), Math.max(0, ramp - running))
    },
    async stop() {
      stopping.abort()
      await looping
    },
  }
}
