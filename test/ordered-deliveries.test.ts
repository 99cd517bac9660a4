import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { tellEvent } from '../src/events/store.ts'
import { claimDue } from '../src/webhooks/deliver.ts'
import { retryDelivery } from '../src/webhooks/sent-again-store.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import type { TestWorld } from './harness.ts'
import { BY, delivering, receiver, status, type Answer } from './webhooks-kit.ts'

const LOOK = 4

/** An ordered endpoint with two events of each of some payments on their way to it. */
async function twoEach(t: TestContext, payments: number, ...answers: Answer[]) {
  const kit = await delivering(t)
  const own = { ...kit.own, look: LOOK }
  const to = await receiver(t, ...answers)
  const { id } = await kit.endpoint(to.url, { ordered: true })
  await tell(kit.world, id, payments)
  return { ...kit, own, to, id, turn: () => kit.turn(own) }
}

/** Event `n` is the first of payment `n`, and event `n` + 10,000 the second. */
function tell(world: TestWorld, endpointId: bigint, payments: number): Promise<unknown> {
  return world.sql(
    `with told as (
       insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
       select 0, n + 10000 * which, n, 'payment.succeeded', which + 1,
         json_build_object('type', 'payment.succeeded', 'data',
           json_build_object('payment', n, 'sequence', which + 1)), $2, n + 10000 * which
       from generate_series(1, $3::int) n, generate_series(0, 1) which
       returning *
     )
     insert into deliveries
       (shard, event_id, endpoint_id, payment_id, position, run_at, created_at)
     select 0, id, $1, payment_id, position,
       $2::timestamptz - case when sequence = 2 then interval '1 hour' else '0' end, $2
     from told`,
    [endpointId, world.clock.now(), payments],
  )
}

const due = async (world: TestWorld) => {
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from deliveries where state = 'pending' and run_at <= $1`,
    [world.clock.now()],
  )
  return row?.count
}

const seen = ({ received }: Awaited<ReturnType<typeof receiver>>) =>
  received.map(({ body }) => {
    const { data } = JSON.parse(body) as { data: { payment: number; sequence: number } }
    return `${data.payment}.${data.sequence}`
  })

test('what waits for an earlier event is not looked at again before that one is', async (t) => {
  const { world, turn } = await twoEach(t, 100, status(500))
  // The first events stand behind all the second ones.
  let calls = 0
  for (let count = 0; count < 40; count += 1) calls += await turn()
  assert.equal(calls, 100)
  assert.ok(((await due(world)) ?? 0) < LOOK)
  const waits = await world.sql(
    `select 1
     from deliveries waiting
     join deliveries head using (shard, endpoint_id, payment_id)
     where head.attempts = 1 and waiting.set_aside and waiting.run_at > $1
       and waiting.run_at <= $1::timestamptz + interval '1 hour'`,
    [world.clock.now()],
  )
  assert.ok(waits.length > 100 - LOOK)
})

test('what waited for an earlier event is sent as soon as that one has arrived or is given up', async (t) => {
  const { world, to, turn } = await twoEach(t, 12, status(500))
  for (let count = 0; count < 8; count += 1) await turn()
  await world.sql('update deliveries set run_at = $1, attempts = 9 where event_id <= 12', [
    world.clock.now(),
  ])
  to.received.length = 0
  to.answers.splice(0, 1, (response, { body }) => {
    const { payment, sequence } = JSON.parse(body).data
    response.writeHead(payment <= 3 && sequence === 1 ? 500 : 200).end()
  })
  // The clock stands still.
  for (let count = 0; count < 8; count += 1) await turn()
  const ends = await world.sql<{ state: string; count: number }>(
    'select state, count(*)::int as count from deliveries group by state order by state',
  )
  assert.deepEqual(ends, [
    { state: 'delivered', count: 21 },
    { state: 'failed', count: 3 },
  ])
  const sent = seen(to)
  for (let payment = 1; payment <= 12; payment += 1) {
    const [first, second] = [sent.indexOf(`${payment}.1`), sent.indexOf(`${payment}.2`)]
    assert.ok(first >= 0 && first < second, `${payment}: one after the other`)
  }
})

test('nothing stays aside that waits for nobody, even if the end of what it waited for is missed', async (t) => {
  const { world, to, turn } = await twoEach(t, 12, status(500))
  for (let count = 0; count < 8; count += 1) await turn()
  // As a process of the version before ends deliveries: it wakes nobody.
  await world.sql(`update deliveries set state = 'delivered', ended_at = $1 where event_id <= 12`, [
    world.clock.now(),
  ])
  to.answers.splice(0, 1, status(200))
  to.received.length = 0
  for (let waitedMs = 0; waitedMs <= 3_600_000; waitedMs += 600_000) {
    for (let count = 0; count < 3; count += 1) await turn()
    world.clock.advance(600_000)
  }
  assert.deepEqual(
    seen(to).toSorted(),
    Array.from({ length: 12 }, (_, index) => `${index + 1}.2`).toSorted(),
  )
})

test('an endpoint that is not ordered any more is sent at once what waited for an earlier event', async (t) => {
  const { world, id, to, turn } = await twoEach(t, 12, status(500))
  for (let count = 0; count < 8; count += 1) await turn()
  to.answers.splice(0, 1, status(200))
  to.received.length = 0
  await editEndpoint(world.db, id, { ordered: false }, BY)
  await turn()
  assert.equal(seen(to).filter((one) => one.endsWith('.2')).length, 12)
})

test('an event that is repeated does not stay aside, and goes after the one before it', async (t) => {
  const { world, id, to, turn } = await twoEach(t, 12, status(500))
  for (let count = 0; count < 8; count += 1) await turn()
  to.answers.splice(0, 1, status(200))
  to.received.length = 0
  const shard = world.db.of(0n)
  for (const eventId of [10_012n, 12n]) {
    assert.ok(await retryDelivery(shard, { eventId, endpointId: id }, 1n))
  }
  for (let count = 0; count < 4; count += 1) await turn()
  assert.deepEqual(
    seen(to).filter((one) => one.startsWith('12.')),
    ['12.1', '12.2'],
  )
})

test('what waits at an endpoint takes no claim from another, wherever it stands', async (t) => {
  const { world, own, endpoint } = await twoEach(t, 500, status(500))
  const other = await receiver(t, status(200))
  const { id } = await endpoint(other.url)
  await world.sql(`update deliveries set run_at = run_at + interval '1 day' where event_id <= 500`)
  await tellOne(world, id)
  const claimed = await claimDue(own, 500, () => 0)
  assert.deepEqual(
    claimed.map(({ due: { endpointId } }) => endpointId),
    [id],
  )
})

test('events of no payment wait for no other at an ordered endpoint', async (t) => {
  const kit = await delivering(t)
  const to = await receiver(t, status(500), status(200))
  await kit.endpoint(to.url, { ordered: true, types: ['books.*'] })
  const type = 'books.broken'
  for (let count = 0; count < 2; count += 1) {
    await tellEvent(kit.world.db.of(0n), type, JSON.stringify({ type, data: { count } }))
  }
  await kit.turn()
  assert.equal(to.received.length, 2)
})

function tellOne(world: TestWorld, endpointId: bigint): Promise<unknown> {
  return world.sql(
    `insert into deliveries
       (shard, event_id, endpoint_id, payment_id, position, run_at, created_at)
     values (0, 1, $1, 1, 1, $2, $2)`,
    [endpointId, world.clock.now()],
  )
}
