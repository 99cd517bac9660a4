import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Compile } from 'typebox/schema'
import { writeJson } from '../src/domain/exact-json.ts'
import { EVENT_NAMES, wantedTypes } from '../src/domain/event.ts'
import { EventBody, eventBody } from '../src/events/bodies.ts'
import { feed } from '../src/events/feed.ts'
import { dropEndpoint, editEndpoint } from '../src/webhooks/endpoints.ts'
import { pay } from './charge-kit.ts'
import { gate, polled, want } from './events-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { BY } from './webhooks-kit.ts'

interface Row {
  readonly type: string
  readonly sequence: number | null
  readonly body: string
}

const written = (world: TestWorld) =>
  world.sql<Row>('select type, sequence, body from events order by id')

const types = async (world: TestWorld) =>
  (await written(world)).map(({ type, sequence }) => `${type} ${sequence}`)

test('nothing is written while nobody wants it', async (t) => {
  const world = await testWorld(t)
  await pay(world, 'deposit')
  await world.work()
  assert.deepEqual(await written(world), [])
})

test('an end is told in the transaction that makes it, to whoever wanted it before', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined'] })
  await pay(world, 'deposit')
  await world.work()
  await want(world, ['payment.*'])
  await pay(world, 'deposit')
  await world.work()
  assert.deepEqual(await types(world), ['payment.failed 1'])
  const claimed = async () => {
    await pay(world, 'withdraw')
    return world.claimAndCharge()
  }
  world.gateway.script = ['success']
  const settlements = await claimed()
  assert.deepEqual(await types(world), ['payment.failed 1'], 'a claim tells nothing')
  await world.settle(settlements)
  assert.deepEqual(await types(world), ['payment.failed 1', 'payment.succeeded 1'])
  await world.settle(settlements)
  assert.equal((await written(world)).length, 2, 'what is settled again tells nothing again')
})

test('only wanted types are written, and a gap in the sequence is a change that nobody wanted', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: BLIND_LATER })
  await want(world, ['payment.succeeded', 'payment.failed', 'dead_letter.*'])
  await pay(world, 'withdraw')
  await exhausted(world)
  assert.deepEqual(await types(world), ['dead_letter.opened null'])
  world.gateway.lookups = { kind: 'success', gatewayRef: 'gw-1' }
  world.clock.advance(10_000)
  await world.work()
  assert.deepEqual(await types(world), [
    'dead_letter.opened null',
    'payment.succeeded 3',
    'dead_letter.closed null',
  ])
})

test('a payment of unknown outcome tells that it is, that it is resolved, and how', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'], profile: BLIND_LATER })
  await want(world, ['payment.*'])
  await pay(world, 'withdraw')
  await exhausted(world)
  world.gateway.lookups = { kind: 'declined', reason: 'http_402' }
  world.clock.advance(10_000)
  await world.work()
  assert.deepEqual(await types(world), [
    'payment.unknown 1',
    'payment.resolved 2',
    'payment.failed 3',
  ])
})

test('that the gateway works on a payment is told once', async (t) => {
  const world = await testWorld(t, { script: ['pending'] })
  await want(world, ['payment.*'])
  await pay(world, 'deposit')
  await world.work()
  world.clock.advance(120_000)
  await world.work()
  assert.deepEqual(await types(world), ['payment.pending 1'])
  assert.equal(JSON.parse((await written(world))[0]?.body ?? '').data.status, 'pending')
})

test('every body is a document of its type’s schema, with the payment as it was right then', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined'] })
  await want(world, ['payment.*', 'dead_letter.*'])
  const id = await pay(world, 'deposit')
  await pay(world, 'withdraw')
  await world.sql(
    `insert into payment_details (shard, payment_id, reference, metadata, sent)
    values (0, $1, 'order-1', '{"shelf": "b"}', '{}')`,
    [id],
  )
  await world.work()
  const rows = await written(world)
  assert.equal(rows.length, 3)
  assert.equal(await feed(world.db), 3)
  const shown = (await polled(world)).map(eventBody)
  assert.equal(shown.length, 3)
  for (const event of shown) {
    assert.ok(Compile(EventBody).Check(JSON.parse(writeJson(event))), writeJson(event))
  }
  const { timestamp, data } = JSON.parse(rows[0]?.body ?? '')
  assert.equal(timestamp, '2030-01-01T00:00:00.000Z')
  assert.deepEqual(data, {
    payment_id: Number(id),
    user_id: 1,
    type: 'deposit',
    amount: 10,
    commission: 0.2,
    currency: 'USD',
    status: 'success',
    attempts: 1,
    last_error: null,
    gateway_ref: `gw-${id}`,
    created_at: '2030-01-01T00:00:00.000Z',
    finished_at: '2030-01-01T00:00:00.000Z',
    refunded: 0,
    returned: 0,
    parent_id: null,
    fee_returned: null,
    return_kind: null,
    reference: 'order-1',
    description: null,
    metadata: { shelf: 'b' },
    cut: false,
    sequence: 1,
  })
})

