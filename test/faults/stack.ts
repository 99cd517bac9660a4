import * as fs from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../src/adapters/embedded-postgres.ts'
import { migrate } from '../../src/adapters/migrate.ts'
import {
  manage,
  runCommand,
  type Death,
  type Managed,
  type ManagedOptions,
  type Role,
  type Variables,
} from './processes.ts'
import { endSessions } from '../databases.ts'
import { startFront, type Front } from './front.ts'
import { startProxy, type Proxy } from './proxy.ts'
import { halves, mapOf, type Held } from './spread.ts'
import { query, queryAll } from './sql.ts'
import { turnGateway } from '../../tools/client.ts'

const MOCK = '/api/v1/mock-gateway'

/**
 * The lease of every claim here, in milliseconds: the shortest that a gateway timeout of 1 s
 * allows.
 */
export const LEASE_MS = 5_000

/**
 * Short waits everywhere, so that what the scenarios wait for is the service and not its timers.
 */
const FAST: Variables = {
  APP_ENV: 'test',
  LOG_LEVEL: 'info',
  LOG_FORMAT: 'json',
  WORKER_PROCESSING_TIMEOUT_SECONDS: String(LEASE_MS / 1_000),
  WORKER_POLL_INTERVAL_SECONDS: '0.05',
  WORKER_CONCURRENCY: '32',
  WORKER_BATCH: '16',
  GATEWAY_LOOKUP: 'consistent',
  GATEWAY_TIMEOUT_SECONDS: '1',
  GATEWAY_MAX_ATTEMPTS: '10',
  GATEWAY_BACKOFF_BASE_SECONDS: '0.05',
  GATEWAY_BACKOFF_MAX_SECONDS: '0.2',
  GATEWAY_BACKOFF_JITTER_SECONDS: '0.05',
  GATEWAY_NOT_FOUND_GRACE_SECONDS: '3',
  DATABASE_POOL: '5',
  DATABASE_CONNECT_TIMEOUT_SECONDS: '3',
  DATABASE_STATEMENT_TIMEOUT_SECONDS: '2',
  DATABASE_LOCK_TIMEOUT_SECONDS: '1',
  DATABASE_IDLE_TRANSACTION_TIMEOUT_SECONDS: '2',
}

/** What the gateway does by itself: enough that retries and lookups are always on the way. */
const GATEWAY_FAULTS = {
  timeout_before: 0,
  timeout_after: 0.005,
  error_before: 0.05,
  error_after: 0.02,
  reset_after: 0.02,
  latency_ms: 5,
  latency_jitter_ms: 20,
}

/** A PostgreSQL server that can be killed and started again on its data. */
export interface Server {
  url(): string
  port(): number
  pid(): number
  /** SIGKILL the whole process tree, as a power cut would. */
  kill(): void
  /** Start it again; resolves when it answers. */
  revive(): Promise<void>
  stop(): Promise<void>
}

/** Start a server in a new folder below `folder`. */
export async function startServer(
  folder: string,
  port: number,
  settings: Variables = {},
): Promise<Server> {
  const options = {
    dataDir: join(folder, 'data'),
    port,
    settings: { max_connections: '150', shared_buffers: '64MB', ...settings },
  }
  let running: EmbeddedPostgres = await startEmbeddedPostgres(options)
  let [stopped, killed] = [false, false]
  process.once('exit', () => (stopped ? undefined : running.kill()))
  return {
    url: () => running.url,
    port: () => running.port,
    pid: () => running.pid ?? 0,
    kill() {
      killed = true
      running.kill()
    },
    async revive() {
      const before = running
      running = await startEmbeddedPostgres({ ...options, port: before.port })
      // Whoever was not told to leave counts as a user, and the last one would not be the last.
      if (!killed) await before.stop()
      killed = false
    },
    async stop() {
      await running.stop()
      stopped = true
    },
  }
}

export interface StackOptions {
  readonly apis: number
  readonly workers: number
  readonly env?: Variables
  /** The crash point with which a process is to start, or null. */
  readonly arm?: (name: string) => string | null
  /** Faults of the mock gateway beside those that all scenarios have. */
  readonly gatewayFaults?: Readonly<Record<string, number>>
  /** The process that reaches the database by a line of its own, which can be cut alone. */
  readonly line?: string
  /** Whether somebody stands before the gateway who may refuse to talk about single payments. */
  readonly front?: boolean
  /** Whether the gateway remembers what it did when it is killed. */
  readonly gatewayFile?: boolean
  /** How many shards there are; 1 by default. */
  readonly shards?: number
  /** Whether there is a second gateway, `bank`, which carries out what `bankRoutes` says. */
  readonly bank?: boolean
  /** A second server, which holds the second half of the shards. */
  readonly second?: Server
  /** Rules that lead to it; what is in euros where they are left out. */
  readonly bankRoutes?: string
}

/** A second gateway. */
export interface Bank {
  readonly process: Managed
  /** The way to it, which can be cut. */
  readonly way: Proxy
  readonly front: Front
  /** Past the proxies. */
  readonly url: string
  readonly env: Variables
  begin(faults: Readonly<Record<string, number>>): Promise<void>
}

