import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SILENT_MS } from '../src/domain/delivery.ts'
import { withShards } from '../src/each-shard.ts'
import { feed } from '../src/events/feed.ts'
import { overview } from '../src/overview/overview.ts'
import { Unavailable } from '../src/ports.ts'
import { claimDue, settleDelivered, type Delivered } from '../src/webhooks/deliver.ts'
import { deliveryAttempts, deliverAgain, newestDeliveries } from '../src/webhooks/deliveries.ts'
import { retryDelivery } from '../src/webhooks/sent-again-store.ts'
import { deliveriesOfPayment } from '../src/webhooks/of-payment-store.ts'
import { dropEndpoint, editEndpoint, testEndpoint } from '../src/webhooks/endpoints.ts'
import { disableEndpoint } from '../src/webhooks/store.ts'
import {
  pauseEndpoint,
  readSubscriptions,
  writeSubscription,
} from '../src/webhooks/subscriptions-store.ts'
import { pay } from './charge-kit.ts'
import { polled, want } from './events-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { BY, delivering, receiver, states, status, succeed } from './webhooks-kit.ts'

/** A deposit that succeeds, of a user in one shard after the other. */
async function ends(world: TestWorld, userId: bigint): Promise<void> {
  await pay(world, 'deposit', userId)
  await world.work()
}

test('of several pauses that an endpoint asks for the longest holds, in whatever order they come', async (t) => {
  const { world, own, claimAndSend, endpoint } = await delivering(t)
  const to = await receiver(t, status(500))
  await endpoint(to.url)
  const pausedMs = async () => {
    const [row] = await world.sql<{ until: Date }>(
      'select paused_until as until from webhook_subscriptions',
    )
    return Number(row?.until) - world.clock.now().getTime()
  }
  const asks = (all: readonly Delivered[], pauses: readonly number[]) =>
    all.map((one, index) => {
      assert(one.verdict !== null)
      return { ...one, verdict: { ...one.verdict, pauseMs: pauses[index] ?? 0 } }
    })
  for (const pauses of [
    [30_000, 120_000, 0],
    [120_000, 30_000, 0],
  ]) {
    await succeed(world, 4)
    const [late, ...others] = await claimAndSend()
    assert(late !== undefined)
    await settleDelivered(own, asks(others, pauses))
    assert.equal(await pausedMs(), 120_000)
    world.clock.advance(20_000)
    // Called before the endpoint asked for more.
    await settleDelivered(own, asks([late], [10_000]))
    assert.equal(await pausedMs(), 100_000)
    world.clock.advance(86_400_000)
  }
})

test('a pause ends with a change of the endpoint, and not when a shard is told of it a second time', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  const [shard] = world.db.shards
  assert(shard !== undefined)
  const [known] = await readSubscriptions(shard)
  assert(known !== undefined)
  const tell = (version: number) =>
    shard.transaction(async (tx) => writeSubscription(tx, { ...known, version }))
  const paused = () =>
    world.sql('select 1 from webhook_subscriptions where paused_until is not null')
  await pauseEndpoint(shard, { id, version: known.version }, 60_000)
  // Another process had looked what the shard knows before the pause.
  await tell(known.version)
  assert.equal((await paused()).length, 1)
  await tell(known.version + 1)
  assert.equal((await paused()).length, 0)
})

test('an endpoint is not silent while something arrives of another shard', async (t) => {
  const { world, turn, endpoint, disabled } = await delivering(t, 2)
  const [ill, well] = [await world.user(0n), await world.user(0n)]
  assert.notEqual(world.db.of(ill).number, world.db.of(well).number)
  let first = ''
  const to = await receiver(t, (response, { id }) => {
    first ||= id
    response.writeHead(id === first ? 500 : 200).end()
  })
  await endpoint(to.url, { types: ['payment.succeeded'] })
  await ends(world, ill)
  for (let call = 1; call <= 10; call += 1) {
    await turn()
    if (call < 10) world.clock.advance(SILENT_MS + 3_600_000)
    if (call === 9) await ends(world, well)
  }
  assert.equal((await states(world)).filter(({ state }) => state === 'failed').length, 1)
  assert.deepEqual(disabled, [])
})

