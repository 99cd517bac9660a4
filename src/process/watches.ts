import { feePolicies } from '../domain/fee.ts'
import { NO_PAUSE, pauseAfterLook } from '../domain/look-pause.ts'
import { systemClock } from '../adapters/clock.ts'
import {
  claimWatched,
  endWatched,
  watch,
  type WatchClaim,
  type WatchWorld,
} from '../charging/watch.ts'
import { tracedGateway } from '../gateways/traced.ts'
import { oldestDueMs } from '../queue/load-store.ts'
import { openSettler } from '../queue/settler.ts'
import { shardTurns } from '../queue/shard-turns.ts'
import { shardsWithWatches, type WatchEnd } from '../queue/watches-store.ts'
import { startWorker, type Worker } from '../queue/worker.ts'
import { together } from '../queue/workers.ts'
import type { OpenGateway } from './gateway.ts'
import { lastWordsMs } from './stop-times.ts'
import type { Process, Roles } from './shared.ts'
import { tracePlaces } from './tracing.ts'
import { watchReports } from './watch-reports.ts'

/** How often due watches are looked for, in milliseconds: none of them is in a hurry. */
const POLL_MS = 5_000
/** Of the room of a gateway this part is for looks at final payments. */
const SHARE = 8

/**
 * Look at final payments again, in loops of their own: however many there are, they take no room
 * from charges. Not through the breakers, to which a look says nothing of whether charges work.
 */
export function openWatches(
  shared: Process,
  { worker }: Roles,
  gateways: readonly OpenGateway[],
): Pick<Worker, 'wake'> {
  const asked = gateways.filter(({ gateway }) => worker && gateway.profile.lookup !== 'none')
  const loops = together(
    new Map(asked.map((gateway) => [gateway.config.name, openLoop(shared, gateway)] as const)),
  )
  shared.stops.push(() => loops.stop())
  return loops
}

function openLoop(shared: Process, { config: gateway, driver }: OpenGateway): Worker {
  const { config, db, log, metrics, tracer } = shared
  const turns = shardTurns({
    ...db,
    clock: systemClock,
    random: Math.random,
    pauseMs: config.workerPollIntervalMs,
    look: (shard) => oldestDueMs(shard, gateway.name),
    lookForWork: (session, server) => shardsWithWatches(session, server, gateway.name),
    onIll: ({ number }, err) => log.error({ err, shard: number }, 'a shard gives no looks'),
  })
  // Their claims end by themselves, and they are looked at again.
  const lost = (ends: readonly WatchEnd[], err: unknown) =>
    log.warn({ err, count: ends.length }, 'looked at in vain')
  const report = watchReports(log, gateway.name)
  let pause = NO_PAUSE
  const world: WatchWorld = {
    db,
    turns,
    gateway: tracer === null ? driver : tracedGateway(driver, tracer),
    traced: tracer !== null,
    ...feePolicies(config),
    leaseMs: config.leaseMs,
    onLost: lost,
    onWatched(seen) {
      metrics.watched(gateway.name, seen.what)
      const said = { answered: seen.what !== 'no_word', askedMs: seen.retryAfterMs ?? null }
      pause = pauseAfterLook(pause, systemClock.elapsedMs(), said)
      report(seen)
    },
  }
  const concurrency = Math.ceil(gateway.concurrency / SHARE)
  const worker = startWorker<WatchClaim, WatchEnd>({
    async claim(limit) {
      const beganMs = systemClock.elapsedMs()
      const claims = await claimWatched(world, limit)
      tracer?.batch('watch', tracePlaces(claims), systemClock.elapsedMs() - beganMs)
      return claims
    },
    handle: (claimed, signal) => watch(world, claimed, signal),
    settler: openSettler<WatchEnd>({
      settle: (ends) => endWatched(world, ends),
      clock: systemClock,
      batchMax: config.workerBatch,
      keyOf: ({ paymentId }) => paymentId,
      faultyMsMax: config.leaseMs,
      onError: (err) => log.warn({ err }, 'what was looked at could not be written'),
      onGivenUp: lost,
    }),
    admitted: (wanted) => (shared.serving && systemClock.elapsedMs() >= pause.untilMs ? wanted : 0),
    clock: systemClock,
    concurrency: () => concurrency,
    batchMax: config.workerBatch,
    pollMs: Math.max(POLL_MS, config.workerPollIntervalMs),
    stopMsMax: lastWordsMs(config),
    onError: (error, what) => log.error({ err: error }, `the watch could not ${what}`),
  })
  return {
    ...worker,
    wake() {
      turns.wake()
      worker.wake()
    },
  }
}
