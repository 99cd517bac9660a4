import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { end, freePort } from '../tools/child.ts'
import { startLoader, type Loader } from '../tools/load/loader.ts'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** Users of every database, each with so much money that no run spends it. */
export const USERS = { first: 1, count: 10_000 }
const BALANCE = 1_000_000_000_000n

/** Everything a scenario works with: one database server, a load generator, and processes. */
export interface Rig {
  readonly server: EmbeddedPostgres
  readonly loader: Loader
  /** A copy of the built service: a build meanwhile changes nothing of a run. */
  readonly program: string
  readonly quick: boolean
  readonly rows: { readonly history: number; readonly backlog: number }
  /** A new database with our schema and users. */
  database(name: string): Promise<Database>
  /** A new, empty database. */
  emptyDatabase(name: string): Promise<Database>
  /** Run one of our roles. */
  start(role: Role, env: Env): Promise<Running>
  /** Run one of the programs in this folder. */
  run(file: string, env: Env): Promise<Running>
  /** Wait until the server cleans up after nobody: that would be charged to whoever runs next. */
  quiet(): Promise<void>
  /** End the processes and databases of a scenario. */
  clear(): Promise<void>
  stop(): Promise<void>
}

type Role = 'start' | 'api' | 'worker' | 'mock-gateway'
type Env = Readonly<Record<string, string>>

export interface Running {
  readonly port: number
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

export interface Database {
  readonly url: string
  readonly name: string
  sql<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/** What PostgreSQL must have on, or nothing here is worth measuring. */
export const DURABLE = ['fsync', 'synchronous_commit', 'full_page_writes'] as const

const READY_MS_MAX = 180_000
const STOP_MS_MAX = 15_000
const DROPS_MAX = 60
const QUIET_MS_MAX = 20_000

export async function openRig(options: {
  readonly dist: string
  readonly quick: boolean
  readonly rows: Rig['rows']
  /** Where our processes leave a processor profile when they end; null: they take none. */
  readonly profiles: string | null
  readonly log: (line: string) => void
}): Promise<Rig> {
  // In the project's own folder: a temporary one may be in memory, where fsync costs nothing.
  const folder = join(ROOT, '.data', `bench-${process.pid}`)
  fs.mkdirSync(folder, { recursive: true })
  fs.chmodSync(folder, 0o711)
  const program = copyProgram(options.dist, folder)
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'data'),
    port: 55_640,
    log: options.log,
    settings: { max_connections: '200', shared_preload_libraries: 'pg_stat_statements' },
  })
  const loader = startLoader()
  const { profiles } = options
  const flags = profiles === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]
  const running = new Set<Running>()
  const made: Database[] = []

  const create = async (name: string, template: string | null): Promise<Database> => {
    const from = template === null ? '' : ` template ${template} strategy file_copy`
    await once(server.url, `create database ${name}${from}`)
    const database = openDatabase(server.url, name)
    made.push(database)
    return database
  }
  const keep = (started: Running): Running => {
    running.add(started)
    return started
  }
  const clear = async (): Promise<void> => {
    await Promise.all([...running].map((each) => each.stop()))
    running.clear()
    for (const { name } of made.splice(0)) {
      await drop(server.url, name)
    }
  }
  await prepareTemplate(server.url, join(dirname(dirname(program)), 'migrations'))
  return {
    server,
    loader,
    program,
    quick: options.quick,
    rows: options.rows,
    database: (name) => create(name, 'bench_template'),
    emptyDatabase: (name) => create(name, null),
    start: async (role, env) => keep(await launch([...flags, program, role], env, role)),
    // TypeScript needs the loader that this process has.
    run: async (file, env) =>
      keep(await launch([...process.execArgv, join(ROOT, 'bench', file)], env, file)),
    quiet: () => quiet(server.url),
    clear,
    async stop() {
      await clear()
      loader.stop()
      await server.stop()
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Autovacuums at work; each comes to an end or is given up at its own limit. */
const VACUUMING = `
  select count(*)::int as count from pg_stat_activity where backend_type = 'autovacuum worker'`

async function quiet(url: string): Promise<void> {
  const until = performance.now() + QUIET_MS_MAX
  while (performance.now() < until) {
    const [row] = await once<{ count: number }>(url, VACUUMING)
    if (row?.count === 0) return
    await sleep(250)
  }
}

/** Inside the project, so that the copy finds its packages. */
function copyProgram(dist: string, folder: string): string {
  const copy = join(folder, 'service')
  const from = dirname(dist)
  fs.cpSync(dist, join(copy, 'dist'), { recursive: true })
  fs.cpSync(join(from, 'migrations'), join(copy, 'migrations'), { recursive: true })
  fs.copyFileSync(join(from, 'package.json'), join(copy, 'package.json'))
  return join(copy, 'dist', 'main.js')
}

/** Our schema as the measured build knows it, and the users. */
async function prepareTemplate(url: string, dir: string): Promise<void> {
  await once(url, 'create database bench_template')
  const template = openDatabase(url, 'bench_template')
  await migrate(template.url, { dir })
  await insertUsers(template)
  await template.sql('vacuum analyze')
}

/** The users that scenarios pay with, as the service would have opened them. */
export async function insertUsers(database: Database, shards = 1): Promise<void> {
  await database.sql(
    `insert into users (shard, id, available, held, created_at)
     select id % $3::int, id, $1::bigint, 0, now() from generate_series(1, $2::int) id`,
    [BALANCE, USERS.count, shards],
  )
  await database.sql(
    `insert into postings (shard, user_id, payment_id, kind, user_available, user_held, gateway,
       fees, opening, created_at)
     select id % $3::int, id, 0, 'opening', $1::bigint, 0, 0, 0, -$1::bigint, now()
     from generate_series(1, $2::int) id`,
    [BALANCE, USERS.count, shards],
  )
  await database.sql(`select setval('user_ids', $1)`, [USERS.count])
}

export function openDatabase(server: string, name: string): Database {
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, name, sql: (text, values) => once(url.href, text, values) }
}

/** The same database as the superuser, who alone sees what others run. */
export function adminOf({ server }: Rig, { name }: Database): Database {
  const file = join(ROOT, '.data', `bench-${process.pid}`, 'data', 'pg18.password')
  const password = fs.readFileSync(file, 'utf8').trim()
  return openDatabase(`postgresql://postgres:${password}@127.0.0.1:${server.port}/`, name)
}

/** An autovacuum at work there may not be ended by us, but it soon ends. */
async function drop(server: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await once(server, `drop database if exists ${name} with (force)`)
      return
    } catch (error) {
      if (attempt === DROPS_MAX) throw error
      await sleep(500)
    }
  }
}

