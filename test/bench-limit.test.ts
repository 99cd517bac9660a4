import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drainLimit } from '../bench/limit/drain.ts'
import { testWorld } from './harness.ts'
import { accepted, assertBooks } from './operators.ts'

test('the limit of a drain is measured with the claims and settlements of the service', async (t) => {
  const world = await testWorld(t)
  await accepted(world, 'deposit', 20)
  // The benchmark goes by the time of the server, the test by its own.
  await world.sql("update payment_tasks set run_at = now() - interval '1 second'")

  const perSecond = await drainLimit({ url: world.url }, 2, 60_000)

  assert.ok(perSecond > 0)
  await assertBooks(world)
  const left = await world.sql('select payment_id from payment_tasks')
  assert.deepEqual(left, [])
})
