import type { CameBack, ChargeOutcome, LookupOutcome } from './domain/outcome.ts'
import type { GatewayOperation, GatewayProfile } from './domain/gateway-profile.ts'
import type { GatewayReturn } from './domain/gateway-return.ts'
import type { EndStatus, Operation } from './domain/payment.ts'
import type { RangedTable } from './domain/id-ranges.ts'
import type { Grown } from './domain/shard.ts'

/**
 * A static SQL text with its name. The name is the key of the prepared statement on every
 * connection and of its counterpart in the simulator, so it is unique and never reused.
 * `Row` is what the statement returns; the tests compare it with what PostgreSQL sends.
 *
 * A statement is about one shard, so that it can run wherever that shard is: the session puts the
 * shard's number in front of the values, as `$1`.
 */
export interface Statement<Row> {
  readonly name: string
  readonly text: string
  readonly row?: Row
  /**
   * It reads the time, which the session puts behind the shard's number: as `$2` it gets the time
   * that is to count as now, or null for the database's own clock. PostgreSQL refuses a parameter
   * that a text does not mention, so it has to be said. `timed` says it.
   */
  readonly clock?: true
  /** It is about no shard. */
  readonly sharded?: false
  /**
   * Its first value lists the payments whose rows it is about, so it can be sent to the one range
   * that has them all.
   */
  readonly ranged?: RangedTable
}

/** A statement about no shard: before its values there is nothing, or its clock alone as `$1`. */
export interface Unsharded<Row> extends Statement<Row> {
  readonly sharded: false
}

/** The time that counts as now. */
export const NOW = Symbol('now')
/** The CTE `clock`: one row, with the time that counts as now for all of the statement. */
export const CLOCK = Symbol('clock')
/** When the transaction began. */
export const BEGAN = Symbol('began')

/**
 * The CTE `lease`, for a text with that of the clock: the end of a lease of `$4` milliseconds that
 * begins now. A part of its own, because an UPDATE on Citus may add no interval to what it reads.
 */
export const LEASE = `lease as materialized (
    select time, time + $4::int * interval '1 millisecond' as until
    from clock
  )`

type Time = typeof NOW | typeof CLOCK | typeof BEGAN

/**
 * The text of a statement that reads the time, and the word to the session that it does. Where the
 * text reads it stands `NOW`, `CLOCK` or `BEGAN`. They are symbols, so that no other text can hold
 * them: the parameter's number stands only here. The statement's own values begin with `$3`.
 */
export function timed(texts: TemplateStringsArray, ...parts: readonly (string | Time)[]) {
  return { clock: true, text: filled('$2', texts, parts) } as const
}

/** The same for a statement about no shard. Its own values begin with `$2`. */
export function timedUnsharded(texts: TemplateStringsArray, ...parts: readonly (string | Time)[]) {
  return { sharded: false, clock: true, text: filled('$1', texts, parts) } as const
}

function filled(
  given: '$1' | '$2',
  texts: TemplateStringsArray,
  parts: readonly (string | Time)[],
): string {
  const now = `coalesce(${given}::timestamptz, clock_timestamp())`
  const times = {
    [NOW]: now,
    [CLOCK]: `clock as materialized (\n    select ${now} as time\n  )`,
    [BEGAN]: `coalesce(${given}::timestamptz, now())`,
  }
  const sql = (part: string | Time) => (typeof part === 'symbol' ? times[part] : part)
  return texts.reduce((text, next, index) => `${text}${sql(parts[index - 1] ?? '')}${next}`)
}

/** Runs statements about one shard. */
export interface Runner {
  run<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]>
  /**
   * Where payments are in ranges: the statement about those of the first range alone. Only there
   * are keys in an index; `payment_keys` has those of the others. Null, or not there: it has to be
   * asked as it is, which finds all of them wherever they are.
   */
  ofFirstRange?<Row>(statement: Statement<Row>): Statement<Row> | null
}

/** What numbers are taken from. An id is number × shards + shard, so it tells its shard. */
export type Sequence = 'payment_ids' | 'dead_letter_ids' | 'operator_act_ids'

/**
 * Runs statements about one shard within one transaction. Statements started together share one
 * round trip, and `write`s travel with COMMIT: nobody waits for their rows, and the failure of one
 * fails the whole transaction.
 */
export interface Tx extends Runner {
  write<Row>(statement: Statement<Row>, values: readonly unknown[]): void
  /**
   * Take `count` unused ids of this shard, in ascending order. Never reused: a rollback leaves a
   * gap.
   */
  ids(sequence: Sequence, count: number): Promise<bigint[]>
}

/**
 * One shard of the database. `transaction` commits what `work` wrote, or nothing.
 *
 * Serialization failures and deadlocks are retried by running `work` again, so `work` has no effect
 * outside its transaction. Throws `CommitUnknown` when the reply to COMMIT was lost (it may have
 * committed), `Unavailable` when nothing was committed because the database cannot be reached, and
 * `Busy` when nothing was committed because a lock could not be had or a statement took too long.
 */
