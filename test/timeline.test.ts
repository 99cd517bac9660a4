import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { timeline, type TimelineEvent } from '../src/timeline/timeline.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import {
  accepted,
  assertBooks,
  declined,
  exhaust,
  JANE,
  lost,
  openLetter,
  server,
} from './operators.ts'

/** What happened, in short. */
async function story(world: TestWorld, id: bigint): Promise<string[]> {
  const found = await timeline(world.world, id)
  assert(found !== null)
  const times = found.events.map(({ at }) => at.getTime())
  assert.deepEqual(
    times,
    times.toSorted((one, other) => one - other),
  )
  return found.events.map(short)
}

function short(event: TimelineEvent): string {
  if (event.kind === 'call') {
    const { fence, call, kind, outcome, late } = event.attempt
    return `${kind} ${fence}.${call} ${outcome}${late ? ' late' : ''}`
  }
  if (event.kind === 'posting') return event.posting.kind
  if (event.kind === 'back') {
    const { id, parentId, kind, amount } = event.back
    return `${kind ?? 'refund'} ${id} of ${parentId}: ${amount}`
  }
  if (event.kind === 'act') return `${event.act.act} by ${event.act.actor}`
  return event.kind
}

test('a payment that took the long way tells all of it in order', async (t) => {
  const world = await testWorld(t)
  world.gateway.script = ['not_executed', 'in_doubt', 'lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const [id = 0n] = await accepted(world, 'withdraw')
  for (let round = 0; round < 3; round += 1) {
    world.clock.advance(5_000)
    await world.work()
  }
  world.clock.advance(5_000)
  await redrive(world.world, JANE, [{ letterId: await openLetter(world, id), delayMs: 0 }])
  world.clock.advance(5_000)
  world.gateway.lookups = null
  await world.work()

  assert.deepEqual(await story(world, id), [
    'accepted',
    'hold',
    'charge 1.1 not_executed',
    'charge 2.1 in_doubt',
    'lookup 3.1 no_answer',
    'charge 3.2 in_doubt',
    'lookup 3.3 no_answer',
    'letter_opened',
    'redrive by jane',
    'lookup 5.1 success',
    'settle',
  ])
  const found = await timeline(world.world, id)
  assert.match(found?.explanation ?? '', /^The gateway executed it \(reference gw-1\) within 2 att/)
  await assertBooks(world)
})

test('lost workers and late evidence are part of the story', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  const dead = await world.claimAndCharge()
  world.clock.advance(LEASE_MS + 1)
  assert.match(
    (await timeline(world.world, id))?.explanation ?? '',
    /^The worker that held it was lost/,
  )
  await world.work()
  await world.settle(dead)

  assert.deepEqual(await story(world, id), [
    'accepted',
    'charge 1.1 success late',
    'worker_lost',
    'lookup 2.1 success',
    'settle',
  ])
})

test('an unknown payment that the gateway ends closes its letter in the story', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'deposit')
  world.gateway.lookups = null
  world.clock.advance(60_000)
  await world.work()

  const told = await story(world, id)
  assert.deepEqual(told.slice(-4), [
    'letter_opened',
    'lookup 4.1 success',
    'settle',
    'letter_closed',
  ])
})

test('a failed payment and its repeat name each other', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  const letterId = await openLetter(world, id)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 60_000 }])
  assert(answer?.kind === 'redriven' && answer.newPaymentId !== null)

  assert.deepEqual(await story(world, id), [
    'accepted',
    'hold',
    'charge 1.1 declined',
    'release',
    'letter_opened',
    'redrive by jane',
  ])
  const first = await timeline(world.world, id)
  assert.match(first?.explanation ?? '', new RegExp(`payment ${answer.newPaymentId} repeats it`))
  const second = await timeline(world.world, answer.newPaymentId)
  const [arrival] = second?.events ?? []
  assert(arrival?.kind === 'accepted')
  assert.equal(arrival.repeats, id)
  assert.equal(
    second?.explanation,
    'It was accepted, and its first attempt is due at 2030-01-01T00:01:00Z.',
  )
})

test('the word of an operator explains the end of a payment', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const letterId = await openLetter(world, id)
  await resolve(world.world, JANE, [{ letterId, outcome: 'failed', gatewayRef: null }])
  assert.match(
    (await timeline(world.world, id))?.explanation ?? '',
    /^jane resolved it as not executed and its hold was given back: "seen"; it is final since /,
  )
})

