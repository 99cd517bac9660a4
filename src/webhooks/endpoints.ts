import { writeJson } from '../domain/exact-json.ts'
import type { Refusal } from '../domain/refusal.ts'
import { differing, sentFields } from '../domain/sent-fields.ts'
import { eachInTurn, onceStored, whole } from '../each-shard.ts'
import type { Clock, Db, Global } from '../ports.ts'
import { changesOfEndpoint } from './endpoint-acts-store.ts'
import { messageOf, openEndpoint, UNREADABLE, type Send } from './deliver.ts'
import { newSecret, seal, unseal } from './sealed-secrets.ts'
import { calledEndpoints, signsUntil } from './endpoint-calls-store.ts'
import { freeDeliveries } from './deliveries-store.ts'
import { endpointMade } from './made-store.ts'
import {
  changeEndpoint,
  ENDPOINTS_MAX,
  forgetKey,
  insertEndpoint,
  keepShown,
  listEndpoints,
  readEndpoint,
  removeEndpoint,
  rotateEndpoint,
  type Endpoint,
  type EndpointBy,
  type EndpointChange,
  type EndpointKey,
  type NewEndpoint,
} from './store.ts'
import { tellShards } from './sync.ts'

/** An endpoint with its new secret, which is shown this once; null: it is not called. */
interface WithSecret {
  readonly endpoint: Endpoint
  readonly secret: string | null
}

interface Refused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

/** `replayed`: an earlier request under the same key made it. */
type Made = ({ readonly kind: 'made'; readonly replayed: boolean } & WithSecret) | Refused

const refused = (code: Refusal['code']): Refused => ({ kind: 'refused', refusal: { code } })

/** Who makes an endpoint, and under which key; null, or not there: under none. */
interface MadeBy extends EndpointBy {
  readonly under?: Omit<EndpointKey, 'sent'> | null
}

/**
 * Make an endpoint. When it returns, every shard writes the events that it wants. Where a shard
 * cannot be told it throws, and there is no endpoint. The same request under the same key is
 * answered with the endpoint as it is now, and with its secret until that is rotated.
 */
export async function addEndpoint(
  db: Db,
  draft: NewEndpoint,
  by: MadeBy,
  key: Buffer,
): Promise<Made> {
  const under = by.under == null ? null : { ...by.under, sent: sentOf(draft) }
  const earlier = under === null ? null : await again(db, under, key)
  if (earlier !== null) return earlier
  if ((await listEndpoints(db.global)).length >= ENDPOINTS_MAX) return refused('endpoints_full')
  const secret = draft.url === null ? null : newSecret()
  const sealed = secret === null ? null : seal(secret, key)
  const types = once(draft.types)
  const endpoint = await insertEndpoint(db.global, { ...draft, types }, { ...by, under }, sealed)
  if (endpoint === null) {
    // Another request under the key came at the same time.
    return (under && (await again(db, under, key))) ?? refused('busy')
  }
  try {
    if (await isOneTooMany(db, endpoint.id, by)) return refused('endpoints_full')
    await tellShards(db)
  } catch (error) {
    await onceStored(() => takeBack(db, endpoint.id, by, error))
    throw error
  }
  return { kind: 'made', endpoint, secret, replayed: false }
}

/**
 * Whether those who were made at the same time, and all saw a free place, are more than there may
 * be. Then this one is taken back: the last of them counts all others, so no more than there may be
 * are told of. One that somebody was shown meanwhile stays.
 */
async function isOneTooMany(db: Db, id: bigint, by: EndpointBy): Promise<boolean> {
  if ((await listEndpoints(db.global)).length <= ENDPOINTS_MAX) return false
  if (!(await forgetKey(db.global, id))) return false
  await removeEndpoint(db.global, id, by)
  return true
}

/** Undo what could not be told to every shard, so that whoever asked hears why it failed. */
async function takeBack(db: Db, id: bigint, by: EndpointBy, why: unknown): Promise<void> {
  // Who repeated the request meanwhile has its secret by now, and keeps it.
  if (!(await forgetKey(db.global, id))) throw why
  await removeEndpoint(db.global, id, by)
}

/** A type that is said twice is wanted once. */
function once(types: readonly string[]): readonly string[] {
  return [...new Set(types)]
}

/** What was asked for, to be compared with what comes under the same key again. */
function sentOf({ url, types, description, payload, ordered, ratePerSecond }: NewEndpoint) {
  const rate = ratePerSecond == null ? null : String(ratePerSecond)
  const flags = { payload, ordered: String(ordered), rate_per_second: rate }
  return sentFields({ url, types: types.join(), description, ...flags })
}