/** All processes of a service with its database and gateway, and chaos proxies in between. */
export interface Stack {
  readonly server: Server
  readonly apis: readonly Managed[]
  readonly workers: readonly Managed[]
  readonly mock: Managed
  readonly database: Proxy
  /** The way to the database of the process that has one of its own; the way of all if none has. */
  readonly line: Proxy
  readonly gateway: Proxy
  /** Stands before the mock gateway where a scenario asks for it. */
  readonly front: Front | null
  /** The second gateway where a scenario asks for it. */
  readonly bank: Bank | null
  /** The mock gateway and the database, past the proxies. */
  readonly gatewayUrl: string
  readonly databaseUrl: string
  readonly shards: number
  /** Which database holds which shards; null: one holds all. */
  readonly held: readonly Held[] | null
  readonly deaths: readonly Death[]
  query<Row extends object>(text: string): Promise<Row[]>
  /** Let the database take no more writes, as one that is not the primary any more; and back. */
  readOnly(on: boolean): Promise<void>
  /** Set faults of the mock gateway. */
  turnGateway(faults: Readonly<Record<string, number>>): Promise<void>
  /** Run `payments <args>` on the database and the gateway, past the proxies, to its end. */
  command(...args: readonly string[]): ReturnType<typeof runCommand>
  /** Set the gateway's faults, and wait until it and one process of each role listen. */
  begin(): Promise<void>
  ready(): Promise<void>
  stop(): Promise<void>
}

/** Where the program is, and where a stack keeps what it writes. */
interface Place {
  readonly program: string
  readonly folder: string
  readonly name: string
}

export async function startStack(
  server: Server,
  at: Place,
  options: StackOptions,
  { random, onDeath }: { random: () => number; onDeath: (death: Death) => void },
): Promise<Stack> {
  const databaseUrl = await createDatabase(server, at.name)
  const held = await spread(at, options, databaseUrl)
  const deaths: Death[] = []
  const start = await starter(at, options, (death) => {
    deaths.push(death)
    onDeath(death)
  })
  const run = options.gatewayFile === true ? remembering(at) : {}
  const mock = await start('gateway', 'mock-gateway', {}, run)
  const ways = await openWays(server.port(), Number(new URL(mock.url).port), options, random)
  const { database, line, gateway } = ways
  const bank = options.bank === true ? await openBank(start, at, options, random) : null
  const PAYMENT_GATEWAY_URL = `http://127.0.0.1:${gateway.port}${MOCK}`
  const settings = { PAYMENT_GATEWAY_URL, ...shardsOf(options, held), ...bank?.env, ...options.env }
  const startAll = (role: 'api' | 'worker', count: number) =>
    Promise.all(
      upTo(count).map((index) => {
        const name = `${role} ${index}`
        const { port } = name === options.line ? line : database
        return start(name, role, { DATABASE_URL: throughPort(databaseUrl, port), ...settings })
      }),
    )
  const apis = await startAll('api', options.apis)
  const workers = await startAll('worker', options.workers)
  const all = [mock, ...(bank === null ? [] : [bank.process]), ...apis, ...workers]
  const gatewayUrl = mock.url + MOCK
  const direct = { ...shardsOf(options, held), ...pastProxies(bank) }
  const own = { DATABASE_URL: databaseUrl, PAYMENT_GATEWAY_URL: gatewayUrl }
  const commands = (args: readonly string[]) =>
    runCommand([at.program, ...args], at.folder, { ...FAST, ...direct, ...own })
  const stack: Stack = {
    server,
    apis,
    workers,
    mock,
    ...ways,
    bank,
    gatewayUrl,
    databaseUrl,
    shards: options.shards ?? 1,
    held,
    deaths,
    query: (text) => queryAll(held?.map(({ url }) => url) ?? [databaseUrl], text),
    readOnly: (on) => turnReadOnly(server, at.name, on),
    turnGateway: (faults) => turnGateway(gatewayUrl, faults),
    command: (...args) => commands(args),
    async begin() {
      await mock.ready()
      const faults = { ...GATEWAY_FAULTS, ...options.gatewayFaults }
      await stack.turnGateway(faults)
      await bank?.begin(faults)
      // Armed processes may die while others start: one of each role is enough to begin.
      await Promise.all([apis.at(0)?.ready(), workers.at(0)?.ready()])
    },
    async ready() {
      await Promise.all(all.map((one) => one.ready()))
    },
    async stop() {
      await Promise.all(all.map((one) => one.end()))
      await closeAll([...Object.values(ways), bank?.way, bank?.front])
    },
  }
  return stack
}

/** The gateways of a stack by their names, past the proxies. */
export function gatewaysOf({ gatewayUrl, bank }: Pick<Stack, 'gatewayUrl' | 'bank'>) {
  const own = { gateway: 'http', url: gatewayUrl }
  return bank === null ? [own] : [own, { gateway: 'bank', url: bank.url }]
}

