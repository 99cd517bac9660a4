import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { bookReturns } from '../src/refunds/returns.ts'
import { watchNoticed } from '../src/queue/watches-store.ts'
import { testWorld } from './harness.ts'
import { JANE, letters } from './operators.ts'
import { balanced, done, givenBack, refunded } from './refunds-kit.ts'
import { verifyWorld, violated } from './verify-history.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

const CHARGES = { gateway: 'http', operation: 'charge' } as const

/** A deposit with a refund of ours that ended so, and looks at it whenever somebody wants one. */
async function shop(t: TestContext, end: 'success' | 'declined') {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { id } = await done(world)
  const refund = await refunded(world, id, '10')
  world.gateway.script = [end]
  await world.work()
  const [row] = await world.sql<{ key: string }>(
    'select gateway_key::text as key from payments where id = $1',
    [refund],
  )
  const look = async () => {
    world.clock.advance(DAY_MS)
    assert.equal(await watchNoticed(world.db.of(id), id, CHARGES), true)
    return eyes.look()
  }
  const wrong = () => eyes.seen.at(-1)?.refusals.map(({ ref, code }) => [ref, code])
  return { world, eyes, id, refund, key: row?.key ?? '', look, wrong }
}

const THERE = { ...back('re_1', 1_000n, 'refunded_there'), besidesRefund: true } as const

test('a refund of ours that failed here and was made there has an open letter until it is booked', async (t) => {
  const { world, eyes, id, refund, key, look, wrong } = await shop(t, 'declined')
  eyes.refunds.push({ ref: 're_1', ours: { paymentId: refund, key }, back: THERE })
  for (const times of [1, 2]) {
    assert.deepEqual(await look(), ['refused'], `${times}`)
    assert.deepEqual(wrong(), [['re_1', 'refund_made_after_all']])
    const open = (await letters(world, refund)).filter(({ state }) => state === 'open')
    assert.deepEqual(
      open.map(({ error, class: kind }) => [error, kind]),
      [['charged_after_failed', 'unknown']],
    )
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])
  const { db } = world
  await bookReturns({ db, returnFee: 'keep' }, JANE, [{ parentId: id, ...THERE }])
  assert.deepEqual(await look(), ['nothing'])
  assert.equal((await givenBack(world, id))['returned'], 1_000n)
  await balanced(world)
})

test('a refund that only says that it is ours is booked as one of others', async (t) => {
  const { world, eyes, id, refund, key, look } = await shop(t, 'declined')
  world.gateway.script = ['success']
  const other = await done(world)
  for (const [ref, ours] of [
    ['re_1', { paymentId: refund, key: 'another' }],
    ['re_2', { paymentId: 999_999n, key }],
    ['re_3', { paymentId: id, key }],
    ['re_4', { paymentId: other.id, key }],
  ] as const) {
    eyes.refunds.splice(0, 1, { ref, ours, back: { ...THERE, ref, amount: 100n } })
    assert.deepEqual(await look(), ['booked'], ref)
  }
  assert.equal((await givenBack(world, id))['returned'], 400n)
  await balanced(world)
})

test('a refund of ours that was made and fails there afterwards is told, and stays as it is', async (t) => {
  const { world, eyes, refund, key, look, wrong } = await shop(t, 'success')
  const ours = { paymentId: refund, key }
  eyes.refunds.push({ ref: 're_1', ours, back: THERE })
  assert.deepEqual(await look(), ['nothing'])
  eyes.refunds.splice(0, 1, { ref: 're_1', ours, back: null })
  assert.deepEqual(await look(), ['refused'])
  assert.deepEqual(wrong(), [['re_1', 'refund_undone']])
  assert.equal((await world.view(refund)).status, 'success')
  await balanced(world)
})

test('a refund of others that fails after it was booked is taken back, and one that never was is nothing', async (t) => {
  const { world, eyes, id, look } = await shop(t, 'declined')
  const failed = { ...back('re_1:failed', 1_000n, 'dispute_won'), undoes: 're_1' }
  const never = { ...back('re_2:failed', 500n, 'dispute_won'), undoes: 're_2' }
  eyes.came(id, never)
  assert.deepEqual(await look(), ['nothing'])
  const { db } = world
  await bookReturns({ db, returnFee: 'keep' }, JANE, [{ parentId: id, ...THERE }])
  const before = await balanced(world)
  assert.equal((await givenBack(world, id))['returned'], 1_000n)
  eyes.came(id, failed)
  for (const what of ['booked', 'nothing']) assert.deepEqual(await look(), [what])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  assert.equal((await balanced(world))['gateway'], (before['gateway'] ?? 0n) - 1_000n)
  assert.deepEqual(violated(await verifyWorld(world)), [])
})
