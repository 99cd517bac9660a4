import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findOld } from '../src/adapters/old-ids.ts'
import { Overloaded, type Runner, type Shard } from '../src/ports.ts'

/** Eight shards that came from two, on one server. */
const GROWN = { from: 2, below: 1000n }

const SHARDS: readonly Shard[] = Array.from({ length: 8 }, (_, number) => ({
  number,
  run: () => Promise.resolve([]),
  transaction: () => Promise.reject(new Error('nobody asks')),
}))

/** A server that has payments in shards, and cannot read the shards that are ill. */
function server(rows: ReadonlyMap<bigint, number>, ill: readonly number[], why: Error) {
  const asked: string[] = []
  const run = (_: unknown, [first, last, , ids]: readonly unknown[]) => {
    const from = Number(first)
    const to = Number(last)
    asked.push(`${from}-${to}`)
    if (ill.some((number) => number >= from && number <= to)) return Promise.reject(why)
    const wanted = (ids as string).slice(1, -1).split(',').map(BigInt)
    const found = wanted.flatMap((id) => {
      const number = rows.get(id)
      return number === undefined || number < from || number > to ? [] : [{ id, number }]
    })
    return Promise.resolve(found)
  }
  return { asked, servers: [{ first: 0, last: 7, driver: { run } as unknown as Runner }] }
}

test('a shard that cannot be read hides no payment of before that is in another', async () => {
  const rows = new Map([
    [10n, 2],
    [13n, 7],
    [21n, 5],
  ])
  const { asked, servers } = server(rows, [5], new Error('torn page'))
  const places = await findOld({ grown: GROWN, servers, shards: SHARDS }, 'payment', [10n, 13n])
  assert.deepEqual(
    [10n, 13n].map((id) => places.of(id).number),
    [2, 7],
  )
  assert.deepEqual(asked, ['0-7', '0-3', '4-7', '4-5', '4-4', '5-5', '6-7'])
})

test('a payment of before that may be in a shard that cannot be read is refused with the reason', async () => {
  const { servers } = server(new Map(), [5], new Error('torn page'))
  const ids = [21n, 22n, 2000n]
  const places = await findOld({ grown: GROWN, servers, shards: SHARDS }, 'payment', ids)
  const nothing = { name: 'any', text: '' }
  await assert.rejects(places.of(21n).run(nothing, []), /torn page/)
  // That shard came from the other half, and ids of today tell their shard.
  assert.deepEqual(await places.of(22n).run(nothing, []), [])
  assert.equal(places.of(2000n), SHARDS[0])
})

test('a server that is overloaded is not asked again by its halves', async () => {
  const { asked, servers } = server(new Map(), [0], new Overloaded('full'))
  const places = await findOld({ grown: GROWN, servers, shards: SHARDS }, 'payment', [21n])
  await assert.rejects(places.of(21n).run({ name: 'any', text: '' }, []), Overloaded)
  assert.deepEqual(asked, ['0-7'])
})
