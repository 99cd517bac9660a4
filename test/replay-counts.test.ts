import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replayOf } from '../src/runs/events.ts'
import { readRun } from '../src/runs/read-store.ts'
import { cancel, start, step } from '../src/runs/run.ts'
import { dropEndpoint } from '../src/webhooks/endpoints.ts'
import { carriedOut, delivered, found, START } from './replay-kit.ts'
import { serve } from './serve.ts'
import { BY, delivering, receiver, status, succeed } from './webhooks-kit.ts'

test('what a replay has sent adds up for good, also when a later one sends the same events', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 6)
  await delivered(turn)
  const one = await found(world, id)
  const two = await found(world, id)
  const counts = async (snapshot: bigint) => {
    const run = await readRun(world.db.global, snapshot, id)
    assert.ok(run)
    const { delivered: arrived, failed, pending, other } = await replayOf(world.db, run)
    assert.equal(arrived + failed + pending + (other ?? 0), run.carriedOut)
    return [run.carriedOut, arrived, pending, other]
  }
  await start(world.world, one.snapshot, { ...START, endpointId: id })
  await carriedOut(world)
  assert.deepEqual(await counts(one.snapshot), [6, 0, 6, 0])
  await delivered(turn)
  assert.deepEqual(await counts(one.snapshot), [6, 6, 0, 0])
  await start(world.world, two.snapshot, { ...START, ratePerSecond: 2, endpointId: id })
  await step(world.world, null)
  await cancel(world.world, two.snapshot, 'joe', id)
  await delivered(turn)
  world.clock.advance(1_000)
  await delivered(turn)
  assert.deepEqual(await counts(one.snapshot), [6, 4, 0, 2])
  assert.deepEqual(await counts(two.snapshot), [2, 2, 0, 0])
  await world.sql('delete from deliveries')
  assert.deepEqual(await counts(one.snapshot), [6, 0, 0, 6])
})

test('what waited for an endpoint that was removed is on its way no more', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 3)
  await delivered(turn)
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, endpointId: id })
  await carriedOut(world)
  await dropEndpoint(world.db, id, BY)
  const run = await readRun(world.db.global, snapshot, id)
  assert.ok(run)
  const { pending, other } = await replayOf(world.db, run)
  assert.deepEqual([pending, other], [0, 3])
})

test('nothing is sent again to an endpoint that is disabled, and its replays are listed when it is gone', async (t) => {
  const { call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', NO_FAULTS)
  const to = await receiver(t, status(200))
  await call('POST', '/webhook-endpoints', { url: to.url, types: ['payment.*'] })
  const user = await call('POST', '/users/', { balance: 10 })
  await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const path = '/webhook-endpoints/1'
  const arrived = async () => {
    const { body } = await call('GET', `${path}/deliveries?state=delivered`)
    return (body['data'] as { readonly event_id: string }[])[0]?.event_id
  }
  while ((await arrived()) === undefined) continue
  const retry = `${path}/deliveries/${await arrived()}/retry`
  const dry = await call('POST', `${path}/replays`, { filter: {}, dry_run: true })
  const asked = { snapshot: dry.body['snapshot'], reason: 'The shop was away' }
  const keyed = { 'idempotency-key': 'once' }
  await call('PATCH', path, { state: 'disabled' })
  for (const refused of [
    await call('POST', retry),
    await call('POST', `${path}/replays`, asked),
    await call('POST', `${path}/replays`, asked, keyed),
  ]) {
    assert.deepEqual([refused.status, refused.body['code']], [409, 'endpoint_disabled'])
  }
  assert.notEqual(await arrived(), undefined, 'what has arrived still has')
  await call('PATCH', path, { state: 'enabled' })
  const begun = await call('POST', `${path}/replays`, asked, keyed)
  assert.deepEqual([begun.status, begun.body['other']], [202, 0])
  await call('PATCH', path, { state: 'disabled' })
  const again = await call('POST', `${path}/replays`, asked, keyed)
  assert.equal(again.status, 202, 'what was started is answered as it was')
  await call('DELETE', path)
  const later = await call('POST', `${path}/replays`, asked, keyed)
  assert.deepEqual([later.status, later.body['id']], [202, begun.body['id']], 'it is removed')
  const fresh = await call('POST', `${path}/replays`, asked)
  assert.deepEqual([fresh.status, fresh.body['code']], [404, 'endpoint_not_found'])
  const listed = await call('GET', `${path}/replays`)
  assert.deepEqual(
    (listed.body['data'] as { readonly id: number }[]).map(({ id }) => id),
    [begun.body['id']],
  )
  assert.equal((await call('GET', '/webhook-endpoints/9/replays')).status, 404)
})

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }
