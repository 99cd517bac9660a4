import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  claimWatches,
  endWatches,
  holdWatch,
  insertWatches,
  watchNoticed,
} from '../src/queue/watches-store.ts'
import { cancelPayments } from '../src/operators/cancel.ts'
import { LEASE_MS, raw, testWorld } from './harness.ts'
import { accepted, JANE } from './operators.ts'

/** A row of what is looked at; times in milliseconds from now. */
const ROW = { id: 1, gateway: 'http', in_ms: 0, leased: false, noticed: false, looked: false }

type Row = typeof ROW & { readonly shard?: number; readonly fence?: number }

/** What is looked at as rows, in a database of its own. */
async function looks(t: TestContext) {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard)
  const at = (ms: number) => new Date(world.clock.now().getTime() + ms)
  return {
    world,
    shard,
    async put(...rows: readonly Partial<Row>[]) {
      for (const row of rows) {
        const {
          id,
          gateway,
          in_ms,
          leased,
          noticed,
          looked,
          shard: of = 0,
          fence = 1,
        } = {
          ...ROW,
          ...row,
        }
        await world.sql(
          `insert into payment_watches
             (shard, payment_id, gateway, run_at, fence, leased, noticed, looked)
           values ($1, $2, $3, $4, $5, $6, $7, $8)`,
          [of, id, gateway, at(in_ms), fence, leased, noticed, looked],
        )
      }
    },
    /** The rows by their ids, each as what differs from one that is due and nothing else. */
    async rows() {
      const all = await world.sql<Row & { shard: number }>(
        `select shard, payment_id::int as id, gateway, leased, noticed, looked,
           (extract(epoch from run_at - $1::timestamptz) * 1000)::int as in_ms
         from payment_watches
         order by shard, payment_id`,
        [at(0)],
      )
      return Object.fromEntries(
        all.map(({ shard: of, id, ...row }) => [
          `${of}/${id}`,
          Object.fromEntries(
            Object.entries(row).filter(([name, value]) => value !== ROW[name as keyof typeof ROW]),
          ),
        ]),
      )
    },
    claimed: async (limit = 100) =>
      (await claimWatches(shard, 'http', limit, LEASE_MS)).map(({ paymentId }) => paymentId),
  }
}

test('those are looked at that are due, of their gateway and shard, the oldest first', async (t) => {
  const { put, rows, claimed } = await looks(t)
  await put(
    { id: 1 },
    { id: 2, in_ms: -20 },
    { id: 3, in_ms: -30 },
    { id: 4, in_ms: 1 },
    { id: 5, in_ms: -40, gateway: 'other' },
    { id: 6, in_ms: -40, shard: 1 },
    { id: 7, in_ms: -10, looked: true },
  )
  const before = await rows()
  assert.deepEqual(new Set(await claimed(2)), new Set([2n, 3n]))
  const lease = { in_ms: LEASE_MS, leased: true }
  assert.deepEqual(await rows(), { ...before, '0/2': lease, '0/3': lease })
  assert.deepEqual(await claimed(), [1n])
  const { '0/7': _, ...kept } = before
  assert.deepEqual(await rows(), { ...kept, '0/1': lease, '0/2': lease, '0/3': lease })
})

test('a claim of looks waits for nobody who holds one of them, and takes the others', async (t) => {
  const { world, put, claimed } = await looks(t)
  await put({ id: 1 }, { id: 2 })
  const [other] = world.connect().shards
  await other?.transaction(async (tx) => {
    await tx.run(raw('select from payment_watches where payment_id = 1 for update'), [])
    assert.deepEqual(await claimed(), [2n])
  })
  assert.deepEqual(await claimed(), [1n])
})

test('a claim of a lost look has heard what was noticed before it', async (t) => {
  const { put, rows, claimed } = await looks(t)
  await put({ id: 1, leased: true, noticed: true })
  assert.deepEqual(await claimed(), [1n])
  assert.deepEqual(await rows(), { '0/1': { in_ms: LEASE_MS, leased: true } })
})

test('whoever wants a look has it sooner, never later, and not under the hands of who looks', async (t) => {
  const { shard, put, rows } = await looks(t)
  await put(
    { id: 1, in_ms: 50 },
    { id: 2, in_ms: 5_000 },
    { id: 3, in_ms: 5_000, leased: true },
    { id: 4, in_ms: 5_000, looked: true },
    { id: 6, in_ms: 500, leased: true },
  )
  await shard.transaction(async (tx) =>
    insertWatches(
      tx,
      [1n, 2n, 3n, 4n, 5n, 6n].map((paymentId) => ({ paymentId, gateway: 'http', delayMs: 1_000 })),
    ),
  )
  assert.deepEqual(await rows(), {
    '0/1': { in_ms: 50 },
    '0/2': { in_ms: 1_000 },
    '0/3': { in_ms: 5_000, leased: true, noticed: true },
    '0/4': { in_ms: 1_000 },
    '0/5': { in_ms: 1_000 },
    '0/6': { in_ms: 500, leased: true, noticed: true },
  })
})

test('a look ends when it says, but for a notice that came meanwhile, and only once', async (t) => {
  const { shard, put, rows } = await looks(t)
  const held = { in_ms: 5_000, leased: true, fence: 7 }
  await put({ ...held, id: 1 }, { ...held, id: 2, noticed: true }, { ...held, id: 3, fence: 8 })
  assert.deepEqual(
    await Promise.all([1n, 3n].map((paymentId) => holdWatch(shard, { paymentId, fence: 7n }))),
    [true, false],
  )
  const ends = [1n, 2n, 3n].map((paymentId) => {
    return { paymentId, userId: 1n, fence: 7n, delayMs: 60_000 }
  })
  await endWatches(shard, ends)
  const after = { '0/1': { in_ms: 60_000 }, '0/2': {}, '0/3': { in_ms: 5_000, leased: true } }
  assert.deepEqual(await rows(), after)
  await endWatches(
    shard,
    ends.map((end) => ({ ...end, delayMs: 90_000 })),
  )
  assert.deepEqual(await rows(), after)
  assert.equal(await holdWatch(shard, { paymentId: 1n, fence: 7n }), false, 'it has ended')
})

test('a payment that was never sent is not looked at, whoever sends a notice of it', async (t) => {
  const { world, shard, rows } = await looks(t)
  const [id = 0n] = await accepted(world, 'deposit')
  await cancelPayments(world.db, JANE, [id])
  assert.equal(await watchNoticed(shard, id, { gateway: 'http', operation: 'charge' }), false)
  assert.deepEqual(await rows(), {})
})
