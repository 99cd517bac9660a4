import type { Entry } from '../../src/domain/ledger.ts'
import type { BookedType, Operation } from '../../src/domain/payment.ts'
import type { ReturnKind } from '../../src/domain/returns.ts'
import { ReadOnly } from '../../src/ports.ts'
import type {
  CallRow,
  DeliveryRow,
  EndpointRow,
  EventRow,
  RunRow,
  SubscriptionRow,
} from './delivery-rows.ts'

/** The rows of migrations/0001_initial.sql; times in milliseconds, amounts in minor units. */
export interface UserRow {
  readonly shard: number
  readonly id: bigint
  readonly available: bigint
  readonly held: bigint
  /** Null: that of the books. */
  readonly currency: string | null
  readonly createdAt: number
}

export interface PaymentRow {
  readonly shard: number
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly status: 'new' | 'success' | 'failed' | 'unknown'
  readonly amount: bigint
  readonly commission: bigint
  readonly feeBps: number
  readonly attempts: number
  readonly createdAt: number
  readonly finishedAt: number | null
  readonly gatewayKey: string
  readonly idempotencyKey: string | null
  readonly lastError: string | null
  readonly refusedFor: string | null
  readonly gatewayRef: string | null
  readonly gateway: string
  readonly redriveOf: bigint | null
  readonly currency: string | null
  readonly parentId: bigint | null
  readonly feeReturned: bigint | null
  readonly returnKind: ReturnKind | null
  readonly refundReserved: bigint | null
  readonly feeReserved: bigint | null
  readonly refunded: bigint | null
  readonly returned: bigint | null
  readonly returnedFee: bigint | null
  readonly transitions: number
}

/** Of a payment of which nothing went back, and that never changed. */
export const NOTHING_BACK = {
  parentId: null,
  feeReturned: null,
  returnKind: null,
  refundReserved: null,
  feeReserved: null,
  refunded: null,
  returned: null,
  returnedFee: null,
  transitions: 0,
} as const

/** A refund or return in the list of the payment that it is of. */
export interface ChildRow {
  readonly shard: number
  readonly parentId: bigint
  readonly paymentId: bigint
  readonly ref: string | null
}

/** What was said about a payment. */
export interface DetailsRow {
  readonly shard: number
  readonly paymentId: bigint
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Readonly<Record<string, string>> | null
  readonly paymentMethod: string | null
  readonly returnUrl: string | null
  readonly sent: Readonly<Record<string, string>>
}

/** Which payment of a user has a reference. */
export interface ReferenceRow {
  readonly shard: number
  readonly userId: bigint
  readonly reference: string
  readonly paymentId: bigint
}

export interface TaskRow {
  readonly shard: number
  readonly paymentId: bigint
  readonly gateway: string
  readonly operation: Operation
  readonly runAt: number
  readonly fence: number
  readonly attempts: number
  readonly tries: number
  readonly triedAt: number | null
  readonly lookups: number
  readonly pendings: number
  /** Since when the gateway has it in hand. */
  readonly pendingAt: number | null
  readonly leased: boolean
  readonly doubtAt: number | null
  readonly firstSentAt: number | null
  readonly misconfiguredAt: number | null
  readonly lastError: string | null
  /** When somebody last asked out of turn. */
  readonly askedAt: number | null
}

/** A final payment that is looked at again. */
export interface WatchRow {
  readonly shard: number
  readonly paymentId: bigint
  readonly gateway: string
  readonly runAt: number
  readonly fence: bigint
  readonly leased: boolean
  readonly looked: boolean
  readonly noticed: boolean
  readonly askedAt: number | null
}

export interface AttemptRow {
  readonly shard: number
  readonly paymentId: bigint
  readonly fence: number
  readonly call: number
  readonly kind: string
  readonly outcome: string
  readonly reason: string | null
  readonly sent: boolean
  readonly httpStatus: number | null
  readonly startedAt: number
  readonly tookMs: number
  readonly late: boolean
}

