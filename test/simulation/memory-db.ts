import type { Driver, DriverTx } from '../../src/adapters/shard-session.ts'
import { isChange } from '../../src/adapters/database-errors.ts'
import { Busy, CommitUnknown, ReadOnly, Unavailable, type Statement } from '../../src/ports.ts'
import type { Faults } from './faults.ts'
import type { Process, Scheduler, Wakeable } from './scheduler.ts'
import type { Context, Handler, Handlers } from './handlers.ts'
import type { Tables } from './tables.ts'

/** What the database asks of the world around it; the differential run's has no surprises. */
export interface DbWorld {
  readonly tables: Tables
  readonly handlers: Handlers
  readonly steps: Pick<Scheduler, 'nowMs' | 'step' | 'wakeable'>
  readonly faults: Pick<Faults, 'fires'>
}

export interface MemoryDb {
  /** The database as one process sees it. */
  connect(process: Process): Driver
  /** A process died: what it had not sent to be committed is rolled back. */
  abandon(process: Process, survive: boolean): void
  /** End transactions that stand still, as idle_in_transaction_session_timeout does. */
  expire(process: Process): void
  /** Row locks that are held. */
  locked(): number
  /** Somebody else locks a row for a while; nothing happens when it is locked already. */
  seize(key: string, ms: number): void
  /** Somebody else lets go of every row. */
  releaseSeized(): void
  /** Take no writes for a while. */
  turnReadOnly(ms: number): void
  /** Take writes again. */
  turnWritable(): void
  /** When somebody who wanted this row last found that another had locked it. */
  foundLockedMs(key: string): number
}

interface Transaction {
  readonly process: Process
  readonly locks: Set<string>
  /** The longest wait for a lock. */
  readonly lockMs: number
  readonly writes: { readonly name: string; readonly values: readonly unknown[] }[]
  state: 'open' | 'committing' | 'over'
  waitsFor: Transaction | null
}

/** As the service sets them. */
const LOCK_TIMEOUT_MS = 5_000

/** A database as it is at one moment, beside its tables. */
interface State extends DbWorld {
  readonly holders: Map<string, Transaction>
  readonly open: Set<Transaction>
  /** What somebody at a prompt holds. */
  readonly seized: Set<Transaction>
  /** When each lock was last found taken. */
  readonly found: Map<string, number>
  waiting: Wakeable[]
  readOnlyUntilMs: number
}

/**
 * An in-memory PostgreSQL in READ COMMITTED, as far as our statements can tell: a statement is one
 * step and sees what is committed when it runs; row locks last to the end of their transaction and
 * others wait for them, or skip them in a claim. Writes travel with COMMIT, as in the real adapter,
 * so they are carried out together with it, in order, all or nothing.
 */
export function memoryDb(world: DbWorld): MemoryDb {
  const state: State = {
    ...world,
    holders: new Map(),
    open: new Set(),
    seized: new Set(),
    found: new Map(),
    waiting: [],
    readOnlyUntilMs: Number.NEGATIVE_INFINITY,
  }
  const { steps, holders, open, seized, found } = state
  return {
    connect: (process) => ({
      transaction: (work, lockMs) => transaction(state, process, work, lockMs),
      run: (statement, values) => runAlone(state, process, statement, values),
    }),
    abandon(process, survive) {
      for (const tx of open) {
        const sent = survive && tx.state === 'committing'
        if (tx.process === process && !sent) end(state, tx)
      }
    },
    expire(process) {
      for (const tx of open) if (tx.process === process && tx.state === 'open') end(state, tx)
    },
    locked: () => holders.size,
    seize: (key, ms) => seize(state, key, ms),
    releaseSeized() {
      for (const tx of seized) end(state, tx)
      seized.clear()
    },
    turnReadOnly(ms) {
      state.readOnlyUntilMs = Math.max(state.readOnlyUntilMs, steps.nowMs() + ms)
    },
    turnWritable: () => (state.readOnlyUntilMs = Number.NEGATIVE_INFINITY),
    foundLockedMs: (key) => found.get(key) ?? Number.NEGATIVE_INFINITY,
  }
}

function readOnly({ steps, readOnlyUntilMs }: State): boolean {
  return steps.nowMs() < readOnlyUntilMs
}

function begin({ open }: State, process: Process, lockMs: number): Transaction {
  const locks = new Set<string>()
  const tx: Transaction = { process, locks, lockMs, writes: [], state: 'open', waitsFor: null }
  open.add(tx)
  return tx
}

function end(state: State, tx: Transaction): void {
  const { steps, open, holders, waiting } = state
  tx.state = 'over'
  open.delete(tx)
  for (const key of tx.locks) holders.delete(key)
  for (const waiter of waiting) waiter.wake(steps.nowMs())
  state.waiting = []
}

/** Take a row's lock if it is free. */
function take({ steps, holders, found }: State, tx: Transaction, key: string): boolean {
  const holder = holders.get(key)
  if (holder !== undefined && holder !== tx) {
    found.set(key, steps.nowMs())
    return false
  }
  holders.set(key, tx)
  tx.locks.add(key)
  return true
}

async function lock(state: State, tx: Transaction, key: string): Promise<void> {
  const { steps, holders } = state
  const untilMs = steps.nowMs() + tx.lockMs
  while (!take(state, tx, key)) {
    const holder = holders.get(key) as Transaction
    if (steps.nowMs() >= untilMs) throw new Busy('locked')
    refuseDeadlock(tx, holder)
    tx.waitsFor = holder
    const wakeable = steps.wakeable(tx.process, `waits for ${key}`, {
      atMs: untilMs,
      inFlight: true,
    })
    state.waiting.push(wakeable)
    await wakeable.done
    tx.waitsFor = null
    if (tx.state === 'over') throw new Unavailable('the transaction was ended')
  }
}

