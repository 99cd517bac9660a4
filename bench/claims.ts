import * as fs from 'node:fs'
import { join } from 'node:path'
import { migrate } from '../src/adapters/migrate.ts'
import { postgres } from '../src/adapters/postgres.ts'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import type { Statement } from '../src/ports.ts'
import { claimTasks } from '../src/queue/claims-store.ts'
import { freePort } from '../tools/child.ts'
import { median } from '../tools/load/report.ts'
import { openDatabase, ROOT, type Database } from './rig.ts'

/**
 * What tasks that wait for a gateway which is down cost the claims of another: `npm run
 * bench:claims -- [waiting] [turns]`. Two databases, one with a million due tasks of the gateway
 * that is down and one without, are claimed from in turn, for the gateway whose index is its own
 * and for one that shares an index. Prints the medians of both, and how fast claims beside the
 * tasks are against those without, by the processor time of PostgreSQL and by the clock.
 *
 * Exit code 0: by processor time at least 0.95; 1: less.
 */
const waiting = Number(process.argv[2] ?? 1_000_000)
const turns = Number(process.argv[3] ?? 15)
const RATIO_MIN = 0.95
/** Claims of a turn, and tasks of a claim. */
const CLAIMS = 50
const LIMIT = 16
const LEASE_MS = 60_000
/** What waits is filled in pieces. */
const CHUNK = 250_000

/** Who is down, and who is claimed for. */
const PAIRS = [
  ['bank', ['http', 'card']],
  ['http', ['bank']],
] as const

const PID: Statement<{ pid: number }> = {
  name: 'bench_backend',
  text: 'select pg_backend_pid() as pid where $1::int is not null',
}

/** Due tasks, from an id on, all of one gateway. */
async function fill({ sql }: Database, gateway: string, first: number, count: number) {
  for (let done = 0; done < count; done += CHUNK) {
    await sql(
      `insert into payment_tasks (shard, payment_id, gateway, operation, run_at)
       select 0, n, $1, 'charge', now() - interval '1 day' + n * interval '1 millisecond'
       from generate_series($2::bigint, $3::bigint) n`,
      [gateway, first + done, first + Math.min(done + CHUNK, count) - 1],
    )
  }
}

/** A database to claim from, on a connection of its own. */
function opened(database: Database) {
  const db = postgres({
    url: database.url,
    currency: 'USD',
    shards: 1,
    poolMax: 1,
    name: 'claims',
    connectTimeoutMs: 30_000,
    statementTimeoutMs: 60_000,
    lockTimeoutMs: 60_000,
    idleTransactionTimeoutMs: 60_000,
  })
  return { ...database, db, micros: [] as number[], ms: [] as number[] }
}

type Side = ReturnType<typeof opened>

/** Processor time of a backend, in microseconds. Linux only. */
function usedBy(pid: number): number {
  const [nanoseconds] = fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')
  return Number(nanoseconds) / 1e3
}

async function turn(side: Side, gateway: string): Promise<void> {
  await fill(side, gateway, waiting + 1, (CLAIMS + 1) * LIMIT)
  const route = { gateway, operation: 'charge' } as const
  // The first claim on a connection plans.
  await claimTasks(side.db.of(0n), route, LIMIT, LEASE_MS)
  const [{ pid } = { pid: 0 }] = await side.db.of(0n).run(PID, [])
  const [before, startedMs] = [usedBy(pid), performance.now()]
  let claimed = 0
  for (let count = 0; count < CLAIMS; count += 1) {
    claimed += (await claimTasks(side.db.of(0n), route, LIMIT, LEASE_MS)).length
  }
  side.ms.push((performance.now() - startedMs) / CLAIMS)
  side.micros.push((usedBy(pid) - before) / CLAIMS)
  if (claimed !== CLAIMS * LIMIT) throw new Error(`${claimed} were claimed`)
  await side.sql(`delete from payment_tasks where shard = 0 and payment_id > $1`, [waiting])
  await side.sql('vacuum payment_tasks')
}

const folder = join(ROOT, '.data', `bench-claims-${process.pid}`)
fs.mkdirSync(folder, { recursive: true })
fs.chmodSync(folder, 0o711)
// Processor time is measured, and no disk: nothing has to survive this.
const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
const dataDir = join(folder, 'data')
const server = await startEmbeddedPostgres({ dataDir, port: await freePort(), settings })
// Ended from outside, too.
process.once('exit', () => server.kill())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
let ok = true
for (const [down, others] of PAIRS) {
  const sides: Side[] = []
  for (const name of ['alone', 'beside']) {
    const database = openDatabase(server.url, `claims_${down}_${name}`)
    await openDatabase(server.url, 'payments').sql(`create database ${database.name}`)
    await migrate(database.url)
    if (name === 'beside') await fill(database, down, 1, waiting)
    await database.sql('vacuum analyze payment_tasks')
    sides.push(opened(database))
  }
  for (const other of others) await compare(sides, down, other)
  for (const { db } of sides) await db.close()
}
await server.stop()
fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
process.exitCode = ok ? 0 : 1

async function compare(sides: readonly Side[], down: string, other: string): Promise<void> {
  for (const { ms, micros } of sides) [ms.length, micros.length] = [0, 0]
  for (let count = 0; count < turns; count += 1) for (const side of sides) await turn(side, other)
  const [alone, beside] = sides.map(({ ms, micros }) => [median(micros), median(ms)] as const)
  const [cpu = NaN, clock = NaN] = [0, 1].map((at) => (alone?.[at] ?? 0) / (beside?.[at] ?? 0))
  ok &&= cpu >= RATIO_MIN
  const told = [alone, beside].map((one) => `${one?.[0].toFixed(0)} µs, ${one?.[1].toFixed(2)} ms`)
  process.stdout.write(
    `${other} beside ${waiting} tasks of ${down}: ${cpu.toFixed(2)} by processor time, ` +
      `${clock.toFixed(2)} by the clock (a claim of ${LIMIT} alone ${told.join('; beside ')})\n`,
  )
}
