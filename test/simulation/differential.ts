import { sessions } from '../../src/adapters/shard-session.ts'
import type { PaymentDraft, Gateways } from '../../src/domain/acceptance.ts'
import { redrive } from '../../src/dead-letters/redrive.ts'
import { resolve } from '../../src/dead-letters/resolve.ts'
import type { PaymentType } from '../../src/domain/payment.ts'
import { routing } from '../../src/domain/routing.ts'
import { seededRandom } from '../../src/domain/random.ts'
import { charge, claim, type ChargeWorld } from '../../src/charging/charge.ts'
import { refresh } from '../../src/charging/refresh.ts'
import { settle } from '../../src/charging/settle.ts'
import {
  CommitUnknown,
  Unavailable,
  type Db,
  type Gateway,
  type Shard,
  type Tx,
} from '../../src/ports.ts'
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
} from '../harness.ts'
import { memoryDb } from './memory-db.ts'
import { PAYMENTS, show, someLetters, WHO, type History } from './history.ts'
import { sorted, type Handlers } from './handlers.ts'
import { STATEMENTS } from './all-statements.ts'
import { GIVING_BACK } from './differential-back.ts'
import { WATCH_MS, WATCHING } from './differential-watch.ts'
import { said } from './asked.ts'
import { memoryTables, type Tables } from './tables.ts'

const STEPS = 240
/** The last seed whose history has one gateway. */
const ONE_GATEWAY = 20

/** What happens to payments, told apart from what is given back of them. */
const ACTS = [
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
] as const

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
    const act = history.pick(history.pick([ACTS, ACTS, ACTS, GIVING_BACK, WATCHING]))
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
  Object.assign(gateway, { profile: { ...gateway.profile, watchMs: WATCH_MS } })
  const policy = { ...POLICY, attemptsMax: between(1, 4), ...gateway.profile }
  const limits = { leaseMs: LEASE_MS, callMsMax: 1_000 }
  const world: ChargeWorld = { db, clock, gateway, policy, ...limits, random }
  const other = { ...gateway, profile: { ...gateway.profile, name: 'other' } }
  // By chances of its own, so that histories with one gateway stay what they were.
  const elsewhere = { ...world, gateway: other, random: seededRandom(seed + 1_000) }
  const gateways = routed(elsewhereOf(seed), [gateway, other])
  const accepts = [0, 1].map(() => acceptAll(db, fee, gateways))
  const policies = {
    refundFee: pick(['keep', 'return', 'return'] as const),
    returnFee: pick(['keep', 'return', 'return'] as const),
  }
  const state = {
    users: [],
    accepted: [],
    succeeded: [],
    refunds: [],
    unsettled: [],
    unended: [],
    told: [],
  }
  const worlds = { world, elsewhere }
  return { between, pick, clock, gateway, db, fate, shards, accepts, policies, ...worlds, ...state }
}

/** What goes to a second gateway in the history of a seed: in the first ones there is none. */
function elsewhereOf(seed: number): PaymentType | null {
  if (seed <= ONE_GATEWAY) return null
  return seed % 2 === 0 ? 'withdraw' : 'deposit'
}

/** Payments of a type go to the second gateway, if there is one; all others to the first. */
function routed(type: PaymentType | null, gateways: readonly Gateway[]): Gateways {
  const profiles = new Map(gateways.map(({ profile }) => [profile.name, profile]))
  const rules = [{ type: null, currency: null, gateway: 'http' }]
  const own = type === null ? [] : [{ type, currency: null, gateway: 'other' }]
  return { routing: routing(profiles, [...own, ...rules]), closed: () => null }
}

/** Let transactions meet their fate; put claims, which come in no order, into one. */
function fated(shard: Shard, fate: History['fate']): Shard {
  return {
    ...shard,
    async run(statement, values) {
      const rows = await shard.run(statement, values)
      if (!/^tasks_claim(_of)?$/.test(statement.name)) return rows
      const claimed = rows as unknown as { paymentId: bigint }[]
      claimed.sort((one, other) => (one.paymentId < other.paymentId ? -1 : 1))
      return rows
    },
    async transaction(act, lockMs) {
      const { next } = fate
      fate.next = 'kept'
      if (next === 'away') throw new Unavailable('away')
      const result = await shard.transaction((tx) => act(inOrder(tx)), lockMs)
      if (next === 'reply_lost') throw new CommitUnknown('the reply was lost')
      return result
    },
  }
}

