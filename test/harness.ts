import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { postgres, type PostgresDb } from '../src/adapters/postgres.ts'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import { seededRandom } from '../src/domain/random.ts'
import type { RetryPolicy } from '../src/domain/retry.ts'
import { acceptor } from '../src/payments/accept.ts'
import { charge, claim, type ChargeWorld, type Settlement } from '../src/charging/charge.ts'
import { viewPayments, type PaymentView } from '../src/payments/read.ts'
import { settle, type Settled } from '../src/charging/settle.ts'
import type { ChargeRequest, Clock, Evidence, Gateway, GatewayProfile } from '../src/ports.ts'
import { openUsers } from '../src/users/open.ts'

/** Any fixed moment. */
const START_MS = Date.UTC(2030, 0, 1)

/** A clock that moves only when told, for this process and the database alike. */
export interface ManualClock extends Clock {
  advance(ms: number): void
}

export function manualClock(): ManualClock {
  let ms = 0
  return {
    now: () => new Date(START_MS + ms),
    elapsedMs: () => ms,
    database: () => new Date(START_MS + ms),
    sleep: () => Promise.resolve(),
    advance(by) {
      ms += by
    },
  }
}

/** What the scripted gateway does with one charge. */
export type Script =
  | ChargeOutcome['kind']
  /** It charges, and its reply is lost. */
  | 'lost_reply'

/** A gateway that follows a script, honours keys as a real one must, and counts what it charged. */
export interface ScriptedGateway extends Gateway {
  /** Amounts charged, by key: one entry per key, or it charged twice. */
  readonly charged: Map<string, bigint[]>
  readonly declined: Set<string>
  /** Keys that it has taken and not finished; a test ends them. */
  readonly pending: Set<string>
  readonly calls: { kind: 'charge' | 'lookup'; key: string; paymentId: bigint }[]
  /** What the next charges do; the last step repeats. */
  script: Script[]
  /** What lookups answer instead of the truth; null: the truth. */
  lookups: LookupOutcome | null
}

export function scriptedGateway(
  script: Script[] = ['success'],
  profile: GatewayProfile = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' },
): ScriptedGateway {
  const gateway: ScriptedGateway = {
    profile,
    charged: new Map(),
    declined: new Set(),
    pending: new Set(),
    calls: [],
    script,
    lookups: null,
    close: () => Promise.resolve(),
    charge(request) {
      gateway.calls.push({ kind: 'charge', key: request.key, paymentId: request.paymentId })
      const step = gateway.script.length > 1 ? gateway.script.shift() : gateway.script[0]
      return Promise.resolve(perform(gateway, request, step ?? 'success'))
    },
    lookup(request) {
      gateway.calls.push({ kind: 'lookup', key: request.key, paymentId: request.paymentId })
      return Promise.resolve({
        outcome: gateway.lookups ?? truth(gateway, request),
        sent: true,
        httpStatus: 200,
      })
    },
  }
  return gateway
}

function perform(
  gateway: ScriptedGateway,
  request: ChargeRequest,
  step: Script,
): Evidence<ChargeOutcome> {
  const evidence = (outcome: ChargeOutcome) => ({
    outcome,
    sent: outcome.kind !== 'not_executed',
    httpStatus: null,
  })
  const doubt = evidence({ kind: 'in_doubt', reason: 'timeout' })
  if (step === 'in_doubt') return doubt
  if (step === 'not_executed') {
    return evidence({ kind: 'not_executed', reason: 'connection_refused', retryAfterMs: null })
  }
  if (step === 'rejected' || step === 'misconfigured') {
    const reason = step === 'rejected' ? 'unknown_method' : 'http_401'
    return { ...evidence({ kind: step, reason }), httpStatus: step === 'rejected' ? 422 : 401 }
  }
  if (step === 'pending') {
    gateway.pending.add(request.key)
    return evidence({ kind: 'pending', reason: 'pending' })
  }
  if (gateway.declined.has(request.key)) return evidence({ kind: 'declined', reason: 'http_402' })
  // A key that was charged is never declined afterwards: the first outcome is replayed.
  if (step === 'declined' && !gateway.charged.has(request.key)) {
    gateway.declined.add(request.key)
    return evidence({ kind: 'declined', reason: 'http_402' })
  }
  if (!gateway.charged.has(request.key)) gateway.charged.set(request.key, [request.amount])
  return step === 'lost_reply'
    ? doubt
    : evidence({ kind: 'success', gatewayRef: `gw-${request.paymentId}` })
}

function truth(gateway: ScriptedGateway, request: ChargeRequest): LookupOutcome {
  if (gateway.charged.has(request.key))
    return { kind: 'success', gatewayRef: `gw-${request.paymentId}` }
  if (gateway.declined.has(request.key)) return { kind: 'declined', reason: 'http_402' }
  return gateway.pending.has(request.key) ? { kind: 'pending' } : { kind: 'not_found' }
}

