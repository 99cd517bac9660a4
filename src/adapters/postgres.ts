import pg from 'pg'
import type { Db, Statement } from '../ports.ts'
import { checkConnections, type ConnectionFault } from './connection-check.ts'
import { classify, classifyAlone, isGivenUp, isRetried } from './database-errors.ts'
import { countHung } from './hung-backends.ts'
import { isWritable, primaryOf, verifyWritable } from './primary.ts'
import { sessions, type Driver, type DriverTx, type SessionOptions } from './shard-session.ts'
import { forgetPlans, heedWarnings, runAlone, transact, type Limits } from './transactions.ts'

/**
 * Limits of the connection pool; every timeout is always set, because the driver's default is none.
 */
export interface PostgresOptions extends SessionOptions, ServerOptions {}

/** How one server is connected to. */
export interface ServerOptions extends Limits {
  readonly url: string
  readonly poolMax: number
  readonly connectTimeoutMs: number
  /** What is between this process and the server. */
  readonly pooler?: 'none' | 'transaction'
  /** Prepare each statement once per connection, which is so by default. */
  readonly prepared?: boolean
  /** Shown in pg_stat_activity. */
  readonly name: string
  /**
   * How long a connection keeps its plans; 5 s by default. Up to a longer time it doubles, each
   * time that they are made anew.
   */
  readonly plansMsMax?: number
  readonly onError?: (error: Error) => void
}

export type { ConnectionFault }

export interface PostgresDb extends Db {
  /**
   * Ask whether the database takes writes: all of it, or, where it is several servers, some. Throws
   * `ReadOnly`, or `Unavailable` with the reason, where no shard does.
   */
  probe(): Promise<'all' | 'some'>
  /** Take what is needed beforehand to go on while a server is away. */
  prepare(): Promise<void>
  /**
   * Prove that connections through a pooler are what they were asked to be: their limits hold, and
   * prepared statements stay. Null: they are.
   */
  check(): Promise<ConnectionFault | null>
  pool(): PoolCounts
  close(): Promise<void>
}

/** Connections of a pool, and who waits for one. */
export interface PoolCounts {
  readonly total: number
  readonly idle: number
  readonly waiting: number
}

/** One server, with a pool of its own. */
export interface PostgresServer extends Driver {
  /** Throws `ReadOnly`, or `Unavailable` with the reason. */
  probe(): Promise<void>
  check(): Promise<ConnectionFault | null>
  pool(): PoolCounts
  close(): Promise<void>
}

/**
 * How long a connection keeps its plans, in milliseconds. A plan that was made for a small or empty
 * table reads all of a large one: PostgreSQL makes a new one only after its next ANALYZE, which may
 * be a minute away, and in a minute a million payments can be accepted. Planning everything anew
 * costs a few milliseconds.
 */
const PLANS_MS_MAX = 5_000
/**
 * A connection that was used less often meanwhile keeps them for so many times as long: making
 * plans is most of what a service costs that has nothing to do.
 */
const CALM = { uses: 50, times: 12 }

/** Times a transaction is run again that others stood in the way of. */
const RETRIES_MAX = 5

/** Milliseconds the client waits beyond the server's own statement timeout before it hangs up. */
const WATCHDOG_MS = 1_500

/** bigint columns are bigint in JavaScript; everything else is as the driver reads it. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === pg.types.builtins.INT8 && format !== 'binary') return BigInt
    return pg.types.getTypeParser(oid, format as 'text')
  },
}

/** The database on one server. */
export function postgres(options: PostgresOptions): PostgresDb {
  const server = postgresServer(options)
  const { check, pool, close } = server
  return {
    ...sessions(server, options),
    check,
    pool,
    close,
    prepare: () => Promise.resolve(),
    async probe() {
      await server.probe()
      return 'all'
    },
  }
}

/**
 * The error of an idle connection without the driver's client, which the pool adds to it: in a log,
 * that is pages of state, with the key that cancels what the connection runs.
 */
function withoutClient(error: Error): Error {
  Reflect.deleteProperty(error, 'client')
  return error
}