test('an endpoint is not silent while a shard that may know better is away', async (t) => {
  const { world, own, turn, claimAndSend, endpoint, disabled } = await delivering(t, 2)
  const to = await receiver(t, status(500))
  const { id } = await endpoint(to.url, { types: ['payment.succeeded'] })
  const user = await world.user(0n)
  await ends(world, user)
  for (let call = 1; call < 10; call += 1) {
    await turn()
    world.clock.advance(SILENT_MS + 3_600_000)
  }
  await feed(world.db)
  const done = await claimAndSend()
  const home = world.db.of(user).number
  const db = withShards(own.db, (shard) => ({
    ...shard,
    run: (statement, values) =>
      statement.name === 'subscriptions_arrived' && shard.number !== home
        ? Promise.reject(new Unavailable('away'))
        : shard.run(statement, values),
  }))
  await settleDelivered({ ...own, db }, done)
  assert.deepEqual(disabled, [])
  await settleDelivered(own, done)
  assert.deepEqual(disabled, [`${id} silent`])
})

test('the newest deliveries are listed over all shards, as many as were asked for', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  const users = [await world.user(0n), await world.user(0n)]
  const made: bigint[] = []
  for (let count = 0; count < 6; count += 1) {
    await ends(world, users[count % 4 === 0 ? 0 : 1] ?? 0n)
    world.clock.advance(1_000)
    await turn()
    for (const { eventId } of await newestDeliveries(world.db, id, null, 100)) {
      if (!made.includes(eventId)) made.unshift(eventId)
    }
  }
  assert.equal(made.length, 6)
  for (let limit = 1; limit <= 7; limit += 1) {
    const listed = await newestDeliveries(world.db, id, 'delivered', limit)
    assert.deepEqual(
      listed.map(({ eventId }) => eventId),
      made.slice(0, limit),
    )
    assert.deepEqual(await newestDeliveries(world.db, id, 'failed', limit), [])
  }
})

test('a claim that was lost counts as a call, and a delivery that is repeated begins anew', async (t) => {
  const { world, own, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(500))
  const { id } = await endpoint(to.url)
  await succeed(world)
  await feed(world.db)
  for (let lost = 0; lost < 3; lost += 1) {
    assert.equal((await claimDue(own, 10, () => 0)).length, 1)
    world.clock.advance(own.leaseMs)
  }
  assert.equal(await turn(), 1)
  assert.deepEqual(await states(world), [{ state: 'pending', attempts: 4 }])

  const [delivery] = await newestDeliveries(world.db, id, null, 1)
  assert(delivery !== undefined)
  const which = { eventId: delivery.eventId, endpointId: id }
  assert.ok(await retryDelivery(world.db.of(delivery.eventId), which, 1n))
  assert.deepEqual(await states(world), [{ state: 'pending', attempts: 0 }])
  assert.equal(await turn(), 1)
  world.clock.advance(5_000)
  assert.equal(await turn(), 1, 'the first pause is the shortest')
  // One that is under way is not begun a second time.
  world.clock.advance(300_000)
  assert.equal((await claimDue(own, 10, () => 0)).length, 1)
  assert.ok(!(await retryDelivery(world.db.of(delivery.eventId), which, 2n)))
  const refusal = { code: 'not_deliverable' }
  assert.deepEqual(await deliverAgain(world.db, which, BY), { kind: 'refused', refusal })
  const kept = await world.sql<object>(`select id from endpoint_acts where act = 'retry'`)
  assert.deepEqual(kept, [], 'nobody has sent again what was refused')
})

test('nothing is sent again to an endpoint that is disabled, removed or unknown, nor what it never got', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id: endpointId } = await endpoint(to.url)
  await succeed(world)
  assert.equal(await turn(), 1)
  const [delivery] = await newestDeliveries(world.db, endpointId, null, 1)
  assert(delivery !== undefined)
  const { eventId } = delivery
  const asked = { endpointId, eventId }
  const again = (other: object = {}) => deliverAgain(world.db, { ...asked, ...other }, BY)
  const calls = async () => {
    const found = await deliveryAttempts(world.db, asked)
    return found.kind === 'calls' ? found.calls.length : found.refusal.code
  }
  const refused = (code: string) => ({ kind: 'refused', refusal: { code } })
  for (const other of [{ eventId: 999n }, { eventId: null }]) {
    assert.deepEqual(await again(other), refused('delivery_not_found'))
  }
  for (const other of [{ endpointId: 9n }, { endpointId: null }]) {
    assert.deepEqual(await again(other), refused('endpoint_not_found'))
  }
  await editEndpoint(world.db, endpointId, { state: 'disabled' }, BY)
  assert.deepEqual(await again(), refused('endpoint_disabled'))
  assert.deepEqual(await states(world), [{ state: 'delivered', attempts: 1 }])
  assert.equal(await calls(), 1)
  await editEndpoint(world.db, endpointId, { state: 'enabled' }, BY)
  assert.deepEqual(await again(), { kind: 'due', replayed: false })
  assert.equal(await turn(), 1)
  assert.equal(await calls(), 2)
  await dropEndpoint(world.db, endpointId, BY)
  assert.deepEqual(await again(), refused('endpoint_not_found'))
  assert.equal(await calls(), 'endpoint_not_found')
})