/** What a request under the key of an earlier one is answered with; null: there is none. */
async function again(db: Db, under: EndpointKey, key: Buffer): Promise<Made | null> {
  const made = await endpointMade(db.global, under)
  if (made === null) return null
  const errors = differing(under.sent, made.sent)
  if (errors.length > 0) {
    return { kind: 'refused', refusal: { code: 'idempotency_key_reuse', errors } }
  }
  if (made.state === 'removed') return refused('endpoint_not_found')
  // Whoever made it may be about to take it back: from here on that is not done.
  if (!(await keepShown(db.global, made.id))) return refused('busy')
  // Whoever made it may have died before every shard knew.
  await tellShards(db)
  if (made.sealed === null) return { kind: 'made', endpoint: made, secret: null, replayed: true }
  const secret = unseal(made.sealed, key)
  if (secret === null) return refused('secret_unreadable')
  return { kind: 'made', endpoint: made, secret, replayed: true }
}

/**
 * Change an endpoint; null: there is none, or its URL was to be changed and it has none. When it
 * returns, every shard knows. Where it throws `CommitUnknown` the change may be stored; then shards
 * that do not know yet are told within seconds.
 *
 * Of another URL: calls that have begun end where they began, and every call after that, of
 * deliveries that are under way as well, goes to the new one. Of one that is not ordered any more,
 * what waited for an earlier event is due.
 */
export async function editEndpoint(
  db: Db,
  id: bigint,
  change: EndpointChange,
  by: EndpointBy,
): Promise<Endpoint | null> {
  const types = change.types === undefined ? {} : { types: once(change.types) }
  const endpoint = await changeEndpoint(db.global, id, { ...change, ...types }, by)
  if (endpoint === null) return null
  await onceStored(async () => {
    await tellShards(db)
    if (change.ordered !== false) return
    whole(await eachInTurn(db.shards, (shard) => freeDeliveries(shard, id)))
  })
  return endpoint
}

/**
 * Remove an endpoint, or see that it is removed: whoever lost the answer asks again. Its events
 * stay. False: there never was one.
 */
export async function dropEndpoint(db: Db, id: bigint, by: EndpointBy): Promise<boolean> {
  const removed = await removeEndpoint(db.global, id, by)
  // Every endpoint was made.
  if (removed === null && (await changesOfEndpoint(db.global, id)).length === 0) return false
  await onceStored(() => tellShards(db))
  return true
}

/**
 * Give an endpoint a new secret. For `overlapMs` deliveries are signed with the one before as well,
 * and with those before that as long as was said of them: so a receiver that has only one of them
 * verifies all. 0: the new one alone signs. Every call that begins after it is signed so.
 */
export async function rotateSecret(
  { db, key }: { readonly db: Db; readonly key: Buffer },
  id: bigint,
  overlapMs: number,
  by: EndpointBy,
): Promise<({ readonly kind: 'rotated' } & WithSecret) | Refused> {
  const secret = newSecret()
  const sealed = seal(secret, key)
  const endpoint = await rotateEndpoint(db.global, id, { secret: sealed, overlapMs }, by)
  if (endpoint === null) return notRotated(db, id)
  // A shard that cannot be told is told within seconds; who does not see the secret has lost it.
  await tellShards(db).catch(() => undefined)
  return { kind: 'rotated', endpoint, secret }
}

/** Why an endpoint has no new secret. */
async function notRotated({ global }: Db, id: bigint): Promise<Refused> {
  const missing = await uncalled(global, id)
  if (missing !== null) return missing
  const until = await signsUntil(global, id)
  // Null: the first of them has ended just now.
  return until === null
    ? refused('busy')
    : { kind: 'refused', refusal: { code: 'secrets_full', until } }
}

/** Why nobody can be called; null: somebody can. */
async function uncalled(db: Global, id: bigint): Promise<Refused | null> {
  const endpoint = await readEndpoint(db, id)
  if (endpoint === null) return refused('endpoint_not_found')
  return endpoint.url === null ? refused('endpoint_not_called') : null
}

/** What a test needs to call an endpoint. */
export interface TestWorld {
  readonly db: Db
  readonly clock: Clock
  readonly send: Send
  readonly key: Buffer
  readonly agent: string
}

/** Call an endpoint once with a test message. */
export async function testEndpoint(
  world: TestWorld,
  id: bigint,
  messageId: string,
): Promise<({ readonly kind: 'called' } & Awaited<ReturnType<Send>>) | Refused> {
  const [endpoint] = await calledEndpoints(world.db.global, id)
  if (endpoint === undefined) {
    return (await uncalled(world.db.global, id)) ?? refused('endpoint_not_found')
  }
  const timestamp = world.clock.now().toISOString()
  const body = writeJson({
    type: 'webhook_endpoint.test',
    timestamp,
    data: { endpoint_id: Number(id) },
  })
  const open = openEndpoint(endpoint, world.key)
  const message = messageOf(world, open, { id: messageId, body })
  const called = message === null ? UNREADABLE : await world.send(message)
  return { kind: 'called', ...called }
}