test('texts that are too long for an event are left out and never keep a payment from ending', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.*'])
  const id = await pay(world, 'deposit')
  const metadata = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`key ${index}`, '"'.repeat(500)]),
  )
  await world.sql(
    `insert into payment_details (shard, payment_id, metadata, description, sent)
    values (0, $1, $2, $3, '{}')`,
    [id, metadata, '\u{1F4B6}'.repeat(500)],
  )
  await world.work()
  const [row] = await written(world)
  const { data } = JSON.parse(row?.body ?? '')
  assert.equal(data.cut, true)
  assert.equal(data.metadata, null)
  assert.equal(data.description, null)
  assert.equal((await world.view(id)).status, 'success')
})

test('an amount has the decimals of its currency', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.*'])
  const shown: Record<string, number> = { JPY: 1_000, KWD: 1, CLF: 0.1, USD: 10 }
  for (const currency of Object.keys(shown)) {
    const user = await world.user(10_000n)
    const id = await pay(world, 'deposit', user)
    await world.sql('update users set currency = $1 where id = $2', [currency, user])
    await world.sql('update payments set currency = $1 where id = $2', [currency, id])
  }
  await world.work()
  const found = (await written(world)).map(({ body }) => JSON.parse(body).data)
  assert.deepEqual(Object.fromEntries(found.map((data) => [data.currency, data.amount])), shown)
})

test('what is no longer wanted is not written, and what others want still is', async (t) => {
  const world = await testWorld(t)
  const one = await want(world, ['payment.*'])
  const other = await want(world, ['payment.succeeded'])
  assert.ok(await dropEndpoint(world.db, one, BY))
  await pay(world, 'deposit')
  await world.work()
  assert.deepEqual(await types(world), ['payment.succeeded 1'])
  await editEndpoint(world.db, other, { types: ['payment.failed'] }, BY)
  await pay(world, 'deposit')
  await world.work()
  assert.equal((await written(world)).length, 1)
  assert.ok(await dropEndpoint(world.db, one, BY), 'it is gone, and who asks again is told so')
})

test('a type that stays wanted is wanted since the first wish for it', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.failed'])
  world.clock.advance(1_000)
  await want(world, ['payment.*'])
  const [wants] = await world.sql<{ types: string[]; since: Date[] }>('select * from event_wants')
  const since = wants?.types.map((type, index) => [type, wants.since[index]?.getTime()])
  const [first = 0] = since?.find(([type]) => type === 'payment.failed')?.slice(1) ?? []
  const others = since?.filter(([type]) => type !== 'payment.failed') ?? []
  assert.equal(others.length, 6)
  assert.ok(others.every(([, at]) => at === Number(first) + 1_000))
})

/** Wait until a session of this database waits for a lock. */
async function untilWaiting(world: TestWorld): Promise<void> {
  for (;;) {
    const [row] = await world.sql<{ count: number }>(`
      select count(*)::int as count from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    if ((row?.count ?? 0) > 0) return
  }
}

test('an answer to a new wish comes after everybody who ends payments without knowing of it', async (t) => {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  await want(world, ['payment.failed'])
  await pay(world, 'deposit')
  const order: string[] = []
  const [goOn, release] = gate()
  // Somebody who has read what is wanted, and takes a while to commit.
  const reading = shard.transaction(async (tx) => {
    await tx.run({ name: 'test_wants', text: 'select types from event_wants where shard = $1' }, [])
    await goOn
    order.push('ended')
  })
  const wished = want(world, ['payment.succeeded']).then(() => order.push('answered'))
  await untilWaiting(world)
  assert.deepEqual(order, [])
  release()
  await Promise.all([reading, wished])
  assert.deepEqual(order, ['ended', 'answered'])
})

test('a wish that a shard cannot be told of leaves no endpoint behind', async (t) => {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  await want(world, ['payment.failed'])
  const [goOn, release] = gate()
  const [begun, began] = gate()
  const holding = shard.transaction(async (tx) => {
    await tx.run({ name: 'test_wants', text: 'select types from event_wants where shard = $1' }, [])
    began()
    await goOn
  })
  await begun
  await assert.rejects(want(world, ['payment.succeeded']), { name: 'Busy' })
  release()
  await holding
  const rows = await world.sql<{ state: string }>('select state from webhook_endpoints order by id')
  assert.deepEqual(rows, [{ state: 'enabled' }, { state: 'removed' }])
})

test('kinds stand for their types', () => {
  assert.deepEqual(wantedTypes(['dead_letter.*']), ['dead_letter.opened', 'dead_letter.closed'])
  const all = ['books.*', 'webhook_endpoint.*', 'payment.*', 'dead_letter.*']
  assert.deepEqual(wantedTypes(all), EVENT_NAMES)
  assert.deepEqual(wantedTypes(['payment.failed', 'payment.failed']), ['payment.failed'])
})

const BLIND_LATER = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' } as const

/** Work until the tries have run out, without learning anything. */
async function exhausted(world: TestWorld): Promise<void> {
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await world.work()
    world.clock.advance(31_000)
  }
}
