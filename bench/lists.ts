import { join } from 'node:path'
import { Command } from 'commander'
import { fillHistory } from './backlog.ts'
import { adminOf, openRig, ROOT, sleep, type Database, type Rig } from './rig.ts'
import { ACCEPT_ONLY } from './scenario.ts'
import { runBench } from './run-bench.ts'

/**
 * How long the lists, searches and charts of the API take with few payments and with many, and how
 * many pages of the database the largest statement of each reads. Like is compared with like: where
 * few payments do not fill a page, the page of many is as short; where they have no such page, its
 * time is shown without a verdict. Prints a table; ends with 1 when something is more than three
 * times as slow, or reads as much as a whole table.
 */
interface Options {
  readonly few: string
  readonly many: string
  readonly times: string
  readonly dist: string
}

/** Rows of a full page. */
const LIMIT = 50

/** What the console and its users ask for. `ID` is a payment in the middle of them. */
const PATHS: readonly string[] = [
  '/payments?limit=50',
  '/payments?limit=50&status=failed',
  '/payments?limit=50&status=unknown',
  '/payments?limit=50&type=withdraw',
  '/payments?limit=50&user_id=77',
  '/payments?limit=50&reference=order-ID',
  '/payments?limit=50&user_id=77&idempotency_key=key-ID',
  '/payments?limit=50&gateway_ref=none',
  '/payments?limit=50&from=2020-01-01T00:00:00Z',
  '/payments/ID',
  '/payments/ID/timeline',
  '/payments/ID/events',
  '/payments/ID/deliveries',
  '/search?q=ID',
  '/search?q=order-ID',
  '/search?q=key-ID',
  '/search?q=gw_ID',
  '/search?q=12.34',
  '/users?limit=50',
  '/users/77',
  '/users/77/statement?by=month',
  '/users/77/statement?by=day',
  '/dlq?limit=50&state=open',
  '/dlq?limit=50&class=unknown',
  '/dlq?limit=50&offset=100',
  '/dlq?limit=50&offset=10000',
  '/dlq/groups',
  '/ledger/entries?limit=50',
  '/events?limit=50',
  '/series?span=15m',
  '/series?span=1h',
  '/series?span=24h',
  '/series?span=7d',
]

/**
 * What is kept for a while after it was read, and read again by the first who asks later.
 */
const KEPT: readonly string[] = ['/overview', '/ledger']
const KEPT_MS = 1_100

/** Beside payments and entries: letters that people have closed, references, a week of minutes. */
const MORE = `
  update dead_letters
  set state = 'resolved', closed_at = created_at, closed_by = 'jane', closed_reason = 'seen'
  where id <= (select max(id) - 1000 from dead_letters);
  insert into payment_details (shard, payment_id, reference, sent)
  select 0, id, 'order-' || id, '{}' from payments;
  insert into payment_minutes
  select 0, date_trunc('minute', created_at), min(id), max(id) from payments group by 2;
  insert into payment_series
    (shard, minute, gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency)
  select
    0, date_trunc('minute', now()) - n * interval '1 minute', 'http', 'USD', 90, 80, 10, 0, 800000,
    array_fill(8, array[12])
  from generate_series(0, 10080) n`

interface Asked {
  readonly path: string
  readonly ms: number
  /** Rows of the page; null: it is no page. */
  readonly rows: number | null
  /** Pages of the statement that reads most, and its beginning. */
  readonly pages: number
  readonly statement: string
}

interface Called {
  readonly pages: number
  readonly query: string
}

const PAGES = `
  select ((shared_blks_hit + shared_blks_read) / calls)::int as pages, left(query, 60) as query
  from pg_stat_statements
  join pg_database on oid = dbid and datname = current_database()
  where query not like '%pg_stat_statements%'
  order by 1 desc
  limit 1`

async function measure(database: Database, api: string, path: string, times: number) {
  const url = `${api}/api/v1${path}`
  const kept = KEPT.includes(path)
  const took: number[] = []
  const rows = await ask(url)
  await database.sql('select pg_stat_statements_reset()')
  for (let time = 0; time < (kept ? 3 : times); time += 1) {
    if (kept) await sleep(KEPT_MS)
    const beganMs = performance.now()
    await ask(url)
    took.push(performance.now() - beganMs)
  }
  took.sort((one, other) => one - other)
  // The fastest: what others do on this machine slows down the rest.
  const [ms = 0] = took
  const [most] = await database.sql<Called>(PAGES)
  return {
    path,
    ms,
    rows,
    pages: most?.pages ?? 0,
    statement: (most?.query ?? '').replace(/\s+/g, ' ').trim(),
  }
}

