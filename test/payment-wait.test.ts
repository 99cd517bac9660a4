import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waiting } from '../src/payments/waiting.ts'
import { withShards } from '../src/each-shard.ts'
import { testWorld } from './harness.ts'
import { accepted } from './operators.ts'
import { serve } from './serve.ts'

test('who waits for a payment is answered when it is final', async (t) => {
  const { call } = await serve(t, { MOCK_GATEWAY_SEED: '1' })
  await call('PUT', '/mock-gateway/faults', { decline: 1 })
  await call('POST', '/users', { balance: 10 })
  const { body } = await call('POST', '/payments/deposit', { user_id: 1, deposit: 5 })
  const id = String(body['payment_id'])
  const answer = await call('GET', `/payments/${id}?wait=30`)
  assert.notEqual(answer.body['transaction_status'], 'processing')
})

test('who waits in vain is told how the payment is', async (t) => {
  const world = await testWorld(t)
  const [id] = await accepted(world, 'deposit')
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, {}, { database: world.url, roles })
  const answer = await call('GET', `/payments/${id}?wait=1`)
  assert.deepEqual([answer.status, answer.body['status']], [200, 'new'])
  assert.equal((await call('GET', '/payments/999?wait=30')).body['code'], 'payment_not_found')
  for (const wait of ['31', '-1', 'a', '1.5']) {
    const { body } = await call('GET', `/payments/${id}?wait=${wait}`)
    assert.equal(body['code'], 'query_invalid', wait)
  }
})

test('one statement looks for all who wait, and they are let go when the process stops', async (t) => {
  const world = await testWorld(t)
  const ids = await accepted(world, 'deposit', 3)
  let looks = 0
  const db = withShards(world.db, (shard) => ({
    ...shard,
    run(statement, values) {
      looks += 1
      return shard.run(statement, values)
    },
  }))
  // Each sleep ends when the test says so.
  let wake: () => void = () => undefined
  const sleep = () => new Promise<void>((resolve) => (wake = resolve))
  const slept = async () => {
    const before = wake
    while (wake === before) await new Promise((resolve) => setImmediate(resolve))
  }
  let open = true
  const waits = waiting({ db, clock: { ...world.clock, sleep }, open: () => open })
  const done: bigint[] = []
  const all = [...ids, ...ids, ...ids].map(async (id) => {
    await waits.final(id, 10_000)
    done.push(id)
  })
  await slept()
  assert.deepEqual([looks, done], [1, []])

  await world.sql(`update payments set status = 'success', finished_at = now() where id = $1`, [
    ids[1],
  ])
  wake()
  await slept()
  assert.deepEqual([looks, done], [2, [ids[1], ids[1], ids[1]]])

  world.clock.advance(10_000)
  await world.sql(`update payments set status = 'unknown' where id = $1`, [ids[0]])
  const late = waits.final(ids[0] as bigint, 10_000)
  wake()
  await slept()
  assert.equal(done.length, 9)

  open = false
  wake()
  await late
  await Promise.all(all)
  await waits.idle()
  await waits.final(ids[0] as bigint, 10_000)
  assert.equal(looks, 3)
})

test('when a look fails nobody waits any longer', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  const db = withShards(world.db, (shard) => ({
    ...shard,
    run: () => Promise.reject(new Error('away')),
  }))
  const waits = waiting({ db, clock: world.clock, open: () => true })
  await waits.final(id, 10_000)
  await waits.idle()
})
