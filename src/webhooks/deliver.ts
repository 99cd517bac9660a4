import { writeJson } from '../domain/json.ts'
import { afterCall, SILENT_MS, type Called, type Verdict } from '../domain/delivery.ts'
import { messageId } from '../domain/event.ts'
import { signedHeaders, thinBody } from '../domain/webhook.ts'
import { eachInTurn, eachShard, beginningAt, partly, whole } from '../each-shard.ts'
import { tellEvent } from '../events/store.ts'
import type { Clock, Db, Runner, Shard, Span, Tracer } from '../ports.ts'
import type { ShardTurns } from '../queue/shard-turns.ts'
import { claimDeliveries, settleDeliveries, setWaitingAside } from './deliveries-store.ts'
import type { DeliveryResult, DueDelivery } from './delivery-values.ts'
import { tracesOfEvents } from './traces-store.ts'
import { unseal } from './secrets.ts'
import { calledEndpoints, paceEndpoints, type CalledEndpoint } from './called-store.ts'
import { disableEndpoint } from './store.ts'
import { arrivedWithin, pauseEndpoint } from './subscriptions-store.ts'
import { tellShards } from './sync.ts'

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
  /** Where spans go; not there: nothing is traced. */
  readonly tracer?: Tracer
  /** Told when an endpoint is not called any more, and why. */
  readonly onDisabled?: (endpointId: bigint, why: string) => void
  /** Which shards are asked for deliveries now; without it all of them are. */
  readonly turns?: ShardTurns
}