export type PostingRow = Entry & {
  readonly shard: number
  readonly createdAt: number
}

export interface LetterRow {
  readonly shard: number
  readonly id: bigint
  readonly paymentId: bigint
  readonly userId: bigint
  readonly type: string
  readonly amount: bigint
  readonly commission: bigint
  readonly class: string
  readonly error: string
  readonly attempts: number
  /** Null: that of the books. */
  readonly currency: string | null
  readonly state: 'open' | 'redriven' | 'resolved'
  readonly createdAt: number
  readonly closedAt: number | null
  readonly closedBy: string | null
  readonly closedReason: string | null
  readonly redriveId: bigint | null
}

/** An operator's act; what it found and left, as text. */
export interface ActRow {
  readonly shard: number
  readonly id: bigint
  readonly paymentId: bigint
  readonly letterId: bigint | null
  readonly redriveId: bigint | null
  readonly act: 'redrive' | 'resolve' | 'cancel' | 'return' | 'correct' | 'edit'
  readonly actor: string
  readonly before: Readonly<Record<string, string | null>>
  readonly after: Readonly<Record<string, string | null>>
  readonly createdAt: number
}

/** What the statements counted in a shard; in PostgreSQL, the sums over its rows. */
export interface CountRow {
  readonly shard: number
  readonly enqueued: bigint
  readonly started: bigint
  readonly succeeded: bigint
  readonly failed: bigint
  readonly in_doubt: bigint
  readonly retried: bigint
  readonly letters: bigint
  readonly resolved_success: bigint
  readonly resolved_failed: bigint
}

/** A table whose rows are replaced and never changed, so that a transaction can be undone. */
export interface Table<Key, Row> {
  readonly rows: ReadonlyMap<Key, Row>
  get(key: Key): Row | undefined
  set(key: Key, row: Row): void
  delete(key: Key): void
}

/** The whole database. */
export interface Tables {
  readonly users: Table<bigint, UserRow>
  readonly payments: Table<bigint, PaymentRow>
  /** Payment ids by `userId key`: the partial unique index. */
  readonly keys: Table<string, bigint>
  readonly tasks: Table<bigint, TaskRow>
  readonly watches: Table<bigint, WatchRow>
  /** By `paymentId fence call`. */
  readonly attempts: Table<string, AttemptRow>
  /** By `userId paymentId kind`. */
  readonly postings: Table<string, PostingRow>
  readonly letters: Table<bigint, LetterRow>
  /** Ids of open letters by payment: the partial unique index. */
  readonly openLetters: Table<bigint, bigint>
  readonly counts: Table<number, CountRow>
  readonly acts: Table<bigint, ActRow>
  /** By `parentId paymentId`. */
  readonly children: Table<string, ChildRow>
  /** Ids of returns by `parentId ref`: the partial unique index. */
  readonly childRefs: Table<string, bigint>
  readonly details: Table<bigint, DetailsRow>
  /** By `userId reference`. */
  readonly references: Table<string, ReferenceRow>
  /** Payments by `gateway ref`: what gateways call deposits. */
  readonly refs: Table<string, bigint>
  /** In the order in which they were written. */
  readonly events: Table<number, EventRow>
  readonly endpoints: Table<bigint, EndpointRow>
  /** By `shard endpointId`. */
  readonly subscriptions: Table<string, SubscriptionRow>
  /** By `eventId endpointId`. */
  readonly deliveries: Table<string, DeliveryRow>
  /** By `eventId endpointId fence`. */
  readonly calls: Table<string, CallRow>
  readonly runs: Table<bigint, RunRow>
  /** What is known wherever an event is written: the time, and how many shards there are. */
  readonly telling: { nowMs: number; shards: number }
  /** The next value of a sequence; never undone, as in PostgreSQL. */
  nextval(sequence: `${'user' | 'payment' | 'dead_letter' | 'operator_act' | Told}_ids`): bigint
  /** Run `work` as one transaction: all of its changes or none. */
  atomically<T>(work: () => T): T
  /** Run `work`, and undo and refuse it if it writes: what a read-only server does. */
  reading<T>(work: () => T): T
  /** Grows with each transaction that changed something. */
  version(): number
}

