import { createHash, randomUUID } from 'node:crypto'
import { systemClock } from '../adapters/clock.ts'
import { publicAddresses } from '../adapters/public-address.ts'
import { webhookSender, type WebhookSender } from '../adapters/webhook-sender.ts'
import type { Config } from '../config/config.ts'
import type { Db } from '../ports.ts'
import { shardTurns } from '../queue/shard-turns.ts'
import { startWorker, type Worker } from '../queue/worker.ts'
import { startFeed } from '../events/feed.ts'
import { newestPosition } from '../events/store.ts'
import {
  AT_ONCE,
  claimDue,
  deliver,
  type Delivered,
  type Delivery,
  type DeliveryWorld,
} from '../webhooks/deliver.ts'
import { shardsWithDeliveries } from '../webhooks/deliveries-store.ts'
import { AHEAD, deliveryPlaces, deliverySettler } from '../webhooks/places.ts'
import { ENDPOINTS_MAX } from '../webhooks/store.ts'
import { startSync } from '../webhooks/sync.ts'
import type { Closing } from './closing.ts'
import { lastWordsMs } from './stop-times.ts'
import { usesDatabase, type Process, type Roles } from './shared.ts'
import { VERSION } from './version.ts'

/** How the service calls itself to endpoints. */
const AGENT = `payments/${VERSION}`

/** Deliveries claimed by one process: room for every endpoint, whatever the others do. */
const TOGETHER = (AT_ONCE + AHEAD) * ENDPOINTS_MAX

/** Longer than any call may take, so that no other worker repeats one that is under way. */
const LEASE_MS = 45_000

/**
 * Deliver events where this process works. What the API's routes need; null: it has none.
 */
export function openWebhooks(shared: Process, roles: Roles) {
  if (!usesDatabase(roles)) return null
  const sender = openSender(shared)
  if (roles.worker) {
    const deliveries = openDeliveries(shared, sender)
    shared.stops.push(() => deliveries.stop())
  }
  return roles.api ? endpointWorld(shared, sender) : null
}

/** Place events, and let shards know what is wanted: every process does. */
export function startEvents({ db, log, pressure, stops }: Process): void {
  const world = { db, clock: systemClock, random: Math.random, sideline: pressure.sideline() }
  const feeding = startFeed(world, (error) =>
    log.error({ err: error }, 'events could not be placed'),
  )
  stops.push(() => feeding.stop())
  const syncing = startSync({ db, clock: systemClock }, (error) =>
    log.error({ err: error }, 'a shard could not be told which events are wanted'),
  )
  stops.push(() => syncing.stop())
}

/** The addresses that endpoints may have: this machine's as well outside production. */
function allowedBy({ webhookAllowNetworks, production }: Config) {
  return publicAddresses(webhookAllowNetworks ?? [], !production)
}

/** Open what calls endpoints: in production it reaches nobody in a private network. */
function openSender({ config, stops }: Pick<Process, 'config' | 'stops'>): WebhookSender {
  const sender = webhookSender({ allowed: allowedBy(config), clock: systemClock })
  stops.push(() => sender.close())
  return sender
}

/**
 * What commands about endpoints need. `forward` calls whatever address the operator of this machine
 * names, for `listen`; `send` calls endpoints and reaches what they reach.
 */
export function openWebhookTool(db: Db, config: Config, stops: Closing) {
  const forwarder = webhookSender({ allowed: () => true, clock: systemClock })
  stops.push(() => forwarder.close())
  const world = endpointWorld({ db, config }, openSender({ config, stops }))
  return { ...world, forward: forwarder.send }
}

/** The key that seals secrets of endpoints; without a setting, one that everybody knows. */
function secretsKeyOf({ webhookSecretsKey }: Config): Buffer {
  if (webhookSecretsKey !== null) return Buffer.from(webhookSecretsKey, 'base64')
  return createHash('sha256').update('not a secret: for development').digest()
}

/** What the routes of endpoints need. */
function endpointWorld({ db, config }: { db: Db; config: Config }, sender: WebhookSender) {
  return {
    db,
    clock: systemClock,
    send: sender.send,
    key: secretsKeyOf(config),
    agent: AGENT,
    urls: { development: !config.production, allowed: allowedBy(config) },
    newMessageId: () => `msg_test_${randomUUID()}`,
  }
}

/** Deliver events: claimed, leased and settled as charges are, by a loop of its own. */
function openDeliveries(shared: Process, sender: WebhookSender): Worker {
  const { config, log, tracer } = shared
  const sideline = shared.pressure.sideline()
  const turns = shardTurns({
    ...shared.db,
    clock: systemClock,
    random: Math.random,
    pauseMs: config.workerPollIntervalMs,
    look: newestPosition,
    lookForWork: shardsWithDeliveries,
    onIll: ({ number }, err) => log.error({ err, shard: number }, 'a shard gives no deliveries'),
  })
  const world: DeliveryWorld = {
    ...endpointWorld(shared, sender),
    send: shared.decorators.send(sender.send),
    ...(tracer === null ? {} : { tracer }),
    random: Math.random,
    turns,
    leaseMs: LEASE_MS,
    onDisabled: (endpoint, why) =>
      log.error({ endpoint: Number(endpoint), why }, 'a webhook endpoint was disabled'),
  }
  const places = deliveryPlaces({
    clock: systemClock,
    onHalf() {
      // What waited for these places was passed over as if it were not there.
      turns.wake()
      worker.wake()
    },
  })
  const settler = deliverySettler(world, places, {
    clock: systemClock,
    batchMax: config.workerBatch,
    faultyMsMax: LEASE_MS,
    onError: (error) => log.error({ err: error }, 'deliveries could not be written'),
    onGivenUp: (done, error) =>
      log.error({ err: error, count: done.length }, 'deliveries were not written: made again'),
  })
  const worker = startWorker<Delivery, Delivered>({
    async claim(limit) {
      places.tidy()
      const claimed = await claimDue(world, limit, places.taken)
      places.take(claimed)
      sideline.began(claimed.length)
      return claimed
    },
    handle: (delivery, signal) =>
      places.during(delivery, signal, () => deliver(world, delivery, signal)),
    settler,
    admitted: (wanted) => (shared.serving ? sideline.admitted(wanted) : 0),
    clock: systemClock,
    concurrency: () => TOGETHER,
    batchMax: config.workerBatch,
    pollMs: config.workerPollIntervalMs,
    restMs: turns.restMs,
    stopMsMax: lastWordsMs(config),
    onError: (error, what) => log.error({ err: error }, `webhooks: could not ${what}`),
  })
  return worker
}
