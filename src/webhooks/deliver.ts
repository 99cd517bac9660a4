import { afterCall, thinBody, type Called, type DeliveryVerdict } from '../domain/delivery.ts'
import { messageId } from '../domain/event.ts'
import { signedHeaders } from '../domain/webhook-signature.ts'
import { beginningAt, eachInTurn, eachShard, partly, whole } from '../each-shard.ts'
import type { Clock, Db, Runner, Shard, Span, Tracer } from '../ports.ts'
import { claimInTurn, type ShardTurns } from '../queue/shard-turns.ts'
import { claimIn } from './claim.ts'
import { settleDeliveries } from './deliveries-store.ts'
import { disableGone, disableSilent } from './disable.ts'
import type { DeliveryResult, DueDelivery } from './delivery-values.ts'
import { tracesOfEvents } from './traces-store.ts'
import { unseal } from './sealed-secrets.ts'
import { calledEndpoints, paceEndpoints, type CalledEndpoint } from './endpoint-calls-store.ts'
import { pauseEndpoint } from './subscriptions-store.ts'

/** What calls an endpoint; it never throws for what the endpoint does. */
export type Send = (
  call: {
    readonly url: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  },
  signal?: AbortSignal,
) => Promise<Called & { readonly tookMs: number; readonly reply: string | null }>

export interface DeliveryWorld {
  readonly db: Db
  readonly clock: Clock
  readonly send: Send
  /** Opens the secrets of endpoints. */
  readonly key: Buffer
  /** How the service calls itself. */
  readonly agent: string
  readonly random: () => number
  readonly leaseMs: number
  /** Due deliveries of an ordered endpoint that a claim looks at; not there: as many as usual. */
  readonly look?: number
  /** Deliveries of one endpoint that are made together; not there: `AT_ONCE`. */
  readonly atOnce?: number
  /** Where spans go; not there: nothing is traced. */
  readonly tracer?: Tracer
  /** Told when an endpoint is not called any more, and why. */
  readonly onDisabled?: (endpointId: bigint, why: string) => void
  /** Which shards are asked for deliveries now; without it all of them are. */
  readonly turns?: ShardTurns
}

/** What of it is needed to write what deliveries came to. */
export type SettledWorld = Pick<DeliveryWorld, 'db' | 'onDisabled'>

