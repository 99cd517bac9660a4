import { Busy, CommitUnknown, ReadOnly, Unavailable, type Statement } from '../ports.ts'

/** Serialization failure and deadlock: running the transaction again is all there is to do. */
const RETRIED = new Set(['40001', '40P01'])

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

/** A prepared statement is missing, or there already: a pooler gave somebody else's connection. */
const MISPREPARED = ['26000', '42P05']

/** The SQLSTATE, the system's code, or an empty text. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Whether running the transaction again may be all there is to do. */
export function isRetried(error: unknown): boolean {
  return RETRIED.has(codeOf(error))
}

/** Whether an earlier statement of the transaction failed, which is the reason. */
export function isAborted(error: unknown): boolean {
  return codeOf(error) === ABORTED
}

/** Whether the server, or the transaction, takes no writes. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(error) === READ_ONLY
}

/** Whether a pooler does not keep the prepared statements of its clients. */
export function isMisprepared(error: unknown): boolean {
  return MISPREPARED.some((code) => hasCode(error, code))
}

/** Whether an error, or what caused it, has such a code. */
export function hasCode(error: unknown, code: string): boolean {
  if (codeOf(error) === code) return true
  return error instanceof Error && error.cause !== undefined && hasCode(error.cause, code)
}

/**
 * An error without a SQLSTATE comes from the connection, not from the server. The system's own
 * codes begin with E, as no SQLSTATE does: EPIPE is as long as one.
 */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error)
  return !/^(?!E)[0-9A-Z]{5}$/.test(code) || code.startsWith('08') || code.startsWith('57P')
}

/** Whether a connection is of no use to anybody after a failure. */
export function isSpoiled(error: unknown): boolean {
  return isConnectionLost(error) || isReadOnly(error) || isMisprepared(error)
}

/** The driver's watchdog hung up: what the server was told to do, it may still be doing. */
export function isGivenUp(error: unknown): boolean {
  const cause = error instanceof CommitUnknown ? error.cause : error
  return cause instanceof Error && cause.message === 'Query read timeout'
}

/** The driver waited in vain for a server, or for its answer. */
const IN_VAIN = /^(?:Query read timeout|Connection terminated due to connection timeout)$/
/** The same, as the system says it, and for a name. */
const IN_VAIN_CODES = /^(?:ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|EAI_AGAIN)$/
/** Nobody gave a connection of the pool back in time. */
const FULL = 'timeout exceeded when trying to connect'

/**
 * Whether somebody waited for the server until the end of a time limit, and it said nothing: a
 * server that refuses says so at once.
 */
export function isSilent(error: unknown): boolean {
  return someCause(error, (one) => IN_VAIN.test(one.message) || IN_VAIN_CODES.test(codeOf(one)))
}

/** Whether all connections of the pool were in use for too long. */
export function isFull(error: unknown): boolean {
  return someCause(error, ({ message }) => message === FULL)
}

/** Whether it is so of an error, or of what caused it. */
function someCause(error: unknown, is: (one: Error) => boolean): boolean {
  return error instanceof Error && (is(error) || someCause(error.cause, is))
}

/** How a part of a statement begins that changes rows. */
const CHANGES = /\b(?:insert into|delete from|update \w+(?: \w+)?\s+set)\b/

/** Whether a statement may change rows. */
export function isChange({ text }: Pick<Statement<unknown>, 'text'>): boolean {
  return CHANGES.test(text)
}

/**
 * What the failure of a statement by itself is. Its end is its COMMIT: where the connection was
 * lost after it was sent, what it changes may be changed.
 */
export function classifyAlone(error: unknown, statement: Statement<unknown>): unknown {
  const told = classify(error)
  const isLost = told instanceof Unavailable && isConnectionLost(error)
  if (!isLost || !isChange(statement)) return told
  return new CommitUnknown('the reply to a statement was lost', { cause: error })
}

/** What the failure of a statement or transaction is to those who know the ports alone. */
export function classify(error: unknown): unknown {
  if (error instanceof CommitUnknown || error instanceof Unavailable) return error
  const code = codeOf(error)
  if (LOCKED.has(code)) return new Busy('locked', { cause: error })
  if (code === CANCELED) return new Busy('slow', { cause: error })
  if (isReadOnly(error)) return new ReadOnly('the database is read-only', { cause: error })
  if (MISPREPARED.includes(code)) {
    return new Unavailable(
      'the pooler in front of the database does not keep prepared statements: ' +
        'set DATABASE_PREPARED_STATEMENTS=false',
      { cause: error },
    )
  }
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
