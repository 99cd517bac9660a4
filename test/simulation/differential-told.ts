import { claim, charge, type ChargeWorld } from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import { redrive } from '../../src/dead-letters/redrive.ts'
import { resolve } from '../../src/dead-letters/resolve.ts'
import type { ActWorld } from '../../src/dead-letters/letter-act.ts'
import type { Called } from '../../src/domain/delivery.ts'
import { seededRandom } from '../../src/domain/random.ts'
import { feedEvents, tellEvent } from '../../src/events/store.ts'
import type { Accept } from '../../src/payments/accept.ts'
import type { Db } from '../../src/ports.ts'
import { planMissed, planReplay, readReplay } from '../../src/runs/events.ts'
import { cancel, start, step } from '../../src/runs/run.ts'
import { openUsers } from '../../src/users/open.ts'
import { calledEndpoints } from '../../src/webhooks/endpoint-calls-store.ts'
import { claimDeliveries, setWaitingAside } from '../../src/webhooks/deliveries-store.ts'
import { deliverAgain } from '../../src/webhooks/deliveries.ts'
import type { DueDelivery } from '../../src/webhooks/delivery-values.ts'
import {
  deliver,
  type Delivered,
  type DeliveryWorld,
  openEndpoint,
  settleDelivered,
} from '../../src/webhooks/deliver.ts'
import { addEndpoint, dropEndpoint, editEndpoint } from '../../src/webhooks/endpoints.ts'
import { listEndpoints, readEndpoint, type Endpoint } from '../../src/webhooks/store.ts'
import { acceptAll, LEASE_MS, openedId, POLICY, scriptedGateway } from '../harness.ts'
import type { ManualClock, ScriptedGateway, Script } from '../harness.ts'
import { show, WHO } from './history.ts'

/** A history of deliveries, with the choices that its seed makes. */
interface Told {
  readonly between: (from: number, to: number) => number
  readonly pick: <T>(from: readonly T[]) => T
  readonly clock: ManualClock
  readonly db: Db
  readonly accept: Accept
  readonly gateway: ScriptedGateway
  readonly charging: ChargeWorld & ActWorld
  readonly delivering: DeliveryWorld
  /** What the next call is answered. */
  readonly next: { said: Called }
  /** What is due of an endpoint is claimed together; otherwise the oldest alone. */
  readonly wide: boolean
  /** Most calls fail. */
  readonly bad: boolean
  readonly users: bigint[]
  /** Deliveries as far as they were claimed. */
  readonly seen: DueDelivery[]
  /** Called and not yet settled, by workers that may have lost their lease meanwhile. */
  undone: Delivered[]
  /** Runs that were started, and their endpoints. */
  readonly runs: (readonly [id: bigint, endpointId: bigint])[]
}

const STEPS = 400
const KEY = Buffer.alloc(32, 's')
const BY = { actor: 'jane', requestId: 'r' }
const EVERYTHING = ['payment.*', 'dead_letter.*', 'webhook_endpoint.*', 'books.*']

/**
 * Run the history of a seed: payments end, their events are told to endpoints that come and go, and
 * are sent again. One operation at a time, each at a time of its own, so that what is due has one
 * order and two databases that behave alike tell the same.
 */
export async function runTold(
  seed: number,
  open: (shards: number) => Db,
  clock: ManualClock,
): Promise<string[]> {
  const told = await beginTold(seed, open, clock)
  const lines: string[] = []
  for (let count = 0; count < STEPS; count += 1) {
    const act = told.pick(told.pick(KINDS))
    lines.push(`${count} ${act.name} ${await act(told)}`)
    clock.advance(1)
  }
  return lines
}

