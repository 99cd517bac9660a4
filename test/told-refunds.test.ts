import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { DeadLetter } from '../src/dead-letters/store.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { claimWatched, endWatched, watch } from '../src/charging/watch.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { watchNoticed } from '../src/queue/watches-store.ts'
import { withShards } from '../src/each-shard.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import { exhaust, JANE, letters, openLetter } from './operators.ts'
import { balanced, done, givenBack, refunded } from './refunds-kit.ts'
import { verifyWorld, violated } from './verify-history.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

const CHARGES = { gateway: 'http', operation: 'charge' } as const

/** The key that the gateway was given for a payment. */
async function keyOf(world: TestWorld, id: bigint): Promise<string> {
  const text = 'select gateway_key::text as key from payments where id = $1'
  const [row] = await world.sql<{ key: string }>(text, [id])
  return row?.key ?? ''
}

/** A deposit with a refund of ours that ended so, and looks at it whenever somebody wants one. */
async function shop(t: TestContext, end: 'success' | 'declined') {
  const world = await testWorld(t)
  const eyes = watching(world)
  const { id } = await done(world)
  const refund = await refunded(world, id, '10')
  world.gateway.script = [end]
  await world.work()
  const key = await keyOf(world, refund)
  const look = async () => {
    world.clock.advance(DAY_MS)
    assert.equal(await watchNoticed(world.db.of(id), id, CHARGES), true)
    return eyes.look()
  }
  const wrong = () => eyes.seen.at(-1)?.refusals.map(({ ref, code }) => [ref, code])
  return { world, eyes, id, refund, key, look, wrong }
}

const THERE = { ...back('re_1', 1_000n, 'refunded_there'), besidesRefund: true } as const
const FAILED = { ...back('re_1:failed', 1_000n, 'dispute_won'), undoes: 're_1' } as const
const MADE = { ref: 're_1', made: true, back: THERE } as const
const UNDONE = { ref: 're_1', made: false, back: FAILED } as const

test('a refund of ours that failed here and was made there has an open letter until it is booked', async (t) => {
  const { world, eyes, id, refund, key, look, wrong } = await shop(t, 'declined')
  eyes.refunds.push({ ...MADE, ours: { paymentId: refund, key } })
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
  await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    { parentId: id, ...THERE },
  ])
  // Whoever books it has it looked at, and that closes the letter.
  world.clock.advance(10_000)
  assert.deepEqual(await eyes.look(), ['nothing'])
  assert.equal((await givenBack(world, id))['returned'], 1_000n)
  assert.deepEqual((await letters(world, refund)).at(-1), await closedLetter(world, 'returned'))
  await balanced(world)
})

test('a return under the name of a refund that was made after all closes its letter for the same amount alone', async (t) => {
  const { world, eyes, id, refund, key, look, wrong } = await shop(t, 'declined')
  const { db } = world
  await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    { parentId: id, ...THERE, amount: 400n },
  ])
  eyes.refunds.push({ ...MADE, ours: { paymentId: refund, key } })
  for (const times of [1, 2]) {
    assert.deepEqual(await look(), ['refused'], `${times}`)
    assert.deepEqual(wrong(), [['re_1', 'refund_made_after_all']])
    const open = (await letters(world, refund)).filter(({ state }) => state === 'open')
    assert.deepEqual(
      open.map(({ error }) => error),
      ['charged_after_failed'],
    )
  }
})

/** The one letter that its gateway has closed with these words. */
async function closedLetter(world: TestWorld, reason: string) {
  const all = await world.sql<DeadLetter>(
    `select id, state, class, error, closed_by as "closedBy" from dead_letters
     where error = 'charged_after_failed' and state = 'resolved' and closed_by = 'gateway'
       and closed_reason = $1`,
    [reason],
  )
  assert.equal(all.length, 1)
  return all[0]
}

test('the letter of a refund that was made there is closed when it fails there as well, and no other is', async (t) => {
  const { world, eyes, refund, key, look } = await shop(t, 'declined')
  const ours = { paymentId: refund, key }
  eyes.refunds.push({ ...UNDONE, ours })
  assert.deepEqual(await look(), ['nothing'])
  assert.equal((await letters(world, refund)).at(-1)?.state, 'open', 'it may be redriven')
  eyes.refunds.splice(0, 1, { ...MADE, ours })
  assert.deepEqual(await look(), ['refused'])
  eyes.refunds.splice(0, 1, { ...UNDONE, ours })
  assert.deepEqual(await look(), ['nothing'])
  assert.deepEqual((await letters(world, refund)).at(-1), await closedLetter(world, 'failed'))
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
    eyes.refunds.splice(0, 1, { ref, ours, made: true, back: { ...THERE, ref, amount: 100n } })
    assert.deepEqual(await look(), ['booked'], ref)
  }
  assert.equal((await givenBack(world, id))['returned'], 400n)
  await balanced(world)
})