export interface Shard extends Runner {
  readonly number: number
  /** `lockMs`: the longest wait of a statement for a lock; the database's own limit if left out. */
  transaction<T>(work: (tx: Tx) => Promise<T>, lockMs?: number): Promise<T>
}

/** Runs statements about no shard. */
export interface Global {
  run<Row>(statement: Unsharded<Row>, values: readonly unknown[]): Promise<Row[]>
}

/** The shards that one server holds, from the first to the last. */
export interface Server {
  readonly first: number
  readonly last: number
}

/** What is found by its id alone. */
export type IdKind = 'payment' | 'letter' | 'event'

/** Tells of ids in which shards they are. */
export interface Places {
  of(id: bigint): Shard
}

/**
 * The database: its shards, and what belongs to none of them. Shards are gone through in
 * `each-shard.ts`. It is one server that holds everything, or several: then no transaction is
 * about shards of two, or about shards and what belongs to none.
 */
export interface Db extends Places {
  readonly shards: readonly Shard[]
  /** Which shards are together on a server, in their order. */
  readonly servers: readonly Server[]
  /** Who looks into a table on one server sees the rows of all of them. */
  readonly oneTable?: true
  /** The currency of the books: that of every account that has none of its own. */
  readonly currency: string
  /** The shard that a user lives in, with everything that is the user's. */
  of(userId: bigint): Shard
  /**
   * Where payments, letters or events are, of which nothing but the id is known. Their ids tell it,
   * but for those that were given before the database got more shards: these are looked for, one
   * statement for each server. What is nowhere is where its id says. Where a server cannot be asked
   * and no other has it, the shard that is told refuses everything with the reason.
   */
  find(kind: IdKind, ids: readonly bigint[]): Promise<Places>
  /** Whether the database got more shards, and when; null: it has had them from the start. */
  growth(): Promise<Grown | null>
  readonly global: Global
  /** Take `count` unused ids of users, of any shards. Never reused. */
  userIds(count: number): Promise<bigint[]>
}

/** The database cannot be reached, or takes no work at all. Nothing was committed. */
export class Unavailable extends Error {
  override readonly name: string = 'Unavailable'
}

/**
 * The server answers and takes no writes: it was demoted, or is a standby. Nothing was committed.
 */
export class ReadOnly extends Unavailable {
  override readonly name = 'ReadOnly'
}

/**
 * The database is well, and this one transaction could not be done. Nothing was committed.
 * `locked`: somebody else holds the lock of something that it needs, so without that it can be
 * done. `slow`: a statement took longer than it may.
 */
export class Busy extends Error {
  override readonly name = 'Busy'
  readonly why: 'locked' | 'slow'
  constructor(why: 'locked' | 'slow', options?: ErrorOptions) {
    super(why === 'locked' ? 'somebody else holds a lock' : 'a statement took too long', options)
    this.why = why
  }
}

/** Whether a transaction failed only because somebody else holds a lock that it needs. */
export function isLocked(error: unknown): boolean {
  return error instanceof Busy && error.why === 'locked'
}