/** What starts a process of a stack, with the settings of all scenarios and those given. */
async function starter(
  { program, folder }: { readonly program: string; readonly folder: string },
  options: StackOptions,
  onDeath: (death: Death) => void,
) {
  // An empty folder, so that no .env is found.
  const cwd = await fs.mkdtemp(join(folder, 'cwd-'))
  return (name: string, role: Role, env: Variables, run: Pick<ManagedOptions, 'run'> = {}) => {
    const arm = () => options.arm?.(name) ?? null
    return manage({ name, role, program, cwd, env: { ...FAST, ...env }, arm, onDeath, ...run })
  }
}

/** A second gateway, and the settings that lead what is in euros to it. */
async function openBank(
  start: Awaited<ReturnType<typeof starter>>,
  at: Place,
  { gatewayFile, bankRoutes = '*:EUR=bank' }: StackOptions,
  random: () => number,
): Promise<Bank> {
  const run = gatewayFile === true ? remembering({ ...at, name: `${at.name}-bank` }) : {}
  const process = await start('bank', 'mock-gateway', {}, run)
  const front = await startFront(Number(new URL(process.url).port))
  const way = await startProxy(front.port, random)
  const env = {
    GATEWAYS: 'http,bank',
    GATEWAY_ROUTES: `${bankRoutes},*=http`,
    GATEWAY_BANK_DRIVER: 'http',
    GATEWAY_BANK_URL: `http://127.0.0.1:${way.port}${MOCK}`,
    GATEWAY_BANK_LOOKUP: 'consistent',
    // A page names nobody: only on a connection of its own is it about the request it answers.
    GATEWAY_BANK_ECHO: 'optional',
  }
  const url = process.url + MOCK
  const begin = async (faults: Readonly<Record<string, number>>) => {
    await process.ready()
    await turnGateway(url, faults)
  }
  return { process, way, front, url, env, begin }
}

function shardsOf({ shards = 1 }: StackOptions, held: readonly Held[] | null): Variables {
  return { SHARDS: String(shards), ...(held === null ? {} : { SHARD_DATABASES: mapOf(held) }) }
}

/** Set up the second server, if there is one. */
async function spread(
  { program, folder, name }: Place,
  options: StackOptions,
  databaseUrl: string,
): Promise<readonly Held[] | null> {
  const { second, shards = 1 } = options
  if (second === undefined) return null
  const held = halves(shards, databaseUrl, await createDatabase(second, name))
  const env = { ...FAST, ...shardsOf(options, held), DATABASE_URL: databaseUrl }
  const { code, stderr } = await runCommand([program, 'distribute'], folder, env)
  if (code !== 0) throw new Error(stderr)
  return held
}

/** The second gateway, past its proxies. */
function pastProxies(bank: Bank | null): Variables {
  return bank === null ? {} : { ...bank.env, GATEWAY_BANK_URL: bank.url }
}

/** The same address at another port. */
function throughPort(url: string, port: number): string {
  const there = new URL(url)
  there.port = String(port)
  return there.href
}

/** What Node runs for a mock gateway that keeps its journal in a file. */
function remembering({ program, folder, name }: Place): Pick<ManagedOptions, 'run'> {
  const main = fileURLToPath(new URL('remembering-gateway.ts', import.meta.url))
  const path = join(folder, `${name}.jsonl`)
  return { run: ['--import', import.meta.resolve('tsx'), main, dirname(program), path] }
}

function closeAll(ways: readonly (Pick<Proxy, 'close'> | null | undefined)[]): Promise<unknown> {
  return Promise.all([...new Set(ways)].map((way) => way?.close()))
}

type Ways = Pick<Stack, 'database' | 'line' | 'gateway' | 'front'>

/** The ways to the database and to the gateway at these ports, with the proxies on them. */
async function openWays(
  databasePort: number,
  mockPort: number,
  options: StackOptions,
  random: () => number,
): Promise<Ways> {
  const database = await startProxy(databasePort, random)
  const line = options.line === undefined ? database : await startProxy(databasePort, random)
  const front = options.front === true ? await startFront(mockPort) : null
  const gateway = await startProxy(front?.port ?? mockPort, random)
  return { database, line, gateway, front }
}

/** A new database of a scenario, with the newest schema, or with none. */
export async function createDatabase(
  server: Server,
  name: string,
  schema: 'newest' | null = 'newest',
): Promise<string> {
  // A scenario that is run once more begins anew.
  await query(server.url(), `drop database if exists ${name} with (force)`)
  await query(server.url(), `create database ${name}`)
  const url = new URL(server.url())
  url.pathname = `/${name}`
  if (schema !== null) await migrate(url.href)
  return url.href
}

async function turnReadOnly(server: Server, name: string, on: boolean): Promise<void> {
  const setting = 'default_transaction_read_only'
  const how = on ? `set ${setting} = on` : `reset ${setting}`
  await query(server.url(), `alter database ${name} ${how}`)
  // A server that is demoted ends its sessions. Whoever is back must find out by himself.
  if (on) await endSessions(server.url(), name)
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}
