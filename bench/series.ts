import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { postgres } from '../src/adapters/postgres.ts'
import type { Draft } from '../src/domain/acceptance.ts'
import { foldCounts } from '../src/metrics/series-store.ts'
import { acceptor } from '../src/payments/accept.ts'
import type { Shard, Statement, Tx } from '../src/ports.ts'
import { openRig, ROOT, USERS, type Database } from './rig.ts'

/**
 * What the series of charts costs accepting payments: the same batches in turn by the statement of
 * the service, and by that statement without the part that says which minute it was. Processor time
 * of PostgreSQL's own processes, as the kernel counts it, so the speed of the disk does not matter.
 * Ends with 1 when the series costs a hundredth of it or more.
 */
interface Options {
  readonly rounds: string
  readonly batches: string
  readonly dist: string
}

const BATCH = 100
const SHARE_MAX = 0.01

/** The statements as they would be without the series, by name. */
const WITHOUT: Readonly<Record<string, readonly (readonly [part: string, instead: string])[]>> = {
  payments_accept: [
    ['(shard, enqueued, minute, accepted)', '(shard, enqueued)'],
    [
      `select $1::int, count(*), date_trunc('minute', time, 'UTC'), count(*)`,
      'select $1::int, count(*)',
    ],
    [
      'from clock, unnest($11::bigint[])\n    group by time',
      'from unnest($11::bigint[])\n    having count(*) > 0',
    ],
  ],
}

function without<Row>(statement: Statement<Row>): Statement<Row> {
  const parts = WITHOUT[statement.name]
  if (parts === undefined) return statement
  const text = parts.reduce((sql, [part, instead]) => {
    if (!sql.includes(part)) throw new Error(`${statement.name} no longer says: ${part}`)
    return sql.replace(part, instead)
  }, statement.text)
  return { ...statement, name: `${statement.name}_plain`, text }
}

/** A shard whose transactions write no series. */
function plain(shard: Shard): Shard {
  return {
    ...shard,
    transaction: (work, lockMs) =>
      shard.transaction((tx) => {
        const own: Tx = {
          ...tx,
          run: (statement, values) => tx.run(without(statement), values),
          write: (statement, values) => tx.write(without(statement), values),
        }
        return work(own)
      }, lockMs),
  }
}

/** Nanoseconds of processor time that the processes of a database have had. */
async function spent(database: Database): Promise<number> {
  const rows = await database.sql<{ pid: number }>(
    `select pid from pg_stat_activity where datname = $1 and application_name = 'series'`,
    [database.name],
  )
  return rows.reduce((sum, { pid }) => {
    const [ns = '0'] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')
    return sum + Number(ns)
  }, 0)
}

function drafts(round: number): Draft[] {
  return Array.from({ length: BATCH }, (_, at) => ({
    type: at % 2 === 0 ? 'deposit' : 'withdraw',
    userId: BigInt(1 + (((round * BATCH + at) * 7919) % USERS.count)),
    amount: 100n,
    idempotencyKey: null,
  }))
}

async function main(options: Options): Promise<void> {
  const [rounds, batches] = [Number(options.rounds), Number(options.batches)]
  const log = (line: string) => process.stderr.write(`${line}\n`)
  const none = { history: 0, backlog: 0 }
  const rig = await openRig({ dist: options.dist, quick: true, rows: none, profiles: null, log })
  try {
    const database = await rig.database('series')
    const { shares, each } = await inTurn(database, rounds, batches)
    const share = middle(shares)
    const us = (ns: number) => (ns / 1_000).toFixed(2)
    process.stdout.write(
      `a payment accepted: ${us(each.with)} µs of PostgreSQL with the series, ` +
        `${us(each.without)} without, batches of ${BATCH}\n` +
        `share: ${(share * 100).toFixed(2)} % (median of ${rounds}; ` +
        `${shares.map((one) => (one * 100).toFixed(2)).join(', ')})\n`,
    )
    if (share >= SHARE_MAX) process.exitCode = 1
  } finally {
    await rig.stop()
  }
}

/** What each round found, and nanoseconds of a payment over all. The first round warms up. */
async function inTurn(database: Database, rounds: number, batches: number) {
  const db = postgres({
    url: database.url,
    shards: 1,
    currency: 'USD',
    poolMax: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 60_000,
    lockTimeoutMs: 60_000,
    idleTransactionTimeoutMs: 60_000,
    name: 'series',
  })
  const shard = db.of(0n)
  const fees = { bps: 200, mins: new Map<string, bigint>() }
  const sides = {
    with: acceptor({ shard, currency: 'USD', fees }),
    without: acceptor({ shard: plain(shard), currency: 'USD', fees }),
  }
  const sums = { with: 0, without: 0 }
  const shares: number[] = []
  let turn = 0
  for (let round = 0; round <= rounds; round += 1) {
    const own = { with: 0, without: 0 }
    // In small turns, so that what else goes on meets both; each side is first as often.
    for (let part = 0; part < 4; part += 1) {
      const order = (['with', 'without'] as const).toSorted(() => (part % 2 === 0 ? 1 : -1))
      for (const side of order) {
        const before = await spent(database)
        for (let batch = 0; batch < batches; batch += 1) await sides[side](drafts((turn += 1)))
        await foldCounts(shard)
        own[side] += (await spent(database)) - before
      }
    }
    if (round === 0) continue
    shares.push(own.with / own.without - 1)
    for (const side of ['with', 'without'] as const) {
      sums[side] += own[side] / (4 * batches * BATCH * rounds)
    }
    await database.sql('truncate payment_tasks')
  }
  await db.close()
  return { shares, each: sums }
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

new Command('bench:series')
  .description('Measure what the series of charts costs accepting payments.')
  .option('--rounds <count>', 'rounds of both in turn', '9')
  .option('--batches <count>', 'batches of each at a time', '150')
  .option('--dist <folder>', 'the built service, for its migrations', join(ROOT, 'dist'))
  .action(main)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`)
    process.exitCode = 2
  })
