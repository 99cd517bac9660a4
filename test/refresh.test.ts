import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endPending, refresh } from '../src/charging/refresh.ts'
import { testWorld, LEASE_MS, type TestWorld } from './harness.ts'
import { accepted, assertBooks, exhaust, letters, lost, server } from './operators.ts'
import { DAY_MS, watching } from './watch-kit.ts'

/** A payment that was charged and whose reply was lost: in doubt, with attempts left. */
async function doubted(world: TestWorld): Promise<bigint> {
  world.gateway.script = ['lost_reply']
  const [id = 0n] = await accepted(world, 'withdraw')
  await world.work()
  world.clock.advance(100)
  return id
}

function kinds(world: TestWorld): string[] {
  return world.gateway.calls.map(({ kind }) => kind)
}

test('a payment in doubt is finished by one lookup before it is due', async (t) => {
  const world = await testWorld(t)
  const id = await doubted(world)
  world.clock.advance(2_000)
  // Due later than now: a second of backoff is over, so push it out of reach.
  await world.sql(`update payment_tasks set run_at = run_at + interval '1 hour'`)

  await refresh(world.world, id)

  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(kinds(world), ['charge', 'lookup'])
  assert.equal((await assertBooks(world))['fees'], 100n)
})

test('an unknown payment is finished and its letter closed', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null

  const settled = await refresh(world.world, id)

  assert.equal(settled?.settlements.length, 1)
  assert.equal((await world.view(id)).status, 'success')
  const [letter] = await letters(world, id)
  assert.deepEqual([letter?.state, letter?.closedBy], ['resolved', 'gateway'])
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('a lookup that learns nothing changes neither the schedule nor the counts', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const read = () =>
    world.sql('select run_at, attempts, lookups, leased, doubt_at from payment_tasks')
  const before = await read()

  await refresh(world.world, id)

  assert.deepEqual(await read(), before)
  assert.equal((await world.view(id)).status, 'unknown')
  assert.equal((await letters(world, id)).length, 1)
  await assertBooks(world)
})

test('a payment in doubt with attempts left is looked up and never charged', async (t) => {
  const world = await testWorld(t)
  world.gateway.script = ['in_doubt']
  const [id = 0n] = await accepted(world, 'withdraw')
  await world.work()
  world.clock.advance(200_000)

  await refresh(world.world, id)

  // Even a proof that nothing happened only leaves it to the worker, which sends it again.
  assert.deepEqual(kinds(world), ['charge', 'lookup'])
  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts], ['new', 1])
  await assertBooks(world)
})

test('an unknown payment that is proven not executed fails and gives its hold back', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 3)
  world.clock.advance(60_000)

  await refresh(world.world, id)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.lastError], ['failed', 'not_executed'])
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('the gateway is asked about a payment at most every two seconds', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'deposit')
  const calls = world.gateway.calls.length

  await refresh(world.world, id)
  await refresh(world.world, id)
  world.clock.advance(1_900)
  assert.equal(await refresh(world.world, id), null)
  assert.equal(world.gateway.calls.length, calls + 1)

  world.clock.advance(200)
  assert.notEqual(await refresh(world.world, id), null)
  assert.equal(world.gateway.calls.length, calls + 2)
})

test('a hundred refreshes at once ask the gateway once', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const calls = world.gateway.calls.length
  world.gateway.lookups = null

  await Promise.all(Array.from({ length: 100 }, () => refresh(world.world, id)))

  assert.equal(world.gateway.calls.length, calls + 1)
  assert.equal((await world.view(id)).status, 'success')
  await assertBooks(world)
})

test('a payment that a worker holds is left to it', async (t) => {
  const world = await testWorld(t)
  const id = await doubted(world)
  world.clock.advance(5_000)
  const settlements = await world.claimAndCharge()
  const calls = world.gateway.calls.length

  assert.equal(await refresh(world.world, id), null)
  assert.equal(world.gateway.calls.length, calls)

  await world.settle(settlements)
  assert.equal((await world.view(id)).status, 'success')
  await assertBooks(world)
})

test('a payment whose worker died is taken over, and the lost claim is kept', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'withdraw')
  const dead = await world.claimAndCharge()
  world.clock.advance(LEASE_MS + 1)

  await refresh(world.world, id)

  assert.equal((await world.view(id)).status, 'success')
  const evidence = await world.sql<{ reason: string }>(
    'select reason from payment_attempts where call = 0',
  )
  assert.deepEqual(evidence, [{ reason: 'worker_lost' }])
  // The dead worker comes back: it changes nothing.
  assert.equal((await world.settle(dead)).stale, 1)
  assert.equal((await assertBooks(world))['gateway'], 5_000n)
})

test('refreshes and workers that race settle a payment once', async (t) => {
  const world = await testWorld(t)
  for (let round = 0; round < 15; round += 1) {
    const id = await doubted(world)
    world.clock.advance(5_000)
    await Promise.all([
      refresh(world.world, id),
      world.work(),
      refresh(world.world, id),
      world.work(),
    ])
    world.clock.advance(5_000)
    await world.work()
    assert.equal((await world.view(id)).status, 'success')
  }
  assert.equal((await assertBooks(world))['gateway'], 15n * 5_000n)
})

test('nothing is asked about payments without doubt, or of a gateway without lookups', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const [fresh = 0n] = await accepted(world, 'withdraw')
  assert.equal(await refresh(world.world, fresh), null)
  await world.work()
  world.clock.advance(5_000)
  assert.equal(await refresh(world.world, fresh), null)
  assert.equal(await refresh(world.world, 999n), null)
  assert.deepEqual(kinds(world), ['charge'])

  const mute = await testWorld(t, {
    profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'none' },
  })
  const id = await doubted(mute)
  mute.clock.advance(5_000)
  assert.equal(await refresh(mute.world, id), null)
  assert.deepEqual(kinds(mute), ['charge'])
})

test('GET /payments/{id}?refresh=true answers the payment after the lookup', async (t) => {
  const world = await testWorld(t)
  const app = await server(t, world)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null

  const stored = await app.inject(`/payments/${id}`)
  assert.equal(stored.json().status, 'unknown')
  const refreshed = await app.inject(`/payments/${id}?refresh=true`)
  assert.equal(refreshed.statusCode, 200)
  assert.equal(refreshed.json().status, 'success')

  assert.equal((await app.inject(`/payments/${id}?refresh=now`)).json().code, 'query_invalid')
  assert.equal((await app.inject('/payments/999?refresh=true')).statusCode, 404)
  assert.equal((await app.inject('/payments/x?refresh=true')).statusCode, 404)
})

for (const how of ['refresh', 'endPending'] as const) {
  test(`what ends by a question out of turn is looked at later, and known by its name: ${how}`, async (t) => {
    const world = await testWorld(t)
    const eyes = watching(world, [DAY_MS])
    const { profile } = world.gateway
    Object.assign(world.gateway, { profile: { ...profile, namesByRef: true } })
    world.gateway.script = ['lost_reply']
    const [id = 0n] = await accepted(world, 'deposit')
    await world.work()
    world.clock.advance(3_000)

    await { refresh, endPending }[how](world.world, id)

    const { status, payment } = await world.view(id)
    assert.equal(status, 'success')
    const looks = (await eyes.rows()).map((row) => [row.payment_id, row.in_ms])
    assert.deepEqual(looks, [[id, DAY_MS]])
    const refs = await world.sql('select ref, payment_id from gateway_refs')
    assert.deepEqual(refs, [{ ref: payment.gatewayRef, payment_id: id }])
  })
}