/** Lock a row as somebody at a prompt, for a while. */
function seize(state: State, key: string, ms: number): void {
  const { steps, holders, seized } = state
  if (holders.has(key)) return
  const somebody: Process = { name: 'somebody', dead: false, pausedUntilMs: 0, onDeath: [] }
  const tx = begin(state, somebody, 0)
  take(state, tx, key)
  seized.add(tx)
  const atMs = steps.nowMs() + ms
  void steps.step(somebody, `lets go of ${key}`, { atMs }).then(() => {
    if (seized.delete(tx)) end(state, tx)
  })
}

function execute(
  state: State,
  tx: Transaction | null,
  name: string,
  values: readonly unknown[],
): unknown[] {
  const { tables, steps, holders, handlers } = state
  const context: Context = {
    nowMs: steps.nowMs(),
    mine: (key) => tx !== null && holders.get(key) === tx,
    free: (key) => [undefined, tx].includes(holders.get(key)),
  }
  tables.telling.nowMs = context.nowMs
  const { parts, run } = handlerOf(handlers, name)
  if (parts === undefined) return run(tables, values, context)
  return parts(values).flatMap(([part, given]) => execute(state, tx, part, given))
}

/** A statement outside a transaction. */
async function runAlone<Row>(
  state: State,
  process: Process,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  const { tables, steps, faults } = state
  const { name } = statement
  await steps.step(process, name, { inFlight: true, survives: true })
  if (faults.fires('database_away')) throw new Unavailable('no connection')
  if (faults.fires('statement_slow')) throw new Busy('slow')
  const work = () => execute(state, null, name, values)
  const rows = readOnly(state) ? tables.reading(work) : tables.atomically(work)
  await steps.step(process, `${name} reply`)
  if (faults.fires('statement_reply_lost')) {
    throw new (isChange(statement) ? CommitUnknown : Unavailable)('the reply was lost')
  }
  return rows as Row[]
}

async function inTransaction(
  state: State,
  tx: Transaction,
  name: string,
  values: readonly unknown[],
): Promise<unknown[]> {
  const { tables, steps, faults } = state
  await steps.step(tx.process, name, { inFlight: true })
  if (tx.state === 'over') throw new Unavailable('the transaction was ended')
  if (faults.fires('database_away')) throw new Unavailable('the connection was lost')
  if (faults.fires('statement_slow')) throw new Busy('slow')
  const { locks, skipsLocked = false } = handlerOf(state.handlers, name)
  refuseToWrite(state, locks !== undefined)
  for (const key of locks?.(tables, values) ?? []) {
    if (skipsLocked) take(state, tx, key)
    else await lock(state, tx, key)
  }
  refuseToWrite(state, locks !== undefined)
  const work = () => execute(state, tx, name, values)
  return readOnly(state) ? tables.reading(work) : work()
}

/** A row is locked by writing to it. */
function refuseToWrite(state: State, writes: boolean): void {
  if (writes && readOnly(state)) throw new ReadOnly('the database is read-only')
}

async function commit(state: State, tx: Transaction): Promise<void> {
  const { tables, steps, faults } = state
  const { process } = tx
  await steps.step(process, 'commits')
  if (tx.state === 'over') throw new CommitUnknown('the transaction was ended')
  tx.state = 'committing'
  await steps.step(process, 'commit', { inFlight: true, survives: true })
  const demoted = readOnly(state) && tx.writes.length > 0
  const refused = demoted || faults.fires('commit_refused')
  const lost = !refused && faults.fires('commit_lost')
  try {
    if (!refused && !lost) {
      const write = ({ name, values }: Transaction['writes'][number]) =>
        execute(state, tx, name, values)
      tables.atomically(() => tx.writes.map(write))
    }
  } finally {
    end(state, tx)
    await steps.step(process, 'commit reply')
  }
  if (demoted) throw new ReadOnly('the database is read-only')
  if (refused) throw new Unavailable('the server could not commit')
  if (lost || faults.fires('commit_reply_lost')) throw new CommitUnknown('no reply to COMMIT')
}

async function transaction<T>(
  state: State,
  process: Process,
  work: (tx: DriverTx) => Promise<T>,
  lockMs = LOCK_TIMEOUT_MS,
): Promise<T> {
  await state.steps.step(process, 'begin')
  if (state.faults.fires('database_away')) throw new Unavailable('no connection')
  const tx = begin(state, process, lockMs)
  try {
    const result = await work(port(state, tx))
    await commit(state, tx)
    return result
  } finally {
    if (tx.state !== 'over') end(state, tx)
  }
}

/** A transaction as the operations see it: its statements run one after the other. */
function port(state: State, tx: Transaction): DriverTx {
  let before: Promise<unknown> = Promise.resolve()
  return {
    run<Row>({ name }: { readonly name: string }, values: readonly unknown[]) {
      const result = before.then(() => inTransaction(state, tx, name, values))
      before = result
      result.catch(() => undefined)
      return result as Promise<Row[]>
    },
    write({ name }, values) {
      tx.writes.push({ name, values })
    },
  }
}

function handlerOf(handlers: Handlers, name: string): Handler {
  const handler = handlers[name]
  if (handler === undefined) throw new Error(`the simulator has no statement ${name}`)
  return handler
}

/** Locks are taken in one order everywhere, so nobody ever waits in a circle. */
function refuseDeadlock(tx: Transaction, holder: Transaction): void {
  for (let next: Transaction | null = holder; next !== null; next = next.waitsFor) {
    if (next === tx) throw new Error('deadlock')
  }
}
