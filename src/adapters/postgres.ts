import type { Writable } from 'node:stream'
import pg from 'pg'
import {
  Busy,
  CommitUnknown,
  ReadOnly,
  Unavailable,
  type Db,
  type Statement,
  type Unsharded,
} from '../ports.ts'
import { reasonOf } from '../domain/error-reason.ts'
import { countHung } from './hung-backends.ts'
import { sessions, type DriverTx, type SessionOptions } from './shard-session.ts'

/**
 * Limits of the connection pool; every timeout is always set, because the driver's default is none.
 */
interface PostgresOptions extends SessionOptions {
  readonly url: string
  readonly poolMax: number
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly idleTransactionTimeoutMs: number
  /** Shown in pg_stat_activity. */
  readonly name: string
  /** How long a connection keeps its plans; 5 s by default. */
  readonly plansMsMax?: number
  readonly onError?: (error: Error) => void
}

export interface PostgresDb extends Db {
  /** Ask whether the database takes writes. Throws `ReadOnly`, or `Unavailable` with the reason. */
  probe(): Promise<void>
  pool(): { total: number; idle: number; waiting: number }
  close(): Promise<void>
}

/** Serialization failure and deadlock: running the transaction again is all there is to do. */
const RETRIED = new Set(['40001', '40P01'])
const RETRIES_MAX = 5

/** The server is away, stopping or full: nothing was decided, the same request may return. */
const UNAVAILABLE = /^(08...|53...|57P0.|25P03|XX000|58030)$/

/**
 * A lock that was not had in time, or in a circle to the last: the rest of the database is well.
 */
const LOCKED = new Set(['55P03', ...RETRIED])

/** A statement that ran into its timeout, or that somebody cancelled. */
const CANCELED = '57014'

/** An earlier statement of the transaction failed: true, and never the reason. */
const ABORTED = '25P02'

/** A write was sent to a server, or in a transaction, that is read-only. */
const READ_ONLY = '25006'

/** Whether the server takes writes: neither a standby nor told to refuse them. */
const PROBE: Unsharded<{ writable: boolean }> = {
  name: 'postgres_probe',
  sharded: false,
  text: `
  select
    not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable`,
}

/**
 * How long nobody connects after a server turned out to be read-only, in milliseconds: every
 * request would open a connection of its own to hear the same.
 */
const READ_ONLY_MS = 500

/**
 * How long a connection keeps its plans, in milliseconds. A plan that was made for a small or empty
 * table reads all of a large one: PostgreSQL makes a new one only after its next ANALYZE, which may
 * be a minute away, and in a minute a million payments can be accepted. Planning everything anew
 * costs a few milliseconds.
 */
const PLANS_MS_MAX = 5_000

/** Milliseconds the client waits beyond the server's own statement timeout before it hangs up. */
const WATCHDOG_MS = 1_500

/** bigint columns are bigint in JavaScript; everything else is as the driver reads it. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === pg.types.builtins.INT8 && format !== 'binary') return BigInt
    return pg.types.getTypeParser(oid, format as 'text')
  },
}

/**
 * PostgreSQL through a pool of pipelined connections: statements that a transaction starts
 * together, BEGIN and COMMIT among them, share one round trip. Statements are prepared once per
 * connection.
 */
