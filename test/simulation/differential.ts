import { sessions } from '../../src/adapters/shard-session.ts'
import type { Draft } from '../../src/domain/acceptance.ts'
import { redrive } from '../../src/dead-letters/redrive.ts'
import { resolve } from '../../src/dead-letters/resolve.ts'
import { seededRandom } from '../../src/domain/random.ts'
import { charge, claim, type ChargeWorld, type Settlement } from '../../src/charging/charge.ts'
import { refresh } from '../../src/charging/refresh.ts'
import { settle } from '../../src/charging/settle.ts'
import { CommitUnknown, Unavailable, type Db, type Shard } from '../../src/ports.ts'
import type { Accept } from '../../src/payments/accept.ts'
import { withShards } from '../../src/each-shard.ts'
import { openUsers } from '../../src/users/open.ts'
import {
  acceptAll,
  LEASE_MS,
  openedId,
  POLICY,
  scriptedGateway,
  type ManualClock,
  type Script,
  type ScriptedGateway,
} from '../harness.ts'
import { memoryDb } from './memory-db.ts'
import { acting } from './operator-statements.ts'
import { records } from './records.ts'
import { type Handlers } from './handlers.ts'
import { states } from './statements.ts'
import { memoryTables, type Tables } from './tables.ts'

/** One history against one database, with the choices that its seed makes. */
interface History {
  readonly between: (from: number, to: number) => number
  readonly pick: <T>(from: readonly T[]) => T
  readonly clock: ManualClock
  readonly gateway: ScriptedGateway
  readonly db: Db
  /** What befalls the next transaction. */
  readonly fate: { next: 'kept' | 'away' | 'reply_lost' }
  readonly shards: number
  readonly accepts: readonly Accept[]
  readonly world: ChargeWorld
  readonly users: bigint[]
  /** Charged and not yet settled, by workers that may have lost their lease meanwhile. */
  unsettled: Settlement[]
  /** Everything that anybody was told. */
  readonly told: string[]
}

const STEPS = 110
/** Ids of payments that are asked about: the first of a history, in which most come to an end. */
const PAYMENTS = 60

/**
 * Run the history of a seed, one operation at a time: the same choices whatever the database, so
 * two databases that behave alike tell the same and end alike. `open` gives one with as many shards
 * as the seed wants. Returns what was told.
 */
export async function runHistory(
  seed: number,
  open: (shards: number) => Db,
  clock: ManualClock,
): Promise<string[]> {
  const history = beginHistory(seed, open, clock)
  await openSome(history)
  for (let step = 0; step < STEPS; step += 1) {
    const act = history.pick([
      openSome,
      accept,
      accept,
      accept,
      work,
      work,
      write,
      write,
      pass,
      redriveSome,
      resolveSome,
      askOne,
    ])
    const line = await act(history).catch((error: unknown) => {
      if (error instanceof Unavailable || error instanceof CommitUnknown) return error.name
      throw error
    })
    history.told.push(`${step} ${act.name} ${line}`)
  }
  return history.told
}

function beginHistory(seed: number, open: (shards: number) => Db, clock: ManualClock): History {
  const random = seededRandom(seed)
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from))
  const pick: History['pick'] = (from) => from[between(0, from.length)] as (typeof from)[number]
  const fate: History['fate'] = { next: 'kept' }
  const shards = pick([1, 2, 3])
  const db = withShards(open(shards), (shard) => fated(shard, fate))
  const fee = { bps: 250, min: pick([0n, 30n]) }
  const gateway = scriptedGateway(['success'], {
    repeats: pick(['first_answer', 'first_answer', 'may_execute_again'] as const),
    keyLifeMs: pick([40_000, 3_600_000]),
    lookup: pick(['consistent', 'eventual', 'none'] as const),
  })
  const policy = { ...POLICY, attemptsMax: between(1, 4), ...gateway.profile }
  const limits = { leaseMs: LEASE_MS, callMsMax: 1_000 }
  const world: ChargeWorld = { db, clock, gateway, policy, ...limits, random }
  const accepts = [0, 1].map(() => acceptAll(db, fee))
  const state = { users: [], unsettled: [], told: [] }
  return { between, pick, clock, gateway, db, fate, shards, accepts, world, ...state }
}

/** Let transactions meet their fate; put claims, which come in no order, into one. */
function fated(shard: Shard, fate: History['fate']): Shard {
  return {
    ...shard,
    async run(statement, values) {
      const rows = await shard.run(statement, values)
      if (statement.name !== 'tasks_claim') return rows
      const claimed = rows as unknown as { paymentId: bigint }[]
      claimed.sort((one, other) => (one.paymentId < other.paymentId ? -1 : 1))
      return rows
    },
    async transaction(act, lockMs) {
      const { next } = fate
      fate.next = 'kept'
      if (next === 'away') throw new Unavailable('away')
      const result = await shard.transaction(act, lockMs)
      if (next === 'reply_lost') throw new CommitUnknown('the reply was lost')
      return result
    },
  }
}

