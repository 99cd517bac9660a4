import type { TestContext } from 'node:test'
import { postgres, type PostgresDb } from '../src/adapters/postgres.ts'
import type { Answer, PaymentDraft, Gateways } from '../src/domain/acceptance.ts'
import type { GatewayTerms } from '../src/domain/evidence.ts'
import type { Fee, FeePolicy } from '../src/domain/fee.ts'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import { seededRandom } from '../src/domain/random.ts'
import type { RetryPolicy } from '../src/domain/charge-decision.ts'
import type { IdRange } from '../src/domain/id-ranges.ts'
import { acceptor, type Accept } from '../src/payments/accept.ts'
import { charge, claim, type ChargeWorld, type Settlement } from '../src/charging/charge.ts'
import type { PaymentFilter } from '../src/payments/filter-store.ts'
import { viewPayments, type PaymentView } from '../src/payments/read.ts'
import { settle, type Settled } from '../src/charging/settle.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Clock, Db, Evidence, Gateway, Unsharded } from '../src/ports.ts'
import { eachPart, ofEachShard, whole } from '../src/each-shard.ts'
import { openUsers, type OpenAnswer } from '../src/users/open.ts'
import { profileOf } from './profiles.ts'
import { cloneDatabase } from './databases.ts'

/** Any fixed moment. */
const START_MS = Date.UTC(2030, 0, 1)

/**
 * A clock that moves only when told: for this process, and for each database that is opened with
 * it.
 */
export interface ManualClock extends Clock {
  advance(ms: number): void
}

export function manualClock(): ManualClock {
  let ms = 0
  return {
    now: () => new Date(START_MS + ms),
    elapsedMs: () => ms,
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
  promises: Promises = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' },
): ScriptedGateway {
  const gateway: ScriptedGateway = {
    profile: profileOf(promises),
    charged: new Map(),
    declined: new Set(),
    pending: new Set(),
    calls: [],
    script,
    lookups: null,
    close: () => Promise.resolve(),
    execute(request) {
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
  request: GatewayOperation,
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

function truth(gateway: ScriptedGateway, request: GatewayOperation): LookupOutcome {
  if (gateway.charged.has(request.key))
    return { kind: 'success', gatewayRef: `gw-${request.paymentId}` }
  if (gateway.declined.has(request.key)) return { kind: 'declined', reason: 'http_402' }
  return gateway.pending.has(request.key) ? { kind: 'pending' } : { kind: 'not_found' }
}

export const POLICY: Omit<RetryPolicy, keyof Promises> = {
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

/** What charging takes, and acts of operators with it. */
export type ActingWorld = ChargeWorld & {
  readonly terms: (gateway: string) => GatewayTerms
  readonly refundFee: FeePolicy
  readonly returnFee: FeePolicy
}

/** The service's operations on a database of its own, with time and gateway under control. */
export interface TestWorld {
  readonly db: PostgresDb
  readonly url: string
  readonly clock: ManualClock
  readonly gateway: ScriptedGateway
  readonly world: ActingWorld
  readonly accept: Accept
  /** Connections of its own to the same database, with the same shards and clock. */
  connect(poolMax?: number, url?: string): PostgresDb
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
  options: { script?: Script[]; profile?: Promises; shards?: number } = {},
): Promise<TestWorld> {
  const url = await cloneDatabase(t)
  const clock = manualClock()
  const { shards } = options
  const connect = (poolMax?: number, at = url) => openDb(t, at, { poolMax, shards, clock })
  const db = connect()
  const gateway = scriptedGateway(options.script, options.profile)
  const policy = { ...POLICY, ...gateway.profile }
  const world: ActingWorld = {
    db,
    refundFee: 'keep',
    returnFee: 'keep',
    clock,
    gateway,
    policy,
    terms: () => ({ ...policy, ...gateway.profile }),
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
    connect,
    accept: acceptAll(db, { bps: 200, min: 0n }),
    async user(balance) {
      const [answer] = await openUsers(db, [{ balance }])
      if (answer === undefined) throw new Error('no user')
      return openedId(answer)
    },
    claimAndCharge,
    settle: (settlements) => settle(world, settlements),
    async work() {
      const { settlements } = await settle(world, await claimAndCharge())
      return settlements
    },
    async view(id) {
      const [view] = await viewPayments(db, [id])
      if (view === null || view === undefined) throw new Error(`no payment ${id}`)
      return view
    },
    sql: (text, values = []) => db.global.run(raw(text), values),
  }
}

/** The user that was opened; throws why none was. */
export function openedId(answer: OpenAnswer): bigint {
  if (answer.kind === 'opened') return answer.userId
  if (answer.kind === 'failed') throw answer.error
  throw new Error(answer.refusal.code)
}

/** Accept drafts of any users: those of a shard are one batch. */
export function acceptAll(db: Db, fee: Fee, gateways?: Gateways): Accept {
  const fees = { bps: fee.bps, mins: new Map([['USD', fee.min]]) }
  const routed = gateways === undefined ? {} : { gateways }
  const accepts = ofEachShard(db, (shard) => acceptor({ shard, currency: 'USD', fees, ...routed }))
  return async (drafts, ...how) => {
    const numbered = drafts.map((draft, index) => ({ draft, index }))
    const answers: Answer[] = []
    const idOf = ({ draft }: { readonly draft: PaymentDraft }) => draft.userId
    const given = await eachPart(db, numbered, idOf, async (shard, part) => {
      const all = await accepts.all[shard.number]?.(
        part.map(({ draft }) => draft),
        ...how,
      )
      all?.forEach((answer, place) => (answers[part[place]?.index ?? 0] = answer))
    })
    whole(given)
    return answers
  }
}

/** The filter that every payment matches. */
export const ANY: PaymentFilter = {
  userId: null,
  status: null,
  type: null,
  parentId: null,
  reference: null,
  idempotencyKey: null,
  gatewayRef: null,
  from: null,
  to: null,
}

/** Any SQL as a statement that nothing is put in front of. */
export function raw<Row>(text: string, name = ''): Unsharded<Row> {
  return { name, sharded: false, text }
}

/** Open a database with the limits of production; with a clock, one that goes by it. */
export function openDb(
  t: TestContext,
  url: string,
  options: {
    readonly poolMax?: number | undefined
    readonly shards?: number | undefined
    readonly clock?: Clock | undefined
    readonly ranges?: readonly IdRange[] | undefined
  } = {},
): PostgresDb {
  const { poolMax = 8, shards = 1, clock, ranges } = options
  const db = postgres({
    url,
    currency: 'USD',
    shards,
    ...(clock === undefined ? {} : { now: () => clock.now() }),
    ...(ranges === undefined ? {} : { ranges: () => ranges }),
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

/** The sums of the accounts, and of the stored balances, in minor units. */
export async function books(world: TestWorld): Promise<Record<string, bigint>> {
  const [row] = await world.sql<Record<string, bigint>>(`
    select
      coalesce(sum(user_available), 0)::bigint as user, coalesce(sum(user_held), 0)::bigint as held,
      coalesce(sum(gateway), 0)::bigint as gateway, coalesce(sum(fees), 0)::bigint as fees,
      coalesce(sum(opening), 0)::bigint as opening, coalesce(sum(losses), 0)::bigint as losses,
      (select coalesce(sum(available), 0)::bigint from users) as available_stored,
      (select coalesce(sum(held), 0)::bigint from users) as held_stored
    from postings`)
  return row ?? {}
}
