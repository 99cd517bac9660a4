/**
 * The shard of a user or payment id. An id tells its shard: id = n × shards + shard. An id that
 * cannot be, because it is below 0, has one as well, in which nobody will find it.
 */
export function shardOf(id: bigint, shards: number): number {
  const rest = Number(id % BigInt(shards))
  return rest < 0 ? rest + shards : rest
}