test('a refusal that is kept under its key has a story too', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(100n)
  await world.accept([{ type: 'withdraw', userId, amount: 5_000n, idempotencyKey: 'k' }])
  assert.deepEqual(await story(world, 1n), ['refused'])
})

test('a yes that came late is shown as such, with what came of it, in the order of the database', async (t) => {
  const world = await testWorld(t)
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const [id = 0n] = await accepted(world, 'withdraw')
  const late = await world.claimAndCharge()
  world.clock.advance(20_000)
  world.gateway.script = ['in_doubt']
  await exhaust(world, 4)
  await world.settle(late)

  const found = await timeline(world.world, id)
  const calls = found?.events.flatMap((event) => (event.kind === 'call' ? [event] : [])) ?? []
  const [first, ...others] = calls
  // It began before all others, whatever the clock of its worker says and whenever it came.
  assert.deepEqual([first?.attempt.late, first?.attempt.outcome], [true, 'success'])
  assert.equal(first?.effect, 'A yes settles the payment, whichever claim brings it.')
  assert.ok(others.length > 0 && others.every(({ effect }) => effect === null))
  assert.match(found?.explanation ?? '', /within \d attempts, as a report said that came late;/)
})

test('GET /payments/{id}/timeline shows the evidence of each call', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const app = await server(t, world)
  const id = await lost(world, 'withdraw')
  const letterId = await openLetter(world, id)
  await resolve(world.world, JANE, [{ letterId, outcome: 'success', gatewayRef: 'gw-9' }])

  const reply = await app.inject(`/payments/${id}/timeline`)
  assert.equal(reply.statusCode, 200)
  const body = reply.json()
  assert.deepEqual([body.payment_id, body.status], [Number(id), 'success'])
  assert.match(body.explanation, /^jane resolved it as executed \(reference gw-9\): "seen"; /)
  const [arrival, hold, call] = body.events
  assert.deepEqual(
    [arrival.event, arrival.amount, arrival.commission, arrival.repeats],
    ['accepted', 50, 1, null],
  )
  assert.deepEqual([hold.event, hold.balance, hold.held], ['hold', -51, 51])
  assert.deepEqual(call, {
    at: call.at,
    event: 'charge',
    fence: 1,
    call: 1,
    outcome: 'in_doubt',
    reason: 'timeout',
    sent: true,
    http_status: null,
    took_ms: 0,
    late: false,
    effect: null,
  })
  const act = body.events.find(({ event }: { event: string }) => event === 'resolve')
  assert.deepEqual(act, {
    at: act.at,
    event: 'resolve',
    letter_id: Number(letterId),
    actor: 'jane',
    reason: 'seen',
    request_id: 'r1',
    redrive_id: null,
    before: { payment: 'unknown', letter: 'open' },
    after: { payment: 'success', letter: 'resolved', gateway_ref: 'gw-9' },
  })
  assert.equal((await app.inject('/payments/999/timeline')).json().code, 'payment_not_found')
  assert.equal((await app.inject('/payments/x/timeline')).statusCode, 404)
})

test('every route of operators is documented with a summary, a tag and its refusals', async (t) => {
  const world = await testWorld(t)
  const app = await server(t, world)
  const { paths } = (await app.inject('/openapi.json')).json()
  for (const [path, method] of [
    ['/payments/{id}', 'get'],
    ['/payments/{id}/timeline', 'get'],
    ['/dlq', 'get'],
    ['/dlq/{id}', 'get'],
    ['/dlq/{id}/redrive', 'post'],
    ['/dlq/{id}/resolve', 'post'],
    ['/dlq/redrive', 'post'],
    ['/dlq/redrives/{id}', 'get'],
    ['/dlq/redrives/{id}/cancel', 'post'],
  ] as const) {
    const operation = paths[path]?.[method]
    assert(operation !== undefined, path)
    assert(operation.summary.length > 0 && operation.tags.length === 1, path)
    assert('503' in operation.responses, path)
  }
})

test('a yes in time is not told as late, whatever else came late', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'withdraw')
  const [lostClaim] = await claim(world.world, 1)
  assert(lostClaim !== undefined)
  world.gateway.script = ['in_doubt']
  const late = await charge(world.world, lostClaim)
  world.clock.advance(LEASE_MS)
  world.gateway.script = ['success']
  await world.work()
  await world.settle([late])
  const told = await story(world, id)
  assert.ok(
    told.some((line) => line.endsWith('in_doubt late')),
    told.join(),
  )
  const { explanation = '' } = (await timeline(world.world, id)) ?? {}
  assert.match(explanation, /^The gateway executed it/)
  assert.doesNotMatch(explanation, /late/)
})
