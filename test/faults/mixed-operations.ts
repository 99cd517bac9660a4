import { askEach, definite, openUser } from './load.ts'
import {
  actOnce,
  apisOf,
  bookAll,
  cancel,
  decimals,
  openLetters,
  pay,
  persist,
  workOn,
  type Mix,
} from './mixed-acts.ts'
import { booksAtRest } from './mixed-books.ts'
import type { Scenario, Stage } from './scenario.ts'
import { gatewaysOf, type Stack } from './stack.ts'
import { turnGateway } from '../../tools/client.ts'
import { check } from './witnesses.ts'

/** The currencies in which users are opened, in turn: with two, with no and with three decimals. */
const CURRENCIES = ['USD', 'JPY', 'KWD'] as const
/** The least commission in each of them; no payment here is smaller. */
const FLOORS = 'USD:0.30,JPY:40,KWD:0.035'
const USERS = 30
/** What a user has, in minor units. Every fifth is poor. */
const BALANCE = 100_000
const BALANCE_POOR = 2_000
const CLIENTS = 12
/** Somebody is killed after so many operations, or a hundredth of them all. */
const KILL_EVERY = 50
const KILLS_MAX = 100
const REST_MS_MAX = 180_000
const REDRIVEN_MIN = 3

const WELL = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  decline: 0,
  rejected: 0,
  lookup_errors: 0,
  latency_ms: 5,
  latency_jitter_ms: 20,
}
/** Lost replies, refusals, slow answers, and answers that say nothing. */
const FAULTS = {
  ...WELL,
  timeout_after: 0.01,
  error_before: 0.04,
  error_after: 0.03,
  reset_after: 0.02,
  decline: 0.03,
  rejected: 0.01,
  lookup_errors: 0.1,
  latency_jitter_ms: 60,
}
/** A gateway from which nobody learns anything about a charge. */
const DUMB = { ...WELL, rejected: 1, lookup_errors: 1 }

/** Every kind of operation, on a gateway that fails, while everything is killed in turn. */
export const MIXED_OPERATIONS: Scenario = {
  name: 'mixed-operations',
  title:
    'Payments, refunds, returns, cancelations, redrives and corrections with faults on, while api, ' +
    'worker, gateway and database are killed in turn',
  lane: 0,
  perSecond: 0,
  needs: {
    'SIGKILLs of processes': 6,
    'PostgreSQL killed': 2,
    'refunds accepted': 5,
    'returns booked': 5,
    'letters redriven': REDRIVEN_MIN,
    'payments canceled': 1,
    'payments corrected': 1,
    ...Object.fromEntries(CURRENCIES.map((currency) => [`payments in ${currency}`, 30])),
  },
  stack: () => ({
    apis: 2,
    workers: 3,
    line: 'worker 1',
    gatewayFile: true,
    gatewayFaults: FAULTS,
    env: {
      // What is slow here is the machine, and no call is in doubt for it.
      GATEWAY_TIMEOUT_SECONDS: '6',
      WORKER_PROCESSING_TIMEOUT_SECONDS: '20',
      DATABASE_CONNECT_TIMEOUT_SECONDS: '10',
      GATEWAY_MAX_ATTEMPTS: '6',
      GATEWAY_GIVE_UP_SECONDS: '8',
      TRANSACTION_FEE_MIN: FLOORS,
    },
  }),
  async run(stage) {
    const { stack, expect } = stage
    await stack.ready()
    const mix: Mix = { stage, accounts: await openAccounts(stage), accepted: [], strange: [] }
    stack.gateway.turn({ loseReply: 0.02 })
    stack.bank?.way.turn({ loseReply: 0.02 })
    stack.database.turn({ loseReply: 0.001, loseCommit: 0.01 })
    await operations(mix)
    stack.gateway.turn({})
    stack.bank?.way.turn({})
    stack.database.turn({})
    await stack.ready()
    await turnAll(stack, WELL)
    await rest(stage)
    await redriveLeft(mix)
    await rest(stage)
    await cancelUnclaimed(mix)
    await lateCorrections(mix)
    const left = await bookAll(mix)
    expect(check('All that came back at the gateway is booked', left, 'nothing is left'))
    await rest(stage)
    expect(check('No act is answered in a way of its own', mix.strange, 'none'))
    for (const result of await booksAtRest(stack)) expect(result)
    for (const type of ['deposit', 'withdraw', 'refund']) {
      const there = `payments where gateway = 'bank' and status = 'success' and type = '${type}'`
      stage.add(`${type}s by the bank`, await count(stack, there))
    }
  },
}

