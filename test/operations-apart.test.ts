import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim } from '../src/charging/charge.ts'
import { statements } from './statements.ts'
import { testWorld } from './harness.ts'

const WAITING = 50_000

test('what waits for one operation is not read by the claims of another', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  const draft = { type: 'deposit' as const, userId, amount: 100n, idempotencyKey: null }
  await world.sql(
    `insert into payment_tasks (shard, payment_id, operation, run_at)
     select 0, id, 'payout', '2029-01-01' from generate_series(1000000, $1::int) id`,
    [1_000_000 + WAITING],
  )
  await world.accept([draft])
  await world.sql('vacuum analyze payment_tasks')

  const text = (await statements()).find(({ name }) => name === 'tasks_claim')?.text ?? ''
  const values = ['0', `'2030-01-02'`, '100', '15000', `'http'`, `'charge'`]
  const filled = values.reduce((sql, value, index) => sql.replaceAll(`$${index + 1}`, value), text)
  const [row] = await world.sql<Record<string, [{ Plan: Record<string, number> }]>>(
    `explain (analyze, buffers, format json) ${filled}`,
  )
  const [plan] = Object.values(row ?? {})
  const pages = plan?.[0].Plan['Shared Hit Blocks'] ?? Number.POSITIVE_INFINITY
  assert.ok(pages < 50, `${pages} pages`)
})

test('a worker that may claim one operation leaves the other alone', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(1_000n)
  for (const type of ['withdraw', 'deposit', 'withdraw'] as const) {
    await world.accept([{ type, userId, amount: 100n, idempotencyKey: null }])
  }
  const types = async (operation: 'charge' | 'payout') =>
    (await claim(world.world, 10, [operation])).map(({ payment }) => payment.type)
  assert.deepEqual(await types('charge'), ['deposit'])
  assert.deepEqual(await types('charge'), [])
  assert.deepEqual(await types('payout'), ['withdraw', 'withdraw'])
})
