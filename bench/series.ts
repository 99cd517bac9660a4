import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { postgres } from '../src/adapters/postgres.ts'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { foldCounts } from '../src/metrics/series-store.ts'
import { acceptor } from '../src/payments/accept.ts'
import type { Shard, Statement, Tx } from '../src/ports.ts'
import { openRig, ROOT, USERS, type Database } from './rig.ts'
import { runBench } from './run-bench.ts'

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
/** Pairs that are not counted: caches and plans are made in them. */
const WARM_UP = 20

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

function drafts(round: number): PaymentDraft[] {
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
    const pairs = await inTurn(database, rounds, batches)
    const { accepting, folding, share } = shareOf(pairs)
    const payments = batches * BATCH
    const us = (side: 'with' | 'without') =>
      (middle(pairs.map((pair) => pair[side].accepted)) / payments / 1_000).toFixed(2)
    const percent = (part: number) => `${(part * 100).toFixed(2)} %`
    process.stdout.write(
      `a payment accepted: ${us('with')} µs of PostgreSQL with the series, ` +
        `${us('without')} without, batches of ${BATCH}, medians of ${rounds} pairs\n` +
        `share: ${percent(share)} (accepting ${percent(accepting)}, folding ${percent(folding)})\n`,
    )
    if (share >= SHARE_MAX) process.exitCode = 1
  } finally {
    await rig.stop()
  }
}

/** What one side spent in a turn, in nanoseconds: accepting, and folding what it counted. */
interface Spent {
  readonly accepted: number
  readonly folded: number
}

/**
 * What each pair of turns spent. Turns are short and each side is first as often, so that what else
 * goes on meets both; rows are folded between them as in the service, which folds seldom.
 */
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
  let turn = 0
  const own = async (side: 'with' | 'without'): Promise<Spent> => {
    const before = await spent(database)
    for (let batch = 0; batch < batches; batch += 1) await sides[side](drafts((turn += 1)))
    const accepted = await spent(database)
    await foldCounts(shard)
    return { accepted: accepted - before, folded: (await spent(database)) - accepted }
  }
  const pairs: { with: Spent; without: Spent }[] = []
  for (let round = 0; round < WARM_UP + rounds; round += 1) {
    const first = round % 2 === 0 ? 'with' : 'without'
    const one = await own(first)
    const other = await own(first === 'with' ? 'without' : 'with')
    const pair = first === 'with' ? { with: one, without: other } : { with: other, without: one }
    if (round >= WARM_UP) pairs.push(pair)
    if (round % 50 === 49) await database.sql('truncate payment_tasks')
  }
  await db.close()
  return pairs
}

/** By how much of its own time accepting is slower, and what folding adds to that, on average. */
function shareOf(pairs: readonly { with: Spent; without: Spent }[]) {
  const accepting = middle(pairs.map((pair) => pair.with.accepted / pair.without.accepted - 1))
  const sum = (of: (pair: (typeof pairs)[number]) => number) =>
    pairs.reduce((all, pair) => all + of(pair), 0)
  const extra = sum((pair) => pair.with.folded) - sum((pair) => pair.without.folded)
  const folding = extra / sum((pair) => pair.without.accepted)
  return { accepting, folding, share: accepting + folding }
}

function middle(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

runBench(
  new Command('bench:series')
    .description('Measure what the series of charts costs accepting payments.')
    .option('--rounds <count>', 'pairs of turns', '600')
    .option('--batches <count>', 'batches of a turn', '10')
    .option('--dist <folder>', 'the built service, for its migrations', join(ROOT, 'dist'))
    .action(main),
)
