import assert from 'node:assert/strict'
import { test } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { databaseGauges } from '../src/metrics/database-gauges.ts'
import { claimDue } from '../src/webhooks/deliver.ts'
import { addEndpoint, dropEndpoint, editEndpoint, rotateSecret } from '../src/webhooks/endpoints.ts'
import { insertEndpoint, listEndpoints } from '../src/webhooks/store.ts'
import { Unavailable } from '../src/ports.ts'
import { testWorld } from './harness.ts'
import { serve } from './serve.ts'
import { BY, delivering, KEY, receiver, states, status, succeed } from './webhooks-kit.ts'

const DRAFT = {
  url: 'https://shop.example/hook',
  types: ['payment.*'],
  description: null,
  payload: 'full',
  ordered: false,
} as const

const LEFT = { ...BY, under: null }

test('an endpoint is made once for its key, and a repetition has its secret until that is rotated', async (t) => {
  const { db } = await testWorld(t, { shards: 2 })
  const by = { ...BY, under: { apiKey: 'k1', key: 'once' } }
  const all = await Promise.all([1, 2, 3].map(() => addEndpoint(db, DRAFT, by, KEY)))
  const made = all.flatMap((one) => (one.kind === 'made' ? [one] : []))
  assert.equal(made.length, 3)
  assert.equal(new Set(made.map(({ endpoint, secret }) => `${endpoint.id} ${secret}`)).size, 1)
  assert.equal(made.filter(({ replayed }) => !replayed).length, 1)
  const other = await addEndpoint(db, DRAFT, { ...BY, under: { apiKey: 'k2', key: 'once' } }, KEY)
  assert.ok(other.kind === 'made' && !other.replayed, 'another API key has keys of its own')

  const differs = await addEndpoint(db, { ...DRAFT, ordered: true }, by, KEY)
  assert.deepEqual(differs.kind === 'refused' && differs.refusal, {
    code: 'idempotency_key_reuse',
    errors: [{ field: 'ordered', code: 'differs' }],
  })
  const id = made[0]?.endpoint.id ?? 0n
  await editEndpoint(db, id, { ordered: true }, BY)
  await rotateSecret({ db, key: KEY }, id, 0, BY)
  const later = await addEndpoint(db, DRAFT, by, KEY)
  assert.ok(later.kind === 'made' && later.replayed && later.secret === null)
  assert.equal(later.endpoint.ordered, true, 'it is answered as it is now')
  await dropEndpoint(db, id, BY)
  const gone = await addEndpoint(db, DRAFT, by, KEY)
  assert.equal(gone.kind === 'refused' && gone.refusal.code, 'endpoint_not_found')
})

test('a repetition is answered only when every shard writes what is wanted, and a failure keeps no key', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const [first, last] = world.db.shards
  assert.ok(first && last)
  const broken = { ...last, run: () => Promise.reject(new Unavailable('down')) }
  const by = { ...BY, under: { apiKey: '', key: 'once' } }
  const db = { ...world.db, shards: [first, broken] }
  await assert.rejects(addEndpoint(db, DRAFT, by, KEY), Unavailable)
  const made = await addEndpoint(world.db, DRAFT, by, KEY)
  assert.ok(made.kind === 'made' && !made.replayed)
  // As if whoever made it had died before it told the shards.
  await world.sql('delete from webhook_subscriptions')
  await world.sql(`update event_wants set types = '{}', since = '{}'`)
  const again = await addEndpoint(world.db, DRAFT, by, KEY)
  assert.ok(again.kind === 'made' && again.replayed)
  const wants = await world.sql<{ types: string[] }>('select types from event_wants')
  assert.equal(wants.length, 2)
  assert.ok(wants.every(({ types }) => types.includes('payment.succeeded')))
})

