import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { LEASE_MS, testWorld } from './harness.ts'
import { accepted } from './operators.ts'

test('an open payment is shown as its task knows it, and a final one as it ended', async (t) => {
  const world = await testWorld(t, { script: ['not_executed', 'success'] })
  const [id = 0n] = await accepted(world, 'withdraw')
  const shown = async () => {
    const { status, attempts, lastError, nextAt } = await world.view(id)
    const inMs = nextAt === null ? null : nextAt.getTime() - world.clock.now().getTime()
    return { status, attempts, lastError, inMs }
  }
  assert.deepEqual(await shown(), { status: 'new', attempts: 0, lastError: null, inMs: 0 })

  const [first] = await claim(world.world, 1)
  assert.ok(first !== undefined)
  const { inMs: leased, ...begun } = await shown()
  assert.deepEqual(begun, { status: 'processing', attempts: 0, lastError: null })
  assert.equal(leased, null, 'it is being processed, and nothing is planned')
  await world.settle([await charge(world.world, first)])

  const { inMs, ...waiting } = await shown()
  const why = 'connection_refused'
  assert.deepEqual(waiting, { status: 'new', attempts: 0, lastError: why })
  assert.ok(inMs !== null && inMs >= 1_000 && inMs < LEASE_MS, String(inMs))

  world.clock.advance(inMs)
  await world.work()
  const ended = { status: 'success', attempts: 1, lastError: null, inMs: null }
  assert.deepEqual(await shown(), ended)
})
