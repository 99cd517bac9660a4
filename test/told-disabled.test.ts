import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Unavailable, type Runner } from '../src/ports.ts'
import { settleDelivered, type DeliveryWorld } from '../src/webhooks/deliver.ts'
import { tellUntold } from '../src/webhooks/tell-disabled.ts'
import { editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import { want } from './events-kit.ts'
import { BY, delivering, receiver, status, succeed } from './webhooks-kit.ts'

/** A world in which nobody can be told of anything. */
function silent(own: DeliveryWorld): DeliveryWorld {
  const shards = own.db.shards.map((shard) => {
    const run: Runner['run'] = (statement, values) =>
      statement.name === 'events_tell'
        ? Promise.reject(new Unavailable('down'))
        : shard.run(statement, values)
    return { ...shard, run }
  })
  const of = (id: bigint) => shards[own.db.of(id).number] ?? own.db.of(id)
  return { ...own, db: { ...own.db, shards, of } }
}

async function disabledUntold(t: TestContext) {
  const kit = await delivering(t)
  const { world, own, claimAndSend, endpoint } = kit
  const to = await receiver(t, status(410))
  const { id } = await endpoint(to.url)
  await want(world, ['webhook_endpoint.disabled'])
  await succeed(world)
  const done = await claimAndSend()
  await assert.rejects(settleDelivered(silent(own), done), Unavailable)
  assert.equal((await readEndpoint(world.db.global, id))?.state, 'disabled')
  const told = () =>
    world.sql<{ body: string }>(`select body from events where type = 'webhook_endpoint.disabled'`)
  const errors: unknown[] = []
  const tell = (by: DeliveryWorld = own) => tellUntold(by.db, (error) => errors.push(error))
  return { ...kit, id, to, done, told, tell, errors }
}

test('that an endpoint was disabled is told a minute later where it could not be told at once', async (t) => {
  const { world, own, id, to, done, told, tell, errors } = await disabledUntold(t)
  const at = world.clock.now().toISOString()
  // A repetition finds nothing to disable.
  await settleDelivered(own, done)
  assert.deepEqual(await told(), [])
  world.clock.advance(59_999)
  await tell()
  assert.deepEqual(await told(), [])
  world.clock.advance(1)
  await tell(silent(own))
  assert.equal(errors.length, 1, 'it is tried again')
  await tell()
  assert.deepEqual(await told(), [], 'by one at a time')
  world.clock.advance(60_000)
  await Promise.all([tell(), tell()])
  await tell()
  const [event, second] = await told()
  assert.ok(event !== undefined && second === undefined, 'once')
  assert.deepEqual(JSON.parse(event.body), {
    type: 'webhook_endpoint.disabled',
    timestamp: at,
    data: { endpoint_id: Number(id), url: new URL(to.url).origin, reason: 'gone' },
  })
})

test('an endpoint that is enabled again before anybody was told is nothing to tell of', async (t) => {
  const { world, id, told, tell } = await disabledUntold(t)
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  world.clock.advance(60_000)
  await tell()
  assert.deepEqual(await told(), [])
})
