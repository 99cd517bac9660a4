import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { busySince } from '../adapters/busy.ts'
import { systemClock } from '../adapters/clock.ts'
import { createMetrics, type Metrics } from '../adapters/metrics.ts'
import { citusNodes } from '../adapters/citus-nodes.ts'
import { postgres, type PostgresDb, type PostgresOptions } from '../adapters/postgres.ts'
import { postgresServers } from '../adapters/servers.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import type { Send } from '../webhooks/deliver.ts'
import type { Closing } from './closing.ts'
import { feePolicies } from '../domain/fee.ts'
import type { IdRange } from '../domain/id-ranges.ts'
import { readShards, type Grown } from '../domain/shard.ts'
import { agree, agreed, durabilityProblems, sessionsOf } from './database-store.ts'
import { checkServers } from './check-servers.ts'
import { knownRanges, learnAtStart, watchRanges } from './ranges.ts'
import { termsOf } from './routing.ts'
import { pressure, type Pressure } from '../queue/pressure.ts'
import { startRunner } from '../runs/run.ts'
import { IDLE, startFlusher, type Flusher } from '../metrics/flush.ts'
import { startBeat } from '../presence/beat.ts'
import { databaseGauges } from '../metrics/database-gauges.ts'
import type { Gateway, Tracer } from '../ports.ts'
import { batchSpans, startTracing } from './tracing.ts'
import { openRestore } from '../verify/restored.ts'
import { atStart } from './away.ts'
import { VERSION } from './version.ts'

/** What one process does. */
export interface Roles {
  readonly api: boolean
  readonly worker: boolean
  readonly mockGateway: boolean
}

/** What a process puts around its ports: nothing, but for a harness that starts it to watch it. */
export interface Decorators {
  readonly db: (db: PostgresDb) => PostgresDb
  readonly gateway: (gateway: Gateway) => Gateway
  /** Around what calls endpoints of webhooks. */
  readonly send: (send: Send) => Send
}

export const UNDECORATED: Decorators = {
  db: (db) => db,
  gateway: (gateway) => gateway,
  send: (send) => send,
}

/** What the parts of a process share. */
export interface Process {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly db: PostgresDb
  readonly decorators: Decorators
  /** Where spans go; null: nothing is traced. */
  readonly tracer: Tracer | null
  /** Adds what this process counted to the totals of all. */
  flusher: Flusher
  /** Whether payments wait for this process: events and deliveries give way then. */
  readonly pressure: Pressure
  /** Closes what was started, in reverse order. */
  readonly stops: Closing
  /** Whether it listens: before that it claims nothing. */
  serving: boolean
  stopping: boolean
  /** Whether requests are told that it stops: not while another listens in its place. */
  refusing: boolean
}

/**
 * Open what all parts of a process share. Whatever it opens is owed to `stops`, also when it
 * throws: a database that this process must not use is refused with a sentence.
 */
export async function startProcess(
  config: Config,
  roles: Roles,
  log: Logger,
  given: { readonly url: string; readonly stops: Closing; readonly decorators?: Decorators },
): Promise<Process> {
  const { url, stops, decorators = UNDECORATED } = given
  const role = roleOf(roles)
  const metrics = createMetrics({
    role,
    version: VERSION,
    elapsedMs: systemClock.elapsedMs,
    ...(config.statsdUrl === null ? {} : { statsdUrl: config.statsdUrl }),
  })
  const known = knownRanges()
  const connected = connect(config, url, `payments ${role}`, {
    onError: (error) => log.warn({ err: error }, 'a database connection was lost'),
    ranges: known.get,
  })
  const db = decorators.db(connected)
  stops.push(() => db.close())
  stops.push(() => metrics.close())
  const tracer = startTracing({ config, log, metrics, stops }, role)
  const shared: Process = {
    config,
    log,
    metrics,
    db,
    decorators,
    tracer,
    flusher: IDLE,
    pressure: pressure(systemClock, busySince()),
    stops,
    serving: false,
    stopping: false,
    refusing: false,
  }
  if (usesDatabase(roles)) {
    await atStart(config, async () => {
      await checkDurability(shared)
      await checkFacts(shared)
      await db.prepare()
      await learnAtStart(known, db)
    })
    watchRanges(shared, known, roles.worker ? { url } : null)
    startPresence(shared, role)
    const flusher = (shared.flusher = startFlusher({ db, clock: systemClock }, metrics))
    stops.push(() => flusher.stop())
    metrics.database(databaseGauges(db))
    metrics.pool(() => db.pool())
  }
  return shared
}

/** Let operators see that this process lives. */
function startPresence({ db, stops }: Process, role: Role): void {
  const host = hostname()
  const pid = process.pid
  const started = systemClock.now().getTime().toString(36)
  const id = `${role}-${host.slice(0, 30)}-${pid}-${started}`
  const about = { id, role, version: VERSION, host, pid }
  const beating = startBeat({ db: db.global, clock: systemClock }, about)
  stops.push(() => beating.stop())
}

/** The name of a process, in its log, its metrics and its connections. */
type Role = 'all' | 'api' | 'worker' | 'mock-gateway'

/** The port of each kind of process: its setting, and the setting's field. */
export const PORTS = {
  all: { setting: 'PORT', field: 'port' },
  api: { setting: 'PORT', field: 'port' },
  worker: { setting: 'WORKER_PORT', field: 'workerPort' },
  'mock-gateway': { setting: 'MOCK_GATEWAY_PORT', field: 'mockGatewayPort' },
} as const satisfies Record<Role, { readonly setting: string; readonly field: keyof Config }>

