import { systemClock } from '../adapters/clock.ts'
import { guardedGateway, type CallSeen, type GuardedGateway } from '../adapters/guarded-gateway.ts'
import { httpGateway } from '../adapters/http-gateway.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { shareBreaker, type SharedBreakerLoop } from '../breaker/share.ts'
import { BREAKER_POLICY } from '../domain/breaker.ts'
import { charge, claim, type ChargeWorld, type Claim, type Settlement } from '../payments/charge.ts'
import { settle, type Settled } from '../payments/settle.ts'
import { startWorker, type Worker } from '../queue/worker.ts'
import type { Process } from './process.ts'

export function openGateway(own: Process, url: string): GuardedGateway {
  const { config, metrics } = own
  const driver = httpGateway({
    url,
    timeoutMs: config.gatewayTimeoutMs,
    connections: config.workerConcurrency,
    profile: { idempotentPost: config.gatewayIdempotent, lookup: config.gatewayLookup },
    clock: systemClock,
  })
  const gateway = guardedGateway(driver, systemClock, (seen) => countCall(metrics, seen))
  return gateway
}

/** Share the breaker with all workers of the same gateway, which its address names. */
function openBreaker(own: Process, local: GuardedGateway): SharedBreakerLoop {
  const { db, config, metrics } = own
  const gateway = config.gatewayUrl ?? 'mock'
  const breaker = shareBreaker({ db, clock: systemClock, gateway, local, policy: BREAKER_POLICY })
  own.stops.push(() => breaker.stop())
  metrics.breaker(() => breaker.state())
  return breaker
}

export function openWorker(own: Process, gateway: GuardedGateway): Worker {
  const breaker = openBreaker(own, gateway)
  const { config, metrics, log, db } = own
  const world: ChargeWorld = {
    db,
    clock: systemClock,
    gateway,
    shards: config.shards,
    policy: {
      attemptsMax: config.gatewayAttemptsMax,
      backoffBaseMs: config.gatewayBackoffBaseMs,
      backoffMaxMs: config.gatewayBackoffMaxMs,
      jitterMs: config.gatewayBackoffJitterMs,
      notFoundGraceMs: config.gatewayNotFoundGraceMs,
      ...gateway.profile,
    },
    leaseMs: config.leaseMs,
    callMsMax: config.gatewayTimeoutMs,
    random: Math.random,
  }
  return startWorker<Claim, Settlement>({
    async claim(limit) {
      const claims = await claim(world, limit)
      metrics.count('payments_processing_started_total', claims.length)
      return claims
    },
    handle: (claimed, signal) => charge(world, claimed, signal),
    async settle(done) {
      countSettled(metrics, await settle(world, done))
    },
    admitted: (wanted, running) => breaker.admitted(wanted, running),
    clock: systemClock,
    concurrency: config.workerConcurrency,
    batchMax: config.workerBatch,
    pollMs: config.workerPollIntervalMs,
    settleMsMax: config.leaseMs,
    onError: (error, what) => log.error({ err: error }, `the worker could not ${what}`),
  })
}

function countCall(metrics: Metrics, seen: CallSeen): void {
  metrics.gatewayCall(seen.call, seen.outcome, seen.ms)
  if (seen.call === 'lookup') return
  if (seen.outcome === 'success') metrics.count('gateway_success_total')
  else if (seen.outcome === 'declined') metrics.count('gateway_non_retryable_errors_total')
  else if (seen.reason === 'timeout') metrics.count('gateway_timeouts_total')
  else metrics.count('gateway_errors_total')
}

function countSettled(metrics: Metrics, settled: Settled): void {
  metrics.settleBatch(settled.settlements.length)
  const nowMs = systemClock.now().getTime()
  for (const { claim: claimed, decision } of settled.settlements) {
    const { payment } = claimed
    if (decision.step === 'retry') metrics.count('payments_retried_total')
    if (decision.step === 'succeed') metrics.count('payments_success_total')
    if (decision.step === 'fail') metrics.count('payments_failed_total')
    const fresh = decision.step === 'doubt' && payment.status === 'new'
    if (decision.step === 'fail' || fresh) metrics.count('dlq_written_total')
    if (decision.step === 'succeed' || decision.step === 'fail') {
      metrics.paymentCompleted(nowMs - payment.createdAt.getTime())
    }
  }
}
