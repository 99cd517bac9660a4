import { sessions } from '../../src/adapters/shard-session.ts'
import { correct } from '../../src/dead-letters/correct.ts'
import { editPayment } from '../../src/operators/edit-texts.ts'
import { redrive } from '../../src/dead-letters/redrive.ts'
import { resolve } from '../../src/dead-letters/resolve.ts'
import { NOT_FINISHED } from '../../src/domain/doubt.ts'
import type { PaymentDraft, Gateways } from '../../src/domain/acceptance.ts'
import type { RetryPolicy } from '../../src/domain/charge-decision.ts'
import { GATEWAY, OPERATIONS, type Operation } from '../../src/domain/payment.ts'
import { routing } from '../../src/domain/routing.ts'
import { profileOf } from '../profiles.ts'
import { seededRandom } from '../../src/domain/random.ts'
import { confirms } from '../../src/domain/reply-outcome.ts'
import {
  chargeUnlessLocked,
  claim,
  type ChargeWorld,
  type Claim,
  type Settlement,
} from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import { acceptor } from '../../src/payments/accept.ts'
import { acceptingInShard } from '../../src/payments/accepting.ts'
import type { Clock, Db } from '../../src/ports.ts'
import { openSettler } from '../../src/queue/settler.ts'
import { startWorker } from '../../src/queue/worker.ts'
import { together } from '../../src/queue/workers.ts'
import { cancelPayments } from '../../src/operators/cancel.ts'
import { acceptRefunds } from '../../src/refunds/refund.ts'
import { bookReturns } from '../../src/refunds/returns.ts'
import { ofEachShard } from '../../src/each-shard.ts'
import { expected } from './asking.ts'
import { auditor } from './checks.ts'
import { clientJournal } from './clients.ts'
import { nothingThere } from './came-back.ts'
import { HOME } from './currencies.ts'
import { drawFaults } from './faults.ts'
import { hostileGateway } from './gateway.ts'
import { taskLock, userLock } from './handlers.ts'
import { deliveryLoop } from './deliverers.ts'
import { CALL_MS_MAX, GRACE_MS, LEASE_MS } from './limits.ts'
import { memoryDb } from './memory-db.ts'
import { misfortune, standStill } from './misfortunes.ts'
import { drawPlan, feesOf, type Plan } from './plan.ts'
import { Violation } from './promises.ts'
import { openTelling } from './telling.ts'
import { refundJournal } from './refund-clients.ts'
import { scheduler, START_MS, type Process } from './scheduler.ts'
import { memoryTables } from './tables.ts'
import { watchLoop } from './watchers.ts'
import type { Acts, Api, Plants, World } from './world-types.ts'

const LOCK_MS_MAX = 5_000

const ACTS: Acts = {
  redrive,
  resolve,
  refund: acceptRefunds,
  cancel: cancelPayments,
  book: bookReturns,
  correct,
  edit: editPayment,
}

/** Everything a seed needs, with nothing started yet. */
export function createWorld(
  seed: number,
  plants: Plants = {},
  log: ((line: string) => void) | null = null,
): World {
  // Streams of chance that do not disturb each other.
  const stream = (index: number) => seededRandom(seed + index * 0x1_0000_0000)
  const faults = drawFaults(stream(1), stream(5), plants.trouble)
  const chances = { chance: stream(4), back: stream(6) }
  const plan = { ...drawPlan(faults, plants.profile, chances), ...plants.plan }
  let failure: unknown = null
  const steps = scheduler(
    stream(2),
    () => {
      if (failure !== null) throw failure
      books.check()
      if (plan.endpoints > 0) telling.deliveries.check()
      if (!world.closing) misfortune(world)
    },
    log,
  )
  const tables = memoryTables()
  const told = { plan, tables, steps, faults, plants }
  const { handlers, ...telling } = openTelling(told, (what) => world.count(what))
  const db = memoryDb({ tables, handlers, steps, faults })
  const { profile, fee, attemptsMax, refundFee, returnFee, watchMs } = plan
  const limits = { callMsMax: CALL_MS_MAX, graceMs: GRACE_MS }
  const pause = (process: Process, ms: number) => standStill(world, process, ms)
  const pausing = { ...steps, pause }
  const proves = plants.proves ?? confirms
  const spares = plan.giveUpMs > 0
  const gateway = hostileGateway({ steps: pausing, faults, profile, proves, spares, ...limits })
  const { journal } = gateway
  const ignored = new Set<bigint>()
  const rule = { fees: feesOf(fee), refundFee, returnFee, attemptsMax, lookup: profile.lookup }
  const books = auditor({ tables, journal, nowMs: steps.nowMs, ...rule, watchMs, ignored })
  const clients = clientJournal(tables)
  const reached: Record<string, number> = {}
  const world: World = {
    plan,
    tables,
    steps,
    faults,
    db,
    gateway,
    books,
    clients,
    refunds: refundJournal(tables),
    told: new Map(),
    ...nothingThere(),
    ...telling,
    reached,
    random: stream(3),
    apis: [],
    workers: [],
    words: [],
    ignored,
    acts: (plants.acts ?? ((same: Acts) => same))(ACTS),
    closing: false,
    fail: (error) => (failure ??= error),
    count: (what) => (reached[what] = (reached[what] ?? 0) + 1),
    hand: (name) => hand(world, plants, name),
    charging: (api, name) => chargeWorld(world, plants, api, name),
    startApi: (slot) => (world.apis[slot] = startApi(world, plants, slot)),
    startWorker(slot) {
      if (!world.closing) world.workers[slot] = startWorkerIn(world, plants, slot)
    },
  }
  return world
}

