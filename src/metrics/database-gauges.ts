import type { DatabaseGauges } from '../domain/counters.ts'
import type { Db, Shard } from '../ports.ts'
import { lastKnown } from '../each-shard.ts'
import { viewQueue } from '../queue/load-store.ts'
import { readExact, type ReadCounts } from './exact-counters.ts'
import { readCounts, readHeld, readRisk } from './store.ts'
import { countDisabled, readBehind } from './webhooks-store.ts'

/**
 * Read the gauges of all shards: amounts, by currency, and counts are added, ages are the oldest.
 * Of a shard that cannot be asked they are what they were when it was asked last.
 */
export function databaseGauges(db: Db): () => Promise<DatabaseGauges> {
  const readers = {
    exact: lastKnown(readCounts),
    queues: lastKnown(viewQueue),
    risks: lastKnown(readRisk),
    held: lastKnown(readHeld),
    behind: lastKnown(readBehind),
  }
  return () => readGauges(db, readers)
}

async function readGauges(
  db: Db,
  readers: {
    readonly exact: ReadCounts
    readonly queues: Reader<typeof viewQueue>
    readonly risks: Reader<typeof readRisk>
    readonly held: Reader<typeof readHeld>
    readonly behind: Reader<typeof readBehind>
  },
): Promise<DatabaseGauges> {
  const { shards } = db
  const [counts, queues, risks, held, behind, disabled] = await Promise.all([
    readExact(db, readers.exact),
    readers.queues(shards),
    readers.risks(shards).then((parts) => parts.flat()),
    readers.held(shards).then((parts) => parts.flat()),
    readers.behind(shards).then((parts) => parts.flat()),
    countDisabled(db.global),
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
    unknownAmounts: amounts(
      db.currency,
      risks.map(({ currency, unknownAmount }) => [currency, unknownAmount]),
    ),
    unknownOldestSeconds: Math.max(0, ...risks.map((risk) => risk.unknownOldestSeconds)),
    heldAmounts: amounts(
      db.currency,
      held.map((part) => [part.currency, part.held]),
    ),
    counts,
    webhookEndpoints: {
      failing: new Set(behind.filter(({ failing }) => failing).map(({ endpointId }) => endpointId))
        .size,
      disabled,
    },
    webhookOldestDueSeconds: Math.max(0, ...behind.map(({ dueSeconds }) => dueSeconds)),
    deadLettersOpen: { unknown, failed: sum(risks.map((risk) => risk.failedLetters)) },
  }
}

/** Reads something of every shard. */
type Reader<Read extends (shard: Shard) => Promise<unknown>> = (
  shards: readonly Shard[],
) => Promise<Awaited<ReturnType<Read>>[]>

/** Sums by currency: one of the books', if only of nothing. */
function amounts(
  books: string,
  parts: readonly (readonly [currency: string | null, amount: bigint])[],
): Record<string, bigint> {
  const sums: Record<string, bigint> = { [books]: 0n }
  for (const [currency, amount] of parts) {
    const code = currency ?? books
    sums[code] = (sums[code] ?? 0n) + amount
  }
  return sums
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
