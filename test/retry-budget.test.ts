import assert from 'node:assert/strict'
import { test } from 'node:test'
import { earned, FULL, spent, type RetryBudget } from '../src/domain/retry-budget.ts'
import { charge, claim } from '../src/charging/charge.ts'
import { testWorld } from './harness.ts'

test('each first attempt pays for one retry, and no more than the most is saved up', () => {
  assert.deepEqual(earned(FULL), FULL)
  let budget: RetryBudget = FULL
  let paid = 0
  while (spent(budget).paid) {
    budget = spent(budget).left
    paid += 1
  }
  assert.equal(paid, FULL.tokens)
  assert.equal(spent(earned(budget)).paid, true)
  assert.equal(spent(spent(earned(budget)).left).paid, false)
})

test('a retry that nothing pays for waits as long as any retry may', async (t) => {
  const base = await testWorld(t, { script: ['in_doubt'] })
  const user = await base.user(0n)
  let tokens = 1
  const budget = { earn: () => undefined, spend: () => (tokens -= 1) >= 0 }
  const world = { ...base.world, budget }
  const draft = { type: 'deposit' as const, userId: user, amount: 100n, idempotencyKey: null }
  await base.accept([draft, draft])
  const claims = await claim(world, 10)
  const delays = []
  for (const claimed of claims) {
    const { decision } = await charge(world, claimed)
    assert.equal(decision.step, 'retry')
    if (decision.step === 'retry') delays.push(decision.delayMs)
  }
  assert.ok((delays[0] ?? 0) < 2_000, 'the first is paid for')
  assert.equal(delays[1], world.policy.backoffMaxMs)
})
