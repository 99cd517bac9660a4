import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { heard, type GatewayHeard } from '../charging/heard.ts'
import type { Gateway } from '../ports.ts'
import { breakerPolicy } from '../domain/breaker.ts'
import type { GatewayConfig } from '../config/gateways.ts'
import { OPERATIONS } from '../domain/payment.ts'
import { tracedGateway } from '../gateways/traced.ts'
import { guardedGateway, type CallSeen, type GuardedGateway } from '../gateways/guarded.ts'
import {
  BREAKERS_MS,
  sharedBreakers,
  type Alert,
  type SharedBreakers,
} from '../gateways/shared-breaker.ts'
import { readBreakersOf } from '../gateways/breaker-store.ts'
import { every, type Background } from '../queue/every.ts'
import { reader } from '../queue/reader.ts'
import { openDriver, profileOf } from './drivers.ts'
import type { Process } from './shared.ts'

/** A gateway with what is configured for it. */
export interface OpenGateway {
  readonly config: GatewayConfig
  readonly gateway: GuardedGateway
  /** The same without breakers and counters. */
  readonly driver: Gateway
  /** What this process has heard of it, whoever asked. */
  readonly heard: GatewayHeard
}

/** Open a gateway; `mockUrl` is where the built-in mock gateway is. */
export function openGateway(
  { db, metrics, decorators, tracer }: Pick<Process, 'db' | 'metrics' | 'decorators' | 'tracer'>,
  config: GatewayConfig,
  mockUrl: () => string,
): OpenGateway {
  const driver = openDriver(config, profileOf(config), {
    clock: systemClock,
    books: db.currency,
    connections: config.concurrency * OPERATIONS.length,
    mockUrl,
  })
  const policy = breakerPolicy(config.timeoutMs)
  const decorated = decorators.gateway(driver)
  const traced = tracer === null ? decorated : tracedGateway(decorated, tracer)
  const onCall = (seen: CallSeen) => countCall(metrics, seen)
  return {
    config,
    gateway: guardedGateway(traced, systemClock, onCall, policy),
    driver: decorated,
    heard: heard(systemClock, config.notFoundGraceMs),
  }
}

/** More than there can be gateways. */
const READS = { sizeMax: 1_000, waitingMax: 1_000 }

/** Share the breakers of each gateway with all workers. */
export function openBreakers(
  shared: Process,
  gateways: readonly OpenGateway[],
): ReadonlyMap<string, SharedBreakers> {
  const { db, metrics, log } = shared
  // One statement for all of them, which look at the same time.
  const shown = reader(READS, (names: readonly string[]) => readBreakersOf(db.global, names))
  const all = gateways.map(({ config: { name, timeoutMs }, gateway }) => {
    const breakers = sharedBreakers({
      gateway: name,
      db: db.global,
      clock: systemClock,
      policy: breakerPolicy(timeoutMs),
      local: gateway.route,
      read: async () => (await shown.submit(name)) ?? new Map(),
      onBusy: () => looking.wake(),
      onAlert: (alert) => report(name, alert, log),
    })
    return [name, breakers] as const
  })
  const looking: Background = every(systemClock, BREAKERS_MS, async () => {
    // What one of them cannot read or write is tried again at the next turn.
    const rests = await Promise.allSettled(all.map(([, breakers]) => breakers.turn()))
    const rest = rests.map((one) => (one.status === 'fulfilled' ? one.value : 0))
    return Math.max(BREAKERS_MS, Math.min(...rest))
  })
  shared.stops.push(() => looking.stop())
  metrics.breaker(() =>
    all.flatMap(([gateway, breakers]) => breakers.routes().map((route) => ({ gateway, ...route }))),
  )
  return new Map(all)
}

/**
 * One line when settings are found wrong and one when they are right again, of all workers
 * together.
 */
function report(gateway: string, { kind, operation, reason }: Alert, log: Process['log']): void {
  const what = { gateway, operation, reason }
  if (kind === 'right_again') {
    return log.warn(what, `the gateway talks to us again: every ${operation} that waited goes on`)
  }
  log.error(
    what,
    `the gateway does not talk to us (${reason}): check its address and credentials; ` +
      `every ${operation} waits until they are right`,
  )
}

function countCall(metrics: Metrics, seen: CallSeen): void {
  metrics.gatewayCall(seen.call, seen.outcome, seen.ms)
  if (seen.call !== 'charge') return
  if (seen.outcome === 'success') metrics.count('gateway_success_total')
  else if (seen.outcome === 'declined') metrics.count('gateway_non_retryable_errors_total')
  else if (seen.reason === 'timeout') metrics.count('gateway_timeouts_total')
  else metrics.count('gateway_errors_total')
}
