import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pageOfViews } from '../src/payments/read.ts'
import type { PaymentFilter } from '../src/payments/filter-store.ts'
import { ANY, testWorld, type TestWorld } from './harness.ts'
import { explaining, type Plan } from './plans-kit.ts'

const PAYMENTS = 6_000
/** Every tenth payment repeats one that is so much older, and every hundredth such a repeat. */
const BEHIND = 504
const TOP = 2n ** 62n

/**
 * Payments of many users with one reference, on shards in turn. The oldest are those of the last
 * user, who has others too; every tenth payment has no reference of its own and repeats another.
 */
async function crowd(t: TestContext, shards: number): Promise<TestWorld> {
  const world = await testWorld(t, { shards })
  await world.sql(`
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at,
       idempotency_key, redrive_of)
    select
      n % ${shards}, n,
      case when n <= 30 or n % 1000 = 7 then ${100 * shards} + n % ${shards}
        else n % ${10 * shards} + ${shards} end,
      'deposit', case when n % 2 = 0 then 'failed' else 'success' end, 100, 2, 200, now(), now(),
      case when n = 30 then 'mine' end,
      case when n % 100 = 0 and n > 600 then n - 10
        when n % 10 = 0 and n > ${BEHIND} then n - ${BEHIND} end
    from generate_series(1, ${PAYMENTS}) as n`)
  await world.sql(`
    insert into payment_details (shard, payment_id, reference, sent)
    select shard, id, case when id % 1000 = 7 then 'other' else 'often' end, '{}'
    from payments where redrive_of is null`)
  await world.sql('analyze payments, payment_details')
  return world
}

async function all(world: TestWorld, filter: Partial<PaymentFilter>, limit: number) {
  const ids: bigint[] = []
  for (let before: bigint | null = TOP; before !== null;) {
    const { views, next } = await pageOfViews(world.db, { ...ANY, ...filter }, before, limit)
    assert.ok(views.length <= limit)
    assert.ok(next === null || next < before, 'it goes on')
    ids.push(...views.map(({ payment }) => payment.id))
    before = next
  }
  return ids
}

/** The ids that are there, by a plain reading of the tables. */
async function expected(world: TestWorld, reference: string, where = 'true') {
  const rows = await world.sql<{ id: bigint }>(`
    with recursive found (id) as (
      select payment_id from payment_details where reference = '${reference}'
      union
      select payments.id from payments join found on payments.redrive_of = found.id
    )
    select id from payments where id in (select id from found) and ${where} order by id desc`)
  return rows.map(({ id }) => id)
}

for (const shards of [1, 2]) {
  test(`however many have a reference, its list has all of them and each user's, on ${shards} shards`, async (t) => {
    const world = await crowd(t, shards)
    const often = await expected(world, 'often')
    assert.ok(often.length > 5_000)
    assert.deepEqual(await all(world, { reference: 'often' }, 500), often)
    assert.deepEqual((await all(world, { reference: 'often' }, 1_000)).length, often.length)
    assert.deepEqual(await all(world, { reference: 'other' }, 2), await expected(world, 'other'))
    for (const userId of [100n * BigInt(shards), BigInt(shards) + 1n]) {
      const theirs = await expected(world, 'often', `user_id = ${userId}`)
      assert.ok(theirs.length > 1)
      assert.deepEqual(await all(world, { reference: 'often', userId }, 7), theirs)
      const failed = await expected(world, 'often', `user_id = ${userId} and status = 'failed'`)
      const filter = { reference: 'often', userId, status: 'failed' as const }
      assert.deepEqual(await all(world, filter, 100), failed)
    }
    const { views, next } = await pageOfViews(
      world.db,
      { ...ANY, reference: 'often', userId: 999n * BigInt(shards) },
      TOP,
      50,
    )
    assert.deepEqual([views, next], [[], null], 'who has none is told so on the first page')
  })
}

test('a key and a reference are both compared, also that of what a payment repeats', async (t) => {
  const world = await crowd(t, 1)
  const mine = { userId: 100n, idempotencyKey: 'mine' }
  assert.deepEqual(await all(world, { ...mine, reference: 'often' }, 5), [30n])
  assert.deepEqual(await all(world, { ...mine, reference: 'other' }, 5), [])
  await world.sql(`delete from payment_details where payment_id = 30`)
  assert.deepEqual(await all(world, { ...mine, reference: 'often' }, 5), [])
  await world.sql(`update payments set redrive_of = 29 where id = 30`)
  assert.deepEqual(await all(world, { ...mine, reference: 'often' }, 5), [30n])
})

test('a page of one user reads few rows however many have the reference', async (t) => {
  const world = await crowd(t, 1)
  const read = new Map<string, number>()
  const db = explaining(world.db, 'generic', (name, plan) => read.set(name, rowsOf(plan)))
  await pageOfViews(db, { ...ANY, reference: 'often', userId: 100n }, TOP, 50)
  const page = read.get('payments_page_of_user_and_reference') ?? Infinity
  assert.ok(page < 200, [...read].join('; '))
})

function rowsOf(plan: Plan): number {
  const rows = (plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)
  const leaf = plan['Relation Name'] === undefined ? 0 : rows * (plan['Actual Loops'] ?? 0)
  return leaf + (plan.Plans ?? []).reduce((sum, child) => sum + rowsOf(child), 0)
}
