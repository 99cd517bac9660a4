import { eachInTurn, whole } from '../each-shard.ts'
import { wantedTypes } from '../domain/event.ts'
import { lockWants, setWants } from '../events/store.ts'
import { isLocked, type Clock, type Db, type Shard } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import { tellUntold } from './tell-disabled.ts'
import { knownEndpoints, type Endpoint } from './store.ts'
import {
  readSubscriptions,
  typesWanted,
  writeSubscription,
  type Subscription,
} from './subscriptions-store.ts'

/**
 * How long a change of what is wanted waits for those who end payments, in milliseconds. While it
 * waits nobody begins to end any, so it is short, and tried again.
 */
const LOCK_MS = 300
const TRIES_MAX = 10

/** How often a process looks whether every shard knows every endpoint, in milliseconds. */
const LOOK_MS = 5_000
/**
 * How often it looks again into a shard that knew all of them, while none of them has changed: what
 * a shard knows only changes with them.
 */
const AGAIN_MS = 300_000

/**
 * Let every shard know what endpoints want. When it returns, every transaction that ends payments
 * from then on writes the events that are wanted. Throws where a shard cannot be told.
 */
export async function tellShards(db: Db): Promise<void> {
  const endpoints = await knownEndpoints(db.global)
  whole(await eachInTurn(db.shards, (shard) => tellShard(db, shard, endpoints)))
}

async function tellShard(db: Db, shard: Shard, endpoints: readonly Endpoint[]): Promise<void> {
  const known = new Map(
    (await readSubscriptions(shard)).map((subscription) => [subscription.endpointId, subscription]),
  )
  const behind = endpoints
    .map(subscriptionOf)
    .filter((one) => isBehind(known.get(one.endpointId), one))
  if (behind.length === 0) return
  const books = { count: db.shards.length, currency: db.currency }
  await patiently(() =>
    shard.transaction(async (tx) => {
      await lockWants(tx)
      for (const subscription of behind) writeSubscription(tx, subscription)
      setWants(tx, await typesWanted(tx), books)
    }, LOCK_MS),
  )
}

function subscriptionOf({ id, version, types, state, url, ordered }: Endpoint): Subscription {
  const subscription = { endpointId: id, version, ordered }
  if (state === 'removed') return { ...subscription, types: [], deliver: false }
  // While one is disabled its events are kept, so that they can be read.
  return {
    ...subscription,
    types: wantedTypes(types),
    deliver: url !== null && state === 'enabled',
  }
}

/** Whether a shard has to be told: also of types that this version is the first to know. */
function isBehind(known: Subscription | undefined, wanted: Subscription): boolean {
  if (known === undefined) return wanted.types.length > 0
  if (known.version > wanted.version) return false
  return known.version < wanted.version || known.types.join() !== wanted.types.join()
}

/** Repeat what others' locks keep back; each try waits for them a moment. */
async function patiently(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (!isLocked(error) || attempt === TRIES_MAX) throw error
    }
  }
}

/**
 * Bring shards up to date that could not be told when an endpoint changed, and tell of endpoints
 * that were disabled where whoever disabled them could not.
 */
export function startSync(
  { db, clock }: { readonly db: Db; readonly clock: Clock },
  onError: (error: unknown) => void,
): Background {
  /** Until when a shard is believed to know endpoints, and which. */
  const known = new Map<Shard, { readonly versions: string; readonly untilMs: number }>()
  const turn = async (): Promise<void> => {
    await tellUntold(db, onError).catch(onError)
    const endpoints = await knownEndpoints(db.global)
    const versions = endpoints.map(({ id, version }) => `${id}:${version}`).join()
    const nowMs = clock.elapsedMs()
    const told = await eachInTurn(db.shards, async (shard) => {
      const before = known.get(shard)
      if (before?.versions === versions && nowMs < before.untilMs) return
      await tellShard(db, shard, endpoints)
      known.set(shard, { versions, untilMs: nowMs + AGAIN_MS })
    })
    whole(told)
  }
  return every(clock, LOOK_MS, turn, onError)
}