export const POLICY: Omit<RetryPolicy, keyof GatewayProfile> = {
  attemptsMax: 3,
  // Tests of the limit alone do not wait for a quarter of an hour.
  giveUpMs: 0,
  timeoutMs: 1_000,
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  jitterMs: 500,
  notFoundGraceMs: 60_000,
}

export const LEASE_MS = 15_000

/** The service's operations on a database of its own, with time and gateway under control. */
export interface TestWorld {
  readonly db: PostgresDb
  readonly url: string
  readonly clock: ManualClock
  readonly gateway: ScriptedGateway
  readonly world: ChargeWorld
  readonly accept: ReturnType<typeof acceptor>
  /** Open a user with a balance in minor units. */
  user(balance: bigint): Promise<bigint>
  /** Claim everything due, call the gateway, settle. Returns what was settled. */
  work(): Promise<readonly Settlement[]>
  claimAndCharge(): Promise<Settlement[]>
  settle(settlements: readonly Settlement[]): Promise<Settled>
  view(id: bigint): Promise<PaymentView>
  /** Run any SQL, as the database's owner. */
  sql<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/**
 * Make a test world on a fresh clone of the migrated template database; gone when the test ends.
 */
export async function testWorld(
  t: TestContext,
  options: { script?: Script[]; profile?: GatewayProfile; shards?: number } = {},
): Promise<TestWorld> {
  const url = await cloneDatabase(t)
  const db = openDb(t, url)
  const clock = manualClock()
  const gateway = scriptedGateway(options.script, options.profile)
  const shards = options.shards ?? 1
  const world: ChargeWorld = {
    db,
    clock,
    gateway,
    shards,
    policy: { ...POLICY, ...gateway.profile },
    leaseMs: LEASE_MS,
    callMsMax: 1_000,
    random: seededRandom(1),
  }
  const claimAndCharge = async () => {
    const claims = await claim(world, 1_000)
    return Promise.all(claims.map((claimed) => charge(world, claimed)))
  }
  return {
    db,
    url,
    clock,
    gateway,
    world,
    accept: acceptor({ db, clock, shards, fee: { bps: 200, min: 0n } }),
    async user(balance) {
      const [user] = await openUsers({ db, clock, shards }, [balance])
      if (user === undefined) throw new Error('no user')
      return user.id
    },
    claimAndCharge,
    settle: (settlements) => settle(world, settlements),
    async work() {
      const { settlements } = await settle(world, await claimAndCharge())
      return settlements
    },
    async view(id) {
      const [view] = await viewPayments(world, [id])
      if (view === null || view === undefined) throw new Error(`no payment ${id}`)
      return view
    },
    sql: (text, values = []) => db.run({ name: '', text }, values),
  }
}

/** Open a database with the limits of production. */
export function openDb(t: TestContext, url: string, poolMax = 8): PostgresDb {
  const db = postgres({
    url,
    poolMax,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 10_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'test',
  })
  t.after(() => db.close())
  return db
}

/** Clone the migrated template; dropped when the test ends. */
export async function cloneDatabase(t: TestContext): Promise<string> {
  const { TEST_DATABASE_URL: admin, TEST_TEMPLATE: template = 'payments_template' } = process.env
  if (admin === undefined) throw new Error('run the tests with `npm test`: it brings a database')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await asAdmin(admin, `create database ${name} template ${template} strategy file_copy`)
  t.after(() => drop(admin, name))
  const url = new URL(admin)
  url.pathname = `/${name}`
  return url.href
}

/**
 * Drop a database that connections may still use. A passing autovacuum belongs to a superuser, whom
 * nobody else may disconnect; it is gone soon.
 */
async function drop(admin: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await asAdmin(admin, `drop database if exists ${name} with (force)`)
    } catch (error) {
      const denied = error instanceof Error && 'code' in error && error.code === '42501'
      if (!denied || attempt === 100) throw error
    }
  }
}

async function asAdmin(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** The sums of the five accounts, and of the stored balances, in minor units. */
export async function books(world: TestWorld): Promise<Record<string, bigint>> {
  const [row] = await world.sql<Record<string, bigint>>(`
    select
      coalesce(sum(user_available), 0)::bigint as user, coalesce(sum(user_held), 0)::bigint as held,
      coalesce(sum(gateway), 0)::bigint as gateway, coalesce(sum(fees), 0)::bigint as fees,
      coalesce(sum(opening), 0)::bigint as opening,
      (select coalesce(sum(available), 0)::bigint from users) as available_stored,
      (select coalesce(sum(held), 0)::bigint from users) as held_stored
    from postings`)
  return row ?? {}
}
