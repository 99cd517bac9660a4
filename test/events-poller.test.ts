import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import pg from 'pg'
import { feed } from '../src/events/feed.ts'
import { pageOfEvents } from '../src/events/read.ts'
import { want } from './events-kit.ts'
import { testWorld } from './harness.ts'

/** Transactions that commit beside each other; `EVENT_COMMITS=20000` for as many as one likes. */
const COMMITS = Number(process.env['EVENT_COMMITS'] ?? 2_000)
const WRITERS = 8
const SHARDS = 2

test('a poller misses no event of transactions that commit in another order than they began', async (t) => {
  const world = await testWorld(t, { shards: SHARDS })
  await want(world, ['payment.succeeded'])
  const state = { written: 0 }
  const writer = async (own: number): Promise<void> => {
    const client = new pg.Client({ connectionString: world.url })
    await client.connect()
    try {
      for (let number = own; number < COMMITS; number += WRITERS) {
        const shard = number % SHARDS
        await client.query('begin')
        // The id is taken, and while it is not committed others take and commit higher ones.
        await client.query(
          `insert into events (shard, id, payment_id, type, sequence, body, created_at)
           select $1::int, nextval('event_ids') * ${SHARDS} + $1::int, $2, 'payment.succeeded', 1,
             '{}', clock_timestamp()`,
          [shard, number + 1],
        )
        for (let turns = number % 7; turns > 0; turns -= 1) await turn()
        await client.query('commit')
        state.written += 1
      }
    } finally {
      await client.end()
    }
  }
  const writing = Promise.all(Array.from({ length: WRITERS }, (_, own) => writer(own)))
  const done = writing.then(() => true)
  let over = false
  done.then(
    () => (over = true),
    () => (over = true),
  )
  // Two processes place events, and two poll: one page by page, one in small pages.
  const feeding = async (): Promise<void> => {
    for (let placed = 1; placed > 0 || !over;) placed = await feed(world.db)
  }
  const feeds = Promise.all([feeding(), feeding()])
  let fed = false
  feeds.then(
    () => (fed = true),
    () => (fed = true),
  )
  const polling = async (limit: number): Promise<bigint[]> => {
    const seen: bigint[] = []
    let after: readonly bigint[] = world.db.shards.map(() => 0n)
    for (;;) {
      const last = fed
      const { events, next } = await pageOfEvents(world.db, after, null, limit)
      seen.push(...events.map(({ paymentId }) => paymentId ?? -1n))
      const moved = next.some((position, shard) => position !== after[shard])
      after = next
      if (last && !moved) return seen
    }
  }
  const [one, other] = await Promise.all([polling(500), polling(37), done, feeds])
  assert.equal(state.written, COMMITS)
  const all = Array.from({ length: COMMITS }, (_, number) => BigInt(number + 1))
  const inOrder = (seen: readonly bigint[]) => seen.toSorted((a, b) => Number(a - b))
  assert.deepEqual(inOrder(one), all, 'each once')
  assert.deepEqual(inOrder(other), all, 'each once')
})