export function postgres(options: PostgresOptions): PostgresDb {
  const config = poolConfig(options)
  const pool = new pg.Pool(config)
  const hung = countHung(pool, options.poolMax, config)
  const report = options.onError ?? (() => undefined)
  // A backend that dies emits `error` on the pool when idle and on the client when checked out;
  // without both listeners it ends the process.
  pool.on('error', report)
  pool.on('connect', (client) => {
    client.on('error', report)
  })

  const writers = writersOf(pool)
  const plannedMs = new WeakMap<pg.PoolClient, number>()
  const { plansMsMax = PLANS_MS_MAX } = options

  const connect = async (): Promise<pg.PoolClient> => {
    const client = await writers.connect()
    const nowMs = performance.now()
    const sinceMs = plannedMs.get(client)
    if (sinceMs !== undefined && nowMs - sinceMs <= plansMsMax) return client
    plannedMs.set(client, nowMs)
    if (sinceMs !== undefined) forgetPlans(client)
    return client
  }

  const run = async <Row>(statement: Statement<Row>, values: readonly unknown[]) => {
    const client = await connect()
    try {
      const rows = await query(client, statement, values)
      client.release()
      return rows
    } catch (error) {
      if (isGivenUp(error)) hung.add(client)
      client.release(isConnectionLost(error) || writers.demoted(client, error))
      throw classify(error)
    }
  }

  const transaction = async <T>(
    work: (tx: DriverTx) => Promise<T>,
    lockMs?: number,
  ): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      try {
        return await transact(client, work, lockMs)
      } catch (error) {
        writers.demoted(client, error)
        if (isGivenUp(error)) hung.add(client)
        if (!RETRIED.has(codeOf(error)) || attempt === RETRIES_MAX) throw classify(error)
      }
    }
  }

  return {
    ...sessions({ run, transaction }, options),
    async probe() {
      const [row] = await run(PROBE, [])
      if (row?.writable !== true) throw writers.turnedReadOnly()
    },
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close() {
      hung.stop()
      return pool.end()
    },
  }
}

/** Connections of a pool to a server that takes writes. */
interface Writers {
  /** Throws `ReadOnly` while the server is known to take none, `Unavailable` with the reason. */
  connect(): Promise<pg.PoolClient>
  /**
   * Whether a failure says that the server takes no writes any more; then all connections are old.
   */
  demoted(client: pg.PoolClient, error: unknown): boolean
  /** The same, as somebody who asked has seen it. */
  turnedReadOnly(): ReadOnly
}

/**
 * Hand out only connections that were opened since the server was last seen to take no writes.
 * Behind one address the primary server changes: a connection to the old one would answer reads
 * from the past for good. New connections are asked (`verify` of the pool) before anybody has them.
 */
function writersOf(pool: pg.Pool): Writers {
  const openedAt = new WeakMap<pg.PoolClient, number>()
  let generation = 0
  let readOnlyUntilMs = Number.NEGATIVE_INFINITY
  pool.on('connect', (client) => void openedAt.set(client, generation))

  const turnedReadOnly = (cause?: unknown): ReadOnly => {
    generation += 1
    readOnlyUntilMs = performance.now() + READ_ONLY_MS
    return new ReadOnly('the database is read-only', { cause })
  }

  return {
    turnedReadOnly,
    demoted(client, error) {
      if (codeOf(error) !== READ_ONLY) return false
      if (openedAt.get(client) === generation) turnedReadOnly(error)
      return true
    },
    async connect() {
      // Ends: every turn takes an old connection out of the pool.
      for (;;) {
        if (performance.now() < readOnlyUntilMs) throw new ReadOnly('the database is read-only')
        const client = await pool.connect().catch((error: unknown) => {
          if (error instanceof ReadOnly) throw turnedReadOnly(error)
          throw new Unavailable(`the database cannot be reached: ${reasonOf(error)}`, {
            cause: error,
          })
        })
        if (openedAt.get(client) === generation) return client
        client.release(true)
      }
    },
  }
}

/** Ask a new connection whether its server takes writes, before anybody has it. */
function verify(client: pg.PoolClient, done: (error?: Error) => void): void {
  query(client, PROBE, []).then(
    ([row]) => done(row?.writable === true ? undefined : new ReadOnly('the server is read-only')),
    done,
  )
}

/** Leaves in one packet with what comes next; if it fails, that fails as well. */
function forgetPlans(client: pg.PoolClient): void {
  leaveTogether(client)
  client.query('discard plans').catch(() => undefined)
}

function poolConfig(options: PostgresOptions): pg.PoolConfig {
  return {
    connectionString: options.url,
    max: options.poolMax,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: options.statementTimeoutMs,
    lock_timeout: options.lockTimeoutMs,
    idle_in_transaction_session_timeout: options.idleTransactionTimeoutMs,
    // On a pipelined connection this destroys the connection, so a half-open one is never reused.
    query_timeout: options.statementTimeoutMs + WATCHDOG_MS,
    keepAlive: true,
    application_name: options.name,
    types,
    verify,
    pipeline: true,
  } as pg.PoolConfig
}

/**
 * One transaction on one connection. COMMIT travels right behind the last writes: when one of them
 * failed the server answers it with ROLLBACK, and the write's own error is the one that is thrown.
 */
