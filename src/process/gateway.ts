import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { breakerPolicy } from '../domain/breaker.ts'
import { GATEWAY, OPERATIONS } from '../domain/payment.ts'
import { guardedGateway, type CallSeen, type GuardedGateway } from '../gateways/guarded.ts'
import {
  BREAKERS_MS,
  sharedBreakers,
  type Alert,
  type SharedBreakers,
} from '../gateways/shared-breaker.ts'
import { every } from '../queue/every.ts'
import { openDriver, profileOf } from './drivers.ts'
import type { Process } from './shared.ts'

/** Open the configured gateway; `mockUrl` is where the built-in mock gateway is. */
export function openGateway(shared: Process, mockUrl: () => string): GuardedGateway {
  const { config, db, metrics, decorators } = shared
  const [gateway] = config.gateways
  if (gateway === undefined) throw new Error('no gateway is configured')
  const driver = openDriver(gateway, profileOf(gateway), {
    clock: systemClock,
    books: db.currency,
    connections: gateway.concurrency * OPERATIONS.length,
    mockUrl,
  })
  const policy = breakerPolicy(gateway.timeoutMs)
  const decorated = decorators.gateway(driver)
  return guardedGateway(decorated, systemClock, (seen) => countCall(metrics, seen), policy)
}

/** Share the breakers with all workers. */
export function openBreakers(shared: Process, local: GuardedGateway): SharedBreakers {
  const { db, config, metrics, log } = shared
  const breakers = sharedBreakers({
    db: db.global,
    clock: systemClock,
    policy: breakerPolicy(config.gatewayTimeoutMs),
    local: local.route,
    onAlert: (alert) => report(alert, log),
  })
  const looking = every(systemClock, BREAKERS_MS, breakers.look)
  shared.stops.push(() => looking.stop())
  metrics.breaker(() => breakers.routes().map((route) => ({ gateway: GATEWAY, ...route })))
  return breakers
}

/**
 * One line when settings are found wrong and one when they are right again, of all workers
 * together.
 */
function report({ kind, operation, reason }: Alert, log: Process['log']): void {
  const what = { gateway: GATEWAY, operation, reason }
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
  if (seen.call === 'lookup') return
  if (seen.outcome === 'success') metrics.count('gateway_success_total')
  else if (seen.outcome === 'declined') metrics.count('gateway_non_retryable_errors_total')
  else if (seen.reason === 'timeout') metrics.count('gateway_timeouts_total')
  else metrics.count('gateway_errors_total')
}