/** A claimed delivery, where it is and where it goes. */
export interface Delivery {
  readonly due: DueDelivery
  readonly shard: Shard
  readonly endpoint: OpenEndpoint
  /** The place of its payment in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

/** What a delivery came to. `verdict` is null where it was not made. */
export interface Delivered {
  readonly delivery: Delivery
  readonly verdict: Verdict | null
  readonly result: DeliveryResult
}

/** Deliveries of one endpoint that one process makes at the same time. */
export const AT_ONCE = 20

/** Claim due deliveries, of each endpoint at most so many that `AT_ONCE` are under way. */
export async function claimDue(
  world: DeliveryWorld,
  limit: number,
  running: (endpointId: bigint) => number,
): Promise<Delivery[]> {
  const { db, key, turns } = world
  const now = turns?.due() ?? anyFirst(world)
  if (now.length === 0) return []
  const called = await calledEndpoints(db.global)
  const endpoints = new Map(called.map((one) => [one.id, openEndpoint(one, key)]))
  // Nothing is on its way to nobody.
  if (endpoints.size === 0) for (const shard of now) turns?.asked(shard, false)
  const free = new Map(
    [...endpoints.values()].map(({ id, left }) => [
      id,
      Math.min(AT_ONCE - running(id), left ?? AT_ONCE),
    ]),
  )
  const claimed: Delivery[] = []
  // Not always the same shard first, which would have all the room.
  const asked = await eachInTurn(now, async (shard) => {
    const rooms = [...free].flatMap(([endpointId, own]) =>
      own > 0
        ? [{ endpointId, free: own, ordered: endpoints.get(endpointId)?.ordered ?? false }]
        : [],
    )
    const left = limit - claimed.length
    if (rooms.length === 0 || left === 0) return
    const { dues, more } = await claimIn(world, shard, left, rooms)
    turns?.asked(shard, dues.length > 0 || more)
    const traces = await tracesFor(world, shard, dues)
    for (const due of dues) {
      const endpoint = endpoints.get(due.endpointId)
      if (endpoint === undefined) continue
      free.set(due.endpointId, (free.get(due.endpointId) ?? 0) - 1)
      const traceparent = traces.get(due.eventId)
      const own = { due, shard, endpoint }
      claimed.push(traceparent === undefined ? own : { ...own, traceparent })
    }
  })
  for (const { shard, error } of asked.failed) turns?.failed(shard, error)
  if (claimed.length === 0 && asked.done.length === 0) whole(asked)
  await paceEndpoints(db.global, pacesOf(claimed))
  return claimed
}

/**
 * Due deliveries of an ordered endpoint that a claim looks at: what waits for an earlier event is
 * passed over among them, and put aside where there is more of it.
 */
const LOOK = 100

/** How often one turn claims in a shard where what is due only waits. */
const ROUNDS_MAX = 3

/** How many deliveries of an endpoint may be claimed. */
interface Room {
  readonly endpointId: bigint
  readonly free: number
  readonly ordered: boolean
}

/**
 * Claim what is due in a shard. Where an ordered endpoint has less to claim than it has room for,
 * what waits in front is put aside. `more`: it was, and something due may stand behind it.
 */
async function claimIn(
  { leaseMs, look = LOOK }: DeliveryWorld,
  shard: Runner,
  limit: number,
  rooms: readonly Room[],
): Promise<{ readonly dues: readonly DueDelivery[]; readonly more: boolean }> {
  for (let round = 1; ; round += 1) {
    const dues = await claimDeliveries(shard, { limit, leaseMs, look }, rooms)
    const claimed = (id: bigint) => dues.filter(({ endpointId }) => endpointId === id).length
    const short = rooms.filter(
      ({ endpointId, free, ordered }) => ordered && claimed(endpointId) < free,
    )
    if (dues.length === limit || short.length === 0) return { dues, more: false }
    const ids = short.map(({ endpointId }) => endpointId)
    const aside = setWaitingAside(shard, ids, look)
    // What is claimed is delivered, whatever becomes of the rest.
    if (dues.length > 0) return { dues, more: (await aside.catch(() => 0)) > 0 }
    const more = (await aside) > 0
    if (!more || round === ROUNDS_MAX) return { dues, more }
  }
}

function anyFirst({ db: { shards }, random }: DeliveryWorld): readonly Shard[] {
  return beginningAt(shards, Math.floor(random() * shards.length))
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
  /** Throws where the key is another than the one they were sealed with. */
  readonly secrets: () => readonly string[]
}

export function openEndpoint(endpoint: CalledEndpoint, key: Buffer): OpenEndpoint {
  let opened: readonly string[] | null = null
  const secrets = () => (opened ??= endpoint.sealed.map((secret) => unseal(secret, key)))
  return { ...endpoint, secrets }
}

/** The message of an event to an endpoint: the same at every attempt, but for its time. */
export function messageOf(
  { clock, agent }: Pick<DeliveryWorld, 'clock' | 'agent'>,
  { url, payload, secrets }: OpenEndpoint,
  event: { readonly id: string; readonly body: string },
) {
  const body = payload === 'thin' ? thinBody(event.body) : event.body
  const headers = {
    'content-type': 'application/json',
    'user-agent': agent,
    ...signedHeaders({ id: event.id, body }, secrets(), clock.now()),
  }
  return { url, headers, body }
}

/** Make one delivery and decide what becomes of it. Nothing is written. Never throws. */
export async function deliver(
  world: DeliveryWorld,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<Delivered> {
  const { eventId, endpointId, fence, attempts, body } = delivery.due
  const startedMs = world.clock.elapsedMs()
  const own = { eventId, endpointId, fence }
  const called = signal.aborted ? null : await call(world, delivery, body, signal)
  if (called === null) {
    const none = { tookMs: 0, status: null, reason: null, reply: null, ageMs: 0, delayMs: 0 }
    const result: DeliveryResult = { ...own, ...none, state: 'pending', made: false }
    return { delivery, verdict: null, result }
  }
  const { status, reason, reply, tookMs } = called
  const verdict = afterCall(called, attempts, world.random())
  const ageMs = Math.max(0, Math.round(world.clock.elapsedMs() - startedMs))
  const said = { state: verdict.state, delayMs: verdict.delayMs, made: true }
  return { delivery, verdict, result: { ...own, ...said, ageMs, tookMs, status, reason, reply } }
}

/** Call the endpoint; null: cut short by the end of this process, so that nothing is known. */
async function call(
  world: DeliveryWorld,
  { due, endpoint, traceparent }: Delivery,
  body: string,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<Send>> | null> {
  let message
  try {
    message = messageOf(world, endpoint, { id: messageId(due.eventId), body })
  } catch {
    // Another WEBHOOK_SECRETS_KEY than the one it was sealed with.
    return { status: null, reason: 'secret_unreadable', retryAfterMs: null, reply: null, tookMs: 0 }
  }
  const span = begun(world, due, traceparent)
  const called = await world.send(span === null ? message : placed(message, span), signal)
  span?.end(spanEnd(called))
  return called.reason === 'aborted' ? null : called
}

/** A message with its place in a trace. */
function placed(message: ReturnType<typeof messageOf>, { traceparent }: Span) {
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
  world: DeliveryWorld,
  all: readonly Delivered[],
): Promise<readonly Delivered[]> {
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
  return all.filter((one) => failed.has(shardOf(one)))
}

function shardOf({ delivery }: Delivered): Shard {
  return delivery.shard
}

/** Pause endpoints that are busy, and disable those that are gone or have been silent too long. */
async function noteEndpoints(world: DeliveryWorld, all: readonly Delivered[]): Promise<void> {
  const pauses = new Map<bigint, number>()
  const gone = new Set<bigint>()
  const failed = new Set<bigint>()
  for (const { verdict, result } of all) {
    const { endpointId: id } = result
    if (verdict === null) continue
    if (verdict.pauseMs > 0) pauses.set(id, Math.max(pauses.get(id) ?? 0, verdict.pauseMs))
    if (verdict.gone) gone.add(id)
    else if (verdict.state === 'failed') failed.add(id)
  }
  for (const [id, ms] of pauses) {
    // A shard that cannot be told delivers nothing either.
    partly(await eachShard(world.db.shards, (shard) => pauseEndpoint(shard, id, ms)))
  }
  for (const id of gone) await disable(world, id, 'gone', null)
  for (const id of failed)
    if (await isSilent(world.db, id)) await disable(world, id, 'silent', SILENT_MS)
}

/** Whether it is known that nothing arrived at an endpoint for a day, in any shard. */
async function isSilent(db: Db, id: bigint): Promise<boolean> {
  const arrived = await eachShard(db.shards, (shard) => arrivedWithin(shard, id, SILENT_MS))
  const { known, missing } = partly(arrived)
  return missing.length === 0 && !known.includes(true)
}

/** Disable an endpoint, and tell the others. What is on its way to it stays, and waits. */
async function disable(
  world: DeliveryWorld,
  id: bigint,
  why: 'gone' | 'silent',
  enabledMs: number | null,
): Promise<void> {
  const { db, clock } = world
  const endpoint = await disableEndpoint(db.global, id, why, enabledMs)
  if (endpoint === null) return
  world.onDisabled?.(id, why)
  const data = { endpoint_id: Number(id), url: endpoint.url, reason: why }
  const timestamp = clock.now().toISOString()
  const type = 'webhook_endpoint.disabled'
  await tellEvent(db.of(id), type, writeJson({ type, timestamp, data }))
  await tellShards(db)
}