/**
 * PostgreSQL through a pool of pipelined connections: statements that a transaction starts
 * together, BEGIN and COMMIT among them, share one round trip. Statements are prepared once per
 * connection.
 */
export function postgresServer(options: ServerOptions): PostgresServer {
  const { pooler = 'none', prepared = true, plansMsMax = PLANS_MS_MAX } = options
  const pooled = pooler === 'transaction'
  const sending = { prepared, limits: pooled ? options : null }
  const config = poolConfig(options, pooled)
  const pool = new pg.Pool(config)
  // A pooler gives connections numbers of its own, and keeps those of the server to itself.
  const hung = pooled ? null : countHung(pool, options.poolMax, config)
  const primary = primaryOf(pool, options.url, () => hung?.forget())
  const report = options.onError ?? (() => undefined)
  // A backend that dies emits `error` on the pool when idle and on the client when checked out;
  // without both listeners it ends the process.
  pool.on('error', (error) => report(withoutClient(error)))
  pool.on('connect', (client) => {
    client.on('error', report)
    heedWarnings(client)
  })

  const connect = withFreshPlans(primary.connect, plansMsMax)
  const run = async <Row>(statement: Statement<Row>, values: readonly unknown[]) => {
    const client = await connect()
    try {
      return await runAlone(client, sending, statement, values)
    } catch (error) {
      primary.demoted(client, error)
      if (isGivenUp(error)) hung?.add(client)
      throw classifyAlone(error, statement)
    }
  }

  const transaction = async <T>(
    work: (tx: DriverTx) => Promise<T>,
    lockMs?: number,
  ): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      try {
        return await transact(client, sending, work, lockMs)
      } catch (error) {
        primary.demoted(client, error)
        if (isGivenUp(error)) hung?.add(client)
        if (!isRetried(error) || attempt === RETRIES_MAX) throw classify(error)
      }
    }
  }

  const driver = { run, transaction }
  return {
    ...driver,
    check: () => checkConnections(connect, driver, { ...options, prepared }),
    async probe() {
      const client = await connect()
      try {
        if (!(await isWritable(client))) throw primary.turnedReadOnly()
        client.release()
      } catch (error) {
        client.release(true)
        throw classify(error)
      }
    },
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close() {
      hung?.stop()
      return pool.end()
    },
  }
}

/** Hand out connections whose plans are not older than they may be. */
function withFreshPlans(connect: () => Promise<pg.PoolClient>, plansMsMax: number) {
  interface Plans {
    readonly madeMs: number
    readonly keptMs: number
    uses: number
  }
  const known = new WeakMap<pg.PoolClient, Plans>()
  return async (): Promise<pg.PoolClient> => {
    const client = await connect()
    const nowMs = performance.now()
    const plans = known.get(client)
    if (plans !== undefined) {
      plans.uses += 1
      const times = plans.uses < CALM.uses ? CALM.times : 1
      if (nowMs - plans.madeMs <= plans.keptMs * times) return client
    }
    const keptMs = plans === undefined ? PLANS_MS_MAX : plans.keptMs * 2
    known.set(client, { madeMs: nowMs, keptMs: Math.min(plansMsMax, keptMs), uses: 0 })
    if (plans !== undefined) forgetPlans(client)
    return client
  }
}

function poolConfig(options: ServerOptions, pooled: boolean): pg.PoolConfig {
  // A pooler refuses a connection that asks for limits, or takes them from the next one.
  const limits = {
    statement_timeout: options.statementTimeoutMs,
    lock_timeout: options.lockTimeoutMs,
    idle_in_transaction_session_timeout: options.idleTransactionTimeoutMs,
  }
  return {
    ...(pooled ? {} : limits),
    connectionString: options.url,
    max: options.poolMax,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    // On a pipelined connection this destroys the connection, so a half-open one is never reused.
    query_timeout: options.statementTimeoutMs + WATCHDOG_MS,
    keepAlive: true,
    application_name: options.name,
    types,
    verify: verifyWritable,
    pipeline: true,
  } as pg.PoolConfig
}
