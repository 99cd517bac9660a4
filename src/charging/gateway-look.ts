import { exponentOf } from '../domain/currency.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway.ts'
import { OPERATIONS, type Operation, type Route } from '../domain/payment.ts'
import type { RouteRule } from '../domain/routes.ts'
import { eachInTurn, partly, type Partly } from '../each-shard.ts'
import type { Clock, Db, Gateway } from '../ports.ts'
import { oldestDueMs, waitingTasks } from '../queue/load-store.ts'
import { readBreakers, type SharedBreaker } from '../gateways/breaker-store.ts'

/** A gateway as it is configured. */
export interface KnownGateway {
  readonly name: string
  readonly driver: string
  readonly profile: GatewayProfile
  /** The rules that lead to it, in their order among all. */
  readonly rules: readonly RouteRule[]
}

/** How one operation of a gateway is. */
interface RouteLook {
  readonly operation: Operation
  readonly breaker: 'closed' | 'half_open' | 'open'
  /** It is open because the gateway does not talk to us. */
  readonly misconfigured: boolean
  /** The code of the last failure; null while it is closed. */
  readonly reason: string | null
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
  const note = <Value>(part: Partly<Value>) => {
    for (const number of part.missing) missing.add(number)
    return part.known
  }
  for (const gateway of gateways) {
    const { name, profile } = gateway
    const breakers = await readBreakers(db.global, name)
    const oldest = await oldestOf(db, name, note)
    const routes: RouteLook[] = []
    for (const operation of OPERATIONS.filter((one) => profile.operations.has(one))) {
      const waiting = await waitingOf(db, { gateway: name, operation }, note)
      const oldestMs = oldest.get(operation) ?? null
      routes.push({
        ...stateOf(operation, breakers.get(operation)),
        waiting,
        oldestDueMs: oldestMs,
      })
    }
    looks.push({ ...gateway, routes })
  }
  return { looks, missing: [...missing].toSorted((one, other) => one - other) }
}

/** What shards gave that could be asked; the others are noted. */
type Note = <Value>(part: Partly<Value>) => readonly Value[]

function stateOf(operation: Operation, shared: SharedBreaker | undefined) {
  const isOpen = shared !== undefined && shared.trips > 0
  const breaker = !isOpen ? 'closed' : shared.openMs > 0 ? 'open' : 'half_open'
  const misconfigured = shared?.cause === 'misconfigured'
  return { operation, breaker, misconfigured, reason: shared?.reason ?? null } as const
}

async function oldestOf(db: Db, gateway: string, note: Note): Promise<Map<Operation, number>> {
  const oldest = new Map<Operation, number>()
  const looks = await eachInTurn(db.shards, (shard) => oldestDueMs(shard, gateway))
  for (const { operation, ageMs } of note(partly(looks)).flat()) {
    oldest.set(operation, Math.max(ageMs, oldest.get(operation) ?? 0))
  }
  return oldest
}

async function waitingOf(db: Db, route: Route, note: Note): Promise<number> {
  let count = 0
  const counts = await eachInTurn(db.shards, async (shard) => {
    if (count < WAITING_MAX) count += await waitingTasks(shard, route, WAITING_MAX - count)
  })
  note(partly(counts))
  return count
}

/** What a gateway said to a question about a payment that it cannot know. */
export interface Asked {
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
export async function askGateway(gateway: Gateway, clock: Clock): Promise<Asked[]> {
  const { operations, currencies } = gateway.profile
  const currency = currencies === 'any' ? 'USD' : ([...currencies.keys()][0] ?? 'USD')
  const asked: Asked[] = []
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

/** A key that nobody has: ours are random. */
const NOBODY = '00000000-0000-4000-8000-000000000000'

/** An operation under a key that nobody has. */
function nobodys(kind: Operation, currency: string, sentAt: Date): GatewayOperation {
  const money = { amount: 100n, commission: 0n, currency, exponent: exponentOf(currency) ?? 2 }
  const about = { kind, key: NOBODY, paymentId: 999_999_999_999_999n, userId: 1n, sentAt }
  const parent = { paymentId: 999_999_999_999_998n, gatewayRef: 'pi_nobody' }
  return { ...about, ...money, ...(kind === 'refund' ? { parent } : {}) }
}
