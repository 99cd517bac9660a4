/** What is moved from a node to another one as a whole, and how many shards are in it. */
export interface Bucket<Node> {
  readonly id: string
  readonly node: Node
  readonly shards: number
}

/** A bucket that is to be moved. */
export interface Move<Node> {
  readonly id: string
  readonly from: Node
  readonly to: Node
}

/**
 * Which buckets are moved so that each node holds about as many shards: one after the other from
 * the node with most to that with fewest, the largest that makes them more even. Nodes are compared
 * by identity. Empty: it is as even as whole buckets allow.
 */
export function spread<Node>(
  nodes: readonly Node[],
  buckets: readonly Bucket<Node>[],
): Move<Node>[] {
  const at = new Map(buckets.map(({ id, node }) => [id, node]))
  const count = (node: Node) =>
    buckets.reduce((sum, { id, shards }) => sum + (at.get(id) === node ? shards : 0), 0)
  const moves: Move<Node>[] = []
  // Each move makes two nodes more even, so it comes to an end long before this.
  for (let round = 0; round < buckets.length * nodes.length; round += 1) {
    const ordered = nodes.toSorted((one, other) => count(one) - count(other))
    const [to] = ordered
    const from = ordered.at(-1)
    if (from === undefined || to === undefined) break
    const room = count(from) - count(to)
    const [next] = buckets
      .filter(({ id, shards }) => at.get(id) === from && shards > 0 && shards < room)
      .toSorted((one, other) => Math.abs(one.shards - room / 2) - Math.abs(other.shards - room / 2))
    if (next === undefined) break
    at.set(next.id, to)
    moves.push({ id: next.id, from, to })
  }
  return moves
}
