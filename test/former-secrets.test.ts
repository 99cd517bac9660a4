import assert from 'node:assert/strict'
import { test } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { claimDue, deliver } from '../src/webhooks/deliver.ts'
import { addEndpoint, dropEndpoint, rotateSecret, testEndpoint } from '../src/webhooks/endpoints.ts'
import { serve } from './serve.ts'
import { BY, delivering, KEY, receiver, status, succeed, verifies } from './webhooks-kit.ts'

const DAY_MS = 86_400_000

/** An endpoint whose secret can be rotated, and which of its secrets verify the newest message. */
async function rotating(t: Parameters<typeof delivering>[0], shards = 1) {
  const kit = await delivering(t, shards)
  const to = await receiver(t, status(200))
  const { id, secret } = await kit.endpoint(to.url)
  const secrets = [secret]
  const rotate = async (overlapMs: number, key = KEY): Promise<void> => {
    const rotated = await rotateSecret({ db: kit.world.db, key }, id, overlapMs, BY)
    assert.ok(rotated.kind === 'rotated' && rotated.secret !== null)
    secrets.push(rotated.secret)
  }
  const verifying = async (): Promise<number[]> => {
    await succeed(kit.world)
    await kit.turn()
    const last = to.received.at(-1)
    assert.ok(last)
    assert.equal(
      last.signature.split(' ').length,
      secrets.filter((one) => verifies(last, one)).length,
    )
    return secrets.flatMap((one, index) => (verifies(last, one) ? [index] : []))
  }
  return { ...kit, id, to, rotate, verifying }
}

test('each secret verifies until its own overlap ends, however often it is rotated meanwhile', async (t) => {
  const { world, rotate, verifying } = await rotating(t)
  await rotate(60_000)
  world.clock.advance(10_000)
  await rotate(20_000)
  await rotate(60_000)
  assert.deepEqual(await verifying(), [0, 1, 2, 3])
  world.clock.advance(20_000)
  assert.deepEqual(await verifying(), [0, 2, 3])
  world.clock.advance(30_000)
  assert.deepEqual(await verifying(), [2, 3])
  world.clock.advance(10_000)
  assert.deepEqual(await verifying(), [3])
})

test('without an overlap the new secret alone signs, whatever was promised to those before', async (t) => {
  const { rotate, verifying } = await rotating(t)
  await rotate(DAY_MS)
  await rotate(DAY_MS)
  await rotate(0)
  assert.deepEqual(await verifying(), [3])
  await rotate(DAY_MS)
  assert.deepEqual(await verifying(), [3, 4])
})