test('of endpoints that are made at the same time no more are told of than there may be, and each of them is called', async (t) => {
  const { world, own } = await delivering(t)
  await world.sql(
    `insert into webhook_endpoints (id, types, state, created_at, created_by, changed_at)
     select 1000 + n, '{payment.failed}', 'enabled', now(), 'jane', now()
     from generate_series(1, 97) n`,
  )
  const added = await Promise.all(
    Array.from({ length: 12 }, (_, n) => {
      const under = n % 2 === 0 ? null : { apiKey: '', key: `key-${n}` }
      return addEndpoint(world.db, DRAFT, { ...BY, under }, KEY)
    }),
  )
  const made = added.flatMap((one) => (one.kind === 'made' ? [one.endpoint.id] : []))
  const codes = added.flatMap((one) => (one.kind === 'refused' ? [one.refusal.code] : []))
  assert.ok(made.length <= 3, `${made.length} were made`)
  assert.deepEqual(new Set(codes), new Set(['endpoints_full']))
  const listed = (await listEndpoints(world.db.global)).map(({ id }) => id)
  assert.equal(listed.length, 97 + made.length)
  assert.deepEqual(
    made.filter((id) => !listed.includes(id)),
    [],
  )

  // As if whoever made one had died before it could take it back.
  for (let n = listed.length; n < 101; n += 1)
    await insertEndpoint(world.db.global, DRAFT, LEFT, 's')
  await succeed(world)
  await feed(world.db)
  const called = new Set((await claimDue(own, 500, () => 0)).map(({ due }) => due.endpointId))
  assert.deepEqual(called, new Set(made))
  const full = await addEndpoint(world.db, DRAFT, BY, KEY)
  assert.equal(full.kind === 'refused' && full.refusal.code, 'endpoints_full')
})

test('after its URL is changed every call goes to the new one, those of deliveries under way as well', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const before = await receiver(t, status(429, { 'retry-after': '3600' }))
  const after = await receiver(t, status(200))
  const { id } = await endpoint(before.url)
  await succeed(world)
  assert.equal(await turn(), 1)
  const changed = await editEndpoint(world.db, id, { url: after.url }, BY)
  assert.equal(changed?.url, after.url)
  await succeed(world)
  assert.equal(await turn(), 1, 'what the one before asked for does not hold the new one back')
  world.clock.advance(3_600_000)
  assert.equal(await turn(), 1)
  assert.deepEqual([before.received.length, after.received.length], [1, 2])
  const ends = (await states(world)).map(({ state }) => state)
  assert.deepEqual(ends, ['delivered', 'delivered'])
})

test('an endpoint with a rate is called no oftener on average, by all processes together', async (t) => {
  const { world, own, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url, { ratePerSecond: 5 })
  await succeed(world, 40)
  while ((await feed(world.db)) > 0) continue
  let claimed = 0
  const claim = async () => {
    const own40 = await claimDue(own, 500, () => 0)
    claimed += own40.length
  }
  // Two processes look at the same time, ten times a second.
  for (let tenth = 0; tenth < 30; tenth += 1) {
    await Promise.all([claim(), claim()])
    world.clock.advance(100)
  }
  // What a second brings may be used at once, by each: no more than that on top.
  assert.ok(claimed >= 15 && claimed <= 24, `${claimed} calls in 3 seconds at 5 a second`)
  await editEndpoint(world.db, id, { ratePerSecond: null }, BY)
  await claim()
  assert.ok(claimed >= 35, String(claimed))
})

test('what was done to an endpoint is kept with who did it, for good and without its secret', async (t) => {
  const { call } = await serve(t)
  const jane = { 'x-actor': 'jane' }
  const to = await receiver(t, status(410))
  const body = { url: to.url, types: ['payment.*'], rate_per_second: 7 }
  const key = { 'idempotency-key': 'once' }
  const made = await call('POST', '/webhook-endpoints', body, { ...jane, ...key })
  const again = await call('POST', '/webhook-endpoints', body, key)
  assert.deepEqual([made.status, again.status], [201, 201])
  assert.deepEqual(again.body, made.body)
  assert.deepEqual(
    [made.headers.get('idempotent-replayed'), again.headers.get('idempotent-replayed')],
    [null, 'true'],
  )
  await call('PATCH', '/webhook-endpoints/1', { rate_per_second: null }, { 'x-actor': 'joe' })
  await call('POST', '/webhook-endpoints/1/rotate-secret', {}, jane)
  await call('DELETE', '/webhook-endpoints/1', undefined, jane)
  const { body: record, text } = await call('GET', '/webhook-endpoints/1/acts')
  const acts = record['data'] as {
    readonly act: string
    readonly actor: string
    readonly before: Record<string, unknown> | null
    readonly after: Record<string, unknown>
  }[]
  const facts = acts.map(({ act, actor, before, after }) => [
    act,
    actor,
    before?.['rate_per_second'],
    after['rate_per_second'],
  ])
  assert.deepEqual(facts, [
    ['remove', 'jane', null, null],
    ['rotate', 'jane', null, null],
    ['change', 'joe', 7, null],
    ['create', 'jane', undefined, 7],
  ])
  assert.ok(!text.includes('whsec') && !text.includes('secret'))
  const none = await call('GET', '/webhook-endpoints/9/acts')
  assert.deepEqual([none.status, none.body['code']], [404, 'endpoint_not_found'])
})

