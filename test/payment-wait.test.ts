import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { waiting } from '../src/payments/waiting.ts'
import { withShards } from '../src/each-shard.ts'
import type { Clock } from '../src/ports.ts'
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

/** A clock whose sleeps end when the test says so. */
function stepped(clock: Clock) {
  let wake: () => void = () => undefined
  const sleep = () => new Promise<void>((resolve) => (wake = resolve))
  return {
    clock: { ...clock, sleep },
    wake: () => wake(),
    /** Resolves when the next sleep has begun. */
    async slept(): Promise<void> {
      const before = wake
      while (wake === before) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

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
  const { clock, wake, slept } = stepped(world.clock)
  let open = true
  const waits = waiting({ db, clock, open: () => open })
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
  await waits.stop()
  await waits.final(ids[0] as bigint, 10_000)
  assert.equal(looks, 3)
})

test('who waits for a payment of a shard that fails is let go, and the others wait on', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const ids = [...(await accepted(world, 'deposit')), ...(await accepted(world, 'deposit'))]
  const [well = 0n, ill = 0n] = ids
  assert.notEqual(world.db.of(well), world.db.of(ill))
  const db = withShards(world.db, (shard) =>
    shard === world.db.of(ill) ? { ...shard, run: () => Promise.reject(new Error('away')) } : shard,
  )
  const { clock, wake, slept } = stepped(world.clock)
  const waits = waiting({ db, clock, open: () => true })
  const done: bigint[] = []
  const all = ids.map(async (id) => {
    await waits.final(id, 10_000)
    done.push(id)
  })
  await slept()
  wake()
  await Promise.race([slept(), Promise.all(all)])
  assert.deepEqual(done, [ill])

  await world.sql(`update payments set status = 'success', finished_at = now() where id = $1`, [
    well,
  ])
  wake()
  await Promise.all(all)
  await waits.stop()
})

test('who waits is let go when waiting is stopped', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  const { clock, slept } = stepped(world.clock)
  const waits = waiting({ db: world.db, clock, open: () => true })
  const waited = waits.final(id, 10_000)
  await slept()
  void waits.stop()
  await waited
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
  await waits.stop()
})

test('whoever waits after all others were answered is looked after as they were', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  await world.sql("update payments set status = 'success', finished_at = now()")
  let looks = 0
  const db = withShards(world.db, (shard) => ({
    ...shard,
    run(statement, values) {
      looks += 1
      return shard.run(statement, values)
    },
  }))
  const { clock } = stepped(world.clock)
  const waits = waiting({ db, clock, open: () => true })
  for (let time = 1; time <= 3; time += 1) {
    const waited = waits.final(id, 10_000)
    await turn()
    assert.equal(looks, time, 'somebody looks')
    await waited
    await turn()
  }
  await waits.stop()
})