/** Ask, and count the rows of the page that comes. */
async function ask(url: string): Promise<number | null> {
  const answer = await fetch(url)
  const body: unknown = await answer.json()
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`)
  const [list] = [body, ...Object.values(body as object)].filter((part) => Array.isArray(part))
  return url.includes('limit=') && Array.isArray(list) ? list.length : null
}

/** The path with a page no longer than that of the small database, where that is not full. */
function asShort(path: string, rows: number | null | undefined): string {
  if (rows === null || rows === undefined) return path
  return path.replace(`limit=${LIMIT}`, `limit=${Math.min(LIMIT, Math.max(1, rows))}`)
}

async function side(rig: Rig, count: number, times: number, small: readonly Asked[] = []) {
  const database = await rig.database(`lists_${count}`)
  const admin = adminOf(rig, database)
  await admin.sql('create extension pg_stat_statements')
  process.stderr.write(`filling ${count.toLocaleString('en-US')} payments\n`)
  await fillHistory(database, count, () => undefined)
  await database.sql(MORE)
  await database.sql('vacuum analyze')
  const api = await rig.start('api', { DATABASE_URL: database.url, ...ACCEPT_ONLY })
  const asked: Asked[] = []
  for (const [index, path] of [...PATHS, ...KEPT].entries()) {
    const full = path.replaceAll('ID', String(Math.floor(count / 2)))
    const own = asShort(full, small[index]?.rows)
    asked.push({ ...(await measure(admin, api.url, own, times)), path })
  }
  const [table] = await database.sql<{ pages: number }>(SMALLEST)
  await api.stop()
  return { asked, smallest: table?.pages ?? 0 }
}

/** Pages of the smallest table with a row for each payment: who reads as many may read it all. */
const SMALLEST = `
  select min(relpages) as pages
  from pg_class
  where relname in ('payments', 'postings', 'payment_details')`

async function main({ few, many, times, dist }: Options): Promise<void> {
  const rows = { history: Number(many), backlog: 0 }
  const log = (line: string) => void process.stderr.write(`${line}\n`)
  const rig = await openRig({ dist, quick: false, rows, profiles: null, log })
  try {
    const small = await side(rig, Number(few), Number(times))
    const large = await side(rig, Number(many), Number(times), small.asked)
    const failed = report(small.asked, large.asked, large.smallest)
    if (failed > 0) process.exitCode = 1
  } finally {
    await rig.stop()
  }
}

/** Slower than this is slow for its number of payments; below a millisecond nobody can tell. */
const TIMES_MAX = 3
const MS_MIN = 1

/** Print both sides; how many are too slow, or read a whole table. */
function report(small: readonly Asked[], large: readonly Asked[], smallest: number): number {
  let failed = 0
  const line = (cells: readonly string[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`)
  line(['path', 'rows', 'few, ms', 'many, ms', 'times', 'pages', ''])
  line(['---', '---', '---', '---', '---', '---', '---'])
  for (const [index, many] of large.entries()) {
    const few = small[index]?.ms ?? 0
    const times = many.ms / Math.max(few, MS_MIN)
    // A page that few payments do not have is compared with none.
    const alone = small[index]?.rows === 0 && (many.rows ?? 0) > 0
    const slow = times > TIMES_MAX && !alone
    const bad = slow ? 'slow' : many.pages >= smallest ? 'reads a table' : ''
    if (bad !== '') failed += 1
    const rows = String(many.rows ?? '')
    const cells = [rows, few.toFixed(1), many.ms.toFixed(1), times.toFixed(1), String(many.pages)]
    const note = bad === '' ? (alone ? 'few have no such page' : '') : `${bad}: ${many.statement}`
    line([`\`${many.path}\``, ...cells, note])
  }
  process.stdout.write(`\nThe smallest of the large tables has ${smallest} pages.\n`)
  return failed
}

runBench(
  new Command('lists')
    .description('Compare lists, searches and charts with few and with many payments.')
    .option('--few <payments>', 'payments of the small database', '1000')
    .option('--many <payments>', 'payments of the large one', '1000000')
    .option('--times <count>', 'requests of each, of which the fastest counts', '25')
    .option('--dist <folder>', 'the built service to measure', join(ROOT, 'dist'))
    .action(main),
)
