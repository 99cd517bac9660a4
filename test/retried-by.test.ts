import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messageId } from '../src/domain/event.ts'
import { withShards } from '../src/each-shard.ts'
import { CommitUnknown, Unavailable } from '../src/ports.ts'
import { missedUntilEnabled } from '../src/runs/events.ts'
import { deliverAgain, newestDeliveries } from '../src/webhooks/deliveries.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import type { TestWorld } from './harness.ts'
import { serve } from './serve.ts'
import { BY, delivering, receiver, status, succeed } from './webhooks-kit.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

/** What is kept of those who sent an event again, the oldest first. */
const kept = (world: TestWorld) =>
  world.sql<{ actor: string; after: object }>(
    "select actor, after from endpoint_acts where act = 'retry' order by id",
  )

test('who sends an event again is in the record of the endpoint, and a key does it once', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 2)
  await turn()
  const [second, first] = await newestDeliveries(world.db, id, null, 2)
  assert.ok(first !== undefined && second !== undefined)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const path = (event: bigint) => `/webhook-endpoints/${id}/deliveries/${messageId(event)}/retry`
  const named = { 'x-actor': 'jane' }
  const keyed = { ...named, 'idempotency-key': 'once' }
  const reason = 'The shop lost it'

  const wrong = await call('POST', path(first.eventId), undefined, { 'x-actor': 'key:1' })
  assert.deepEqual([wrong.status, wrong.body['code']], [400, 'actor_invalid'])
  const card = await call('POST', path(first.eventId), { reason: '4111 1111 1111 1111' }, named)
  assert.deepEqual([card.status, card.body['code']], [422, 'card_number'])
  assert.deepEqual(await kept(world), [], 'what is refused is not kept')

  const made = await call('POST', path(first.eventId), { reason }, keyed)
  assert.deepEqual([made.status, made.headers.get('idempotent-replayed')], [204, null])
  assert.equal(await turn(), 1)
  const again = await call('POST', path(first.eventId), { reason }, keyed)
  assert.deepEqual([again.status, again.headers.get('idempotent-replayed')], [204, 'true'])
  assert.equal(await turn(), 0, 'it is not sent once more')
  for (const [event, why, field] of [
    [second.eventId, reason, '/path'],
    [first.eventId, 'Another', '/reason'],
  ] as const) {
    const other = await call('POST', path(event), { reason: why }, keyed)
    assert.deepEqual([other.status, other.body['code']], [422, 'idempotency_key_reuse'])
    const [error] = other.body['errors'] as { readonly pointer: string }[]
    assert.equal(error?.pointer, field)
  }
  assert.equal((await call('POST', path(second.eventId))).status, 204)
  const read = await call('GET', `/webhook-endpoints/${id}/acts`)
  const acts = read.body['data'] as Record<string, unknown>[]
  const sent = acts.filter(({ act }) => act === 'retry')
  assert.deepEqual(
    sent.map(({ act, actor, before, after }) => [act, actor, before, after]),
    [
      ['retry', 'anonymous', null, { event_id: messageId(second.eventId) }],
      ['retry', 'jane', null, { event_id: messageId(first.eventId), reason }],
    ],
  )

  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  const off = await call('POST', path(first.eventId), { reason }, keyed)
  assert.equal(off.status, 204, 'what was done is answered as it was')
})

test('a retry that was cut short before the delivery was due is carried out under its key, once', async (t) => {
  const { world, own, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id: endpointId } = await endpoint(to.url)
  await succeed(world)
  await turn()
  const [delivery] = await newestDeliveries(world.db, endpointId, null, 1)
  assert.ok(delivery !== undefined)
  const which = { endpointId, eventId: delivery.eventId }
  const by = { ...BY, under: { apiKey: '', key: 'once' } }
  const away = withShards(own.db, (shard) => ({
    ...shard,
    run: (statement, values) =>
      statement.name === 'deliveries_retry'
        ? Promise.reject(new Unavailable('away'))
        : shard.run(statement, values),
  }))
  await assert.rejects(deliverAgain(away, which, by), CommitUnknown)
  assert.equal((await kept(world)).length, 1)
  assert.equal(await turn(), 0)
  assert.deepEqual(await deliverAgain(own.db, which, by), { kind: 'due', replayed: false })
  assert.equal(await turn(), 1)
  assert.deepEqual(await deliverAgain(own.db, which, by), { kind: 'due', replayed: true })
  assert.equal(await turn(), 0)
  assert.equal((await kept(world)).length, 1)
})

test('retries of a delivery under one key at the same time are all answered alike, and sent once', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id: endpointId } = await endpoint(to.url)
  await succeed(world)
  await turn()
  const [delivery] = await newestDeliveries(world.db, endpointId, null, 1)
  assert.ok(delivery !== undefined)
  const which = { endpointId, eventId: delivery.eventId }
  const by = { ...BY, under: { apiKey: '', key: 'together' } }
  const all = Array.from({ length: 12 }, () => deliverAgain(world.db, which, by))
  const answers = await Promise.all(all)
  assert.deepEqual(new Set(answers.map(({ kind }) => kind)), new Set(['due']))
  const first = answers.filter((one) => one.kind === 'due' && !one.replayed)
  assert.equal(first.length, 1)
  assert.equal((await kept(world)).length, 1)
  assert.equal(await turn(), 1)
})

test('an endpoint is offered all that it missed, however often events were sent to it again', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world)
  await turn()
  const before = async () => {
    const found = await readEndpoint(world.db.global, id)
    assert.ok(found !== null)
    return found
  }
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  world.clock.advance(1_000)
  await succeed(world, 3)
  await turn()
  world.clock.advance(1_000)
  await world.sql(`
    insert into endpoint_acts (id, endpoint_id, act, actor, request_id, after, created_at)
    select nextval('endpoint_act_ids'), ${id}, 'retry', 'jane', 'r', '{}', to_timestamp(${
      world.clock.now().getTime() / 1_000
    })
    from generate_series(1, 150)`)
  const known = await before()
  const after = await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  assert.ok(after !== null)
  assert.equal((await missedUntilEnabled(world.db, known, after, 'jane'))?.count, 3)
})
