import { createHash } from 'node:crypto'

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
