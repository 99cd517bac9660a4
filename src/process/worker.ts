import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import type { SharedBreakers } from '../gateways/shared-breaker.ts'
import { earned, FULL, spent } from '../domain/retry-budget.ts'
import { ENDING_MS } from '../domain/delays.ts'
import { operationOf, OPERATIONS, type Operation, type Route } from '../domain/payment.ts'
import {
  chargeUnlessLocked,
  claim,
  type Budget,
  type ChargeWorld,
  type Claim,
  type Settlement,
} from '../charging/charge.ts'
import { endPending, refresh } from '../charging/refresh.ts'
import type { Settled } from '../charging/settle.ts'
import { findPayment } from '../payments/read.ts'
import type { Gateway } from '../ports.ts'
import type { Settler } from '../queue/settler.ts'
import { roomBeside, together, type Workers } from '../queue/workers.ts'
import { shardTurns } from '../queue/shard-turns.ts'
import { sharedLooks, type SharedLooks } from '../queue/shared-looks.ts'
import { oldestDueMs, shardsWithDue } from '../queue/load-store.ts'
import { startWorker, type Worker } from '../queue/worker.ts'
import type { Closing } from './closing.ts'
import { openBreakers, type OpenGateway } from './gateway.ts'
import type { Process } from './shared.ts'
import { verifyBeside } from './verify-beside.ts'
import { forgetOld } from './retention.ts'
import { batchSpans, tracePlaces } from './tracing.ts'
import { openSettlements, settleLeftovers } from './settlements.ts'
import { lastWordsMs } from './stop-times.ts'

/** What charging and looking up takes at a gateway, by its settings and what it can do. */
export function chargeWorld(
  { config: all, db, tracer }: Pick<Process, 'config' | 'db' | 'tracer'>,
  { config, gateway, heard }: Pick<OpenGateway, 'config' | 'heard'> & { readonly gateway: Gateway },
): ChargeWorld {
  const { attemptsMax, giveUpMs, backoffBaseMs, backoffMaxMs, jitterMs } = config
  const { notFoundGraceMs, timeoutMs } = config
  const { pendingMsMax: endPendingMs } = gateway.profile
  const lostPendingMs = endPendingMs + ENDING_MS
  const ending = gateway.cancel === undefined ? { lostPendingMs } : { endPendingMs, lostPendingMs }
  const waits = { attemptsMax, giveUpMs, backoffBaseMs, backoffMaxMs, jitterMs, notFoundGraceMs }
  return {
    db,
    clock: systemClock,
    gateway,
    policy: { ...waits, timeoutMs, ...gateway.profile, ...ending },
    leaseMs: all.leaseMs,
    callMsMax: timeoutMs,
    random: Math.random,
    budget: retryBudget(),
    heard,
    ...(tracer === null ? {} : { traced: true }),
  }
}

/** One budget for all retries of an operation in this process. */
function retryBudget(): Budget {
  let budget = FULL
  return {
    earn() {
      budget = earned(budget)
    },
    spend() {
      const { paid, left } = spent(budget)
      budget = left
      return paid
    },
  }
}

/** Asks the gateway of one payment, unless `mayAsk` keeps calls away from it. */
export type Question = (
  id: bigint,
  mayAsk: (route: Route) => boolean,
  traceparent?: string,
) => Promise<void>

/**
 * Ask its gateway out of turn about one payment in doubt, or to end one that it has in hand.
 */
export function openQuestions(
  shared: Process,
  gateways: readonly OpenGateway[],
  stops: Closing,
): { readonly refresh: Question; readonly end: Question } {
  let kept: Settler<Settlement> | undefined
  const worlds = new Map(gateways.map((one) => [one.config.name, chargeWorld(shared, one)]))
  const { batchSpan } = batchSpans(shared.tracer)
  stops.push(async () => {
    kept?.hurry(lastWordsMs(shared.config))
    await kept?.idle()
  })
  const asking =
    (how: typeof refresh): Question =>
    async (id, mayAsk, traceparent) => {
      if (gateways.length === 0) return
      const payment = await findPayment(shared.db, id)
      if (payment === undefined) return
      const { gateway: name, type } = payment
      const world = worlds.get(name)
      if (world === undefined || !mayAsk({ gateway: name, operation: operationOf(type) })) return
      kept ??= openSettlements(shared, world, (settled) => countSettled(shared.metrics, settled))
      const { submit } = kept
      const ended = traceparent === undefined ? null : batchSpan?.('ask', [traceparent])
      const settled = await how(world, id, (settlement) => void submit(settlement), traceparent)
      ended?.()
      if (settled !== null) countSettled(shared.metrics, settled)
    }
  const end: typeof refresh = async (world, ...about) =>
    world.gateway.cancel === undefined ? null : endPending(world, ...about)
  return { refresh: asking(refresh), end: asking(end) }
}

/**
 * A loop for each operation of each gateway: payouts that hang take no room from charges, nor one
 * gateway from another.
 */
export function openWorker(
  shared: Process,
  gateways: readonly OpenGateway[],
): Workers<string> & { wakeAll(operation?: Operation, userId?: bigint): void } {
  const breakersOf = openBreakers(shared, gateways)
  verifyBeside(shared)
  // Whether this process traces or not: others may, or have done so.
  forgetOld(shared)
  const [first] = gateways
  if (first === undefined) throw new Error('a worker needs a gateway')
  // One for all: results of several operations are one transaction.
  const settler = openSettlements(shared, chargeWorld(shared, first), (settled) =>
    countSettled(shared.metrics, settled),
  )
  const workers = new Map<string, Loop>()
  const looks = openLooks(shared, gateways)
  for (const gateway of gateways) {
    const breakers = breakersOf.get(gateway.config.name) as SharedBreakers // One for each.
    openLoops({ shared, gateway, breakers, settler, looks }, workers)
  }
  settleLeftovers(shared, settler)
  const all = together(workers)
  return {
    ...all,
    wakeAll(operation, userId) {
      for (const [name, loop] of workers) {
        if (operation !== undefined && !name.endsWith(` ${operation}`)) continue
        loop.look(userId)
      }
    },
  }
}