async function beginTold(
  seed: number,
  open: (shards: number) => Db,
  clock: ManualClock,
): Promise<Told> {
  const random = seededRandom(seed)
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from))
  const pick: Told['pick'] = (from) => from[between(0, from.length)] as (typeof from)[number]
  const db = open(pick([1, 2, 3]))
  const next = { said: SAID.ok }
  const gateway = scriptedGateway()
  const policy = { ...POLICY, attemptsMax: 2, ...gateway.profile }
  const limits = { leaseMs: LEASE_MS, callMsMax: 1_000 }
  const terms = () => policy
  const policies = { refundFee: 'keep', returnFee: 'keep' } as const
  const world = { db, clock, gateway, policy, terms, ...limits, random, ...policies }
  const users: bigint[] = []
  const delivering: DeliveryWorld = {
    db,
    clock,
    send: async () => ({ ...next.said, tookMs: 7, reply: 'said' }),
    key: KEY,
    agent: 'payments/compared',
    random,
    leaseMs: LEASE_MS,
  }
  // Somebody who polls wants everything, so that every event is written.
  const all = { url: null, types: EVERYTHING, description: null, payload: 'full', ordered: false }
  await addEndpoint(db, all as Parameters<typeof addEndpoint>[1], BY, KEY)
  const opened = await openUsers(
    db,
    Array.from({ length: 6 }, () => ({ balance: 1_000_000n })),
  )
  users.push(...opened.map(openedId))
  const accept = acceptAll(db, { bps: 200, min: 0n })
  const state = { users, seen: [], undone: [], runs: [] }
  const kind = { wide: seed % 2 === 0, bad: seed % 3 === 0 }
  return {
    between,
    pick,
    clock,
    db,
    accept,
    gateway,
    charging: world,
    delivering,
    next,
    ...kind,
    ...state,
  }
}

/** Payments, one at a time: the events of one transaction are those of one payment. */
async function payOne({ accept, pick, users }: Told): Promise<string> {
  const about = { type: pick(['deposit', 'withdraw'] as const), userId: pick(users) }
  return show(await accept([{ ...about, amount: 2_000n, idempotencyKey: null }]))
}

const SCRIPTS: readonly Script[] = ['success', 'success', 'declined', 'in_doubt', 'pending']

async function endOne({ charging, gateway, pick }: Told): Promise<string> {
  const [claimed] = await claim(charging, 1)
  if (claimed === undefined) return 'nothing is due'
  gateway.script = [pick(SCRIPTS)]
  gateway.lookups = pick([null, null, { kind: 'pending' }])
  const { settlements } = await settle(charging, [await charge(charging, claimed)])
  return show(settlements.map(({ decision }) => decision))
}

async function closeOne({ db, charging, between, pick }: Told): Promise<string> {
  const letterId = BigInt(between(0, 20 * db.shards.length))
  const by = { ...WHO, redriveId: null }
  const insist = { letterId, againstEvidence: true }
  if (pick([true, false])) return show(await redrive(charging, by, [{ ...insist, delayMs: 0 }]))
  const outcome = pick(['success', 'failed'] as const)
  return show(await resolve(charging, by, [{ ...insist, outcome, gatewayRef: null }]))
}

async function tellOne({ db, pick, between }: Told): Promise<string> {
  const type = 'books.broken'
  const body = JSON.stringify({ type, data: { payment_id: 0, sequence: between(0, 99) } })
  await tellEvent(pick(db.shards), type, body)
  return ''
}

async function pass({ clock, pick }: Told): Promise<string> {
  clock.advance(pick([500, 6_000, 16_000, 400_000, 8_000_000, 90_000_000]))
  return ''
}

/** Events get their places: all that are new, or the next alone. */
async function feedSome({ db, pick, wide }: Told): Promise<string> {
  return String(await feedEvents(pick(db.shards), wide ? pick([2, 1_000]) : 1))
}

const SAID = {
  ok: { status: 200, reason: null, retryAfterMs: null },
  broken: { status: 500, reason: null, retryAfterMs: null },
  moved: { status: 302, reason: null, retryAfterMs: null },
  gone: { status: 410, reason: null, retryAfterMs: null },
  busy: { status: 429, reason: null, retryAfterMs: 20_000 },
  silent: { status: null, reason: 'timeout', retryAfterMs: null },
} as const satisfies Record<string, Called>