/** One statement on a connection of its own. */
async function once<Row>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'bench' })
  await client.connect()
  try {
    const { rows } = await client.query(text, [...values])
    return rows as Row[]
  } finally {
    await client.end()
  }
}

/** Start a program that listens on PORT, and wait until it answers. */
async function launch(args: readonly string[], env: Env, name: string): Promise<Running> {
  const port = await freePort()
  const ports = { PORT: `${port}`, WORKER_PORT: `${port}`, MOCK_GATEWAY_PORT: `${port}` }
  const child = spawn(process.execPath, args, {
    // Away from any .env file.
    cwd: join(ROOT, 'bench'),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: 'error', ...ports, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const url = `http://127.0.0.1:${port}`
  const stop = () => end(child, STOP_MS_MAX)
  try {
    await untilReady(child, url, name)
  } catch (error) {
    await stop()
    throw error
  }
  return { port, url, pid: child.pid ?? 0, stop }
}

async function untilReady(child: ChildProcess, url: string, name: string): Promise<void> {
  const until = performance.now() + READY_MS_MAX
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode}`)
    const answer = await fetch(`${url}/livez`).catch(() => null)
    await answer?.arrayBuffer()
    if (answer !== null && answer.status < 500) return
    await sleep(20)
  }
  throw new Error(`${name} did not answer within ${READY_MS_MAX / 1_000} s`)
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** What ran where: the figures mean little without it. */
export function gitShort(): string {
  try {
    const text = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT })
    return text.toString().trim()
  } catch {
    return 'unknown'
  }
}