async function openSome(history: History): Promise<string> {
  const { between, users } = history
  const drafts = Array.from({ length: between(1, 4) }, () => {
    return { balance: BigInt(between(0, 40_000)) }
  })
  const opened = (await openUsers(history.db, drafts)).map(openedId)
  users.push(...opened)
  return opened.join()
}

async function accept(history: History): Promise<string> {
  const { between, pick, users, fate, accepts } = history
  const drafts = Array.from({ length: between(1, 6) }, (): Draft => ({
    type: pick(['deposit', 'withdraw']),
    userId: between(0, 30) === 0 ? 99_999n : pick(users),
    amount: BigInt(pick([1, 20, 2_525, 9_999, 15_001])),
    idempotencyKey: pick([null, 'a', 'b', 'c,"{}\\', `d${between(0, 20)}`, `e${between(0, 99)}`]),
  }))
  fate.next = pick(['kept', 'kept', 'kept', 'away', 'reply_lost'])
  return show(await pick(accepts)(drafts))
}

const SCRIPTS: readonly Script[] = [
  ...(['success', 'success', 'lost_reply', 'declined'] as const),
  ...(['in_doubt', 'not_executed', 'rejected', 'misconfigured', 'pending'] as const),
]

/** Claim what is due and charge it; some workers die before they can tell. */
async function work(history: History): Promise<string> {
  const { world, pick, between, gateway } = history
  const claims = await claim(world, 1_000)
  for (const claimed of claims) {
    if (between(0, 6) === 0) continue
    gateway.script = [pick(SCRIPTS)]
    gateway.lookups = pick([
      null,
      null,
      { kind: 'no_answer', reason: 'timeout' },
      { kind: 'pending' },
    ])
    history.unsettled.push(await charge(world, claimed))
  }
  return show(claims.map(({ task, payment }) => [task, payment.status]))
}

/** Settle some of what was charged; after a lost reply it is settled again some time later. */
async function write(history: History): Promise<string> {
  const { world, pick, between, fate } = history
  // Several claims of one payment may meet in a batch: at most the newest still owns it.
  const chosen = history.unsettled.filter(() => between(0, 3) > 0)
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  const settled = await settle(world, chosen)
  history.unsettled = history.unsettled.filter((one) => !chosen.includes(one))
  return `${chosen.length} ${settled.stale}`
}

/** Letters that there may be: an operator goes by a list that is a little old. */
function someLetters({ between, shards }: History): bigint[] {
  const count = between(1, 4)
  return Array.from({ length: count }, () => BigInt(between(0, 20 * shards)))
}

const WHO = { actor: 'jane', reason: 'seen', requestId: 'r' }

async function redriveSome(history: History): Promise<string> {
  const { world, pick, between, fate } = history
  const requests = someLetters(history).map((letterId) => {
    return { letterId, delayMs: between(0, 3) * 100, againstEvidence: pick([true, false]) }
  })
  const by = { ...WHO, redriveId: pick([null, null, 7n, 8n]) }
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  return show(await redrive(world, by, requests))
}

async function resolveSome(history: History): Promise<string> {
  const { world, pick, fate } = history
  const requests = someLetters(history).map((letterId) => {
    const outcome = pick(['success', 'failed'] as const)
    return {
      letterId,
      outcome,
      gatewayRef: pick([null, 'gw-9']),
      againstEvidence: pick([true, false]),
    }
  })
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  return show(await resolve(world, { ...WHO, redriveId: null }, requests))
}

/** Somebody wants to know about a payment now, whoever works on it. */
async function askOne(history: History): Promise<string> {
  const { world, pick, between, gateway, fate } = history
  gateway.lookups = pick([null, null, { kind: 'no_answer', reason: 'timeout' }])
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  const settled = await refresh(world, BigInt(between(1, PAYMENTS)))
  return settled === null ? 'needless' : show(settled.settlements.map(({ decision }) => decision))
}

async function pass({ clock, pick }: History): Promise<string> {
  clock.advance(pick([1, 500, 3_000, 16_000, 61_000, 400_000]))
  return ''
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))
}

/**
 * The simulator's database, each step taken at once, opened with as many shards as somebody wants;
 * `change` plants a difference.
 */
export function instantDb(
  clock: ManualClock,
  change: (handlers: Handlers) => Handlers = (same) => same,
): { readonly tables: Tables; readonly open: (shards: number) => Db } {
  const tables = memoryTables()
  const done = Promise.resolve()
  const steps = {
    nowMs: () => clock.now().getTime(),
    step: () => done,
    wakeable: () => ({ done, wake: () => undefined }),
  }
  const handlers = change({ ...states, ...records, ...acting })
  const memory = memoryDb({ tables, handlers, steps, faults: { fires: () => false } })
  const process = { name: 'only', dead: false, pausedUntilMs: 0, onDeath: [] }
  const driver = memory.connect(process)
  return {
    tables,
    open: (shards) => sessions(driver, { currency: 'USD', shards, now: () => clock.now() }),
  }
}
