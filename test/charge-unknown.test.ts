import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim } from '../src/charging/charge.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import { LEASE_MS, POLICY, testWorld, type TestWorld } from './harness.ts'
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

const EVENTUAL: Promises = {
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'eventual',
}

test('a payment in doubt when attempts run out is unknown, and its hold is kept', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await pay(world, 'withdraw')
  await exhaust(world)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.transactionStatus], ['unknown', 'processing'])
  assert.equal(view.attempts, 3)
  assert.deepEqual(await letters(world), [{ class: 'unknown', error: 'timeout', state: 'open' }])
  assert.deepEqual(await money(world), HELD)
})

/** A withdrawal that is `unknown`, with its next lookup due. */
async function unknown(world: TestWorld): Promise<bigint> {
  const id = await pay(world, 'withdraw')
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  await exhaust(world)
  assert.equal((await world.view(id)).status, 'unknown')
  return id
}

test('an unknown payment succeeds when a lookup says so, and its letter is closed', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'lost_reply'] })
  const id = await unknown(world)
  world.gateway.lookups = null
  await world.work()

  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual(await letters(world), [
    { class: 'unknown', error: 'timeout', state: 'resolved' },
  ])
  assert.deepEqual(await money(world), WITHDRAWN)
})

test('an unknown payment fails when a lookup says so: one letter ends, another begins', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await unknown(world)
  world.gateway.lookups = { kind: 'declined', reason: 'status_failed' }
  await world.work()

  assert.equal((await world.view(id)).status, 'failed')
  assert.deepEqual(await letters(world), [
    { class: 'unknown', error: 'timeout', state: 'resolved' },
    { class: 'failed', error: 'status_failed', state: 'open' },
  ])
  assert.deepEqual(await money(world), UNTOUCHED)
})

test('an unknown payment is looked up ever more rarely, and never charged again', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'in_doubt', 'success'] })
  const id = await unknown(world)
  const charges = world.gateway.calls.filter(({ kind }) => kind === 'charge').length
  const waits: number[] = []
  for (let lookup = 0; lookup < 9; lookup += 1) {
    await world.work()
    const { nextAt } = await world.view(id)
    const wait = (nextAt?.getTime() ?? 0) - world.clock.now().getTime()
    waits.push(wait / 1_000)
    world.clock.advance(wait)
  }
  assert.deepEqual(waits, [15, 60, 300, 900, 3_600, 21_600, 86_400, 86_400, 86_400])
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, charges)
  assert.equal((await world.view(id)).attempts, 3)
  assert.equal((await letters(world)).length, 1)
})

test('"not found" before the grace period proves nothing, after it a failure', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const id = await pay(world, 'withdraw')
  for (const wait of [BACKOFF_MS, BACKOFF_MS, 5_000]) {
    await world.work()
    world.clock.advance(wait)
  }
  await world.work()
  assert.equal((await world.view(id)).status, 'unknown')
  assert.deepEqual(await money(world), HELD)

  world.clock.advance(POLICY.notFoundGraceMs)
  await world.work()
  const view = await world.view(id)
  assert.deepEqual([view.status, view.lastError], ['failed', 'not_executed'])
  assert.deepEqual(await money(world), UNTOUCHED)
})

test('"not found" of a gateway that is only eventually consistent never proves a failure', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: EVENTUAL })
  const id = await pay(world, 'withdraw')
  await exhaust(world)
  for (let day = 0; day < 10; day += 1) {
    world.clock.advance(86_400_000)
    await world.work()
  }
  assert.equal((await world.view(id)).status, 'unknown')
  assert.deepEqual(await money(world), HELD)
})

test('an unknown payment of a gateway without lookups leaves the queue and waits for an operator', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: BLIND })
  const id = await pay(world, 'withdraw')
  await exhaust(world)
  await world.work()
  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts, view.nextAt], ['unknown', 3, null])
  assert.deepEqual(await tasks(world), [])
  assert.deepEqual(await letters(world), [{ class: 'unknown', error: 'timeout', state: 'open' }])
  assert.deepEqual(await money(world), HELD)
})

test('a payment that kills every worker is unknown in the end, and never charged after that', async (t) => {
  const world = await testWorld(t)
  world.gateway.lookups = { kind: 'no_answer', reason: 'http_500' }
  const id = await pay(world, 'withdraw')
  for (let crash = 0; crash < POLICY.attemptsMax; crash += 1) {
    assert.equal((await claim(world.world, 10)).length, 1)
    world.clock.advance(LEASE_MS)
  }
  await world.work()
  assert.equal((await world.view(id)).status, 'unknown')
  for (let lookup = 0; lookup < 5; lookup += 1) {
    world.clock.advance(86_400_000)
    await world.work()
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 0)
  assert.deepEqual(await money(world), HELD)
})

test('a worker lost while it looks up leaves the payment unknown, and the next one goes on', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'in_doubt', 'lost_reply'] })
  const id = await unknown(world)
  await claim(world.world, 10)
  world.clock.advance(LEASE_MS)
  world.gateway.lookups = null
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.ok(
    (await evidence(world)).includes('4.0 lookup in_doubt worker_lost'),
    '(await evidence(world)).includes(4.0 lookup in_doubt worker_lost)',
  )
})
