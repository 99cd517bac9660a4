import { ID_MAX } from './shard.ts'

/** A range of ids of payments: from the first up to, and without, the end. */
export interface IdRange {
  /** Its number: the tables of a range are named by it. */
  readonly number: number
  /** Null: it has every id below its end, and what belongs to no payment. */
  readonly from: bigint | null
  readonly to: bigint
}

/** A table that is cut into ranges. */
export type RangedTable = 'payments' | 'payment_attempts' | 'postings'

/** By what each of them is. */
export const RANGED = {
  payments: 'id',
  payment_attempts: 'payment_id',
  postings: 'payment_id',
} as const satisfies Record<RangedTable, string>

/** The table of a range. */
export function tableOf(table: RangedTable, number: number): string {
  return `${table}_p${number}`
}

/** The range that all ids are in; null: there is no such one. */
export function rangeOf(ranges: readonly IdRange[], ids: readonly bigint[]): IdRange | null {
  const [first] = ids
  if (first === undefined) return null
  const range = ranges.find(({ from, to }) => (from === null || first >= from) && first < to)
  if (range === undefined) return null
  const within = (id: bigint) => (range.from === null || id >= range.from) && id < range.to
  return ids.every(within) ? range : null
}

/** The largest id that may have been given, where each number makes an id for one of the shards. */
export function givenUpTo(number: bigint, shards: number): bigint {
  return (number + 1n) * BigInt(shards) - 1n
}

/** How many ranges are behind the one with the largest id that was given. */
export function rangesAhead(ranges: readonly IdRange[], given: bigint): number {
  return ranges.filter(({ from }) => from !== null && from > given).length
}

/** Where the first range ends that has all ids up to `given`: at a multiple of their size. */
export function firstEnd(given: bigint, size: bigint): bigint {
  return (given / size + 1n) * size
}

/**
 * The ranges that are to be made so that `ahead` of them are behind the one with `given`, the
 * largest id that was given. Each begins where the one before it ends, so there are no gaps.
 */
export function missingRanges(
  ranges: readonly IdRange[],
  given: bigint,
  { size, ahead }: { readonly size: bigint; readonly ahead: number },
): IdRange[] {
  const last = ranges.reduce<IdRange | null>(
    (one, other) => (one === null || other.to > one.to ? other : one),
    null,
  )
  if (last === null) return []
  const until = firstEnd(given, size) + size * BigInt(ahead)
  const missing: IdRange[] = []
  for (let { to: from, number } = last; from < until; from += size) {
    number += 1
    if (from + size > ID_MAX) break
    missing.push({ number, from, to: from + size })
  }
  return missing
}

/** How many ids a range has, as the newest that was made; null: there is only the first. */
export function sizeOf(ranges: readonly IdRange[]): bigint | null {
  const newest = ranges.findLast(({ from }) => from !== null)
  return newest === undefined || newest.from === null ? null : newest.to - newest.from
}

/** More tables than this make everything slow that looks at all of them. */
const TABLES_MAX = 2_000

/** A sentence, if so many ranges have too many tables; null: they have not. */
export function tooManyRanges(count: number): string | null {
  const tables = count * Object.keys(RANGED).length
  if (tables <= TABLES_MAX) return null
  return (
    `Payments would be in ${count} ranges, which are ${tables} tables, and more than ` +
    `${TABLES_MAX} are too many: take more ids for each, with \`payments partitions --size\`.`
  )
}
