import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { feed } from '../src/events/feed.ts'
import type { Runner } from '../src/ports.ts'
import { claimDue, deliver, settleDelivered, type DeliveryWorld } from '../src/webhooks/deliver.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint, type EndpointChange } from '../src/webhooks/store.ts'
import { serve } from './serve.ts'
import { BY, delivering, receiver, states, status, succeed } from './webhooks-kit.ts'

const BUSY = status(503, { 'retry-after': '3600' })

for (const [says, answer] of [
  ['is gone', status(410)],
  ['is busy', BUSY],
] as const) {
  test(`that an endpoint ${says} at its old URL says nothing of the new one`, async (t) => {
    const { world, own, claimAndSend, turn, endpoint, disabled } = await delivering(t)
    const before = await receiver(t, answer)
    const after = await receiver(t, status(200))
    const { id } = await endpoint(before.url)
    await succeed(world)
    const called = await claimAndSend()
    assert.equal(before.received.length, 1)
    await editEndpoint(world.db, id, { url: after.url }, BY)
    await settleDelivered(own, called)
    assert.equal((await readEndpoint(world.db.global, id))?.state, 'enabled')
    assert.deepEqual(disabled, [])
    await succeed(world)
    world.clock.advance(6_000)
    await turn()
    assert.equal(after.received.length, 2)
    assert.deepEqual(
      (await states(world)).map(({ state }) => state),
      ['delivered', 'delivered'],
    )
  })
}

test('what an old URL says is nothing of the new one where it took others at the same time', async (t) => {
  const { world, own, claimAndSend, endpoint } = await delivering(t)
  const before = await receiver(t, status(200), status(410))
  const { id } = await endpoint(before.url)
  await succeed(world, 2)
  const called = await claimAndSend()
  assert.equal(before.received.length, 2)
  await editEndpoint(world.db, id, { url: 'http://127.0.0.1:9/' }, BY)
  await settleDelivered(own, called)
  assert.equal((await readEndpoint(world.db.global, id))?.state, 'enabled')
  const left = (await states(world)).map(({ state }) => state)
  assert.deepEqual(left.toSorted(), ['delivered', 'pending'])
})

test('what is left of deliveries to an endpoint that moved is what was handed in', async (t) => {
  const { world, own, claimAndSend, endpoint } = await delivering(t)
  const before = await receiver(t, BUSY)
  const { id } = await endpoint(before.url)
  await succeed(world, 2)
  const called = await claimAndSend()
  await editEndpoint(world.db, id, { url: 'http://127.0.0.1:9/' }, BY)
  const ill = { number: 1, run: () => Promise.reject(new Error('ill')) }
  const [first, second] = called
  assert(first !== undefined && second !== undefined)
  const unwritten = {
    ...first,
    delivery: { ...first.delivery, shard: { ...first.delivery.shard, ...ill } },
  }
  assert.deepEqual(await settleDelivered(own, [unwritten, second]), [unwritten])
})

/** A world in which an endpoint is changed while deliveries are claimed. */
function changing(own: DeliveryWorld, id: bigint, change: EndpointChange): DeliveryWorld {
  const shards = own.db.shards.map((shard) => {
    const run: Runner['run'] = async (statement, values) => {
      const rows = await shard.run(statement, values)
      if (statement.name === 'deliveries_claim') await editEndpoint(own.db, id, change, BY)
      return rows
    }
    return { ...shard, run }
  })
  return { ...own, db: { ...own.db, shards } }
}

test('what is claimed while an endpoint moves goes to the new URL', async (t) => {
  const { world, own, endpoint } = await delivering(t)
  const before = await receiver(t, status(200))
  const after = await receiver(t, status(200))
  const { id } = await endpoint(before.url)
  await succeed(world)
  await feed(world.db)
  const [delivery] = await claimDue(changing(own, id, { url: after.url }), 10, () => 0)
  assert(delivery !== undefined)
  await deliver(own, delivery, new AbortController().signal)
  assert.deepEqual([before.received.length, after.received.length], [0, 1])
})

test('what is claimed while an endpoint is disabled is given back, and goes when it is enabled', async (t) => {
  const { world, own, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world)
  await feed(world.db)
  assert.deepEqual(await claimDue(changing(own, id, { state: 'disabled' }), 10, () => 0), [])
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  await turn()
  assert.equal(to.received.length, 1)
  assert.deepEqual(await states(world), [{ state: 'delivered', attempts: 1 }])
})

test('nobody is called who was looked up more than a second ago, and the delivery is given back', async (t) => {
  const { world, own, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world, 2)
  await feed(world.db)
  const [first, second] = await claimDue(own, 10, () => 0)
  assert(first !== undefined && second !== undefined)
  const never = new AbortController().signal
  world.clock.advance(1_000)
  const made = await deliver(own, first, never)
  world.clock.advance(1)
  const unmade = await deliver(own, second, never)
  assert.deepEqual([made.result.made, unmade.result.made, to.received.length], [true, false, 1])
  await settleDelivered(own, [made, unmade])
  await turn()
  assert.equal(to.received.length, 2)
  assert.deepEqual(
    (await states(world)).map((one) => one.attempts),
    [1, 1],
  )
})

const NO_WORKER = { api: true, worker: false, mockGateway: false }

for (const [what, method, path, body] of [
  ['moved', 'PATCH', '', { url: 'http://127.0.0.1:9/' }],
  ['disabled', 'PATCH', '', { state: 'disabled' }],
  ['removed', 'DELETE', '', undefined],
  ['given a new secret', 'POST', '/rotate-secret', { overlap_seconds: 0 }],
] as const) {
  test(`once it is answered that an endpoint is ${what}, no process begins a call of it as it was`, async (t) => {
    const { world, own, endpoint } = await delivering(t)
    const to = await receiver(t, status(200))
    const { id } = await endpoint(to.url)
    await succeed(world)
    await feed(world.db)
    const service = await serve(t, {}, { roles: NO_WORKER, database: world.url })
    const elsewhere = { ...own, clock: systemClock }
    const [claimed] = await claimDue(elsewhere, 10, () => 0)
    assert(claimed !== undefined)
    const answer = await service.call(method, `/webhook-endpoints/${id}${path}`, body)
    assert.ok(answer.status === 200 || answer.status === 204, answer.text)
    const { result } = await deliver(elsewhere, claimed, new AbortController().signal)
    assert.deepEqual([result.made, to.received.length], [false, 0])
  })
}