test('a refund of ours that was made and fails there afterwards is told, and stays as it is', async (t) => {
  const { world, eyes, refund, key, look, wrong } = await shop(t, 'success')
  const ours = { paymentId: refund, key }
  eyes.refunds.push({ ...MADE, ours })
  assert.deepEqual(await look(), ['nothing'])
  eyes.refunds.splice(0, 1, { ...UNDONE, ours })
  assert.deepEqual(await look(), ['refused'])
  assert.deepEqual(wrong(), [['re_1', 'refund_undone']])
  assert.equal((await world.view(refund)).status, 'success')
  await balanced(world)
})

test('a refund of others that fails after it was booked is taken back, and one that never was is nothing', async (t) => {
  const { world, eyes, id, look } = await shop(t, 'declined')
  const never = { ...back('re_2:failed', 500n, 'dispute_won'), undoes: 're_2' }
  eyes.came(id, never)
  assert.deepEqual(await look(), ['nothing'])
  const { db } = world
  await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    { parentId: id, ...THERE },
  ])
  const before = await balanced(world)
  assert.equal((await givenBack(world, id))['returned'], 1_000n)
  eyes.came(id, FAILED)
  for (const what of ['booked', 'nothing']) assert.deepEqual(await look(), [what])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  assert.equal((await balanced(world))['gateway'], (before['gateway'] ?? 0n) - 1_000n)
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a refund that only says that it is ours, or failed here, is taken back when it fails after it was booked', async (t) => {
  const { world, eyes, id, refund, key, look } = await shop(t, 'declined')
  const { db } = world
  const before = await balanced(world)
  for (const ours of [
    { paymentId: 999_999n, key },
    { paymentId: refund, key },
  ]) {
    const ref = `re_${ours.paymentId}`
    const made = { ...THERE, ref }
    const failed = { ...FAILED, ref: `${ref}:failed`, undoes: ref }
    eyes.refunds.splice(0, 1, { ref, ours, made: false, back: failed })
    assert.deepEqual(await look(), ['nothing'], 'of what was never booked nothing is taken back')
    await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
      { parentId: id, ...made },
    ])
    assert.equal((await givenBack(world, id))['returned'], 1_000n)
    for (const what of ['booked', 'nothing']) assert.deepEqual(await look(), [what])
    assert.equal((await givenBack(world, id))['returned'], 0n)
    assert.deepEqual(await balanced(world), before)
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

/** A refund of 10.00 whose replies are lost, so nobody knows what became of it. */
async function doubted(world: TestWorld, id: bigint) {
  const refund = await refunded(world, id, '10')
  world.gateway.script = ['lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  await exhaust(world, 3)
  world.gateway.lookups = null
  assert.equal((await world.view(refund)).payment.status, 'unknown')
  return { refund, key: await keyOf(world, refund) }
}

test('a return that turned out to be a refund of ours is not taken back a second time', async (t) => {
  const { world, eyes, id, refund: failed, key, look, wrong } = await shop(t, 'declined')
  const { db } = world
  const doubt = await doubted(world, id)
  const ref = `gw-${doubt.refund}`
  await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    { parentId: id, ...THERE, ref },
    { parentId: id, ...back('dp_1', 2_000n) },
  ])
  world.clock.advance(60_000)
  await world.work()
  assert.equal((await world.view(doubt.refund)).payment.status, 'success')
  assert.equal((await givenBack(world, id))['returned'], 2_000n)
  const before = await balanced(world)
  const undone = { ref, made: false, back: { ...FAILED, ref: `${ref}:failed`, undoes: ref } }
  for (const [ours, what] of [
    [{ paymentId: doubt.refund, key: doubt.key }, [ref, 'refund_undone']],
    [{ paymentId: failed, key }, [`${ref}:failed`, 'not_returnable']],
    [{ paymentId: 999_999n, key }, [`${ref}:failed`, 'not_returnable']],
  ] as const) {
    eyes.refunds.splice(0, 1, { ...undone, ours })
    assert.deepEqual(await look(), ['refused'])
    assert.deepEqual(wrong(), [what])
  }
  assert.deepEqual(await balanced(world), before)
})