test('a URL that cannot be, and one for an endpoint that is not called, are refused', async (t) => {
  const { call } = await serve(t)
  await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  const near = await call('PATCH', '/webhook-endpoints/1', { url: 'http://shop.example/' })
  assert.equal(near.status, 422)
  assert.deepEqual(near.body['errors'], [{ pointer: '/url', code: 'not_https' }])
  const polled = await call('PATCH', '/webhook-endpoints/1', { url: 'https://shop.example/' })
  assert.deepEqual([polled.status, polled.body['code']], [409, 'endpoint_not_called'])
  const named = await call('DELETE', '/webhook-endpoints/1', undefined, { 'x-actor': 'key:x' })
  assert.deepEqual([named.status, named.body['code']], [400, 'actor_invalid'])
})

test('an endpoint that is disabled by what it answers is in the record as an act of the service', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(410))
  await endpoint(to.url)
  await succeed(world)
  await turn()
  const acts = await world.sql<object>(
    `select act, actor, request_id, after ->> 'state' as state
    from endpoint_acts
    where act <> 'create'`,
  )
  assert.deepEqual(acts, [{ act: 'disable', actor: null, request_id: 'gone', state: 'disabled' }])
})

test('gauges tell of endpoints that fail, are late, and are disabled by the service alone', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const bad = await receiver(t, status(500))
  const gone = await receiver(t, status(410))
  const { id } = await endpoint(bad.url)
  await endpoint(gone.url)
  const off = await endpoint(gone.url)
  await editEndpoint(world.db, off.id, { state: 'disabled' }, BY)
  const gauges = async () => {
    const { webhookEndpoints, webhookOldestDueSeconds } = await databaseGauges(world.db)()
    return { ...webhookEndpoints, late: webhookOldestDueSeconds }
  }
  assert.deepEqual(await gauges(), { failing: 0, disabled: 0, late: 0 })
  await succeed(world)
  await feed(world.db)
  world.clock.advance(7_000)
  assert.deepEqual(await gauges(), { failing: 0, disabled: 0, late: 7 })
  await turn()
  assert.deepEqual(await gauges(), { failing: 0, disabled: 1, late: 0 }, 'it failed once')
  world.clock.advance(5_000)
  await turn()
  assert.deepEqual(await gauges(), { failing: 1, disabled: 1, late: 0 })
  world.clock.advance(400_000)
  assert.equal((await gauges()).late, 100)
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  assert.deepEqual(await gauges(), { failing: 0, disabled: 1, late: 0 })
})

test('a type that is said twice is kept once, when an endpoint is made and changed', async (t) => {
  const { call } = await serve(t)
  const twice = ['payment.*', 'books.broken', 'payment.*']
  const made = await call('POST', '/webhook-endpoints', { types: twice })
  assert.deepEqual([made.status, made.body['types']], [201, ['payment.*', 'books.broken']])
  const types = ['payment.failed', 'payment.failed']
  const changed = await call('PATCH', `/webhook-endpoints/${String(made.body['id'])}`, { types })
  assert.deepEqual([changed.status, changed.body['types']], [200, ['payment.failed']])
})

test('an endpoint that is polled is made without a URL or with null, and none is made so later', async (t) => {
  const service = await serve(t)
  const types = ['payment.*']
  for (const given of [{}, { url: null }]) {
    const made = await service.call('POST', '/webhook-endpoints', { types, ...given })
    assert.deepEqual([made.status, made.body['url'], made.body['secret']], [201, null, null])
    const path = `/webhook-endpoints/${Number(made.body['id'])}`
    const moved = await service.call('PATCH', path, { url: 'http://127.0.0.1:9/' })
    assert.deepEqual([moved.status, moved.body['code']], [409, 'endpoint_not_called'])
    const none = await service.call('PATCH', path, { url: null })
    assert.deepEqual([none.status, none.body['code']], [400, 'body_invalid'])
  }
  for (const url of ['', 7, [], {}]) {
    const { status: said, body } = await service.call('POST', '/webhook-endpoints', { types, url })
    assert.deepEqual([said, body['code']], [400, 'body_invalid'])
    const code = url === '' ? 'minLength' : 'wrong_type'
    assert.deepEqual(body['errors'], [{ pointer: '/url', code }])
  }
})