test('ten secrets sign at most: one more is refused until the first ends, or takes all others’ place', async (t) => {
  const { world, id, rotate, verifying } = await rotating(t)
  for (let made = 1; made < 10; made += 1) await rotate(made * 60_000)
  assert.equal((await verifying()).length, 10)
  const full = await rotateSecret({ db: world.db, key: KEY }, id, 60_000, BY)
  const until = new Date(world.clock.now().getTime() + 60_000)
  assert.deepEqual(full.kind === 'refused' && full.refusal, { code: 'secrets_full', until })
  assert.equal((await verifying()).length, 10, 'what was refused changed nothing')
  world.clock.advance(60_000)
  await rotate(60_000)
  assert.deepEqual(await verifying(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  await rotate(0)
  assert.deepEqual(await verifying(), [11])
})

test('of an endpoint that is removed no secret is left, nor where it was', async (t) => {
  const { world, id, rotate } = await rotating(t)
  await rotate(DAY_MS)
  await rotate(DAY_MS)
  const [rotated] = await world.sql<{ kept: number; at: Date }>(
    `select num_nonnulls(url, secret, secret_before, secret_before_until)
      + cardinality(secrets_older) + cardinality(secrets_older_until) as kept, rotated_at as at
    from webhook_endpoints`,
  )
  assert.deepEqual(rotated, { kept: 6, at: world.clock.now() })
  await dropEndpoint(world.db, id, BY)
  const left = await world.sql<object>(
    `select state, url, secret, secret_before, secret_before_until, secrets_older,
      secrets_older_until
    from webhook_endpoints`,
  )
  const nothing = { url: null, secret: null, secret_before: null, secret_before_until: null }
  const none = { ...nothing, secrets_older: [], secrets_older_until: [] }
  assert.deepEqual(left, [{ state: 'removed', ...none }])
})

test('what is claimed while its secret is rotated is signed with the new one', async (t) => {
  const { world, own, id, to } = await rotating(t, 2)
  await succeed(world, 4)
  await feed(world.db)
  const secrets: string[] = []
  const shards = own.db.shards.map((shard) => ({
    ...shard,
    run: (async (statement, values) => {
      const rows = await shard.run(statement, values)
      if (statement.name === 'deliveries_claim') {
        const rotated = await rotateSecret({ db: own.db, key: KEY }, id, 0, BY)
        assert.ok(rotated.kind === 'rotated' && rotated.secret !== null)
        secrets.push(rotated.secret)
      }
      return rows
    }) satisfies typeof shard.run as typeof shard.run,
  }))
  const claimed = await claimDue({ ...own, db: { ...own.db, shards } }, 10, () => 0)
  for (const one of claimed) await deliver(own, one, new AbortController().signal)
  assert.equal(to.received.length, 4)
  assert.ok(to.received.every((message) => verifies(message, secrets.at(-1) ?? '')))
})

test('a secret that no key opens any more is told, and a new one mends it at once', async (t) => {
  const { world, own, id, to, rotate, verifying } = await rotating(t)
  const other = Buffer.alloc(32, 'o')
  await rotate(DAY_MS, other)
  const tested = await testEndpoint(own, id, 'msg_test')
  assert.ok(tested.kind === 'called' && tested.reason === 'secret_unreadable')
  assert.equal(tested.status, null)
  assert.equal(to.received.length, 0)
  await rotate(DAY_MS)
  assert.deepEqual(await verifying(), [0, 2], 'what cannot be opened is passed over')
  const again = await testEndpoint(own, id, 'msg_test')
  assert.ok(again.kind === 'called' && again.status === 200)
  const draft = { url: to.url, types: ['payment.*'], description: null, payload: 'full' } as const
  const by = { ...BY, under: { apiKey: 'k', key: 'once' } }
  await addEndpoint(world.db, { ...draft, ordered: false }, by, other)
  const repeated = await addEndpoint(world.db, { ...draft, ordered: false }, by, KEY)
  assert.equal(repeated.kind === 'refused' && repeated.refusal.code, 'secret_unreadable')
})

test('a secret is rotated without a body as with an empty one, and who cannot have one is told why', async (t) => {
  const { call } = await serve(t)
  const url = 'http://127.0.0.1:9/hook'
  const made = await call('POST', '/webhook-endpoints', { url, types: ['payment.*'] })
  const path = `/webhook-endpoints/${String(made.body['id'])}`
  const rotated = await call('POST', `${path}/rotate-secret`)
  assert.deepEqual([rotated.status, rotated.body['id']], [200, made.body['id']])
  assert.notEqual(rotated.body['secret'], made.body['secret'])
  for (let count = 2; count < 10; count += 1) {
    assert.equal((await call('POST', `${path}/rotate-secret`, {})).status, 200)
  }
  const full = await call('POST', `${path}/rotate-secret`)
  assert.deepEqual([full.status, full.body['code']], [409, 'secrets_full'])
  const until = String(full.body['until'])
  const acts = await call('GET', `${path}/acts`)
  const first = (acts.body['data'] as { act: string; at: string }[])
    .filter(({ act }) => act === 'rotate')
    .at(-1)
  assert.equal(Date.parse(until) - Date.parse(String(first?.at)), DAY_MS, 'the default is a day')
  assert.ok(
    String(full.body['detail']).endsWith(
      ` overlap_seconds 0: then the new one alone signs. The first ends ${until}.`,
    ),
  )
  const only = await call('POST', `${path}/rotate-secret`, { overlap_seconds: 0 })
  assert.equal(only.status, 200)
  for (const body of [[], null]) {
    const wrong = await call('POST', `${path}/rotate-secret`, body)
    assert.deepEqual([wrong.status, wrong.body['code']], [400, 'body_invalid'], String(body))
  }

  const polled = await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  for (const act of ['rotate-secret', 'test']) {
    const refused = await call('POST', `/webhook-endpoints/${String(polled.body['id'])}/${act}`)
    assert.deepEqual([refused.status, refused.body['code']], [409, 'endpoint_not_called'])
    const none = await call('POST', `/webhook-endpoints/99/${act}`)
    assert.deepEqual([none.status, none.body['code']], [404, 'endpoint_not_found'])
  }
})
