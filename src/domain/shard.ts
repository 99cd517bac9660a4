/** The shard of a user or payment id. An id tells its shard: id = n × shards + shard. */
export function shardOf(id: bigint, shards: number): number {
  return Number(id % BigInt(shards))
}

/** Group items by shard, in the order of their first item, so that work on each is one batch. */
export function byShard<Item>(
  items: readonly Item[],
  idOf: (item: Item) => bigint,
  shards: number,
): Map<number, Item[]> {
  const groups = new Map<number, Item[]>()
  for (const item of items) {
    const shard = shardOf(idOf(item), shards)
    const group = groups.get(shard)
    if (group === undefined) groups.set(shard, [item])
    else group.push(item)
  }
  return groups
}
