import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, chargeUnlessLocked, claim, type ChargeWorld } from '../src/charging/charge.ts'
import { refresh } from '../src/charging/refresh.ts'
import { withShards } from '../src/each-shard.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import { accepted, assertBooks, lost } from './operators.ts'

const LIFE_MS = 3_600_000
const BLIND = { repeats: 'first_answer', keyLifeMs: LIFE_MS, lookup: 'none' } as const

/** How a claim ends that makes no call. */
const UNCALLED = {
  'is given back': (world: ChargeWorld) => async (one: Parameters<typeof charge>[1]) =>
    charge(world, one, AbortSignal.abort()),
  'is put off for its user': (world: ChargeWorld) => chargeUnlessLocked(world, () => true),
}

for (const [name, handle] of Object.entries(UNCALLED)) {
  test(`a key in doubt grows no younger when a claim ${name}, and is not sent after its life`, async (t) => {
    const world = await testWorld(t, { profile: BLIND, script: ['lost_reply', 'success'] })
    const [id = 0n] = await accepted(world, 'withdraw')
    await world.work()
    assert.equal(world.gateway.calls.length, 1)

    world.clock.advance(LIFE_MS / 2)
    const claims = await claim(world.world, 10)
    assert.equal(claims.length, 1)
    await world.settle(await Promise.all(claims.map((one) => handle(world.world)(one))))
    world.clock.advance(LIFE_MS / 2)
    await world.work()

    // By now the gateway may have forgotten the key, and would charge again.
    assert.equal(world.gateway.calls.length, 1)
    const { status, lastError } = await world.view(id)
    assert.deepEqual([status, lastError], ['unknown', 'key_expired'])
    await assertBooks(world)
  })
}

/** A database that takes so long to answer a claim that no call can end within its lease. */
function slowToClaim({ world, clock }: TestWorld): ChargeWorld {
  const db = withShards(world.db, (shard) => ({
    ...shard,
    async run(statement, values) {
      const rows = await shard.run(statement, values)
      if (statement.name.startsWith('tasks_claim')) clock.advance(LEASE_MS - world.callMsMax + 1)
      return rows
    },
  }))
  return { ...world, db }
}

test('the time that a claim takes is part of its lease: no call begins that could outlive it', async (t) => {
  const world = await testWorld(t)
  await accepted(world, 'withdraw')
  const slow = slowToClaim(world)
  const claims = await claim(slow, 10)
  const settlements = await Promise.all(claims.map((one) => charge(slow, one)))
  assert.deepEqual(settlements[0]?.decision, { step: 'release' })
  assert.deepEqual(world.gateway.calls, [])
})

test('…and neither does a question out of turn', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const { length } = world.gateway.calls
  const settled = await refresh(slowToClaim(world), id)
  assert.equal(settled?.settlements[0]?.decision.step, 'leave')
  assert.equal(world.gateway.calls.length, length)
})

test('a payment that a late yes settles shows every charge that may have been sent', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.clock.advance(LEASE_MS)
  // The successor has counted the charge of the claim that was lost.
  assert.equal((await claim(world.world, 10)).length, 1)
  await world.settle(late)
  const { status, attempts } = await world.view(id)
  assert.deepEqual([status, attempts], ['success', 1])
  await assertBooks(world)
})

for (const [waitedMs, sent] of [
  [0, true],
  [5_001, false],
] as const) {
  test(`a key in doubt that waits ${waitedMs} ms in its claim is ${sent ? '' : 'not '}sent, as old as it is then`, async (t) => {
    const world = await testWorld(t, { profile: BLIND, script: ['lost_reply', 'success'] })
    await accepted(world, 'withdraw')
    await world.work()
    // Nine tenths of its life are used, and the call has to end within them.
    world.clock.advance(0.9 * LIFE_MS - world.world.policy.timeoutMs - 5_000)
    const claims = await claim(world.world, 10)
    assert.equal(claims.length, 1)
    world.clock.advance(waitedMs)
    await Promise.all(claims.map((one) => charge(world.world, one)))
    assert.equal(world.gateway.calls.length, sent ? 2 : 1)
  })
}