/** The same through two gateways, each of which is killed in its turn. */
export const MIXED_GATEWAYS: Scenario = {
  ...MIXED_OPERATIONS,
  name: 'mixed-gateways',
  title:
    'mixed-operations through two gateways: what is in yen, and payouts in dollars, go to a bank',
  needs: {
    ...MIXED_OPERATIONS.needs,
    'deposits by the bank': 10,
    'withdraws by the bank': 10,
    'refunds by the bank': 3,
  },
  stack: (...chances) => ({
    ...MIXED_OPERATIONS.stack(...chances),
    bank: true,
    bankRoutes: '*:JPY=bank,withdraw:USD=bank',
  }),
}

/** Set the faults of every gateway. */
async function turnAll(stack: Stack, faults: Readonly<Record<string, number>>): Promise<void> {
  for (const { url } of gatewaysOf(stack)) await turnGateway(url, faults)
}

async function openAccounts(stage: Stage): Promise<Mix['accounts']> {
  const apis = apisOf(stage)
  const accounts = []
  for (let index = 0; index < USERS; index += 1) {
    const currency = CURRENCIES[index % CURRENCIES.length] ?? 'USD'
    const exponent = decimals(currency)
    // Refusals are to be among the answers, and losses among the entries.
    const minor = index % 5 === 4 ? BALANCE_POOR : BALANCE
    const api = apis[index % apis.length] ?? ''
    const id = await openUser(api, minor / 10 ** exponent, { currency })
    accounts.push({ id, currency, exponent })
  }
  return accounts
}

