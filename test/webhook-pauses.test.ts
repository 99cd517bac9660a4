import assert from 'node:assert/strict'
import { test } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { databaseGauges } from '../src/metrics/database-gauges.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import { newestDeliveries } from '../src/webhooks/deliveries.ts'
import { deliveriesOfPayment } from '../src/webhooks/of-payment-store.ts'
import { pauseIn, pausesOf } from '../src/webhooks/pauses.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'
import { BY, delivering, receiver, status, succeed } from './webhooks-kit.ts'

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }

test('a pause is told of the endpoint and of what waits for it, until it ends or the endpoint is changed', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const { db, clock } = world
  const to = await receiver(t, status(503, { 'retry-after': '3600' }), status(200))
  const other = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await endpoint(other.url)
  const paused = async () => {
    const shown = await readEndpoint(db.global, id)
    assert.ok(shown)
    return pauseIn(await pausesOf(db), shown)
  }
  const nexts = async () => (await newestDeliveries(db, id, 'pending', 10)).map((one) => one.nextAt)
  assert.equal(await paused(), null)
  await succeed(world)
  await turn()
  const end = new Date(clock.now().getTime() + 3_600_000)
  assert.deepEqual(await paused(), end)
  assert.deepEqual([...(await pausesOf(db))], [[id, end]], 'nobody else has a pause')
  await succeed(world, 4)
  await turn()
  assert.equal(to.received.length, 1)
  const waiting = await nexts()
  assert.equal(waiting.length, 5)
  assert.ok(
    waiting.every((at) => at !== null && at >= end),
    'what waits says until when',
  )
  const payments = await world.sql<{ id: bigint }>('select id from payments')
  const ofPayments = await Promise.all(
    payments.map(({ id: payment }) => deliveriesOfPayment(db.of(BigInt(payment)), BigInt(payment))),
  )
  const told = ofPayments.flat().filter(({ endpointId }) => endpointId === id)
  assert.equal(told.length, 5)
  assert.ok(told.every(({ nextAt }) => nextAt !== null && nextAt >= end))
  clock.advance(3_600_000)
  assert.equal(await paused(), null)
})

test('any change of an endpoint ends its pause, and what waited is sent', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(503, { 'retry-after': '3600' }), status(200))
  const { id } = await endpoint(to.url)
  await succeed(world)
  await turn()
  await succeed(world)
  const [before] = await pausesOf(world.db)
  assert.ok(before)
  await editEndpoint(world.db, id, { description: 'mended' }, BY)
  assert.deepEqual([...(await pausesOf(world.db))], [])
  await turn()
  assert.equal(to.received.length, 2)
})

test('a delivery is late from the end of a pause that its endpoint asked for, and no sooner', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const { clock, db } = world
  const to = await receiver(t, status(503, { 'retry-after': '3600' }), status(200))
  await endpoint(to.url)
  const late = async () => (await databaseGauges(db)()).webhookOldestDueSeconds
  await succeed(world)
  await turn()
  await succeed(world)
  await feed(db)
  for (const [laterMs, seconds] of [
    [1_000, 0],
    [3_598_000, 0],
    [1_000, 0],
    [7_000, 7],
  ] as const) {
    clock.advance(laterMs)
    assert.equal(await late(), seconds, `after ${laterMs} ms more`)
  }
})

test('the API shows until when an endpoint has asked not to be called', async (t) => {
  const { call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', NO_FAULTS)
  const to = await receiver(t, status(429, { 'retry-after': '3600' }))
  const made = await call('POST', '/webhook-endpoints', { url: to.url, types: ['payment.*'] })
  assert.equal(made.body['paused_until'], null)
  const path = `/webhook-endpoints/${String(made.body['id'])}`
  const user = await call('POST', '/users/', { balance: 10 })
  await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  await until('it has a pause', async () => (await call('GET', path)).body['paused_until'])
  const [listed] = (await call('GET', '/webhook-endpoints')).body['data'] as [
    { paused_until: string },
  ]
  assert.ok(Date.parse(listed.paused_until))
  const [delivery] = (await call('GET', `${path}/deliveries`)).body['data'] as [
    { created_at: string; next_attempt_at: string },
  ]
  const waitsMs = Date.parse(delivery.next_attempt_at) - Date.parse(delivery.created_at)
  assert.ok(waitsMs >= 3_600_000, String(waitsMs))
  const changed = await call('PATCH', path, { state: 'enabled' })
  assert.equal(changed.body['paused_until'], null)
})
