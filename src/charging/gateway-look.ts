import { shownBreaker, type ShownBreaker } from '../domain/breaker.ts'
import { exponentOf } from '../domain/currency.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import { OPERATIONS, type Operation } from '../domain/payment.ts'
import type { RouteRule } from '../domain/routing.ts'
import { eachInTurn, partly } from '../each-shard.ts'
import type { Clock, Db, Gateway } from '../ports.ts'
import { countWaiting, oldestOfEach } from '../queue/load.ts'
import { oldestDueMs } from '../queue/load-store.ts'
import { readBreakers } from '../gateways/breaker-store.ts'

/** A gateway as it is configured. */
export interface KnownGateway {
  readonly name: string
  readonly driver: string
  readonly profile: GatewayProfile
  /** The rules that lead to it, in their order among all. */
  readonly rules: readonly RouteRule[]
}

/** How one operation of a gateway is. */
interface RouteLook extends ShownBreaker {
  readonly operation: Operation
  /** Tasks that are due within a minute, counted up to a bound. */
  readonly waiting: number
  /** For how long the oldest has been due; null: none is. */
  readonly oldestDueMs: number | null
}

/** A gateway as it is configured, and how it is now. */
export interface GatewayLook extends KnownGateway {
  readonly routes: readonly RouteLook[]
}

/** More waiting tasks than this are not counted. */
export const WAITING_MAX = 10_000

/** How each gateway is now, by what the database knows; `missing` are shards not asked. */
export async function lookAtGateways(
  db: Db,
  gateways: readonly KnownGateway[],
): Promise<{ readonly looks: readonly GatewayLook[]; readonly missing: readonly number[] }> {
  const looks: GatewayLook[] = []
  const missing = new Set<number>()
  const note = (numbers: readonly number[]) => numbers.forEach((number) => missing.add(number))
  for (const gateway of gateways) {
    const { name, profile } = gateway
    const breakers = await readBreakers(db.global, name)
    const due = partly(await eachInTurn(db.shards, (shard) => oldestDueMs(shard, name)))
    note(due.missing)
    const oldest = oldestOfEach(due.known)
    const routes: RouteLook[] = []
    for (const operation of OPERATIONS.filter((one) => profile.operations.has(one))) {
      const waiting = await countWaiting(db, { gateway: name, operation }, WAITING_MAX)
      note(waiting.missing)
      const load = { waiting: waiting.count, oldestDueMs: oldest.get(operation) ?? null }
      routes.push({ operation, ...shownBreaker(breakers.get(operation)), ...load })
    }
    looks.push({ ...gateway, routes })
  }
  return { looks, missing: [...missing].toSorted((one, other) => one - other) }
}

/** What a gateway said to a question about a payment that it cannot know. */
export interface Probed {
  readonly operation: Operation
  /** Whether it talks to us: any word of its own about that payment. */
  readonly ok: boolean
  readonly outcome: string
  /** Why it is no word, as a code; null: it is one. */
  readonly reason: string | null
  readonly httpStatus: number | null
  readonly tookMs: number
}

/** An answer of the gateway's own. */
const WORDS: ReadonlySet<string> = new Set(['success', 'declined', 'pending', 'not_found'])

/**
 * Ask a gateway about a payment that nobody ever made, once for each operation that it has: payouts
 * often have other credentials. Nothing is charged, and no breaker counts it.
 */
export async function askGateway(gateway: Gateway, clock: Clock): Promise<Probed[]> {
  const { operations, currencies } = gateway.profile
  const currency = currencies === 'any' ? 'USD' : ([...currencies.keys()][0] ?? 'USD')
  const asked: Probed[] = []
  for (const kind of OPERATIONS.filter((one) => operations.has(one))) {
    const startedMs = clock.elapsedMs()
    const { outcome, httpStatus } = await gateway.lookup(nobodys(kind, currency, clock.now()))
    const tookMs = Math.round(clock.elapsedMs() - startedMs)
    const reason = 'reason' in outcome ? outcome.reason : null
    const ok = WORDS.has(outcome.kind)
    asked.push({ operation: kind, ok, outcome: outcome.kind, reason, httpStatus, tookMs })
  }
  return asked
}

/** A key that nobody has, as ours are random; and the id of no object at any gateway. */
const NOBODY = '00000000-0000-4000-8000-000000000000'

/** An operation under a key that nobody has. */
function nobodys(kind: Operation, currency: string, sentAt: Date): GatewayOperation {
  const money = { amount: 100n, commission: 0n, currency, exponent: exponentOf(currency) ?? 2 }
  const about = { kind, key: NOBODY, paymentId: 999_999_999_999_999n, userId: 1n, sentAt }
  const parent = { paymentId: 999_999_999_999_998n, gatewayRef: NOBODY }
  return { ...about, ...money, ...(kind === 'refund' ? { parent } : {}) }
}
