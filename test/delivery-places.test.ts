import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { afterCall } from '../src/domain/delivery.ts'
import { AT_ONCE, openEndpoint, type Delivered, type Delivery } from '../src/webhooks/deliver.ts'
import { deliveryPlaces, deliverySettler } from '../src/webhooks/places.ts'
import { manualClock, testWorld } from './harness.ts'

const ENDPOINT = 7n

/** Nothing is asked of it. */
const unasked = () => Promise.reject(new Error('nobody asks'))
const NOWHERE: Delivery['shard'] = { number: 0, run: unasked, transaction: unasked }

function claimed(count: number): Delivery[] {
  const known = { id: ENDPOINT, url: 'http://127.0.0.1/', payload: 'full', sealed: [] } as const
  const endpoint = openEndpoint(
    { ...known, version: 1, ordered: false, left: null },
    Buffer.alloc(32),
  )
  return Array.from({ length: count }, (_, at) => {
    const own = { eventId: BigInt(at), endpointId: ENDPOINT, fence: 1, attempts: 0, body: '{}' }
    return { due: own, shard: NOWHERE, endpoint }
  })
}

function answered(delivery: Delivery, status: number | null): Delivered {
  const verdict =
    status === null ? null : afterCall({ status, reason: null, retryAfterMs: null }, 0, 0.5)
  const { eventId, endpointId, fence } = delivery.due
  const said = { tookMs: 1, status, reason: null, reply: null, ageMs: 0, delayMs: 0 }
  const result = { eventId, endpointId, fence, ...said, state: 'pending', made: true } as const
  return { delivery, verdict, result }
}

/** All places of an endpoint taken, and calls that ended with a status. */
async function ended(status: number | null) {
  let wakes = 0
  const places = deliveryPlaces(() => (wakes += 1))
  const all = claimed(AT_ONCE)
  places.take(all)
  assert.equal(places.taken(ENDPOINT), AT_ONCE)
  const done = await Promise.all(
    all.map((one) => places.during(one, Promise.resolve(answered(one, status)))),
  )
  return { places, done, wakes: () => wakes }
}

for (const status of [200, 400, 500, null]) {
  test(`a place is free when its call has ended, with ${status ?? 'nothing known'}`, async () => {
    const { places, done, wakes } = await ended(status)
    assert.deepEqual([places.taken(ENDPOINT), wakes()], [0, 1])
    places.written(done, [])
    assert.equal(places.taken(ENDPOINT), 0)
  })
}

for (const status of [410, 429, 502, 503, 504]) {
  test(`after ${status} an endpoint has no free place before that is written`, async () => {
    const { places, done, wakes } = await ended(status)
    assert.deepEqual([places.taken(ENDPOINT), wakes()], [AT_ONCE, 0])
    assert.deepEqual(places.written(done, done), done)
    assert.equal(places.taken(ENDPOINT), AT_ONCE)
    places.written(done, done.slice(0, 1))
    assert.deepEqual([places.taken(ENDPOINT), wakes()], [1, 1])
    places.written(done.slice(0, 1), [])
    assert.equal(places.taken(ENDPOINT), 0)
  })
}

test('a delivery that throws gives its place back', async () => {
  const places = deliveryPlaces(() => undefined)
  const [one] = claimed(1)
  assert.ok(one)
  places.take([one])
  await assert.rejects(places.during(one, Promise.reject(new Error('broken'))))
  assert.equal(places.taken(ENDPOINT), 0)
})

test('what is given up holds no place of its endpoint', async (t) => {
  const world = await testWorld(t)
  const { places, done } = await ended(429)
  const clock = { ...manualClock(), sleep: () => setImmediate() }
  const givenUp: unknown[] = []
  const run = () => Promise.reject(new Error('broken'))
  const db = { ...world.db, global: { ...world.db.global, run } }
  const settler = deliverySettler({ db }, places, {
    clock,
    batchMax: 100,
    faultyMsMax: 0,
    onError: () => undefined,
    onGivenUp: (all) => void givenUp.push(...all),
  })
  await Promise.all(done.map((one) => settler.submit(one)))
  assert.equal(givenUp.length, AT_ONCE)
  assert.equal(places.taken(ENDPOINT), 0)
})