/** COMMIT was sent and no reply came: the transaction may have committed. The retry finds out. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown'
}

/** What the service asks of time. Only this port knows what time it is. */
export interface Clock {
  /** Wall-clock time, for stamps that people read. */
  now(): Date
  /** Milliseconds that never run backwards, for durations and deadlines inside one process. */
  elapsedMs(): number
  /** Wait; resolves early, without an error, when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** What was learned of a span by its end. */
interface SpanEnd {
  /** Why it failed, as a code; null or not there: it did not. */
  readonly failed?: string | null
  readonly attributes?: SpanAttributes
}

export type SpanAttributes = Readonly<Record<string, string | number | bigint>>

/** Something that is being done, as traces show it. */
export interface Span {
  /** Its place in its trace, as the header `traceparent` names it. */
  readonly traceparent: string
  /** It is over. Never throws, and waits for nobody. */
  end(how?: SpanEnd): void
}

/** A span that begins. */
export interface SpanStart {
  readonly name: string
  readonly kind: 'server' | 'client' | 'internal'
  /** The `traceparent` of what it is a part of; null: a trace begins with it. */
  readonly parent: string | null
  readonly attributes?: SpanAttributes
}

/**
 * Begin a batch, with a link to each trace that has a part in it, and get what ends it. One span,
 * and none where none of the traces is kept.
 */
export type BatchSpan = (name: string, traceparents: readonly string[]) => () => void

/** Where spans go. There is none unless tracing is on. */
export interface Tracer {
  /** Begin a span; null: its trace is not kept. */
  begin(start: SpanStart): Span | null
  /**
   * A batch that took `tookMs` until now, with a link to each trace that has a part in it. One
   * without such is not kept.
   */
  batch(name: string, traceparents: readonly string[], tookMs: number): void
}

/** What was seen of one gateway call. `sent` is false only if no byte of the request left. */
export interface Evidence<Outcome> {
  readonly outcome: Outcome
  readonly sent: boolean
  readonly httpStatus: number | null
}

/**
 * An external payment gateway. Never throws for a remote failure: whatever happens is an outcome.
 * `signal` cuts a call short (shutdown); the driver keeps its own absolute deadline as well.
 */
export interface Gateway {
  readonly profile: GatewayProfile
  /**
   * Charge, pay out or refund `operation.amount` minor units once per `operation.key`, however
   * often it is called.
   *
   * A timeout, a reset, any 5xx or an unreadable reply is `in_doubt`: it may have happened. A
   * refused connection or a 429 is `not_executed`: it did not.
   */
  execute(operation: GatewayOperation, signal?: AbortSignal): Promise<Evidence<ChargeOutcome>>
  /** Ask what became of what was sent under `operation.key`. */
  lookup(operation: GatewayOperation, signal?: AbortSignal): Promise<Evidence<LookupOutcome>>
  /**
   * End what the gateway has taken and not finished. The outcome is what it is afterwards:
   * `declined` where it ended without money, `success` where it was done before, `pending` where it
   * goes on.
   */
  cancel?(operation: GatewayOperation, signal?: AbortSignal): Promise<Evidence<LookupOutcome>>
  /** Whether it sends notices from this address; not there: that is no sign of anything. */
  sendsFrom?(source: string): boolean
  /** Read what the gateway sends by itself. Pure: nothing is looked up or kept. */
  readNotice?(raw: RawNotice): Notice
  close(): Promise<void>
}

/** A request that claims to be a gateway's notice. */
export interface RawNotice {
  /** The address that it came from, behind the proxies that are trusted. */
  readonly source: string
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** What a notice is. It never ends a payment: it says which one is worth asking about. */
export type Notice =
  | {
      /** `authentic`: signed by the gateway. `hint`: where nothing is signed. */
      readonly kind: 'authentic' | 'hint'
      readonly operation: Operation
      /** The gateway's own reference of what it is about. */
      readonly ref: string
      /** By the metadata that we gave it; null: it names none of ours. */
      readonly paymentId: bigint | null
      /** The gateway's own reference of the charge that it is a part of; not there: of none. */
      readonly parentRef?: string
      readonly event: string
      readonly status: string
      /** The same for a notice that is sent again. */
      readonly dedupeKey: string
      /** Of payments that ended so it tells nothing new; not there: of all it may. */
      readonly noNewsOf?: readonly EndStatus[]
    }
  /** It is the gateway's, and about nothing that we use: it is taken, and nothing is done. */
  | { readonly kind: 'ignored'; readonly reason: string }
  /** It may be anybody's, or it says nothing. */
  | { readonly kind: 'refused'; readonly reason: string }

/** A charge that the gateway executed. */
export interface GatewayCharge {
  readonly paymentId: bigint
  readonly key: string | null
  /** As it was listed: which decimals it has is known of its payment. */
  readonly amount: unknown
  /** The currency that the list names; null: none. */
  readonly currency: string | null
  readonly type: string
  /** The gateway's own reference of it; null: the list names none. */
  readonly ref: string | null
  /** Of a refund: the gateway's own reference of its charge; not there: the list names none. */
  readonly parentRef?: string
}

/** A page of executed charges in the gateway's order; `next`: where the next begins, or null. */
export interface ChargePage {
  readonly charges: readonly GatewayCharge[]
  /** Not there: none, or the list does not tell them. */
  readonly returns?: readonly GatewayReturn[]
  /** Of what came back in these ways the list tells all; not there: perhaps of none. */
  readonly tells?: readonly CameBack['kind'][]
  /** Names of what is there and is told as nothing: people book under them. */
  readonly names?: readonly string[]
  readonly next: number | null
}

/** Lists what the gateway executed, after a position that an earlier page gave; 0 at first. */
export type ListCharges = (after: number) => Promise<ChargePage>

/** A gateway by its name, with what it executed; null: nobody can be asked. */
export interface GatewayList {
  readonly gateway: string
  readonly list: ListCharges | null
}

/** The gateway's list cannot be read. Nothing is known about whether it agrees with the books. */
export class GatewayUnreadable extends Error {
  override readonly name = 'GatewayUnreadable'
  /** The same page may be read a moment later. */
  readonly passing: boolean

  constructor(message: string, options: ErrorOptions & { readonly passing?: boolean } = {}) {
    super(message, options)
    this.passing = options.passing === true
  }
}

/** Too much is waiting already: nothing was done, and the same request may be sent again later. */
export class Overloaded extends Error {
  override readonly name = 'Overloaded'
}

/** The gateway has been out of reach for too long, or for too many payments: nothing was done. */
export class GatewayUnavailable extends Error {
  override readonly name = 'GatewayUnavailable'
}
