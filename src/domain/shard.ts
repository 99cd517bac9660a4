import { createHash } from 'node:crypto'

/** The largest id that can be: a `bigint` of PostgreSQL holds no larger one. */
export const ID_MAX = 9_223_372_036_854_775_807n

/**
 * The shard of a user or payment id. An id tells its shard: id = n × shards + shard. An id that
 * cannot be, because it is below 0, has one as well, in which nobody will find it.
 */
export function shardOf(id: bigint, shards: number): number {
  const rest = Number(id % BigInt(shards))
  return rest < 0 ? rest + shards : rest
}

/**
 * The shard of what has no id yet and is found by a text, such as a key: the same text always has
 * the same one, so it can be unique.
 */
export function shardOfText(text: string, shards: number): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) % shards
}

/** A database that got more shards: what it has of before stays under its ids. */
export interface Grown {
  /** How many shards there were at first. */
  readonly from: number
  /** Ids below this one were given before: how they leave the number of shards tells no shard. */
  readonly below: bigint
}

/** How many shards a database has, and how it came to them. */
interface Shards {
  readonly count: number
  /** Null: it has had as many from the start. */
  readonly grown: Grown | null
}

/** What a database that is being filled has instead: no process uses it. */
export const UNFINISHED = 'unfinished'

/** How many shards there are, as a database has it stored: `64`, or `64 (1 below 640128)`. */
export function shardsText({ count, grown }: Shards): string {
  return grown === null ? `${count}` : `${count} (${grown.from} below ${grown.below})`
}

/** Read what a database has stored of its shards; null: it cannot be used. */
export function readShards(text: string): Shards | null {
  const found = /^(\d+)(?: \((\d+) below (\d+)\))?$/.exec(text)
  if (found === null) return null
  const [, count, from, below] = found
  const grown =
    from === undefined || below === undefined ? null : { from: Number(from), below: BigInt(below) }
  return { count: Number(count), grown }
}