const MOODS: Readonly<Record<'well' | 'bad', readonly (keyof typeof SAID)[]>> = {
  well: [
    ...(['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'busy', 'moved', 'silent', 'gone'] as const),
  ],
  bad: ['broken', 'broken', 'moved', 'silent'],
}

/** Claim what is due in a shard and call it; some workers die before they can tell. */
async function callSome(told: Told): Promise<string> {
  const { db, delivering, pick, between, bad, wide } = told
  const lookedMs = delivering.clock.elapsedMs()
  const called = await calledEndpoints(db.global)
  const endpoints = new Map(called.map((one) => [one.id, openEndpoint(one, delivering.key)]))
  const ids = [...endpoints.keys(), 99n]
  const alone = !wide && pick([true, false])
  const free = wide ? 1_000 : alone ? 3 : 1
  const rooms = (alone ? [pick(ids)] : ids).map((endpointId) => ({ endpointId, free }))
  const shard = pick(db.shards)
  const look = wide ? 1_000 : pick([1, 2])
  const limits = { limit: alone ? 1 : 1_000, look }
  const dues = await claimDeliveries(shard, { ...limits, leaseMs: LEASE_MS }, rooms)
  const inOrder = dues.toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
  for (const due of inOrder) {
    told.seen.push(due)
    const endpoint = endpoints.get(due.endpointId)
    if (endpoint === undefined || between(0, 6) === 0) continue
    told.next.said = SAID[pick(MOODS[bad ? 'bad' : 'well'])]
    const stopped = AbortSignal.abort()
    const signal = between(0, 15) === 0 ? stopped : new AbortController().signal
    told.undone.push(await deliver(delivering, { due, shard, endpoint, lookedMs }, signal))
  }
  return show(inOrder.map(({ body, ...due }) => [due, aboutOf(body)]))
}

function keyOf({ eventId, endpointId }: DueDelivery): string {
  return `${String(eventId).padStart(9)} ${endpointId}`
}

/** What both databases say in a body. */
function aboutOf(body: string) {
  const { type, data } = JSON.parse(body) as { type: string; data: Record<string, unknown> }
  const { payment_id, sequence = null, endpoint_id, attempt } = data
  return { type, payment_id, sequence, endpoint_id, attempt }
}

/** Put aside what waits, of an endpoint or of all. */
async function asideSome({ db, pick, between, wide }: Told): Promise<string> {
  const ids = [1n, 2n, 3n, 4n, 5n, 6n, 99n].filter(() => between(0, 3) > 0)
  // Where many are due at the same time, which of them come first is not said.
  const look = wide ? 1_000 : pick([1, 2])
  return String(await setWaitingAside(pick(db.shards), ids, look))
}

/** Settle some of what was called, some of it twice, and late. */
async function settleSome(told: Told): Promise<string> {
  const { delivering, between, pick, wide } = told
  const [first] = told.undone
  const chosen = wide ? told.undone.filter(() => between(0, 4) > 0) : first ? [first] : []
  await settleDelivered(delivering, chosen)
  if (between(0, 5) === 0) await settleDelivered(delivering, chosen)
  // Now and then the reply is lost, and it is settled again much later.
  if (pick([true, true, true, false])) {
    told.undone = told.undone.filter((one) => !chosen.includes(one))
  }
  return show(chosen.map(({ result }) => result))
}

/** An endpoint as it is told, its fields in one order. */
function endpointOf(endpoint: Endpoint | null): string {
  if (endpoint === null) return 'none'
  const { id, url, types, state, payload, ordered, version, disabledWhy, disabledAt } = endpoint
  return show([id, url, types, state, payload, ordered, version, disabledWhy, disabledAt])
}

async function makeOne({ db, pick, between }: Told): Promise<string> {
  const draft = {
    url: `https://shop-${between(0, 99)}.example/hook`,
    types: pick([['payment.*'], EVERYTHING, ['payment.succeeded', 'dead_letter.opened']]),
    description: null,
    payload: pick(['full', 'thin'] as const),
    ordered: pick([true, true, false]),
  }
  if ((await listEndpoints(db.global)).length > 4) return 'enough'
  const made = await addEndpoint(db, draft, BY, KEY)
  return made.kind === 'made' ? endpointOf(made.endpoint) : made.refusal.code
}

/** An endpoint that is called, if there is one. */
async function someEndpoint({ db, pick }: Told) {
  const called = (await listEndpoints(db.global)).filter(({ url }) => url !== null)
  return called.length === 0 ? null : pick(called)
}

async function changeOne(told: Told): Promise<string> {
  const { db, pick } = told
  const endpoint = await someEndpoint(told)
  if (endpoint === null) return 'none'
  const change = pick([
    { state: 'disabled' as const },
    { state: 'enabled' as const },
    { state: 'enabled' as const },
    { state: 'enabled' as const },
    { ordered: pick([true, false]), types: pick([['payment.*'], EVERYTHING]) },
    { url: 'https://moved.example/hook', payload: 'full' as const },
  ])
  return endpointOf(await editEndpoint(db, endpoint.id, change, BY))
}

async function dropOne(told: Told): Promise<string> {
  const endpoint = told.between(0, 5) === 0 ? await someEndpoint(told) : null
  return endpoint === null ? 'none' : show(await dropEndpoint(told.db, endpoint.id, BY))
}

async function retryOne({ db, seen, pick }: Told): Promise<string> {
  if (seen.length === 0) return 'nothing'
  const { eventId, endpointId } = pick(seen)
  const again = await deliverAgain(db, { eventId, endpointId }, BY)
  const came = again.kind === 'due' ? again.replayed : again.refusal.code
  return show([eventId, endpointId, came])
}

/** A dry run of what an endpoint may want again, which is mostly started. */
async function sendAgain(told: Told): Promise<string> {
  const { db, clock, pick, between, runs } = told
  const endpoint = await someEndpoint(told)
  if (endpoint === null) return 'none'
  const time = () => pick([null, new Date(clock.now().getTime() - between(0, 40_000_000))])
  const found = await (endpoint.state === 'disabled'
    ? planMissed(db, endpoint, 'jane')
    : planReplay(
        db,
        endpoint,
        {
          types: pick([null, null, ['payment.succeeded']]),
          undelivered: pick([true, false]),
          createdAfter: time(),
          createdBefore: time(),
        },
        'jane',
      ))
  if (between(0, 4) === 0) return show(found)
  const by = { ...BY, reason: 'lost', ratePerSecond: between(1, 30), endpointId: endpoint.id }
  const started = await start({ db }, found.snapshot, by)
  if (started.kind === 'run') runs.push([found.snapshot, endpoint.id])
  return show([found, started.kind])
}

async function stepOne({ charging }: Told): Promise<string> {
  return show(await step(charging, null))
}

async function cancelOne({ db, runs, pick, between }: Told): Promise<string> {
  if (runs.length === 0 || between(0, 3) > 0) return 'none'
  const [id, endpointId] = pick(runs)
  return (await cancel({ db }, id, 'jane', endpointId)).kind
}

async function lookOne({ db, runs, pick }: Told): Promise<string> {
  if (runs.length === 0) return 'none'
  const [id, endpointId] = pick(runs)
  const replay = await readReplay(db, endpointId, id)
  const { run, ...counts } = replay ?? {}
  return show([run?.state, run?.position, run?.carriedOut, run?.skipped, counts])
}

async function readOne({ db, between }: Told): Promise<string> {
  return endpointOf(await readEndpoint(db.global, BigInt(between(1, 6))))
}

const PAYING = [payOne, payOne, endOne, endOne, endOne, closeOne, tellOne] as const
const TELLING = [
  feedSome,
  feedSome,
  callSome,
  callSome,
  callSome,
  asideSome,
  settleSome,
  settleSome,
  pass,
] as const
const ENDPOINTS = [makeOne, makeOne, changeOne, changeOne, changeOne, dropOne, readOne] as const
const SENDING_AGAIN = [
  retryOne,
  sendAgain,
  sendAgain,
  stepOne,
  stepOne,
  stepOne,
  cancelOne,
  lookOne,
]
const KINDS = [PAYING, TELLING, TELLING, TELLING, TELLING, ENDPOINTS, SENDING_AGAIN] as const
