import { sessions } from '../../src/adapters/shard-session.ts'
import type { Answer, Draft } from '../../src/domain/acceptance.ts'
import type { ActWorld } from '../../src/dead-letters/act.ts'
import { redrive } from '../../src/dead-letters/redrive.ts'
import { resolve } from '../../src/dead-letters/resolve.ts'
import type { Fee } from '../../src/domain/fee.ts'
import type { Operation } from '../../src/domain/payment.ts'
import { confirms } from '../../src/domain/reply.ts'
import type { RetryPolicy } from '../../src/domain/decision.ts'
import { seededRandom } from '../../src/domain/random.ts'
import { acceptor, type Accept } from '../../src/payments/accept.ts'
import { acceptingInShard } from '../../src/payments/accepting.ts'
import {
  chargeUnlessLocked,
  claim,
  type ChargeWorld,
  type Claim,
  type Settlement,
} from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import {
  Busy,
  CommitUnknown,
  Unavailable,
  type Clock,
  type Db,
  type Gateway,
} from '../../src/ports.ts'
import type { GatewayProfile } from '../../src/ports.ts'
import { together } from '../../src/queue/workers.ts'
import { openSettler } from '../../src/queue/settler.ts'
import { startWorker, type Worker } from '../../src/queue/worker.ts'
import { ofEachShard } from '../../src/each-shard.ts'
import { auditor, type Auditor } from './checks.ts'
import { Violation } from './promises.ts'
import { clientJournal, type ClientJournal } from './clients.ts'
import { drawFaults, type Fault, type Faults } from './faults.ts'
import { hostileGateway, type HostileGateway } from './gateway.ts'
import { memoryDb, type MemoryDb } from './memory-db.ts'
import { acting } from './operator-statements.ts'
import { records } from './records.ts'
import { scheduler, START_MS, type Process, type Scheduler } from './scheduler.ts'
import { taskLock, userLock, type Handlers } from './handlers.ts'
import { states } from './statements.ts'
import { memoryTables, type Tables } from './tables.ts'
import { drawPlan, type Plan } from './plan.ts'

/** Bugs to plant: each replaces one input of the operations. None in production code. */
export interface Plants {
  readonly profile?: GatewayProfile
  /** Faults that its histories are full of, where few others would show it. */
  readonly trouble?: Partial<Record<Fault, number>>
  readonly fee?: (fee: Fee) => Fee
  readonly policy?: (policy: RetryPolicy) => RetryPolicy
  readonly handlers?: (handlers: Handlers) => Handlers
  readonly gateway?: (gateway: Gateway) => Gateway
  readonly accept?: (accept: Accept) => Accept
  readonly settle?: typeof settle
  readonly clock?: (clock: Clock) => Clock
  /** The time that a process takes for its database's. */
  readonly now?: (clock: Clock) => Date
  readonly acts?: (acts: Acts) => Acts
  readonly proves?: typeof confirms
}

/** What operators do. */
export interface Acts {
  readonly redrive: typeof redrive
  readonly resolve: typeof resolve
}

/** A process that accepts payments. */
export interface Api {
  readonly process: Process
  readonly db: Db
  readonly clock: Clock
  /** Accept drafts, each in whatever batch it comes into. */
  readonly accept: (drafts: readonly Draft[]) => Promise<readonly Answer[]>
}

export interface World {
  readonly plan: Plan
  readonly random: () => number
  readonly tables: Tables
  readonly steps: Scheduler
  readonly faults: Faults
  readonly db: MemoryDb
  readonly gateway: HostileGateway
  readonly books: Auditor
  readonly clients: ClientJournal
  readonly apis: Api[]
  readonly workers: { process: Process; worker: Worker }[]
  /** What gateways told workers. */
  readonly words: { readonly process: Process; readonly done: Settlement }[]
  /** Payments with a yes that a process of the version before kept and did not act on. */
  readonly ignored: Set<bigint>
  readonly acts: Acts
  /** What happened, beside the faults. */
  readonly reached: Record<string, number>
  /** Workers that died stay dead from now on. */
  closing: boolean
  /** Report an error that must not happen; the run stops at the next step. */
  fail(error: unknown): void
  count(what: string): void
  /** A process of its own that can work the queue. */
  hand(name: string): { process: Process; world: ChargeWorld }
  /** An API process as it asks the gateway out of turn. */
  charging(api: Api): ChargeWorld
  startApi(slot: number): void
  startWorker(slot: number): void
}

export const LEASE_MS = 15_000
export const CALL_MS_MAX = 5_000
export const GRACE_MS = 30_000
const IDLE_TRANSACTION_MS = 10_000
const LOCK_MS_MAX = 5_000

