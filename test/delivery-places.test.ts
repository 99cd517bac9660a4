import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { afterCall } from '../src/domain/delivery.ts'
import { AT_ONCE, openEndpoint, type Delivered, type Delivery } from '../src/webhooks/deliver.ts'
import { AHEAD, deliveryPlaces, deliverySettler } from '../src/webhooks/places.ts'
import { manualClock, testWorld } from './harness.ts'

const ENDPOINT = 7n
const NEVER = new AbortController().signal

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
    return { due: own, shard: NOWHERE, endpoint, lookedMs: 0 }
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
  const places = deliveryPlaces({ clock: manualClock(), onHalf: () => (wakes += 1) })
  const all = claimed(AT_ONCE)
  places.take(all)
  assert.equal(places.taken(ENDPOINT), AT_ONCE)
  const done = await Promise.all(
    all.map((one) => places.during(one, NEVER, () => Promise.resolve(answered(one, status)))),
  )
  return { places, done, wakes: () => wakes }
}

for (const status of [200, 400, 500, null]) {
  test(`a place is free when its call has ended, with ${status ?? 'nothing known'}`, async () => {
    const { places, done, wakes } = await ended(status)
    // One that answers at once may have more.
    const none = status === 200 ? -AHEAD : 0
    assert.deepEqual([places.taken(ENDPOINT), wakes()], [none, 1])
    places.written(done, [])
    assert.equal(places.taken(ENDPOINT), none)
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
  const places = deliveryPlaces({ clock: manualClock(), onHalf: () => undefined })
  const [one] = claimed(1)
  assert.ok(one)
  places.take([one])
  await assert.rejects(places.during(one, NEVER, () => Promise.reject(new Error('broken'))))
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

/** Places of an endpoint that answers at once, all of them taken and as many deliveries as wait. */
async function quick(ahead: number, tookMs = 1) {
  const clock = manualClock()
  const places = deliveryPlaces({ clock, onHalf: () => undefined })
  const [first] = claimed(1)
  assert.ok(first)
  places.take([first])
  await places.during(first, NEVER, () => {
    const { result, ...said } = answered(first, 200)
    return Promise.resolve({ ...said, result: { ...result, tookMs } })
  })
  const stop = new AbortController()
  const calls: ((done: Delivered) => void)[] = []
  const all = claimed(AT_ONCE + ahead)
  const taken = places.taken(ENDPOINT)
  places.take(all)
  const done = all.map((one) =>
    places.during(one, stop.signal, () => new Promise((resolve) => calls.push(resolve))),
  )
  await setImmediate()
  const end = async (at: number, status: number) => {
    calls[at]?.(answered(all[at] as Delivery, status))
    await setImmediate()
  }
  const back = async () => {
    for (const [at, call] of calls.entries()) call(answered(all[at] as Delivery, 200))
    return (await Promise.all(done)).filter(({ result }) => !result.made)
  }
  return { clock, places, calls, taken, stop, end, back }
}

test('of an endpoint that answers at once more is claimed, and no more is called together', async () => {
  const { places, calls, taken, end, back } = await quick(AHEAD)
  assert.deepEqual([taken, calls.length, places.taken(ENDPOINT)], [-AHEAD, AT_ONCE, AT_ONCE])
  await end(0, 200)
  assert.deepEqual([calls.length, places.taken(ENDPOINT)], [AT_ONCE + 1, AT_ONCE - 1])
  await end(1, 500)
  // Nothing is claimed ahead any more; what is claimed is called.
  assert.deepEqual([calls.length, places.taken(ENDPOINT)], [AT_ONCE + 2, AT_ONCE + AHEAD - 2])
  const ending = back()
  for (let at = 2; at < AT_ONCE + AHEAD; at += 1) await end(at, 200)
  assert.deepEqual(await ending, [])
  assert.equal(places.taken(ENDPOINT), -AHEAD)
})

test('of an endpoint that takes its time nothing is claimed ahead', async () => {
  assert.equal((await quick(0, 51)).taken, 0)
})

test('what waits for a place is given back when its endpoint asks for a pause', async () => {
  const { places, calls, end, back } = await quick(3)
  await end(0, 429)
  assert.equal(calls.length, AT_ONCE)
  assert.equal(places.taken(ENDPOINT), AT_ONCE)
  assert.equal((await back()).length, 3)
})

test('what has waited long for a place is given back, before and when one is free', async () => {
  const early = await quick(3)
  early.clock.advance(501)
  early.places.tidy()
  assert.equal((await early.back()).length, 3)
  const late = await quick(3)
  late.clock.advance(501)
  await late.end(0, 200)
  assert.equal(late.calls.length, AT_ONCE)
  assert.equal((await late.back()).length, 3)
})

test('what waits for a place is given back when the process ends', async () => {
  const { calls, stop, end, back } = await quick(3)
  await end(0, 200)
  assert.equal(calls.length, AT_ONCE + 1)
  stop.abort()
  assert.equal((await back()).length, 2)
  assert.equal(calls.length, AT_ONCE + 1)
})
