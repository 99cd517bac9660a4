import type { Writable } from 'node:stream'
import type pg from 'pg'
import { CommitUnknown, Unavailable, type Statement } from '../ports.ts'
import { isAborted, isConnectionLost, isSpoiled } from './database-errors.ts'
import type { DriverTx } from './shard-session.ts'

/** The database's own bounds of what a connection does, in milliseconds. */
export interface Limits {
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly idleTransactionTimeoutMs: number
}

/** How statements are sent. */
interface Sending {
  /** Each statement is prepared once per connection. */
  readonly prepared: boolean
  /**
   * Behind a pooler that gives every transaction another connection: nothing is left on one, so
   * each transaction brings its limits along, and a single statement is a transaction. Null: what
   * was set when the connection was made stays.
   */
  readonly limits: Limits | null
}

/** `last` is a statement that travels with COMMIT and whose rows are wanted. */
interface SentTx extends DriverTx {
  last<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]>
}

/** The file of the server that waits for standbys. Its warnings have no code of their own. */
const WAITING = 'syncrep.c'
const WAITED_FOR_NONE = 'the server waited for no standby: what it committed may be lost with it'

/** Connections whose server has said that a COMMIT may be lost with it. */
const warned = new WeakSet<pg.PoolClient>()

/**
 * Listen to what the server warns of: a COMMIT that was told to wait for no standby any more ends
 * as any other, with a warning.
 */
export function heedWarnings(client: pg.PoolClient): void {
  client.on('notice', ({ file }) => {
    if (file === WAITING) warned.add(client)
  })
}

/** Run one statement on a connection, which is released. */
export async function runAlone<Row>(
  client: pg.PoolClient,
  sending: Sending,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  if (sending.limits === null) {
    try {
      const rows = await query(client, sending, statement, values)
      if (warned.delete(client)) throw new Unavailable(WAITED_FOR_NONE)
      client.release()
      return rows
    } catch (error) {
      client.release(isSpoiled(error))
      throw error
    }
  }
  let rows: Promise<Row[]> | undefined
  try {
    await transact(client, sending, (tx) => {
      rows = tx.last(statement, values)
      return Promise.resolve()
    })
  } catch (error) {
    // To those who ask for a single statement it is one, with or without a pooler.
    throw error instanceof CommitUnknown ? (error.cause ?? new Unavailable(error.message)) : error
  }
  return (await rows) ?? []
}

/**
 * One transaction on one connection, which is released. COMMIT travels right behind the last
 * writes: when one of them failed the server answers it with ROLLBACK, and the write's own error is
 * the one that is thrown.
 */
export async function transact<T>(
  client: pg.PoolClient,
  sending: Sending,
  work: (tx: SentTx) => Promise<T>,
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
    const begun = client.query(beginning(sending.limits, lockMs))
    writes.push(begun)
    const last: SentTx['last'] = (statement, values) => {
      const rows = noted(query(client, sending, statement, values))
      writes.push(rows)
      return rows
    }
    const tx: SentTx = {
      run: (statement, values) => noted(query(client, sending, statement, values)),
      write: (statement, values) => void last(statement, values),
      last,
    }
    begun.catch(() => undefined)
    const result = await work(tx)
    committing = true
    const commit = client.query('commit')
    commit.catch(() => undefined)
    await Promise.all(writes)
    demandCommit(client, (await commit).command)
    client.release()
    return result
  } catch (thrown) {
    // Statements that were sent together fail together: what the first one says is the reason.
    const error = isAborted(thrown) && first !== null ? first : thrown
    await abandon(client, error, committing)
    if (error instanceof CommitUnknown) throw error
    if (committing && isConnectionLost(error)) {
      throw new CommitUnknown('the reply to COMMIT was lost', { cause: error })
    }
    throw error
  }
}

/** Throws unless the reply to COMMIT says that what was written stays, whatever fails now. */
function demandCommit(client: pg.PoolClient, command: string): void {
  if (command !== 'COMMIT') throw new Error(`the transaction ended in ${command}`)
  if (!warned.delete(client)) return
  throw new CommitUnknown(WAITED_FOR_NONE)
}

/** BEGIN and what is set for this transaction alone, in one message. */
function beginning(limits: Limits | null, lockMs: number | undefined): string {
  // 0 would be no limit at all.
  const local = (name: string, ms: number) => `; set local ${name} = ${Math.max(1, Math.round(ms))}`
  if (limits === null)
    return lockMs === undefined ? 'begin' : `begin${local('lock_timeout', lockMs)}`
  return (
    'begin' +
    local('statement_timeout', limits.statementTimeoutMs) +
    local('lock_timeout', lockMs ?? limits.lockTimeoutMs) +
    local('idle_in_transaction_session_timeout', limits.idleTransactionTimeoutMs)
  )
}

/**
 * Leave no open transaction behind: roll back, or close the connection where that is not possible.
 */
async function abandon(client: pg.PoolClient, error: unknown, committing: boolean): Promise<void> {
  if (isSpoiled(error)) return client.release(true)
  try {
    if (!committing) await client.query('rollback')
    client.release()
  } catch {
    client.release(true)
  }
}

/** Send one statement with its values. */
export async function query<Row>(
  client: pg.ClientBase,
  sending: Pick<Sending, 'prepared'>,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  leaveTogether(client)
  const { name, text } = statement
  const result = await client.query({
    ...(sending.prepared ? { name } : {}),
    text,
    values: values as unknown[],
  })
  return result.rows as Row[]
}

/** Leaves in one packet with what comes next; if it fails, that fails as well. */
export function forgetPlans(client: pg.ClientBase): void {
  leaveTogether(client)
  client.query('discard plans').catch(() => undefined)
}

/**
 * Let the statements that are started in one turn of the event loop leave in one packet: the driver
 * writes each by itself. Its socket is not part of its interface, so without one nothing is lost.
 */
function leaveTogether(client: pg.ClientBase): void {
  const { stream } = (client as { connection?: { stream?: Writable } }).connection ?? {}
  if (stream === undefined || stream.writableCorked > 0) return
  stream.cork()
  process.nextTick(() => stream.uncork())
}