/** A loop that can be told where there is something to do. */
interface Loop extends Worker {
  /** Look now, for payments of this user or of anybody. */
  look(userId?: bigint): void
}

function loopOf(gateway: string, operation: Operation): string {
  return `${gateway} ${operation}`
}

/** Looks at the queues for all loops together. */
function openLooks({ config }: Pick<Process, 'config'>, gateways: readonly OpenGateway[]) {
  const names = gateways.map(({ config: { name } }) => name)
  const routes = new Map(
    names.flatMap((gateway) =>
      OPERATIONS.map((operation) => [loopOf(gateway, operation), { gateway, operation }] as const),
    ),
  )
  const world = { clock: systemClock, random: Math.random, freshMs: config.workerPollIntervalMs }
  return sharedLooks<string>(world, async (session, server, loop) => {
    const only = loop === null ? undefined : routes.get(loop)
    const found = await (only === undefined
      ? shardsWithDue(session, server, names)
      : shardsWithDue(session, server, [only.gateway], [only.operation]))
    return found.map(({ gateway, operation, number }) => ({
      loop: loopOf(gateway, operation),
      number,
    }))
  })
}

/** The loops of one gateway, which share its room. */
function openLoops(
  needs: {
    readonly shared: Process
    readonly gateway: OpenGateway
    readonly breakers: SharedBreakers
    readonly settler: Settler<Settlement>
    readonly looks: SharedLooks<string>
  },
  all: Map<string, Loop>,
): void {
  const { shared, gateway, breakers, settler, looks } = needs
  const { name, concurrency: total } = gateway.config
  const workers = new Map<Operation, Worker>()
  const room = (operation: Operation): number => {
    const others = [...workers].filter(([loop]) => loop !== operation)
    const running = others.reduce((sum, [, worker]) => sum + worker.running(), 0)
    return roomBeside(total, OPERATIONS.length, running)
  }
  const world = { ...chargeWorld(shared, gateway), answeredSince: breakers.answeredSince }
  for (const operation of OPERATIONS) {
    const ofLoop = { ...settler, aside: () => settler.aside(loopOf(name, operation)) }
    const mine = { world: { ...world, budget: retryBudget() }, settler: ofLoop }
    const loop = openLoop(shared, {
      ...mine,
      operation,
      breakers,
      looks,
      concurrency: () => room(operation),
    })
    workers.set(operation, loop)
    all.set(loopOf(name, operation), loop)
  }
}

function openLoop(
  shared: Process,
  loop: {
    readonly world: ChargeWorld
    readonly operation: Operation
    readonly breakers: SharedBreakers
    readonly settler: Settler<Settlement>
    readonly looks: SharedLooks<string>
    readonly concurrency: () => number
  },
): Loop {
  const { config, metrics, log, db, tracer } = shared
  const { world, operation, breakers, settler, looks, concurrency } = loop
  const { name } = world.gateway.profile
  const turns = shardTurns({
    ...db,
    clock: systemClock,
    random: looks.random,
    pauseMs: config.workerPollIntervalMs,
    look: (shard) => oldestDueMs(shard, name),
    lookForWork: looks.of(loopOf(name, operation)),
    onIll: ({ number }, err) => log.error({ err, shard: number }, 'a shard gives no payments'),
  })
  const worker = startWorker<Claim, Settlement>({
    async claim(limit) {
      const beganMs = systemClock.elapsedMs()
      const claims = await claim({ ...world, turns }, limit, [operation])
      tracer?.batch('claim', tracePlaces(claims), systemClock.elapsedMs() - beganMs)
      metrics.count('payments_processing_started_total', claims.length)
      return claims
    },
    handle: chargeUnlessLocked(world, settler.waitsFor),
    settler,
    admitted: (wanted, running) =>
      shared.serving ? breakers.admitted(operation, wanted, running) : 0,
    clock: systemClock,
    concurrency,
    batchMax: config.workerBatch,
    pollMs: config.workerPollIntervalMs,
    restMs: turns.restMs,
    stopMsMax: lastWordsMs(config),
    onFull: shared.pressure.note,
    onError: (error, what) => log.error({ err: error }, `the worker could not ${what}`),
  })
  return {
    ...worker,
    look(userId) {
      looks.forget()
      turns.wake(userId === undefined ? undefined : db.of(userId))
      worker.wake()
    },
  }
}

function countSettled(metrics: Metrics, settled: Settled): void {
  metrics.settleBatch(settled.settlements.length)
  const nowMs = systemClock.now().getTime()
  for (const { claim: claimed, decision } of settled.settlements) {
    const { payment } = claimed
    if (decision.step === 'retry' && !decision.free) metrics.count('payments_retried_total')
    if (decision.step === 'succeed') metrics.count('payments_success_total')
    if (decision.step === 'fail') metrics.count('payments_failed_total')
    const fresh = decision.step === 'doubt' && payment.status === 'new'
    if (fresh) metrics.count('payments_unknown_total')
    if (decision.step === 'fail' || fresh) metrics.count('dlq_written_total')
    if (decision.step === 'succeed' || decision.step === 'fail') {
      metrics.paymentCompleted(nowMs - payment.createdAt.getTime())
    }
  }
}
