import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { correct } from '../src/dead-letters/correct.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { watchNoticed } from '../src/queue/watches-store.ts'
import { testWorld } from './harness.ts'
import { declined, JANE, lost, openLetter } from './operators.ts'
import { done, refunded, untilFree } from './refunds-kit.ts'
import { back, DAY_MS, watching } from './watch-kit.ts'

async function watched(t: TestContext, watchMs: readonly number[] = [DAY_MS]) {
  const world = await testWorld(t)
  const eyes = watching(world, watchMs)
  const refs = () => world.sql('select ref, payment_id as id from gateway_refs')
  const openOf = async (id: bigint) => ({ letterId: await openLetter(world, id) })
  return { world, eyes, refs, openOf }
}

test('what came back of a payment that an operator resolves is found without a notice, at once and at its ages', async (t) => {
  const { world, eyes, refs, openOf } = await watched(t)
  const id = await lost(world, 'deposit')
  eyes.came(id, back('cb-1', 1_000n))
  const word = { ...(await openOf(id)), outcome: 'success', gatewayRef: 'gw-said' } as const
  assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
  world.gateway.lookups = null
  assert.deepEqual(await eyes.look(), ['booked'])
  assert.deepEqual(await refs(), [{ ref: 'gw-said', id }])
  eyes.came(id, back('cb-2', 2_000n))
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), ['booked'])
})

test('what came back of a payment whose redrive ends it by a known yes is found without a notice', async (t) => {
  const { world, eyes, openOf } = await watched(t)
  const id = await lost(world, 'withdraw')
  // A version before kept a late yes and did not act on it.
  await world.sql(
    `insert into payment_attempts
       (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms, late)
     select 0, id, 0, 1, 'charge', 'success', true, created_at, 1, true
     from payments
     where id = $1`,
    [id],
  )
  const [answer] = await redrive(world.world, JANE, [{ ...(await openOf(id)), delayMs: 0 }])
  assert.equal(answer?.kind, 'redriven')
  assert.equal((await world.view(id)).payment.status, 'success')
  world.gateway.lookups = null
  eyes.came(id, back('po-1', 5_000n, 'payout_returned'))
  assert.deepEqual(await eyes.look(), ['booked'])
})

for (const type of ['deposit', 'withdraw'] as const) {
  test(`what came back of a corrected ${type} is found without a notice, and by one`, async (t) => {
    const { world, eyes, refs, openOf } = await watched(t)
    const id = await lost(world, type)
    const word = { ...(await openOf(id)), outcome: 'failed', gatewayRef: null } as const
    assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
    const route = { gateway: 'http', operation: type === 'deposit' ? 'charge' : 'payout' } as const
    const noticed = () => watchNoticed(world.db.of(id), id, route, { cameBack: true })
    const request = { letterId: word.letterId, gatewayRef: 'gw-said', againstEvidence: true }
    const [answer] = await untilFree(() => correct(world.world, JANE, [request]))
    assert.equal(answer?.kind, 'corrected')
    assert.deepEqual(await refs(), type === 'deposit' ? [{ ref: 'gw-said', id }] : [])
    world.gateway.lookups = null
    const kind = type === 'deposit' ? 'charged_back' : 'payout_returned'
    eyes.came(id, back('back-1', 1_000n, kind))
    assert.deepEqual(await eyes.look(), ['booked'])
    eyes.came(id, back('back-2', 2_000n, kind))
    world.clock.advance(60_000)
    assert.equal(await noticed(), true)
    assert.deepEqual(await eyes.look(), ['booked'])
  })
}

test('what failed is looked at once, whoever named it', async (t) => {
  const { world, eyes } = await watched(t)
  const [id = 0n] = await declined(world, 'deposit')
  await world.sql(
    `insert into payment_watches (shard, payment_id, gateway, run_at, fence)
      values (0, $1, 'http', '2000-01-01Z', 1)`,
    [id],
  )
  assert.deepEqual(await eyes.look(), ['nothing'])
  world.clock.advance(DAY_MS)
  assert.deepEqual(await eyes.look(), [])
  assert.deepEqual(eyes.watched, [id])
})

test('without ages of its gateway nothing that an operator ends is looked at', async (t) => {
  const { world, eyes, openOf } = await watched(t, [])
  const id = await lost(world, 'deposit')
  const word = { ...(await openOf(id)), outcome: 'success', gatewayRef: null } as const
  assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
  assert.deepEqual(await eyes.rows(), [])
})

for (const [kept, ages] of [
  ['', [DAY_MS]],
  [', also where nothing is watched by its age', []],
] as const) {
  test(`a refund that an operator fails has its deposit looked at, which may have it as a return${kept}`, async (t) => {
    const { world, eyes, openOf } = await watched(t, ages)
    const { profile } = world.gateway
    Object.assign(world.gateway, { profile: { ...profile, namesByRef: true } })
    const { id } = await done(world)
    world.clock.advance(DAY_MS)
    await eyes.look()
    await world.sql('delete from payment_watches')
    world.gateway.script = ['lost_reply']
    world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
    const refund = await refunded(world, id, '10')
    for (let round = 0; round < 4; round += 1) {
      await world.work()
      world.clock.advance(4_500)
    }
    const word = { ...(await openOf(refund)), outcome: 'failed', gatewayRef: null } as const
    assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
    assert.deepEqual(
      (await eyes.rows()).map((row) => row.payment_id),
      [id],
    )
  })
}