/** All operations, by clients side by side, while one after the other is killed. */
async function operations(mix: Mix): Promise<void> {
  const { stage } = mix
  const every = Math.max(KILL_EVERY, Math.ceil(stage.operations / KILLS_MAX))
  let [begun, done, kills] = [0, 0, 0]
  let killing = Promise.resolve()
  const client = async () => {
    while (begun < stage.operations) {
      begun += 1
      await actOnce(mix)
      done += 1
      if (done % every !== 0) continue
      const turn = kills
      kills += 1
      killing = killing.then(() => killOne(stage, turn))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  await killing
  stage.add('operations', done)
}

/** Kill an api, a worker, the gateway or the database, whose turn it is. */
async function killOne(stage: Stage, turn: number): Promise<void> {
  const { stack, fired, healed, random, wait } = stage
  const round = Math.floor(turn / 4)
  const [api, worker] = [stack.apis, stack.workers].map((all) => all[round % all.length])
  const gateway = round % 2 === 1 ? (stack.bank?.process ?? stack.mock) : stack.mock
  const one = [api, worker, gateway][turn % 4]
  if (one !== undefined) {
    one.kill()
    // A start is no time for the database to go: whoever starts then ends with a sentence.
    await one.ready()
    if (one === gateway) await turnAll(stack, FAULTS)
    healed(`${one.name} is back`)
  }
  if (turn % 4 === 3) {
    stack.server.kill()
    fired('PostgreSQL killed')
    await wait(random() * 300)
    await stack.server.revive()
    healed('PostgreSQL answers')
  }
}

/** How many letters come to be redriven among the operations is chance; the rest is done here. */
async function redriveLeft(mix: Mix): Promise<void> {
  const { stage } = mix
  for (const more of [0, REDRIVEN_MIN]) {
    if (more > 0) await refuseAll(mix, more)
    for (const letter of (await openLetters(mix)) ?? []) {
      if (stage.count('letters redriven') >= REDRIVEN_MIN) return
      await workOn(mix, letter)
    }
  }
}

/** Payments that their gateway refuses, so that each has a letter. */
async function refuseAll(mix: Mix, payments: number): Promise<void> {
  await turnAll(mix.stage.stack, { ...WELL, rejected: 1 })
  for (let at = 0; at < payments; at += 1) await pay(mix, 'deposit')
  await rest(mix.stage)
  await turnAll(mix.stage.stack, WELL)
}

async function rest({ stack, until }: Stage): Promise<void> {
  await until(REST_MS_MAX, async () => (await count(stack, OPEN)) === 0)
}

const OPEN = `payments where status in ('new', 'unknown')`

async function count({ query }: Stack, of: string): Promise<number> {
  const [row] = await query<{ count: number }>(`select count(*)::int as count from ${of}`)
  return row?.count ?? 0
}

const UNCLAIMED = 5

/** Payments that no worker has seen when they are canceled, on whatever machine. */
async function cancelUnclaimed(mix: Mix): Promise<void> {
  const { workers } = mix.stage.stack
  for (const worker of workers) worker.signal('SIGSTOP')
  for (let at = 0; at < UNCLAIMED; at += 1) await cancel(mix)
  for (const worker of workers) worker.signal('SIGCONT')
}

/** Payments that are executed, given up here, and heard of too late. */
const LATE = 8
/** Long enough that all are called before the first answer comes. */
const CALL_MS = 2_000

/**
 * A worker is cut off from the database while its calls are on the way. Nobody learns anything from
 * the gateway meanwhile, so an operator fails its payments; then its word comes, and is corrected.
 */
async function lateCorrections(mix: Mix): Promise<void> {
  const { stage } = mix
  const { stack, accounts, asked } = { ...stage, ...mix }
  const { until, expect, fired, healed } = stage
  const successors = stack.workers.slice(1)
  for (const one of successors) one.signal('SIGSTOP')
  await turnAll(stack, { ...WELL, latency_ms: CALL_MS, latency_jitter_ms: 0 })
  const before = await executed(stack)
  // All at once, so that the first is not answered before the last is called.
  const entries = await Promise.all(
    Array.from({ length: LATE }, (_, at) => {
      const { id: userId, exponent } = accounts[at % accounts.length] ?? NOBODY
      const type = at % 2 === 0 ? 'deposit' : 'withdraw'
      return askEach(apisOf(stage), { type, userId, exponent, count: 1, everyMs: 0 }, asked)
    }),
  )
  const accepted = entries.flat().filter((entry) => definite(entry)?.status === 202).length
  await until(REST_MS_MAX, async () => (await executed(stack)) - before >= accepted)
  stack.line.turn({ blackHole: true })
  fired('a line cut for longer than a lease')
  await turnAll(stack, DUMB)
  for (const one of successors) one.signal('SIGCONT')
  await until(REST_MS_MAX, async () => (await count(stack, `payments where status = 'new'`)) === 0)
  const unknown = await stack.query<{ id: number }>(
    `select id::int as id from dead_letters where state = 'open' and class = 'unknown'`,
  )
  for (const { id } of unknown) {
    const word = { outcome: 'failed', reason: 'not on the statement' }
    const { status } = await persist(stage, `dlq/${id}/resolve`, word)
    if (status !== 200) mix.strange.push(`resolve: ${status}`)
  }
  stack.line.turn({})
  healed('the line is whole')
  await turnAll(stack, WELL)
  const late = `dead_letters where state = 'open' and error = 'charged_after_failed'`
  await until(REST_MS_MAX, async () => (await count(stack, late)) >= unknown.length)
  const letters = await stack.query<{ id: number }>(`select id::int as id from ${late}`)
  const open = { state: 'open', error: 'charged_after_failed' }
  // Two operators at the same time: it is booked once.
  for (const { id } of letters) {
    await Promise.all([workOn(mix, { id, ...open }), workOn(mix, { id, ...open })])
  }
  stage.add('payments corrected', await count(stack, `postings where kind = 'settle_late'`))
  const left = await count(stack, late)
  const wrong = left === 0 && letters.length === unknown.length ? [] : [`${left} are left`]
  const of = `${letters.length} letters of ${unknown.length} payments that were failed`
  expect(check('What was charged after all is corrected', wrong, of))
}

const NOBODY = { id: 0, exponent: 2 }

async function executed(stack: Stack): Promise<number> {
  let sum = 0
  for (const { url } of gatewaysOf(stack)) {
    const audit = (await (await fetch(`${url}/audit`)).json()) as { executed: number }
    sum += audit.executed
  }
  return sum
}
