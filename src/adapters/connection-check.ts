import type pg from 'pg'
import type { Unsharded } from '../ports.ts'
import { systemClock } from './clock.ts'
import { classify, hasCode, isMisprepared } from './database-errors.ts'
import type { Driver } from './shard-session.ts'
import { query, type Limits } from './transactions.ts'

/**
 * What connections are not that they were asked to be. `limits`: the server knows nothing of the
 * time limits. `prepared`: prepared statements get lost, or are somebody else's. `transactions`:
 * the pooler allows none.
 */
export type ConnectionFault = 'limits' | 'prepared' | 'transactions'

/** What a pooler says of something that it does not do: the protocol does not foresee it. */
const PROTOCOL_VIOLATION = '08P01'

/** The limits that the server has for a statement, in milliseconds. */
const LIMITS: Unsharded<{ statement: string; lock: string; idle: string }> = {
  name: 'connections_limits',
  sharded: false,
  text: `
  select
    (select setting from pg_settings where name = 'statement_timeout') as statement,
    (select setting from pg_settings where name = 'lock_timeout') as lock,
    (select setting from pg_settings where name = 'idle_in_transaction_session_timeout') as idle`,
}

/** Who does the work of this connection. */
const SERVER: Unsharded<{ pid: number }> = {
  name: 'connections_server',
  sharded: false,
  text: 'select pg_backend_pid() as pid',
}

/** A statement that the driver prepares, to see whether it stays. */
const PREPARED: Unsharded<{ one: number }> = {
  name: 'connections_prepared',
  sharded: false,
  text: 'select 1 as one',
}

/** How long a connection waits for another's, in milliseconds: a pooler may have only one. */
const ASIDE_MS_MAX = 500

/** What is asked of connections. */
interface Asked extends Limits {
  readonly prepared: boolean
}

/**
 * Prove that connections through a pooler are what they were asked to be. Null: they are, or there
 * is no pooler.
 */
export async function checkConnections(
  connect: () => Promise<pg.PoolClient>,
  driver: Driver,
  asked: Asked,
): Promise<ConnectionFault | null> {
  try {
    if (await isDirect(await connect())) return null
    if (!(await hasLimits(driver, asked))) return 'limits'
    if (asked.prepared) await demandPrepared(connect)
    return null
  } catch (error) {
    if (isMisprepared(error)) return 'prepared'
    if (hasCode(error, PROTOCOL_VIOLATION)) return 'transactions'
    throw classify(error)
  }
}

/**
 * Whether a connection leads to its server without a pooler, which numbers connections itself. The
 * connection is released.
 */
async function isDirect(client: pg.PoolClient): Promise<boolean> {
  try {
    const [server] = await query(client, { prepared: false }, SERVER, [])
    client.release()
    // Set when the connection was made; missing in the driver's types.
    return server?.pid === (client as { processID?: number | null }).processID
  } catch (error) {
    client.release(true)
    throw error
  }
}

/** Prove that the time limits are those that were asked for. */
async function hasLimits({ run }: Driver, asked: Limits): Promise<boolean> {
  const [limits] = await run(LIMITS, [])
  const wanted = [asked.statementTimeoutMs, asked.lockTimeoutMs, asked.idleTransactionTimeoutMs]
  const given = [limits?.statement, limits?.lock, limits?.idle]
  return wanted.every((ms, index) => given[index] === String(Math.round(ms)))
}

/**
 * Fails unless what one of two connections has prepared is there for it wherever it is sent, and
 * for nobody else. Both are closed.
 */
async function demandPrepared(connect: () => Promise<pg.PoolClient>): Promise<void> {
  const one = await connect()
  const other = await connect().catch((error: unknown) => {
    one.release(true)
    throw error
  })
  const over = new AbortController()
  try {
    await prepare(one)
    // Takes the server's connection that is free again, and holds it: the next one is another.
    await other.query('begin')
    const again = prepare(one)
    const given = again.catch(() => undefined)
    await Promise.race([given, systemClock.sleep(ASIDE_MS_MAX, over.signal)])
    await other.query('commit')
    await again
    await prepare(other)
  } finally {
    over.abort()
    one.release(true)
    other.release(true)
  }
}

/** Run the statement, prepared once per connection, in a transaction. */
async function prepare(client: pg.PoolClient): Promise<void> {
  await client.query('begin')
  await query(client, { prepared: true }, PREPARED, [])
  await client.query('commit')
}
