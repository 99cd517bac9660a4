import type { Breaker, BreakerPolicy } from '../domain/breaker.ts'
import { OPERATIONS, type Operation } from '../domain/payment.ts'
import type { Clock, Global } from '../ports.ts'
import { isTurnFor } from '../domain/beat.ts'
import {
  keepBreaker,
  closeBreaker,
  readBreakers,
  takeProbe,
  tripBreaker,
  type SharedBreaker,
} from './breaker-store.ts'
import type { GuardedRoute } from './guarded.ts'

/** What somebody has to look at: settings were found wrong, or are right again. */
export interface Alert {
  readonly operation: Operation
  readonly kind: 'misconfigured' | 'right_again'
  readonly reason: string
}

/** The state of one breaker, as this process knows it. */
interface RouteState {
  readonly operation: Operation
  readonly state: Breaker['state']
  /** It is open because the gateway does not talk to us. */
  readonly misconfigured: boolean
}

export interface SharedBreakers {
  /** Tell the others what this process has seen, and learn what they have. */
  look(): Promise<void>
  /**
   * Look, unless nothing is under way, all is well, and the last look is not two seconds ago.
   * Returns how long there is no need to, in milliseconds, unless `onBusy` is told.
   */
  turn(): Promise<number>
  /** How many of `wanted` tasks may be claimed now, beside `running` ones. */
  admitted(operation: Operation, wanted: number, running: number): number
  state(operation: Operation): Breaker['state']
  /** What is known of every operation; nothing until it has looked. */
  routes(): readonly RouteState[]
  /** Whether any worker was answered well by the gateway within the last `ageMs` milliseconds. */
  answeredSince(operation: Operation, ageMs: number): boolean
}

/** How often the shared state is to be read, in milliseconds. */
export const BREAKERS_MS = 250
/** How often it is read while nothing is under way and all is well, in milliseconds. */
const CALM_MS = 2_000
/** How long a probe may take, in milliseconds. */
const PROBE_MS = 10_000
/** How often a worker says that it lives, in milliseconds: often enough for people, and no load. */
const BEAT_MS = 5_000
/**
 * How old what is known may be, in milliseconds, before a process goes by its own breaker: the home
 * side of several servers is away, and the shards of the others have payments.
 */
const ALONE_MS = 30_000
/** After an outage the calls in flight may double this often: the backlog returns as a ramp. */
const DOUBLING_MS = 500

interface World {
  /** The gateway whose breakers they are. */
  readonly gateway: string
  readonly db: Global
  readonly clock: Clock
  readonly policy: BreakerPolicy
  readonly local: (operation: Operation) => GuardedRoute
  /** Reads what is shared, such as for several gateways at once; not there: for this one alone. */
  readonly read?: () => Promise<ReadonlyMap<Operation, SharedBreaker>>
  readonly onAlert: (alert: Alert) => void
  /** Told when something is under way again. */
  readonly onBusy?: () => void
}

/**
 * Share the breakers of a gateway between all workers through the database: one worker's trip stops
 * them all, one worker at a time probes, and its success lets them all back in, slowly at first.
 *
 * Until it has looked a process knows nothing, so nothing is claimed: a worker that starts during
 * an outage burns no attempts. While the database cannot be asked nothing changes; after half a
 * minute without it a process sends probes by itself, and no more.
 */