/** Rows that come in no order, in one: acts are numbered in it. */
function inOrder(tx: Tx): Tx {
  return {
    ...tx,
    write: (statement, values) => tx.write(statement, values),
    async run(statement, values) {
      const rows = await tx.run(statement, values)
      if (statement.name !== 'payments_read_whole') return rows
      const read = rows as unknown as { id: bigint }[]
      read.sort((one, other) => (one.id < other.id ? -1 : 1))
      return rows
    },
  }
}

async function openSome(history: History): Promise<string> {
  const { between, users, pick } = history
  const drafts = Array.from({ length: between(1, 4) }, () => {
    return { balance: BigInt(between(0, 40_000)), currency: pick([null, null, 'JPY', 'KWD']) }
  })
  const opened = (await openUsers(history.db, drafts)).map(openedId)
  users.push(...opened)
  return opened.join()
}

/** An amount in the books' currency, or as it was sent, perhaps in a currency that it names. */
function inHome({ pick }: History): Pick<PaymentDraft, 'amount'> {
  return { amount: BigInt(pick([1, 20, 2_525, 9_999, 15_001])) }
}

function asked({ pick }: History): Pick<PaymentDraft, 'amount' | 'asked'> {
  const [unscaled, scale] = pick([
    [2_525n, 2],
    [300n, 0],
    [7_125n, 3],
  ] as const)
  const currency = pick([null, null, 'USD', 'JPY', 'KWD'])
  return { amount: 0n, asked: { amount: { unscaled, scale }, currency } }
}

async function accept(history: History): Promise<string> {
  const { between, pick, users, fate, accepts } = history
  const drafts = Array.from({ length: between(1, 6) }, (): PaymentDraft => ({
    type: pick(['deposit', 'withdraw']),
    userId: between(0, 30) === 0 ? 99_999n : pick(users),
    ...pick([inHome, inHome, asked])(history),
    idempotencyKey: pick([null, 'a', 'b', 'c,"{}\\', `d${between(0, 20)}`, `e${between(0, 99)}`]),
    ...(between(0, 3) === 0 && {
      given: said({ reference: pick([null, 'r1', `r${between(0, 9)}`]) }),
    }),
  }))
  fate.next = pick(['kept', 'kept', 'kept', 'away', 'reply_lost'])
  const answers = await pick(accepts)(drafts)
  for (const answer of answers) {
    if (answer.kind === 'accepted') history.accepted.push(answer.payment.id)
  }
  return show(answers)
}

const SCRIPTS: readonly Script[] = [
  ...(['success', 'success', 'lost_reply', 'declined'] as const),
  ...(['in_doubt', 'not_executed', 'rejected', 'misconfigured', 'pending'] as const),
]

/** Claim what is due and charge it; some workers die before they can tell. */
async function work(history: History): Promise<string> {
  const { world, elsewhere, pick, between, gateway } = history
  const claims = [...(await claim(world, 1_000)), ...(await claim(elsewhere, 1_000))]
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
  // In order: which comes first of those settled by late words depends on the database.
  const yes = settled.settlements.filter(({ decision }) => decision.step === 'succeed')
  history.succeeded.push(...sorted(yes.map(({ claim: claimed }) => claimed.payment.id)))
  return `${chosen.length} ${settled.stale}`
}

async function redriveSome(history: History): Promise<string> {
  const { world, pick, between, fate } = history
  const requests = someLetters(history).map((letterId) => {
    return { letterId, delayMs: between(0, 3) * 100, againstEvidence: pick([true, false]) }
  })
  const by = { ...WHO, redriveId: pick([null, null, 7n, 8n]) }
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  return show(
    await redrive({ ...world, terms: () => world.policy, ...history.policies }, by, requests),
  )
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
  return show(
    await resolve({ ...world, terms: () => world.policy }, { ...WHO, redriveId: null }, requests),
  )
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
  const handlers = change(STATEMENTS)
  const memory = memoryDb({ tables, handlers, steps, faults: { fires: () => false } })
  const process = { name: 'only', dead: false, pausedUntilMs: 0, onDeath: [] }
  const driver = memory.connect(process)
  return {
    tables,
    open(shards) {
      tables.telling.shards = shards
      return sessions(driver, { currency: 'USD', shards, now: () => clock.now() })
    },
  }
}
