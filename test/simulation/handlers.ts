import type { Tables } from './tables.ts'

/** What a statement can know beside its values. */
export interface Context {
  /** The database's clock. */
  readonly nowMs: number
  /** Whether the transaction of the statement holds this row's lock. */
  readonly mine: (lock: string) => boolean
  /** Whether no other transaction holds this row's lock. */
  readonly free: (lock: string) => boolean
}

/** A statement's counterpart: the rows it locks, in order, and what it does once it has them. */
export interface Handler {
  /** The statements that this one is made of, in order: then they run and not `run`. */
  readonly parts?: (values: readonly unknown[]) => readonly (readonly [string, unknown[]])[]
  readonly locks?: (tables: Tables, values: readonly unknown[]) => string[]
  /** It takes the locks that are free, and waits for none. */
  readonly skipsLocked?: boolean
  readonly run: (tables: Tables, values: readonly unknown[], context: Context) => unknown[]
}

/** Handlers by `Statement.name`. */
export type Handlers = Readonly<Record<string, Handler>>

/** The lock of a user's, a task's or a payment's row. */
export const userLock = (id: bigint): string => `user ${id}`
export const taskLock = (id: bigint): string => `task ${id}`
export const paymentLock = (id: bigint): string => `payment ${id}`

/** An array parameter: a JavaScript array, or the text of a PostgreSQL array without quotes. */
export function texts(value: unknown): (string | null)[] {
  if (Array.isArray(value)) return value as (string | null)[]
  const inside = String(value).slice(1, -1)
  return inside === '' ? [] : inside.split(',').map((one) => (one === 'null' ? null : one))
}

export function ids(value: unknown): bigint[] {
  return texts(value).map((one) => BigInt(one as string))
}

export function ints(value: unknown): number[] {
  return texts(value).map(Number)
}

/** The session's time, or the database's own: `coalesce($2, clock_timestamp())`. */
export function time(value: unknown, context: Context): number {
  return value instanceof Date ? value.getTime() : context.nowMs
}

/** Ids in order, each once. */
export function sorted(all: readonly bigint[]): bigint[] {
  return [...new Set(all)].sort((one, other) => (one < other ? -1 : 1))
}

/** A column of ids of which some are not there. */
export function idsOrNone(value: unknown): (bigint | null)[] {
  return texts(value).map((one) => (one === null ? null : BigInt(one)))
}