/** A process clock: its own start, perhaps wrong; the database keeps its own time. */
function processClock(world: World, process: Process, plants: Plants): Clock {
  const { steps, faults } = world
  const skewMs = faults.fires('clock_skew') ? faults.between(-3_600_000, 3_600_000) : 0
  const startedMs = faults.between(0, 1_000_000)
  const clock: Clock = {
    now: () => new Date(steps.nowMs() + skewMs),
    elapsedMs: () => startedMs + steps.nowMs() - START_MS,
    sleep(ms, signal) {
      const nap = steps.wakeable(process, 'wakes up', { atMs: steps.nowMs() + ms })
      if (signal?.aborted) nap.wake(steps.nowMs())
      signal?.addEventListener('abort', () => nap.wake(steps.nowMs()), { once: true })
      return nap.done
    },
  }
  return plants.clock?.(clock) ?? clock
}

function hand(
  world: World,
  plants: Plants,
  name: string,
): { process: Process; needs: ChargeWorld } {
  const process = world.steps.spawn(name)
  const clock = processClock(world, process, plants)
  const db = connect(world, plants, process, clock)
  return { process, needs: chargeWorld(world, plants, { process, db, clock }, GATEWAY) }
}

/** The database as a process sees it. */
function connect({ db, plan }: World, plants: Plants, process: Process, clock: Clock): Db {
  const now = () => plants.now?.(clock) ?? null
  return sessions(db.connect(process), { currency: 'USD', shards: plan.shards, now })
}

/** What charging and looking up takes in a process. */
function chargeWorld(
  world: World,
  plants: Plants,
  { process, db, clock }: Pick<Api, 'process' | 'db' | 'clock'>,
  name: string,
): ChargeWorld {
  const { plan, gateway } = world
  const policy: RetryPolicy = {
    attemptsMax: plan.attemptsMax,
    backoffBaseMs: 1_000,
    backoffMaxMs: 10_000,
    jitterMs: 500,
    notFoundGraceMs: GRACE_MS,
    giveUpMs: plan.giveUpMs,
    timeoutMs: CALL_MS_MAX,
    ...plan.profile,
    ...(plan.endPendingMs === null ? {} : { endPendingMs: plan.endPendingMs }),
    ...(plan.lostPendingMs === null ? {} : { lostPendingMs: plan.lostPendingMs }),
  }
  const connected = gateway.connect(process, name)
  const { watchMs } = plan
  const reached = { ...connected, profile: { ...connected.profile, watchMs } }
  return {
    db,
    clock,
    gateway: plants.gateway?.(reached) ?? reached,
    policy: plants.policy?.(policy) ?? policy,
    leaseMs: LEASE_MS,
    callMsMax: CALL_MS_MAX,
    random: world.random,
    answeredSince: (_operation, ageMs) => ageMs > 20_000,
  }
}

function startApi(world: World, plants: Plants, slot: number): Api {
  const { plan, steps } = world
  const process = steps.spawn(`api-${slot}`)
  const clock = processClock(world, process, plants)
  const db = connect(world, plants, process, clock)
  const fee = plants.fee?.(plan.fee) ?? plan.fee
  const limits = { sizeMax: 20, waitingMax: 1_000, sideBySide: 2, lockMsMax: LOCK_MS_MAX }
  const accepts = ofEachShard(db, (shard) => {
    const fees = plants.fees?.(feesOf(fee)) ?? feesOf(fee)
    const real = acceptor({ shard, currency: HOME, fees, gateways: gatewaysOf(plan) })
    return acceptingInShard(plants.accept?.(real) ?? real, clock, limits)
  })
  const submit = (draft: PaymentDraft) => accepts.of(draft.userId).submit(draft)
  return { process, db, clock, accept: (drafts) => Promise.all(drafts.map(submit)) }
}

