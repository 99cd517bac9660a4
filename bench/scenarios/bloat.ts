import { fillBacklog } from '../backlog.ts'
import { counter, recorder } from '../measure.ts'
import { sleep, type Database, type Rig, type Running } from '../rig.ts'
import type { Question } from '../scenario.ts'
import { DONE, ourWorker } from './drain.ts'

/** Variants of the schema. The tables are empty but for the users, which are written anew. */
const VARIANTS = [
  ['as shipped', []],
  [
    'full pages',
    [
      'alter table users set (fillfactor = 100)',
      'alter table payments set (fillfactor = 100)',
      'alter table payment_tasks set (fillfactor = 100)',
      'vacuum full users',
    ],
  ],
] as const

const TABLES = ['users', 'payments', 'payment_tasks']

/** How long the server takes to know what it did. */
const STATISTICS_MS = 1_500

const SIZES = `
  select
    relname as name, n_tup_upd::int as updates, n_tup_hot_upd::int as hot,
    (pg_table_size(relid) / 1e6)::float8 as heap, (pg_indexes_size(relid) / 1e6)::float8 as indexes
  from pg_stat_user_tables
  where relname = any ($1)
  order by relname desc`

interface Sizes {
  readonly name: string
  readonly updates: number
  readonly hot: number
  readonly heap: number
  readonly indexes: number
}

export const bloat: Question = {
  name: 'bloat',
  title: 'Room left on pages (fillfactor): what updates cost with it and without',
  async run(rig) {
    const record = recorder()
    const gateway = await rig.run('gateway.ts', {})
    const count = rig.quick ? 40_000 : 150_000
    const facts: string[] = []
    const databases: Database[] = []
    for (const [variant, statements] of VARIANTS) {
      const database = await rig.database(`bench_bloat_${databases.length}`)
      databases.push(database)
      for (const statement of statements) await database.sql(statement)
      await fillBacklog(database, count)
      await rig.quiet()
      record.add(`drain, ${variant}`, 'ours', await drainAll(rig, database, gateway, count))
      await sleep(STATISTICS_MS)
      for (const each of await database.sql<Sizes>(SIZES, [TABLES])) {
        facts.push(`${variant}: ${describe(each)}`)
      }
    }
    return { measures: record.measures(), facts, books: databases }
  },
}

/** Work all of it off; returns payments per second. */
async function drainAll(
  rig: Rig,
  database: Database,
  gateway: Running,
  count: number,
): Promise<number> {
  const before = await counter(gateway, DONE)
  const worker = await ourWorker(rig, database, gateway)
  const startMs = performance.now()
  while ((await counter(gateway, DONE)) - before < count) await sleep(20)
  const perSecond = count / ((performance.now() - startMs) / 1_000)
  await worker.stop()
  return perSecond
}

function describe({ name, updates, hot, heap, indexes }: Sizes): string {
  const share = updates === 0 ? '–' : `${((100 * hot) / updates).toFixed(1)} %`
  const sizes = `heap ${heap.toFixed(1)} MB, indexes ${indexes.toFixed(1)} MB`
  return `${name}: ${updates} updates, ${share} of them without touching an index; ${sizes}.`
}