test('an endpoint that was enabled lately is not silent, and one that is disabled can be tested', async (t) => {
  const { world, own, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  const silent = () => disableEndpoint(world.db.global, { id, url: to.url }, 'silent', SILENT_MS)
  world.clock.advance(SILENT_MS - 1)
  assert.equal(await silent(), null)
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  const tested = await testEndpoint(own, id, 'msg_test')
  assert.ok(tested.kind === 'called' && tested.status === 200)
  world.clock.advance(1)
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  assert.equal(await silent(), null)
  world.clock.advance(SILENT_MS)
  assert.equal((await silent())?.state, 'disabled')
})

test('an endpoint that fails in several shards is one, with all that waits for it', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  await endpoint((await receiver(t, status(500))).url)
  await endpoint((await receiver(t, status(200))).url)
  for (const userId of [await world.user(0n), await world.user(0n)]) await ends(world, userId)
  await turn()
  const { db, clock } = world
  const seen = await overview({ db, clock, routes: () => [], workerAlive: () => true })
  const { endpoints, failing, deliveries } = seen.webhooks
  assert.deepEqual([endpoints, failing, deliveries], [2, 1, 2])
})

test('events are paged in the order of each shard, however their times go', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  await want(world, ['payment.succeeded'])
  const PER_SHARD = 7
  for (const shard of world.db.shards) {
    for (let nth = 1; nth <= PER_SHARD; nth += 1) {
      const id = nth * 3 + shard.number
      // Some go back, as clocks do: 0 5 3 1 6 4 2, and others for each shard.
      const second = (nth * (5 + shard.number)) % PER_SHARD
      await world.sql(
        `insert into events (shard, id, payment_id, type, body, created_at)
         values ($1, $2, 1, 'payment.succeeded', '{}', $3)`,
        [shard.number, id, new Date(Date.UTC(2030, 0, 1, 0, 0, second))],
      )
    }
  }
  await feed(world.db)
  for (let limit = 1; limit <= 22; limit += 1) {
    const seen = await polled(world, limit)
    for (const shard of world.db.shards) {
      const own = seen.filter(({ id }) => world.db.of(id) === shard)
      const positions = own.map(({ position }) => Number(position))
      assert.deepEqual(positions, [1, 2, 3, 4, 5, 6, 7], `pages of ${limit}`)
    }
  }
})

test('an endpoint that was enabled lately stays so, although a delivery is given up', async (t) => {
  const { world, own, claimAndSend, endpoint, disabled } = await delivering(t)
  const to = await receiver(t, status(500))
  const { id } = await endpoint(to.url)
  const givenUp = async (): Promise<void> => {
    await succeed(world)
    const sent = await claimAndSend()
    assert.equal(sent.length, 1)
    const given = sent.map((one): Delivered => {
      assert(one.verdict !== null)
      const state = 'failed' as const
      return { ...one, verdict: { ...one.verdict, state }, result: { ...one.result, state } }
    })
    await settleDelivered(own, given)
  }
  await givenUp()
  assert.deepEqual(disabled, [], 'it was made a moment ago')
  world.clock.advance(SILENT_MS)
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  await givenUp()
  assert.deepEqual(disabled, [], 'it was enabled a moment ago')
  world.clock.advance(SILENT_MS)
  await givenUp()
  assert.equal(disabled.length, 1)
})

test('the deliveries of a payment are those to every endpoint that there may be', async (t) => {
  const { world, endpoint } = await delivering(t)
  for (let made = 0; made < 51; made += 1) await endpoint('http://127.0.0.1:9/')
  await succeed(world)
  await feed(world.db)
  const [payment] = await world.sql<{ id: bigint }>('select id from payments')
  assert.ok(payment)
  const found = await deliveriesOfPayment(world.db.of(payment.id), payment.id)
  assert.equal(found.length, 51)
})
