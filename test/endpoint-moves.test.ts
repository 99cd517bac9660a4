import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommitUnknown, Unavailable, type Db } from '../src/ports.ts'
import { settleDelivered } from '../src/webhooks/deliver.ts'
import { addEndpoint, editEndpoint } from '../src/webhooks/endpoints.ts'
import { testWorld } from './harness.ts'
import {
  BY,
  delivering,
  gate,
  KEY,
  receiver,
  states,
  status,
  succeed,
  type Answer,
} from './webhooks-kit.ts'

const reset: Answer = (response) => void response.destroy()
const DAY_MS = 86_400_000

for (const [what, answer, before] of [
  ['500', status(500), 0],
  ['a reset', reset, 0],
  ['404 to the last call there is', status(404), 9],
] as const) {
  test(`what the old URL answers with ${what} while an endpoint moves is sent to the new one at once`, async (t) => {
    const { world, turn, claimAndSend, own, endpoint, disabled } = await delivering(t)
    const [old, fresh] = [await receiver(t, answer), await receiver(t, status(204))]
    const { id } = await endpoint(old.url)
    await succeed(world)
    for (let call = 0; call < before; call += 1) {
      await turn()
      world.clock.advance(2 * DAY_MS)
    }
    const made = await claimAndSend()
    await editEndpoint(world.db, id, { url: fresh.url }, BY)
    await settleDelivered(own, made)
    await turn()
    assert.deepEqual([old.received.length, fresh.received.length], [before + 1, 1])
    assert.deepEqual(
      (await states(world)).map(({ state }) => state),
      ['delivered'],
    )
    assert.deepEqual(disabled, [])
  })
}

test('what failed is settled though nobody can say whether its endpoint has moved', async (t) => {
  const { world, claimAndSend, own, endpoint } = await delivering(t)
  await endpoint((await receiver(t, status(500))).url)
  await succeed(world)
  const made = await claimAndSend()
  const global = { run: () => Promise.reject(new Unavailable('away')) }
  assert.deepEqual(await settleDelivered({ ...own, db: { ...own.db, global } }, made), [])
  assert.deepEqual(await states(world), [{ state: 'pending', attempts: 1 }])
})

test('what an endpoint says of itself waits until it is known whether that has moved', async (t) => {
  const { world, claimAndSend, own, endpoint } = await delivering(t)
  await endpoint((await receiver(t, status(500), status(503))).url)
  await succeed(world, 2)
  const made = await claimAndSend()
  assert.equal(made.length, 2)
  const global = { run: () => Promise.reject(new Unavailable('away')) }
  const away = { ...own, db: { ...own.db, global } }
  await assert.rejects(settleDelivered(away, made), Unavailable)
  assert.deepEqual(await settleDelivered(own, made), [])
})

test('an endpoint that was shown to who repeats a request is not taken back by the request that failed', async (t) => {
  const world = await testWorld(t)
  const draft = {
    url: 'https://shop.example/hook',
    types: ['payment.*'],
    description: null,
    payload: 'full',
    ordered: false,
  } as const
  const by = { ...BY, under: { apiKey: '', key: 'hook-of-the-shop' } }
  const [asked, begin] = gate()
  const [over, end] = gate()
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  const slow = {
    ...shard,
    async run() {
      begin()
      await over
      throw new Unavailable('the database took too long')
    },
  }
  const db = { ...world.db, shards: [slow] } as unknown as Db
  const failing = assert.rejects(addEndpoint(db, draft, by, KEY), CommitUnknown)
  await asked
  const second = await addEndpoint(world.db, draft, by, KEY)
  end()
  await failing
  const third = await addEndpoint(world.db, draft, by, KEY)
  assert.ok(second.kind === 'made' && third.kind === 'made')
  assert.deepEqual(
    [third.endpoint.id, third.secret, third.endpoint.state],
    [second.endpoint.id, second.secret, 'enabled'],
  )
})
