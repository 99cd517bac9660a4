import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { readSought } from '../src/domain/search.ts'
import { search } from '../src/search/search.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, JANE, openLetter } from './operators.ts'

async function find(world: TestWorld, typed: string) {
  const sought = readSought(typed)
  assert(sought !== null)
  const { payments } = await search(world.db, sought)
  return payments.map(({ view, by }) => [view.payment.id, by.toSorted()] as const)
}

/** Payments with ids from `first` on, all alike but for what is given as SQL over `n`. */
async function crowd(
  world: TestWorld,
  [first, last]: readonly [number, number],
  { amount = 100, currency = 'null', key = 'null', ref = 'null', reference = 'null' },
): Promise<void> {
  await world.sql(`
    with made as (
      insert into payments
        (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at,
         currency, idempotency_key, gateway_ref)
      select
        n % ${world.db.shards.length}, n, n, 'deposit',
        'success', ${amount}, 0, 0, '2030-01-01', '2030-01-01', ${currency}, ${key}, ${ref}
      from generate_series(${first}, ${last}) n
      returning shard, id
    )
    insert into payment_details (shard, payment_id, reference, sent)
    select shard, id, ${reference}, '{}' from made where ${reference} is not null`)
}

for (const shards of [1, 2]) {
  test(`what is called like an amount is found behind any number of payments of that amount, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await crowd(world, [50, 50], {})
    await crowd(world, [51, 51], { key: `'50'` })
    await crowd(world, [52, 52], { ref: `'50'` })
    await crowd(world, [53, 53], { reference: `'50'` })
    await crowd(world, [100, 199], { amount: 5_000 })
    const found = await find(world, '50')
    assert.equal(found.length, 20)
    assert.deepEqual(found.slice(0, 5), [
      [50n, ['payment_id']],
      [53n, ['reference']],
      [52n, ['gateway_ref']],
      [51n, ['idempotency_key']],
      [199n, ['amount']],
    ])
  })

  test(`none of the ways in which payments are called so hides another, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await crowd(world, [50, 50], {})
    await crowd(world, [51, 51], { ref: `'50'` })
    await crowd(world, [200, 299], { key: `'50'` })
    await crowd(world, [300, 399], { reference: `'50'` })
    await crowd(world, [400, 499], { amount: 5_000 })
    const found = await find(world, '50')
    assert.deepEqual(found[0], [50n, ['payment_id']])
    const ways = new Map(found.map(([, [by]]) => [by, found.filter(([, is]) => is[0] === by)]))
    assert.deepEqual(ways.get('gateway_ref'), [[51n, ['gateway_ref']]])
    assert.deepEqual(ways.get('idempotency_key')?.[0]?.[0], 299n)
    assert.deepEqual(ways.get('reference')?.[0]?.[0], 399n)
    assert.equal(ways.has('amount'), false)
    assert.equal(found.length, 20)
  })
}

test('an amount in one currency is found behind any number of others of as many minor units', async (t) => {
  const world = await testWorld(t)
  await crowd(world, [1, 1], { amount: 5_000 })
  await crowd(world, [2, 2], { amount: 50, currency: `'JPY'` })
  await crowd(world, [3, 3], { amount: 50_000, currency: `'KWD'` })
  await crowd(world, [100, 199], { amount: 50 })
  await crowd(world, [200, 299], { amount: 5_000, currency: `'JPY'` })
  await crowd(world, [300, 399], { amount: 50_000, currency: `'EUR'` })
  assert.deepEqual(await find(world, '50.00'), [
    [3n, ['amount']],
    [2n, ['amount']],
    [1n, ['amount']],
  ])
})

test('a payment that repeats another is found by the reference that they share', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'deposit')
  await world.sql(
    `insert into payment_details (shard, payment_id, reference, sent)
     values (0, $1, 'order-7', '{}')`,
    [id],
  )
  const letterId = await openLetter(world, id)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert(answer?.kind === 'redriven' && answer.newPaymentId !== null)
  assert.deepEqual(await find(world, 'order-7'), [
    [answer.newPaymentId, ['reference']],
    [id, ['reference']],
  ])
})
