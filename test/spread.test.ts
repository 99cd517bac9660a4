import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../src/domain/random.ts'
import { spread, type Bucket } from '../src/domain/spread.ts'

function after(buckets: readonly Bucket<string>[], nodes: readonly string[]): number[] {
  const moves = spread(nodes, buckets)
  const at = new Map(buckets.map(({ id, node }) => [id, node]))
  for (const { id, from, to } of moves) {
    assert.equal(at.get(id), from, 'it is moved from where it is')
    at.set(id, to)
  }
  return nodes.map((node) =>
    buckets.reduce((sum, { id, shards }) => sum + (at.get(id) === node ? shards : 0), 0),
  )
}

const bucket = (id: string, node: string, shards: number) => ({ id, node, shards })

test('shards are spread as evenly as whole buckets allow', () => {
  const ones = Array.from({ length: 9 }, (_, index) => bucket(`${index}`, 'a', 1))
  assert.deepEqual(after(ones, ['a', 'b']).toSorted(), [4, 5])
  assert.deepEqual(after(ones, ['a', 'b', 'c']), [3, 3, 3])
  assert.deepEqual(after([bucket('0', 'a', 5)], ['a', 'b']), [5, 0], 'one bucket stays whole')
  assert.deepEqual(after([bucket('0', 'a', 0), bucket('1', 'a', 0)], ['a', 'b']), [0, 0])
})

test('where shards are even already nothing is moved, and a node of no use gets none', () => {
  const even = [bucket('0', 'a', 2), bucket('1', 'b', 1), bucket('2', 'b', 1)]
  assert.deepEqual(spread(['a', 'b'], even), [])
  assert.deepEqual(spread(['a'], [bucket('0', 'a', 3)]), [])
  assert.deepEqual(spread<string>([], []), [])
  const empty = [bucket('0', 'a', 5), bucket('1', 'a', 0), bucket('2', 'a', 0)]
  assert.deepEqual(spread(['a', 'b'], empty), [], 'nor is one moved that has none')
})

test('any number of shards in any buckets end within the largest bucket of each other', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 300; round += 1) {
    const nodes = ['a', 'b', 'c', 'd'].slice(0, 1 + Math.floor(random() * 4))
    const buckets = Array.from({ length: 64 }, (_, index) =>
      bucket(
        `${index}`,
        nodes[Math.floor(random() * nodes.length)] ?? '',
        Math.floor(random() * 4),
      ),
    )
    const counts = after(buckets, nodes)
    const largest = Math.max(...buckets.map(({ shards }) => shards))
    assert.ok(Math.max(...counts) - Math.min(...counts) <= Math.max(1, largest), counts.join())
  }
})