export function sharedBreakers(world: World): SharedBreakers {
  const { db, clock, gateway, read = () => readBreakers(db, gateway) } = world
  const routes = new Map(OPERATIONS.map((operation) => [operation, sharedRoute(world, operation)]))
  const routeOf = (operation: Operation) => routes.get(operation) as SharedRoute // One for each.
  let beatMs = Number.NEGATIVE_INFINITY
  let triedMs = Number.NEGATIVE_INFINITY
  let isResting = false
  const underWay = new Map<Operation, number>()
  const isCalm = (operation: Operation): boolean => {
    const isClosed = world.local(operation).breaker() === 'closed'
    return isClosed && routeOf(operation).state() === 'closed' && !underWay.get(operation)
  }

  const look = async (): Promise<void> => {
    triedMs = clock.elapsedMs()
    for (const route of routes.values()) await route.tell()
    if (clock.elapsedMs() - beatMs >= BEAT_MS) {
      await keepBreaker(
        db,
        gateway,
        [...routes.values()].map(({ answered }) => answered()),
      )
      beatMs = clock.elapsedMs()
    }
    const shared = await read()
    for (const [operation, route] of routes) await route.learn(shared.get(operation))
  }

  return {
    look,
    async turn() {
      const restMs = () => {
        isResting = OPERATIONS.every(isCalm)
        return isResting ? Math.max(0, CALM_MS - (clock.elapsedMs() - triedMs)) : 0
      }
      if (isTurnFor(restMs())) await look()
      return restMs()
    },
    admitted(operation, wanted, running) {
      underWay.set(operation, running)
      if (isResting && running > 0) {
        isResting = false
        world.onBusy?.()
      }
      return routeOf(operation).admitted(wanted, running)
    },
    state: (operation) => routeOf(operation).state(),
    routes: () => [...routes.values()].flatMap((route) => route.view()),
    answeredSince: (operation, ageMs) => routeOf(operation).answeredSince(ageMs),
  }
}

type SharedRoute = ReturnType<typeof sharedRoute>

/** What this process knows of one route, of its own and from the others. */
function sharedRoute(world: World, operation: Operation) {
  const { db, clock, gateway, policy, local: localOf, onAlert } = world
  const route = { gateway, operation }
  const local = localOf(operation)
  let state: Breaker['state'] = 'open'
  let known: SharedBreaker | undefined
  let knownMs = Number.NEGATIVE_INFINITY
  let closedMs = Number.NEGATIVE_INFINITY
  const misconfigured = () => known?.cause === 'misconfigured'
  /** It has looked, and could not for long. */
  const isAlone = () => {
    return Number.isFinite(knownMs) && clock.elapsedMs() - knownMs >= ALONE_MS
  }

  return {
    state: () => state,
    view(): RouteState[] {
      const looked = knownMs > Number.NEGATIVE_INFINITY
      return looked ? [{ operation, state, misconfigured: misconfigured() }] : []
    },
    answered() {
      const answeredMs = local.answeredMs()
      return { operation, answeredMs: Number.isFinite(answeredMs) ? answeredMs : null }
    },
    answeredSince(ageMs: number) {
      const others = (known?.answeredMs ?? Infinity) + clock.elapsedMs() - knownMs
      return Math.min(local.answeredMs(), others) < ageMs
    },
    /** Write what this process has found out. */
    async tell() {
      const why = local.why()
      if (local.breaker() === 'open' && state !== 'open' && why !== null) {
        const isNews = await tripBreaker(db, route, { ...policy, ...why })
        const alert = isNews && why.cause === 'misconfigured' && !misconfigured()
        if (alert) onAlert({ operation, kind: 'misconfigured', reason: why.reason })
      } else if (local.breaker() === 'closed' && state === 'half_open') {
        const isNews = await closeBreaker(db, route)
        const alert = isNews && misconfigured()
        if (alert) onAlert({ operation, kind: 'right_again', reason: known?.reason ?? '' })
      }
    },
    /** Follow what is known together. */
    async learn(shared: SharedBreaker | undefined) {
      const first = knownMs === Number.NEGATIVE_INFINITY
      known = shared
      knownMs = clock.elapsedMs()
      if (shared === undefined || shared.trips === 0) {
        // After a start there is no backlog of ours to hold back: only after an outage.
        if (state !== 'closed' && !first) closedMs = clock.elapsedMs()
        // A process that learns of the recovery from others forgets what it saw itself.
        if (local.breaker() === 'open') local.probe(null)
        state = 'closed'
      } else if (shared.openMs > 0) {
        state = 'open'
      } else if (await takeProbe(db, route, PROBE_MS)) {
        const { cause, reason } = shared
        local.probe(cause === null ? null : { cause, reason: reason ?? '' })
        state = 'half_open'
      }
    },
    admitted(wanted: number, running: number) {
      if (state === 'open' && !isAlone()) return 0
      const doublings = Math.min((clock.elapsedMs() - closedMs) / DOUBLING_MS, 30)
      const ramp = state === 'closed' ? Math.floor(policy.probes * 2 ** doublings) : policy.probes
      return Math.min(local.admitted(wanted, running), Math.max(0, ramp - running))
    },
  }
}
