import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Compile } from 'typebox/schema'
import { EventBody, eventBody } from '../src/events/bodies.ts'
import { tellBroken } from '../src/events/books.ts'
import { writeJson } from '../src/domain/exact-json.ts'
import { feed } from '../src/events/feed.ts'
import { verify } from '../src/verify/verify.ts'
import { polled, want } from './events-kit.ts'
import { openDb, raw, testWorld } from './harness.ts'
import { serve } from './serve.ts'

test('books that are broken are told of once, and again when something else is broken', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await want(world, ['books.*'])
  const [one, other] = [await world.user(10n), await world.user(10n)]
  const check = () => verify({ db: world.db, clock: world.clock })
  const whole = await check()
  await tellBroken(world.db, whole, null)
  await world.sql(`update users set available = available + 1 where id = ${one}`)
  const broken = await check()
  assert.ok(broken.violations > 0)
  await tellBroken(world.db, broken, whole.rules)
  await tellBroken(world.db, await check(), broken.rules)
  await world.sql(`update users set held = held + 1 where id = ${other}`)
  const worse = await check()
  await tellBroken(world.db, worse, broken.rules)
  while ((await feed(world.db)) > 0) continue
  const events = (await polled(world)).map(eventBody)
  assert.equal(events.length, 2)
  for (const event of events) {
    assert.ok(Compile(EventBody).Check(JSON.parse(writeJson(event))))
    assert.deepEqual([event.type, event.payment_id, event.sequence], ['books.broken', null, null])
  }
  const [first, second] = events.map(({ data }) => data as { violations: number; rules: object[] })
  assert.equal(first?.violations, broken.violations)
  assert.equal(second?.violations, worse.violations)
  const rules = broken.rules.filter(({ violations }) => violations > 0)
  assert.deepEqual(
    first?.rules,
    rules.map(({ rule, violations }) => ({ rule, violations })),
  )
})

test('a check that an operator starts tells who wants to know that the books are broken', async (t) => {
  const { call, database } = await serve(t)
  await call('POST', '/webhook-endpoints', { types: ['books.broken'] })
  await call('POST', '/users/', { balance: 10 })
  const { global } = openDb(t, database)
  await global.run(raw('update users set available = available + 1'), [])
  assert.equal((await call('POST', '/ledger/verifications')).status, 202)
  for (;;) {
    const { body } = await call('GET', '/events')
    const [event] = body['data'] as { type: string; data: Record<string, unknown> }[]
    if (event === undefined) continue
    assert.deepEqual([event.type, event.data['scope']], ['books.broken', 'full'])
    return
  }
})
