import type { DatabaseGauges } from '../domain/counters.ts'
import type { Clock, Runner } from '../ports.ts'
import { viewQueue } from '../queue/load-store.ts'
import { readExact, readHeld, readRisk } from './store.ts'

/** Read the gauges of all shards: amounts and counts are added, ages are the oldest. */
export async function databaseGauges(world: {
  readonly db: Runner
  readonly clock: Clock
  readonly shards: number
}): Promise<DatabaseGauges> {
  const at = world.clock.database()
  const shards = Array.from({ length: world.shards }, (_, shard) => shard)
  const [counts, queues, risks, held] = await Promise.all([
    readExact(world.db, world.shards),
    Promise.all(shards.map((shard) => viewQueue(world.db, shard, at))),
    Promise.all(shards.map((shard) => readRisk(world.db, shard, at))),
    Promise.all(shards.map((shard) => readHeld(world.db, shard))),
  ])
  const unknown = sum(risks.map((risk) => risk.unknownCount))
  return {
    queueTasks: {
      due: sum(queues.map((queue) => queue.due)),
      leased: sum(queues.map((queue) => queue.leased)),
      waiting: sum(queues.map((queue) => queue.waiting)),
    },
    queueOldestDueSeconds: Math.max(...queues.map((queue) => queue.oldestDueSeconds)),
    unknownPayments: unknown,
    unknownAmount: risks.reduce((total, risk) => total + risk.unknownAmount, 0n),
    unknownOldestSeconds: Math.max(...risks.map((risk) => risk.unknownOldestSeconds)),
    heldAmount: held.reduce((total, amount) => total + amount, 0n),
    counts,
    deadLettersOpen: { unknown, failed: sum(risks.map((risk) => risk.failedLetters)) },
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