/** Where payments go in a history, and that no route is ever closed. */
function gatewaysOf({ elsewhere, profile }: Plan): Gateways {
  const profiles = new Map([GATEWAY, OTHER].map((name) => [name, profileOf(profile, { name })]))
  const rules = [
    { type: elsewhere, currency: null, gateway: elsewhere === null ? GATEWAY : OTHER },
    { type: null, currency: null, gateway: GATEWAY },
  ]
  return { routing: routing(profiles, rules), closed: () => null }
}

/** The second gateway, where a history has one. */
const OTHER = 'other'

/** The gateways of a history. */
export function gatewayNames({ elsewhere }: Plan): readonly string[] {
  return elsewhere === null ? [GATEWAY] : [GATEWAY, OTHER]
}

/** What the gateway is asked to do in a history; refunds only where somebody asks for them. */
export function operationsOf({ clerks }: Plan): readonly Operation[] {
  return clerks > 0 ? OPERATIONS : ['charge', 'payout']
}

/** The real worker loops around the real operations: one for each thing a gateway does. */
function startWorkerIn(world: World, plants: Plants, slot: number) {
  const { faults, plan } = world
  const { process, needs } = hand(world, plants, `worker-${slot}`)
  const first = { ...needs, process }
  const concurrency = faults.between(1, 6)
  const limits = { concurrency: () => concurrency, batchMax: faults.between(1, 6) }
  const pollMs = faults.between(500, 3_000)
  const routes = gatewayNames(world.plan).flatMap((gateway) =>
    operationsOf(world.plan).map((operation) => ({ gateway, operation })),
  )
  const loops = routes.map(({ gateway, operation }) => {
    const own = chargeWorld(world, plants, first, gateway)
    const settler = settlerOf(world, plants, own, limits.batchMax)
    const handle = chargeUnlessLocked(own, settler.waitsFor)
    const loop = startWorker<Claim, Settlement>({
      claim: (limit) => claim(own, limit, [operation]),
      async handle(claimed, signal) {
        const done = await handle(claimed, signal)
        world.words.push({ process, done })
        return done
      },
      settler,
      admitted: (wanted) => wanted,
      clock: own.clock,
      ...limits,
      pollMs,
      stopMsMax: 60_000,
      onError: (error) => expected(error) || world.fail(error),
    })
    return [`${gateway} ${operation}`, loop] as const
  })
  const watching = plan.watchMs.length === 0 ? [] : gatewayNames(plan)
  const looks = watching.map((name) => {
    const own = chargeWorld(world, plants, first, name)
    return [`${name} watch`, watchLoop(world, plants, own, { ...limits, pollMs })] as const
  })
  const telling =
    plan.endpoints === 0 ? [] : [deliveryLoop(world, plants, first, { ...limits, pollMs })]
  const tellers = telling.map((loop) => ['webhooks', loop] as const)
  return { process, worker: together<string>(new Map([...loops, ...looks, ...tellers])) }
}

/** The real settler; what it leaves out is locked, and it gives nothing up. */
function settlerOf(world: World, plants: Plants, own: ChargeWorld, batchMax: number) {
  return openSettler<Settlement>({
    async settle(done, patient) {
      const beganMs = world.steps.nowMs()
      const settled = await (plants.settle ?? settle)(own, done, patient)
      if (settled.stale > 0) world.count('stale')
      for (const { decision, calls } of settled.settlements) {
        world.count(`decided_${decision.step}`)
        const ended = calls.at(-1)?.kind === 'cancel' && decision.step === 'fail'
        if (ended) world.count('ended_there')
        if (decision.step === 'doubt' && decision.reason === NOT_FINISHED) world.count('lost_there')
      }
      for (const { claim: claimed } of settled.busy) {
        world.count('left_out')
        const { id, userId } = claimed.payment
        const found = [taskLock(id), userLock(userId)].map((key) => world.db.foundLockedMs(key))
        // Not thrown: the settler would take it for a fault of the batch.
        const fair = Math.max(...found) >= beganMs
        if (!fair) world.fail(new Violation(`nobody is left out for another’s lock ${id}`))
      }
      for (const { error } of settled.failed) if (!expected(error)) world.fail(error)
      return [...settled.busy, ...settled.failed.flatMap(({ settlements }) => settlements)]
    },
    clock: own.clock,
    batchMax,
    keyOf: ({ claim: claimed }) => claimed.payment.userId,
    faultyMsMax: LEASE_MS,
    onError: (error) => expected(error) || world.fail(error),
    onGivenUp: (_, error) => world.fail(error),
  })
}