/** Everything a seed needs, with nothing started yet. */
export function createWorld(
  seed: number,
  plants: Plants = {},
  log: ((line: string) => void) | null = null,
): World {
  // Streams of chance that do not disturb each other.
  const stream = (index: number) => seededRandom(seed + index * 0x1_0000_0000)
  const faults = drawFaults(stream(1), stream(5), plants.trouble)
  const plan = drawPlan(faults, plants.profile, stream(4))
  let failure: unknown = null
  const steps = scheduler(
    stream(2),
    () => {
      if (failure !== null) throw failure
      books.check()
      if (!world.closing) misfortune(world)
    },
    log,
  )
  const tables = memoryTables()
  const handlers = (plants.handlers ?? ((same) => same))({ ...states, ...records, ...acting })
  const db = memoryDb({ tables, handlers, steps, faults })
  const { profile, fee, attemptsMax } = plan
  const limits = { callMsMax: CALL_MS_MAX, graceMs: GRACE_MS }
  const pausing = {
    ...steps,
    pause: (process: Process, ms: number) => standStill(world, process, ms),
  }
  const proves = plants.proves ?? confirms
  const spares = plan.giveUpMs > 0
  const gateway = hostileGateway({ steps: pausing, faults, profile, proves, spares, ...limits })
  const { journal } = gateway
  const ignored = new Set<bigint>()
  const rule = { feeBps: fee.bps, feeMin: fee.min, attemptsMax, lookup: profile.lookup, ignored }
  const books = auditor({ tables, journal, nowMs: steps.nowMs, ...rule })
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
    reached,
    random: stream(3),
    apis: [],
    workers: [],
    words: [],
    ignored,
    acts: (plants.acts ?? ((same: Acts) => same))({ redrive, resolve }),
    closing: false,
    fail: (error) => (failure ??= error),
    count: (what) => (reached[what] = (reached[what] ?? 0) + 1),
    hand: (name) => hand(world, plants, name),
    charging: (api) => chargeWorld(world, plants, api),
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
): { process: Process; world: ChargeWorld } {
  const process = world.steps.spawn(name)
  const clock = processClock(world, process, plants)
  const db = connect(world, plants, process, clock)
  return { process, world: chargeWorld(world, plants, { process, db, clock }) }
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
  }
  const reached = gateway.connect(process)
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
    const fees = { bps: fee.bps, mins: new Map([['USD', fee.min]]) }
    const real = acceptor({ shard, currency: 'USD', fees })
    return acceptingInShard(plants.accept?.(real) ?? real, clock, limits)
  })
  const submit = (draft: Draft) => accepts.of(draft.userId).submit(draft)
  return { process, db, clock, accept: (drafts) => Promise.all(drafts.map(submit)) }
}

/** What operators act on in an API process. */
export function actWorld({ plan }: World, { db }: Api): ActWorld {
  return { db, policy: { ...plan.profile, timeoutMs: CALL_MS_MAX } }
}

/** What the gateway is asked to do in the histories: nobody asks for refunds there. */
export const ASKED: readonly Operation[] = ['charge', 'payout']

/** The real worker loops around the real operations: one for each thing a gateway does. */
function startWorkerIn(world: World, plants: Plants, slot: number) {
  const { faults } = world
  const { process, world: own } = hand(world, plants, `worker-${slot}`)
  const concurrency = faults.between(1, 6)
  const limits = { concurrency: () => concurrency, batchMax: faults.between(1, 6) }
  const pollMs = faults.between(500, 3_000)
  const loops = ASKED.map((operation) => {
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
    return [operation, loop] as const
  })
  return { process, worker: together(new Map(loops)) }
}

/** The real settler; what it leaves out is locked, and it gives nothing up. */
function settlerOf(world: World, plants: Plants, own: ChargeWorld, batchMax: number) {
  return openSettler<Settlement>({
    async settle(done, patient) {
      const beganMs = world.steps.nowMs()
      const settled = await (plants.settle ?? settle)(own, done, patient)
      if (settled.stale > 0) world.count('stale')
      for (const { decision } of settled.settlements) world.count(`decided_${decision.step}`)
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

/** Whether an operation may throw this; anything else is a bug. */
export function expected(error: unknown): boolean {
  const passing = [Unavailable, CommitUnknown, Busy]
  return passing.some((kind) => error instanceof kind)
}

/** After any step a process may die or stand still. */
function misfortune(world: World): void {
  const { faults } = world
  if (faults.fires('api_crash')) crash(world, world.apis, (slot) => world.startApi(slot))
  if (faults.fires('worker_crash')) crash(world, world.workers, (slot) => world.startWorker(slot))
  if (faults.fires('row_locked')) seize(world)
  if (faults.fires('database_read_only')) {
    world.db.turnReadOnly(faults.between(100, LEASE_MS * 3))
  }
  if (faults.fires('pause')) {
    const processes = [...world.apis, ...world.workers].map(({ process }) => process)
    const ms = faults.between(1_000, LEASE_MS * 3)
    if (processes.length > 0) standStill(world, faults.pick(processes), ms)
  }
}

/** Somebody at a prompt locks a row that matters, and takes their time. */
function seize({ faults, tables, db }: World): void {
  const keys = [
    ...[...tables.users.rows.keys()].map(userLock),
    ...[...tables.tasks.rows.keys()].map(taskLock),
  ]
  if (keys.length > 0) db.seize(faults.pick(keys), faults.between(100, LEASE_MS * 3))
}

function crash(
  world: World,
  slots: readonly { readonly process: Process }[],
  restart: (slot: number) => void,
): void {
  const { faults, steps, db } = world
  if (slots.length === 0) return
  const slot = faults.between(0, slots.length)
  const { process } = slots[slot] as { process: Process }
  if (process.dead) return
  const survive = faults.between(0, 2) === 0
  db.abandon(process, survive)
  steps.kill(process, survive)
  const atMs = steps.nowMs() + faults.between(100, LEASE_MS + 5_000)
  void steps.step(steps.spawn('supervisor'), `restarts ${process.name}`, { atMs }).then(() => {
    restart(slot)
  })
}

/** Its open transactions end when they have been idle for too long. */
function standStill({ steps, db }: World, process: Process, ms: number): void {
  steps.pause(process, ms)
  const atMs = steps.nowMs() + IDLE_TRANSACTION_MS
  void steps.step(steps.spawn('supervisor'), 'ends idle transactions', { atMs }).then(() => {
    if (process.pausedUntilMs > steps.nowMs()) db.expire(process)
  })
}