async function transact<T>(
  client: pg.PoolClient,
  work: (tx: DriverTx) => Promise<T>,
  lockMs?: number,
): Promise<T> {
  const writes: Promise<unknown>[] = []
  let committing = false
  let first: unknown = null
  const noted = <Row>(rows: Promise<Row>): Promise<Row> => {
    rows.catch((error: unknown) => (first ??= error))
    return rows
  }
  try {
    leaveTogether(client)
    const begun = client.query(lockMs === undefined ? 'begin' : beginWith(lockMs))
    writes.push(begun)
    const tx: DriverTx = {
      run: (statement, values) => noted(query(client, statement, values)),
      write: (statement, values) => {
        writes.push(noted(query(client, statement, values)))
      },
    }
    begun.catch(() => undefined)
    const result = await work(tx)
    committing = true
    const commit = client.query('commit')
    commit.catch(() => undefined)
    await Promise.all(writes)
    const { command } = await commit
    if (command !== 'COMMIT') throw new Error(`the transaction ended in ${command}`)
    client.release()
    return result
  } catch (thrown) {
    // Statements that were sent together fail together: what the first one says is the reason.
    const error = codeOf(thrown) === ABORTED && first !== null ? first : thrown
    await abandon(client, error, committing)
    if (committing && isConnectionLost(error)) {
      throw new CommitUnknown('the reply to COMMIT was lost', { cause: error })
    }
    throw error
  }
}

/** BEGIN with a limit of its own for waiting, in one message and for this transaction alone. */
function beginWith(lockMs: number): string {
  // 0 would be no limit at all.
  return `begin; set local lock_timeout = ${Math.max(1, Math.round(lockMs))}`
}

/**
 * Leave no open transaction behind: roll back, or close the connection where that is not possible.
 */
async function abandon(client: pg.PoolClient, error: unknown, committing: boolean): Promise<void> {
  if (isConnectionLost(error) || codeOf(error) === READ_ONLY) return client.release(true)
  try {
    if (!committing) await client.query('rollback')
    client.release()
  } catch {
    client.release(true)
  }
}

async function query<Row>(
  client: pg.PoolClient,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  leaveTogether(client)
  const result = await client.query({
    name: statement.name,
    text: statement.text,
    values: values as unknown[],
  })
  return result.rows as Row[]
}

/**
 * Let the statements that are started in one turn of the event loop leave in one packet: the driver
 * writes each by itself. Its socket is not part of its interface, so without one nothing is lost.
 */
function leaveTogether(client: pg.PoolClient): void {
  const { stream } = (client as { connection?: { stream?: Writable } }).connection ?? {}
  if (stream === undefined || stream.writableCorked > 0) return
  stream.cork()
  process.nextTick(() => stream.uncork())
}

/**
 * An error without a SQLSTATE comes from the connection, not from the server. The system's own
 * codes begin with E, as no SQLSTATE does: EPIPE is as long as one.
 */
function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error)
  return !/^(?!E)[0-9A-Z]{5}$/.test(code) || code.startsWith('08') || code.startsWith('57P')
}

/** The driver's watchdog hung up: what the server was told to do, it may still be doing. */
function isGivenUp(error: unknown): boolean {
  const cause = error instanceof CommitUnknown ? error.cause : error
  return cause instanceof Error && cause.message === 'Query read timeout'
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function classify(error: unknown): unknown {
  if (error instanceof CommitUnknown || error instanceof Unavailable) return error
  const code = codeOf(error)
  if (LOCKED.has(code)) return new Busy('locked', { cause: error })
  if (code === CANCELED) return new Busy('slow', { cause: error })
  if (code === READ_ONLY) return new ReadOnly('the database is read-only', { cause: error })
  if (isConnectionLost(error) && isFromDriver(error)) {
    return new Unavailable('the connection to the database was lost', { cause: error })
  }
  if (UNAVAILABLE.test(code)) {
    return new Unavailable('the database is full or stopping', { cause: error })
  }
  return error
}

/** Whether the driver or the socket raised it, rather than a bug in the work of a transaction. */
function isFromDriver(error: unknown): boolean {
  if (codeOf(error) !== '') return true
  return error instanceof Error && /connection|terminated|timeout|closed|ended/i.test(error.message)
}