/** A claimed delivery, where it is and where it goes. */
export interface Delivery {
  readonly due: DueDelivery
  readonly shard: Shard
  readonly endpoint: OpenEndpoint
  /** When it was looked up where the endpoint is, on the monotonic clock. */
  readonly lookedMs: number
  /** The place of its payment in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

/** What a delivery came to. `verdict` is null where it was not made. */
export interface Delivered {
  readonly delivery: Delivery
  readonly verdict: DeliveryVerdict | null
  readonly result: DeliveryResult
}

/** Deliveries of one endpoint that one process makes at the same time. */
export const AT_ONCE = 20

/** So long after a look at where an endpoint is a call may begin there, in milliseconds. */
const LOOKED_MS_MAX = 1_000

/**
 * Wait until no process begins a call of an endpoint as it was before a change that is stored: each
 * has looked since, or gives back what it claimed.
 */
export function untilCalledAnew({ clock }: Pick<DeliveryWorld, 'clock'>): Promise<void> {
  // A timer knows whole milliseconds only.
  return clock.sleep(LOOKED_MS_MAX + 1)
}

/**
 * Claim due deliveries, of each endpoint at most so many that `atOnce` are under way: `running` is
 * how many are, below 0 where more may be claimed.
 */
export async function claimDue(
  world: DeliveryWorld,
  limit: number,
  running: (endpointId: bigint) => number,
): Promise<Delivery[]> {
  const { db, key, turns, atOnce = AT_ONCE } = world
  const { shards } = db
  // Not always the same shard first, which would have all the room.
  const now =
    (await turns?.next()) ?? beginningAt(shards, Math.floor(world.random() * shards.length))
  if (now.length === 0) return []
  const lookedMs = world.clock.elapsedMs()
  const called = await calledEndpoints(db.global)
  const endpoints = new Map(called.map((one) => [one.id, openEndpoint(one, key)]))
  // Nothing is on its way to nobody.
  if (endpoints.size === 0) for (const shard of now) turns?.asked(shard, false)
  const free = new Map(
    [...endpoints.values()].map(({ id, left }) => [
      id,
      Math.min(atOnce - running(id), left ?? Number.POSITIVE_INFINITY),
    ]),
  )
  const claimed = await claimInTurn<Delivery>(turns, now, async (shard, claims) => {
    const rooms = [...free].flatMap(([endpointId, room]) =>
      room > 0
        ? [{ endpointId, free: room, ordered: endpoints.get(endpointId)?.ordered ?? false }]
        : [],
    )
    const left = limit - claims.length
    if (rooms.length === 0 || left === 0) return null
    const { dues, more } = await claimIn(world, shard, left, rooms)
    const traces = await tracesFor(world, shard, dues)
    for (const due of dues) {
      const endpoint = endpoints.get(due.endpointId)
      if (endpoint === undefined) continue
      free.set(due.endpointId, (free.get(due.endpointId) ?? 0) - 1)
      const traceparent = traces.get(due.eventId)
      const delivery = { due, shard, endpoint, lookedMs }
      claims.push(traceparent === undefined ? delivery : { ...delivery, traceparent })
    }
    return dues.length > 0 || more
  })
  await paceEndpoints(db.global, pacesOf(claimed))
  return claimed.length === 0 ? claimed : asTheyAre(world, claimed)
}

/**
 * Claimed deliveries with their endpoints as they are after the claim, which may have taken long:
 * so nothing goes to where an endpoint was before. What goes to nobody by now is given back.
 */
async function asTheyAre(
  { db, clock, key }: DeliveryWorld,
  claimed: readonly Delivery[],
): Promise<Delivery[]> {
  const lookedMs = clock.elapsedMs()
  const called = await calledEndpoints(db.global)
  const endpoints = new Map(called.map((one) => [one.id, openEndpoint(one, key)]))
  const left = claimed.flatMap((one) => {
    const endpoint = endpoints.get(one.endpoint.id)
    return endpoint === undefined ? [] : [{ ...one, endpoint, lookedMs }]
  })
  const back = claimed.filter(({ endpoint }) => !endpoints.has(endpoint.id))
  for (const shard of new Set(back.map((one) => one.shard))) {
    const dues = back.filter((one) => one.shard === shard).map(({ due }) => due)
    // Where it cannot be given back, its lease ends.
    await settleDeliveries(shard, dues.map(notMade)).catch(() => undefined)
  }
  return left
}

/** A delivery that was claimed and not made. */
function notMade({ eventId, endpointId, fence }: DueDelivery): DeliveryResult {
  const none = { tookMs: 0, status: null, reason: null, reply: null, ageMs: 0, delayMs: 0 }
  return { eventId, endpointId, fence, ...none, state: 'pending', made: false }
}

const UNTRACED: ReadonlyMap<bigint, string> = new Map()

/** To which traces claimed deliveries belong; nothing is read where nothing is traced. */
async function tracesFor(
  { tracer }: DeliveryWorld,
  shard: Runner,
  dues: readonly DueDelivery[],
): Promise<ReadonlyMap<bigint, string>> {
  if (tracer === undefined || dues.length === 0) return UNTRACED
  const ids = dues.map(({ eventId }) => eventId)
  // That a delivery is not traced is no reason not to make it.
  return tracesOfEvents(shard, ids).catch(() => UNTRACED)
}

/** What claims use up of the rates of their endpoints. */
function pacesOf(claimed: readonly Delivery[]) {
  const paces = new Map<bigint, number>()
  for (const { endpoint } of claimed) {
    if (endpoint.left !== null) paces.set(endpoint.id, (paces.get(endpoint.id) ?? 0) + 1)
  }
  return [...paces].map(([id, calls]) => ({ id, calls }))
}

/** An endpoint with its secrets, which are opened when the first delivery to it is signed. */
interface OpenEndpoint extends CalledEndpoint {
  /** Null where the newest cannot be opened; of those before it, the ones that can. */
  readonly secrets: () => readonly string[] | null
}

export function openEndpoint(endpoint: CalledEndpoint, key: Buffer): OpenEndpoint {
  let opened: readonly string[] | null | undefined
  const secrets = () => (opened === undefined ? (opened = openAll(endpoint.sealed, key)) : opened)
  return { ...endpoint, secrets }
}

/** What no key opens any more signs nothing, and keeps none of the others from it. */
function openAll([sealed = '', ...former]: readonly string[], key: Buffer): string[] | null {
  const newest = unseal(sealed, key)
  return newest === null ? null : [newest, ...former.flatMap((one) => unseal(one, key) ?? [])]
}

/**
 * The message of an event to an endpoint: the same at every attempt, but for its time. Null: it
 * cannot be signed, because the newest secret was sealed with another key than there is.
 */
export function messageOf(
  { clock, agent }: Pick<DeliveryWorld, 'clock' | 'agent'>,
  { url, payload, secrets }: OpenEndpoint,
  event: { readonly id: string; readonly body: string },
) {
  const signing = secrets()
  if (signing === null) return null
  const body = payload === 'thin' ? thinBody(event.body) : event.body
  const headers = {
    'content-type': 'application/json',
    'user-agent': agent,
    ...signedHeaders({ id: event.id, body }, signing, clock.now()),
  }
  return { url, headers, body }
}

/** What a delivery came to that was not made. */
export function unmade(delivery: Delivery): Delivered {
  return { delivery, verdict: null, result: notMade(delivery.due) }
}

/**
 * Make one delivery and decide what becomes of it. One whose endpoint was looked up too long ago is
 * not made. Nothing is written. Never throws.
 */
export async function deliver(
  world: DeliveryWorld,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<Delivered> {
  const { eventId, endpointId, fence, attempts, body } = delivery.due
  const startedMs = world.clock.elapsedMs()
  const which = { eventId, endpointId, fence }
  const isOld = startedMs - delivery.lookedMs > LOOKED_MS_MAX
  const called = signal.aborted || isOld ? null : await call(world, delivery, body, signal)
  if (called === null) return unmade(delivery)
  const { status, reason, reply, tookMs } = called
  const verdict = afterCall(called, attempts, world.random())
  const ageMs = Math.max(0, Math.round(world.clock.elapsedMs() - startedMs))
  const said = { state: verdict.state, delayMs: verdict.delayMs, made: true }
  return { delivery, verdict, result: { ...which, ...said, ageMs, tookMs, status, reason, reply } }
}

/** What comes of a message that cannot be signed. */
export const UNREADABLE = {
  status: null,
  reason: 'secret_unreadable',
  retryAfterMs: null,
  reply: null,
  tookMs: 0,
} as const

/** Call the endpoint; null: cut short by the end of this process, so that nothing is known. */
async function call(
  world: DeliveryWorld,
  { due, endpoint, traceparent }: Delivery,
  body: string,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<Send>> | null> {
  const message = messageOf(world, endpoint, { id: messageId(due.eventId), body })
  if (message === null) return UNREADABLE
  const span = begun(world, due, traceparent)
  const called = await world.send(span === null ? message : placed(message, span), signal)
  span?.end(spanEnd(called))
  return called.reason === 'aborted' ? null : called
}

/** A message with its place in a trace. */
function placed(message: NonNullable<ReturnType<typeof messageOf>>, { traceparent }: Span) {
  return { ...message, headers: { ...message.headers, traceparent } }
}

/** Begin the span of a delivery; null: it is not traced. */
function begun(
  { tracer }: DeliveryWorld,
  { eventId, endpointId, attempts }: DueDelivery,
  parent: string | undefined,
): Span | null {
  if (tracer === undefined || parent === undefined) return null
  const attributes = {
    'payments.event_id': messageId(eventId),
    'payments.endpoint_id': endpointId,
    'payments.attempt': attempts + 1,
  }
  return tracer.begin({ name: 'webhook deliver', kind: 'client', parent, attributes })
}

function spanEnd({ status, reason }: Called) {
  if (status === null) return { failed: reason ?? 'unknown' }
  const attributes = { 'http.response.status_code': status }
  const arrived = status >= 200 && status < 300
  return arrived ? { attributes } : { attributes, failed: `http_${status}` }
}

/** Write what deliveries came to, and what they say of their endpoints. Safe to repeat. */
export async function settleDelivered(
  world: SettledWorld,
  made: readonly Delivered[],
): Promise<readonly Delivered[]> {
  const all = await withoutMoved(world, made)
  const parts = await eachInTurn([...new Set(all.map(shardOf))], (shard) =>
    settleDeliveries(
      shard,
      all.filter((one) => shardOf(one) === shard).map(({ result }) => result),
    ),
  )
  if (parts.done.length === 0) whole(parts)
  const failed = new Set(parts.failed.map(({ shard }) => shard))
  await noteEndpoints(
    world,
    all.filter((one) => !failed.has(shardOf(one))),
  )
  return made.filter((one) => failed.has(shardOf(one)))
}

/**
 * What deliveries came to, where an endpoint has moved during the call: what its old URL said, or
 * did not say, is nothing about the new one, which is called at once.
 */
async function withoutMoved(
  { db }: SettledWorld,
  all: readonly Delivered[],
): Promise<readonly Delivered[]> {
  const verdicts = all.flatMap(({ verdict }) => verdict ?? [])
  if (verdicts.every(({ state }) => state === 'delivered')) return all
  const called = await calledEndpoints(db.global).catch((error: unknown) => {
    // What says nothing of the endpoint itself is settled without knowing where that is now.
    if (verdicts.some(saysMore)) throw error
    return []
  })
  const urls = new Map(called.map(({ id, url }) => [id, url]))
  return all.map((one) => {
    const { delivery, verdict, result } = one
    const url = urls.get(delivery.endpoint.id)
    if (verdict === null || verdict.state === 'delivered') return one
    if (url === undefined || url === delivery.endpoint.url) return one
    const again = { state: 'pending', delayMs: 0 } as const
    const unsaid = { ...verdict, ...again, gone: false, pauseMs: 0 }
    return { delivery, verdict: unsaid, result: { ...result, ...again } }
  })
}

/** Whether an answer says something of the endpoint itself. */
function saysMore({ gone, pauseMs }: DeliveryVerdict): boolean {
  return gone || pauseMs > 0
}

function shardOf({ delivery }: Delivered): Shard {
  return delivery.shard
}

/** Pause endpoints that are busy, and disable those that are gone or have been silent too long. */
async function noteEndpoints(world: SettledWorld, all: readonly Delivered[]): Promise<void> {
  const pauses = new Map<OpenEndpoint, number>()
  const gone = new Set<OpenEndpoint>()
  const failed = new Set<OpenEndpoint>()
  for (const { delivery, verdict } of all) {
    const { endpoint } = delivery
    if (verdict === null) continue
    const { pauseMs } = verdict
    if (pauseMs > 0) pauses.set(endpoint, Math.max(pauses.get(endpoint) ?? 0, pauseMs))
    if (verdict.gone) gone.add(endpoint)
    else if (verdict.state === 'failed') failed.add(endpoint)
  }
  for (const [endpoint, ms] of pauses) {
    // A shard that cannot be told delivers nothing either.
    partly(await eachShard(world.db.shards, (shard) => pauseEndpoint(shard, endpoint, ms)))
  }
  for (const endpoint of gone) await disableGone(world, endpoint)
  for (const endpoint of failed) await disableSilent(world, endpoint)
}