test('what a refund that failed did not give back can come back in another way, by the same look', async (t) => {
  const { world, eyes, id, look } = await shop(t, 'declined')
  const ours = { paymentId: 999_999n, key: 'copied' }
  const all = { ...THERE, amount: 10_000n }
  eyes.refunds.push({ ...MADE, ours, back: all })
  assert.deepEqual(await look(), ['booked'])
  eyes.refunds.splice(0, 1, { ...UNDONE, ours, back: { ...FAILED, amount: 10_000n } })
  eyes.came(id, back('dp_1', 9_000n))
  assert.deepEqual(await look(), ['booked'])
  assert.equal((await givenBack(world, id))['returned'], 9_000n)
  await balanced(world)
})

test('a look that stood still while another one was made books nothing of what it saw', async (t) => {
  const { world, eyes, id } = await shop(t, 'declined')
  eyes.refunds.push({ ...MADE, ours: { paymentId: 999_999n, key: 'copied' } })
  await watchNoticed(world.db.of(id), id, CHARGES)
  const [stale] = await eyes.claim()
  world.clock.advance(LEASE_MS)
  const failed = { ...eyes.own, gateway: world.gateway }
  const [newer] = await claimWatched(failed, 10)
  assert(stale !== undefined && newer !== undefined)
  assert.deepEqual(await endWatched(failed, [await watch(failed, newer)]), [])
  // What it was told before is told now: that a refund was made, which has failed since.
  const end = await watch(eyes.own, stale)
  assert.equal(eyes.seen.at(-1)?.what, 'put_off')
  assert.deepEqual(await endWatched(eyes.own, [end]), [])
  assert.equal((await givenBack(world, id))['returned'], 0n)
})

test('a refund of ours that is open is not taken back when it fails there, but once it failed here', async (t) => {
  const { world, eyes, id, look } = await shop(t, 'declined')
  const { db } = world
  const { refund, key } = await doubted(world, id)
  await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    { parentId: id, ...THERE },
  ])
  eyes.refunds.push({ ...UNDONE, ours: { paymentId: refund, key } })
  assert.deepEqual(await look(), ['nothing'])
  assert.equal((await givenBack(world, id))['returned'], 1_000n)
  const letterId = await openLetter(world, refund)
  await resolve(world.world, JANE, [{ letterId, outcome: 'failed', gatewayRef: null }])
  assert.deepEqual(await look(), ['booked'])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  await balanced(world)
})

test('no letter is left of a refund that somebody books while its gateway is asked', async (t) => {
  const { world, eyes, id, refund, key } = await shop(t, 'declined')
  const { db } = world
  let booked = 0
  // Between reading what is booked and writing of it.
  const slow = withShards(db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      booked += 1
      if (booked === 1) {
        const draft = { parentId: id, ...THERE }
        await bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [draft])
      }
      return shard.transaction(work, lockMs)
    },
  }))
  eyes.refunds.push({ ...MADE, ours: { paymentId: refund, key } })
  world.clock.advance(DAY_MS)
  assert.equal(await watchNoticed(db.of(id), id, CHARGES), true)
  const claims = await eyes.claim()
  const ends = await Promise.all(claims.map((one) => watch({ ...eyes.own, db: slow }, one)))
  await endWatched(eyes.own, ends)
  assert.ok(booked > 0)
  assert.deepEqual(eyes.seen.at(-1)?.what, 'nothing')
  const open = (await letters(world, refund)).filter(
    ({ state, error }) => state === 'open' && error === 'charged_after_failed',
  )
  assert.deepEqual(open, [])
  await balanced(world)
})

test('a return that is told again has its payment not looked at again', async (t) => {
  const { world, eyes, id, refund, key, look } = await shop(t, 'declined')
  const { db } = world
  eyes.refunds.push({ ...MADE, ours: { paymentId: refund, key } })
  assert.deepEqual(await look(), ['refused'])
  await world.sql('delete from payment_watches')
  const book = () => {
    const draft = { ...back('cb_1', 100n), parentId: id }
    return bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [draft])
  }
  assert.equal((await book())[0]?.kind, 'booked')
  assert.equal((await eyes.rows()).length, 1)
  await world.sql('delete from payment_watches')
  assert.equal((await book())[0]?.kind, 'known')
  assert.deepEqual(await eyes.rows(), [])
})
