import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Settlement } from '../src/charging/charge.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import { POLICY, testWorld } from './harness.ts'
import {
  BLIND,
  BACKOFF_MS,
  pay,
  letters,
  evidence,
  tasks,
  money,
  UNTOUCHED,
  HELD,
  WITHDRAWN,
  exhaust,
} from './charge-kit.ts'

const ODD: Promises = {
  repeats: 'may_execute_again',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
}

const DEPOSITED = { user: 10_980n, held: 0n, gateway: -1_000n, fees: 20n }

test('a deposit that the gateway executes is booked: the user, the gateway and the fees', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'deposit')
  assert.equal((await world.work()).length, 1)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts, view.lastError], ['success', 1, null])
  assert.equal(view.payment.gatewayRef, `gw-${id}`)
  assert.deepEqual(await money(world), DEPOSITED)
  assert.deepEqual(await tasks(world), [])
  assert.deepEqual(await letters(world), [])
})

test('a withdrawal that the gateway executes spends its hold', async (t) => {
  const world = await testWorld(t)
  const id = await pay(world, 'withdraw')
  assert.deepEqual(await money(world), HELD)
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a payment is charged under one key for its whole life, and no other payment has it', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'success'] })
  await pay(world, 'deposit')
  await exhaust(world)
  await pay(world, 'deposit')
  await world.work()
  const keys = world.gateway.calls.map(({ key, paymentId }) => `${paymentId} ${key}`)
  assert.equal(new Set(keys).size, 2)
  assert.equal(new Set(world.gateway.calls.map(({ key }) => key)).size, 2)
})

for (const [name, profile] of [
  ['found by a lookup', undefined],
  ['sent again under the same key', BLIND],
] as const) {
  test(`a charge whose reply is lost is ${name}, and charged once`, async (t) => {
    const world = await testWorld(t, {
      script: ['lost_reply', 'success'],
      ...(profile === undefined ? {} : { profile }),
    })
    const id = await pay(world, 'deposit')
    await world.work()
    assert.equal((await world.view(id)).lastError, 'timeout')
    world.clock.advance(BACKOFF_MS)
    await world.work()

    assert.equal((await world.view(id)).status, 'success')
    assert.deepEqual([...world.gateway.charged.values()], [[1_000n]])
    assert.deepEqual(await money(world), DEPOSITED)
  })
}

test('a timeout is looked up before the charge is sent again', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'success'] })
  await pay(world, 'withdraw')
  await world.work()
  assert.deepEqual(await money(world), HELD)
  world.clock.advance(BACKOFF_MS)
  await world.work()
  assert.deepEqual(await evidence(world), [
    '1.1 charge in_doubt timeout',
    '2.1 lookup not_found',
    '2.2 charge success',
  ])
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('a gateway that is not idempotent is not charged again while its first charge is in doubt', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'success'], profile: ODD })
  const id = await pay(world, 'withdraw')
  for (let attempt = 0; attempt < POLICY.attemptsMax; attempt += 1) {
    assert.equal((await world.work()).length, 1)
    world.clock.advance(5_000)
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 1)
  assert.equal((await world.view(id)).status, 'unknown')
})

test('a payment that was never executed fails when attempts run out, and its hold is released', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const id = await pay(world, 'withdraw')
  await exhaust(world)

  const view = await world.view(id)
  // Tries, of which not a byte left: no attempt.
  assert.deepEqual([view.status, view.attempts], ['failed', 0])
  assert.equal(view.lastError, 'connection_refused')
  assert.deepEqual(await letters(world), [
    { class: 'failed', error: 'connection_refused', state: 'open' },
  ])
  assert.deepEqual(await money(world), UNTOUCHED)
  assert.deepEqual(await tasks(world), [])
})

test('a definite no fails at once, with one attempt', async (t) => {
  const world = await testWorld(t, { script: ['declined'] })
  const ids = [await pay(world, 'withdraw'), await pay(world, 'deposit')]
  await world.work()
  for (const id of ids) {
    const view = await world.view(id)
    assert.deepEqual([view.status, view.lastError, view.attempts], ['failed', 'http_402', 1])
  }
  assert.deepEqual(await money(world), { ...UNTOUCHED, user: 20_000n })
  const failed = { class: 'failed', error: 'http_402', state: 'open' }
  assert.deepEqual(await letters(world), [failed, failed])
})

test('a retry waits for its backoff, which doubles', async (t) => {
  const world = await testWorld(t, { script: ['not_executed'] })
  const id = await pay(world, 'deposit')
  for (const base of [1_000, 2_000]) {
    assert.equal((await world.work()).length, 1)
    world.clock.advance(base - 1)
    assert.equal((await world.work()).length, 0)
    const wait = ((await world.view(id)).nextAt?.getTime() ?? 0) - world.clock.now().getTime()
    assert.ok(wait >= 1 && wait <= POLICY.jitterMs + 1, `${wait}`)
    world.clock.advance(wait - 1)
    assert.equal((await world.work()).length, 0)
    world.clock.advance(1)
  }
  assert.equal((await world.work()).length, 1)
})

test('a batch of every outcome is settled together, each payment by its own', async (t) => {
  const world = await testWorld(t, {
    script: ['success', 'declined', 'not_executed', 'in_doubt', 'success'],
  })
  const user = await world.user(100_000n)
  const ids: bigint[] = []
  for (let index = 0; index < 5; index += 1) {
    ids.push(await pay(world, index % 2 === 0 ? 'withdraw' : 'deposit', user))
    world.clock.advance(1)
  }
  const settlements: readonly Settlement[] = await world.work()
  assert.equal(settlements.length, 5)
  const outcomes = new Map(
    settlements.map(({ claim: { payment }, decision }) => [payment.id, decision.step]),
  )
  const shown = new Map<string, number>()
  for (const id of ids) {
    const { status } = await world.view(id)
    shown.set(status, (shown.get(status) ?? 0) + 1)
    const expected = { succeed: 'success', fail: 'failed', retry: 'new' } as Record<string, string>
    assert.equal(status, expected[outcomes.get(id) ?? ''])
  }
  assert.deepEqual([...shown.values()].toSorted(), [1, 2, 2])
  await money(world)
})