/** The name of a process with these roles. */
export function roleOf(roles: Roles): Role {
  if (roles.api) return roles.worker ? 'all' : 'api'
  return roles.worker ? 'worker' : 'mock-gateway'
}

/** Whether a process with these roles has a database: the mock gateway alone has none. */
export function usesDatabase(roles: Roles): boolean {
  return roles.api || roles.worker
}

/** Count tasks put in the queue. */
export function countEnqueued(metrics: Metrics, count: number): void {
  metrics.count('payments_task_enqueued_total', count)
}

/** Carry out redrives and replays: every process does, so that none has to be the one. */
export function startRuns({ db, config, metrics, log, stops, tracer }: Process): void {
  const runner = startRunner(
    {
      db,
      clock: systemClock,
      terms: termsOf(config),
      ...feePolicies(config),
      onEnqueued: (count) => countEnqueued(metrics, count),
      ...batchSpans(tracer),
    },
    (error) => log.error({ err: error }, 'a redrive or a replay could not go on'),
  )
  stops.push(() => runner.stop())
}

/** Open the database with the configured limits: all of its servers, where it has several. */
export function connect(
  config: Config,
  url: string,
  name: string,
  more: {
    readonly onError?: (error: Error) => void
    readonly ranges?: () => readonly IdRange[] | null
  } = {},
): PostgresDb {
  const { onError, ...ranges } = more
  const { shardDatabases: servers, citus } = config
  const growth = async (): Promise<Grown | null> => {
    const stored = await agreed(db.global, 'shards')
    return stored === null ? null : (readShards(stored)?.grown ?? null)
  }
  const { elapsedMs } = systemClock
  const options = { ...optionsOf(config, url, name, onError), ...ranges, growth, elapsedMs }
  const open = (): PostgresDb => {
    if (citus) return citusNodes(options)
    return servers === null ? postgres(options) : postgresServers({ ...options, servers })
  }
  const db = open()
  return db
}

/** Open one server by itself, as if it held everything. */
export function connectOne(config: Config, url: string, name: string): PostgresDb {
  return postgres(optionsOf(config, url, name))
}

function optionsOf(
  config: Config,
  url: string,
  name: string,
  onError: (error: Error) => void = () => undefined,
): PostgresOptions {
  return {
    url,
    shards: config.shards,
    currency: config.currency,
    poolMax: config.databasePool,
    connectTimeoutMs: config.databaseConnectTimeoutMs,
    statementTimeoutMs: config.databaseStatementTimeoutMs,
    lockTimeoutMs: config.databaseLockTimeoutMs,
    idleTransactionTimeoutMs: config.databaseIdleTransactionTimeoutMs,
    pooler: config.databasePooler,
    prepared: config.databasePreparedStatements,
    name,
    onError,
  }
}

/**
 * Production refuses a database that may forget what it acknowledged; elsewhere it is a warning.
 */
async function checkDurability({ db, config, log }: Process): Promise<void> {
  const servers = config.shardDatabases === null ? [] : sessionsOf(db)
  const problems: string[] = []
  for (const server of [db.global, ...servers]) problems.push(...(await durabilityProblems(server)))
  if (problems.length > 0 && config.production) {
    throw new ConfigError(problems)
  }
  for (const problem of problems) log.warn(problem)
}

/**
 * The number of shards is part of every id, and the currency is that of every amount: a process
 * with others would break the books.
 */
async function checkFacts({ db, config }: Process): Promise<void> {
  await checkServers(db, config)
  const shards = await agree(db.global, 'shards', String(config.shards))
  demandShards(shards, config.shards)
  // Asked here, so that nobody waits for it later.
  await db.growth()
  const currency = await agree(db.global, 'currency', config.currency)
  if (currency !== config.currency) throw new Error(wrongCurrency(currency, config.currency))
  await demandRecovered(db)
}

/**
 * Throws a sentence when the database was restored and nobody has looked yet what was charged after
 * the moment of its backup: who goes on from there may pay out money a second time.
 */
export async function demandRecovered(db: PostgresDb): Promise<void> {
  const restored = await openRestore(db)
  if (restored === null) return
  throw new Error(
    `This database was restored to ${restored.backupAt.toISOString()}, and the gateways may have ` +
      'executed what it does not have: run `payments recover` first.',
  )
}

/** What to do where the currency of the books is not the database's. */
export function wrongCurrency(stored: string, given: string): string {
  return (
    `The books of this database are kept in CURRENCY=${stored} and cannot be continued in ` +
    `CURRENCY=${given}: set CURRENCY=${stored}.`
  )
}

/** Throws a sentence unless these are the shards that the database has. */
export function demandShards(stored: string, given: number): void {
  const problem = wrongShards(stored, given)
  if (problem !== null) throw new Error(problem)
}

/** What to do where the number of shards is not the database's; null: it is. */
export function wrongShards(stored: string, given: number): string | null {
  const count = readShards(stored)?.count
  if (count === given) return null
  if (count === undefined) {
    return (
      'This database is being filled by `payments reshard`, and was not to its end: run that ' +
      'again, or empty it.'
    )
  }
  return (
    `This database was made with SHARDS=${count} and cannot be used with SHARDS=${given}: ` +
    `set SHARDS=${count}.`
  )
}