/** What has to do with telling of events. */
type Told = 'event' | 'webhook_endpoint' | 'endpoint_act' | 'redrive'

/** The row with this id, if it lives in this shard. */
export function inShard<Key, Row extends { readonly shard: number }>(
  table: Table<Key, Row>,
  key: Key,
  shard: unknown,
): Row | undefined {
  const row = table.get(key)
  return row?.shard === shard ? row : undefined
}

const UNCOUNTED = {
  enqueued: 0n,
  started: 0n,
  succeeded: 0n,
  failed: 0n,
  in_doubt: 0n,
  retried: 0n,
  letters: 0n,
  resolved_success: 0n,
  resolved_failed: 0n,
}

/** Add to the counts of a shard, as a part of the statement that did what is counted. */
export function count(
  tables: Tables,
  shard: unknown,
  what: keyof typeof UNCOUNTED,
  by: number,
): void {
  if (by === 0) return
  const row = tables.counts.get(Number(shard)) ?? { shard: Number(shard), ...UNCOUNTED }
  tables.counts.set(row.shard, { ...row, [what]: row[what] + BigInt(by) })
}

/** An error as PostgreSQL reports it. */
export class SqlError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Throw a violation of a unique key or a check. */
export function refuseUnless(fact: boolean, code: '23505' | '23514', constraint: string): void {
  if (!fact) throw new SqlError(code, `violates ${constraint}`)
}

/** One of each, made by `table`. */
function emptyTables(
  table: <Key, Row>() => Table<Key, Row>,
): Omit<Tables, 'telling' | 'nextval' | 'atomically' | 'reading' | 'version'> {
  return {
    users: table(),
    payments: table(),
    keys: table(),
    tasks: table(),
    watches: table(),
    attempts: table(),
    postings: table(),
    letters: table(),
    openLetters: table(),
    counts: table(),
    acts: table(),
    children: table(),
    childRefs: table(),
    details: table(),
    references: table(),
    refs: table(),
    events: table(),
    endpoints: table(),
    subscriptions: table(),
    deliveries: table(),
    calls: table(),
    runs: table(),
  }
}

export function memoryTables(): Tables {
  let undo: (() => void)[] = []
  let version = 0
  let taken = 0
  const sequences = new Map<string, bigint>()

  const table = <Key, Row>(): Table<Key, Row> => {
    const rows = new Map<Key, Row>()
    const remember = (key: Key): void => {
      const before = rows.get(key)
      undo.push(() => (before === undefined ? rows.delete(key) : rows.set(key, before)))
    }
    return {
      rows,
      get: (key) => rows.get(key),
      set(key, row) {
        remember(key)
        rows.set(key, row)
      },
      delete(key) {
        remember(key)
        rows.delete(key)
      },
    }
  }

  return {
    ...emptyTables(table),
    telling: { nowMs: 0, shards: 2 },
    nextval(sequence) {
      const value = (sequences.get(sequence) ?? 0n) + 1n
      sequences.set(sequence, value)
      taken += 1
      return value
    },
    atomically(work) {
      undo = []
      try {
        const result = work()
        if (undo.length > 0) version += 1
        return result
      } catch (error) {
        for (const back of undo.reverse()) back()
        throw error
      }
    },
    reading(work) {
      undo = []
      const before = taken
      try {
        const result = work()
        if (undo.length > 0 || taken > before) throw new ReadOnly('the database is read-only')
        return result
      } catch (error) {
        for (const back of undo.reverse()) back()
        throw error
      }
    },
    version: () => version,
  }
}
