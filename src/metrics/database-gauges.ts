import type { DatabaseGauges } from '../domain/counters.ts'
import type { Db } from '../ports.ts'
import { eachShard, whole } from '../each-shard.ts'
import { viewQueue } from '../queue/load-store.ts'
import { readExact } from './exact.ts'
import { readHeld, readRisk } from './store.ts'

/** Read the gauges of all shards: amounts and counts are added, ages are the oldest. */
export async function databaseGauges(db: Db): Promise<DatabaseGauges> {
  const { shards } = db
  const [counts, queues, risks, held] = await Promise.all([
    readExact(db),
    eachShard(shards, viewQueue).then(whole),
    eachShard(shards, readRisk).then(whole),
    eachShard(shards, readHeld).then(whole),
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
