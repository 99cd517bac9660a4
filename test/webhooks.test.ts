import assert from 'node:assert/strict'
import { test } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { claimDue, deliver, settleDelivered } from '../src/webhooks/deliver.ts'
import { editEndpoint, rotateSecret } from '../src/webhooks/endpoints.ts'
import { seal, unseal } from '../src/webhooks/sealed-secrets.ts'
import { pay } from './charge-kit.ts'
import { serve } from './serve.ts'
import {
  BY,
  delivering,
  gate,
  KEY,
  receiver,
  states,
  status,
  succeed,
  verifies,
  type Answer,
} from './webhooks-kit.ts'

test('an end is sent once, signed, and is delivered by a 2xx', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(204))
  const { secret } = await endpoint(to.url)
  await succeed(world, 5)
  for (let turns = 0; turns < 3; turns += 1) await turn()
  assert.equal(to.received.length, 5)
  assert.equal(new Set(to.received.map(({ id }) => id)).size, 5)
  for (const one of to.received) {
    assert.ok(verifies(one, secret))
    assert.match(one.id, /^msg_\d+$/)
    assert.equal(one.timestamp, String(world.clock.now().getTime() / 1_000))
    assert.equal(one.headers['user-agent'], 'payments/test')
    const { type, data } = JSON.parse(one.body)
    assert.deepEqual([type, data.status, data.amount], ['payment.succeeded', 'success', 10])
  }
  const rows = await states(world)
  assert.deepEqual(
    rows,
    rows.map(() => ({ state: 'delivered', attempts: 1 })),
  )
})

test('the library of Standard Webhooks verifies it, unless it is not installed', async (t) => {
  const name = 'standardwebhooks'
  const library = await import(name).catch(() => null)
  if (library === null) return t.skip('npm install brings standardwebhooks')
  const { turn, endpoint, world } = await delivering(t)
  const to = await receiver(t, status(200))
  const { secret } = await endpoint(to.url)
  await succeed(world)
  await turn()
  const [one] = to.received
  assert.ok(one)
  const at = Number(one.timestamp) * 1_000
  t.mock.timers.enable({ apis: ['Date'], now: at })
  const headers = {
    'webhook-id': one.id,
    'webhook-timestamp': one.timestamp,
    'webhook-signature': one.signature,
  }
  const verifier = new library.Webhook(secret)
  assert.equal(verifier.verify(one.body, headers).type, 'payment.succeeded')
  assert.throws(() => verifier.verify(`${one.body} `, headers))
})

test('what fails is tried again with the same id and the same bytes, and a time of its own', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const reset: Answer = (response) => void response.destroy()
  const to = await receiver(t, status(500), status(302, { location: '/other' }), reset, status(200))
  const { secret } = await endpoint(to.url)
  await succeed(world)
  const pauses = [5_000, 300_000, 1_800_000]
  for (const pause of pauses) {
    assert.equal(await turn(), 1)
    world.clock.advance(pause - 1_000)
    assert.equal(await turn(), 0, 'not before its time')
    world.clock.advance(1_000)
  }
  assert.equal(await turn(), 1)
  assert.equal(to.received.length, 4)
  assert.equal(new Set(to.received.map(({ id, body }) => `${id} ${body}`)).size, 1)
  assert.equal(new Set(to.received.map(({ timestamp }) => timestamp)).size, 4)
  assert.ok(to.received.every((one) => verifies(one, secret)))
  assert.deepEqual(await states(world), [{ state: 'delivered', attempts: 4 }])
  const calls = await world.sql<{ line: string }>(
    "select concat_ws(' ', status, reason) as line from delivery_attempts order by fence",
  )
  assert.deepEqual(
    calls.map(({ line }) => line),
    ['500', '302', 'reset', '200'],
  )
})

test('a worker that dies anywhere leaves a delivery that is made again, and nothing else', async (t) => {
  const { world, own, turn, claimAndSend, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world)
  await feed(world.db)
  // Before the send: it was claimed.
  assert.equal((await claimDue(own, 10, () => 0)).length, 1)
  assert.equal(await turn(), 0, 'its lease holds')
  world.clock.advance(45_000)
  // After the reply, before it is written.
  const [dead] = await claimAndSend()
  assert.equal(to.received.length, 1)
  world.clock.advance(45_000)
  assert.equal(await turn(), 1)
  assert.equal(to.received.length, 2)
  assert.equal(to.received[0]?.id, to.received[1]?.id)
  // What the dead one would have said changes nothing any more, whatever it says.
  assert.ok(dead)
  const said = { ...dead, result: { ...dead.result, state: 'failed' as const } }
  await settleDelivered(own, [said])
  assert.equal((await states(world))[0]?.state, 'delivered')
})

test('a delivery that was not begun is given back as it was', async (t) => {
  const { world, own, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world)
  await feed(world.db)
  const stopping = AbortSignal.abort()
  const claimed = await claimDue(own, 10, () => 0)
  await settleDelivered(own, await Promise.all(claimed.map((one) => deliver(own, one, stopping))))
  assert.equal(to.received.length, 0)
  assert.equal(await turn(), 1)
  assert.deepEqual(await states(world), [{ state: 'delivered', attempts: 1 }])
})

test('a delivery is given up after ten calls, and an endpoint where nothing arrives for a day is disabled', async (t) => {
  const { world, turn, endpoint, disabled } = await delivering(t)
  const to = await receiver(t, status(500))
  const other = await receiver(t, status(200))
  const secret = `${to.url}/path?token=secret`
  const bad = await endpoint(secret, { types: ['payment.succeeded'] })
  await endpoint(other.url, { types: ['webhook_endpoint.disabled'] })
  await succeed(world)
  for (let call = 1; call <= 10; call += 1) {
    assert.equal(await turn(), 1, String(call))
    world.clock.advance(25 * 3_600_000)
  }
  assert.deepEqual(await states(world), [{ state: 'failed', attempts: 10 }])
  assert.deepEqual(disabled, [`${bad.id} silent`])
  await turn()
  assert.deepEqual(
    other.received.map(({ body }) => JSON.parse(body).data),
    [{ endpoint_id: Number(bad.id), url: new URL(to.url).origin, reason: 'silent' }],
    'no path or query: they may be a secret',
  )
  await succeed(world)
  assert.equal(await turn(), 0, 'a disabled endpoint is not called')
  const kept = await world.sql<object>("select from events where type = 'payment.succeeded'")
  assert.equal(kept.length, 2, 'its events are kept')
})

test('an endpoint where something arrived lately is not disabled by one delivery that gives up', async (t) => {
  const { world, turn, endpoint, disabled } = await delivering(t)
  let first = ''
  const choosy: Answer = (response, { id }) => {
    first ||= id
    response.writeHead(id === first ? 500 : 200).end()
  }
  const to = await receiver(t, choosy)
  await endpoint(to.url, { types: ['payment.succeeded'] })
  await succeed(world)
  for (let call = 1; call <= 10; call += 1) {
    await turn()
    await succeed(world)
    await turn()
    world.clock.advance(call === 9 ? 25 * 3_600_000 : 25 * 3_600_000)
    await succeed(world)
    if (call === 9) await turn()
  }
  assert.ok((await states(world)).some(({ state }) => state === 'failed'))
  assert.deepEqual(disabled, [])
})

test('410 disables an endpoint at once', async (t) => {
  const { world, turn, endpoint, disabled } = await delivering(t)
  const to = await receiver(t, status(410), status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 2)
  const claimed = await turn()
  assert.ok(claimed > 0)
  assert.deepEqual(disabled, [`${id} gone`])
  await succeed(world)
  assert.equal(await turn(), 0)
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  await succeed(world)
  assert.ok((await turn()) > 0, 'enabled again')
})

test('a busy endpoint is left alone as long as it asks, in every shard, and its other deliveries lose nothing', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(429, { 'retry-after': '120' }), status(200))
  const other = await receiver(t, status(200))
  await endpoint(to.url)
  await endpoint(other.url)
  const users = [await world.user(0n), await world.user(0n)]
  await pay(world, 'deposit', users[0])
  await world.work()
  await turn()
  await pay(world, 'deposit', users[1])
  await world.work()
  await turn()
  world.clock.advance(119_000)
  await turn()
  assert.equal(to.received.length, 1)
  assert.equal(other.received.length, 2)
  world.clock.advance(2_000)
  await turn()
  assert.equal(to.received.length, 3)
  const attempts = (await states(world)).map((row) => row.attempts)
  assert.deepEqual(attempts.toSorted(), [1, 1, 1, 2])
})

test('an ordered endpoint gets the events of a payment one after the other', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(500), status(200))
  const loose = await receiver(t, status(500), status(200))
  await endpoint(to.url, { ordered: true })
  await endpoint(loose.url)
  world.gateway.script = ['pending', 'success']
  const id = await pay(world, 'deposit')
  await world.work()
  world.gateway.pending.clear()
  for (const { key } of world.gateway.calls) {
    world.gateway.charged.set(key, [1_000n])
  }
  world.clock.advance(120_000)
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  const seen = ({ received }: typeof to) =>
    received.map(({ body }) => JSON.parse(body).data.sequence)
  await turn()
  assert.deepEqual([seen(to), seen(loose)], [[1], [1, 2]])
  await turn()
  assert.deepEqual(seen(to), [1], 'the second waits while the first is to be tried again')
  world.clock.advance(5_000)
  await turn()
  await turn()
  assert.deepEqual(seen(to), [1, 1, 2])
})

test('while a secret is rotated, whoever has one of the two verifies everything', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id, secret } = await endpoint(to.url)
  const rotated = await rotateSecret({ db: world.db, key: KEY }, id, 60_000, BY)
  assert.ok(rotated.kind === 'rotated' && rotated.secret)
  await succeed(world)
  await turn()
  const [both] = to.received
  assert.ok(both !== undefined && verifies(both, secret) && verifies(both, rotated.secret))
  world.clock.advance(60_000)
  await succeed(world)
  await turn()
  const [, only] = to.received
  assert.ok(only !== undefined && !verifies(only, secret) && verifies(only, rotated.secret))
})

test('thin events say which payment it is, and nothing of it', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url, { payload: 'thin' })
  await succeed(world)
  await turn()
  assert.deepEqual(JSON.parse(to.received[0]?.body ?? '').data, { payment_id: 1, sequence: 1 })
})

test('a reply without end is cut off, and 2xx is what counts', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const endless: Answer = (response) => {
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536))) continue
    }
    response.on('drain', more)
    more()
  }
  const to = await receiver(t, endless)
  await endpoint(to.url)
  await succeed(world)
  await turn()
  assert.deepEqual(await states(world), [{ state: 'delivered', attempts: 1 }])
  const [row] = await world.sql<{ length: number }>(
    'select octet_length(reply) as length from delivery_attempts',
  )
  assert.equal(row?.length, 1_024)
})

test('an endpoint with all of its places taken takes none of the others’', async (t) => {
  const { world, own, endpoint } = await delivering(t)
  const slow = await receiver(t, status(200))
  const quick = await receiver(t, status(200))
  const one = await endpoint(slow.url)
  const other = await endpoint(quick.url)
  await succeed(world, 30)
  await feed(world.db)
  const claimed = await claimDue(own, 500, (id) => (id === one.id ? 15 : 0))
  const of = (id: bigint) => claimed.filter(({ endpoint: to }) => to.id === id).length
  assert.deepEqual([of(one.id), of(other.id)], [5, 20])
})

test('a secret stands nowhere in the database, and opens with its key alone', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { secret } = await endpoint(to.url)
  const [row] = await world.sql<{ dump: string; secret: string }>(
    'select webhook_endpoints::text as dump, secret from webhook_endpoints',
  )
  assert.ok(row)
  assert.ok(!row.dump.includes(secret.slice(6)))
  assert.equal(unseal(row.secret, KEY), secret)
  assert.equal(unseal(row.secret, Buffer.alloc(32, 'x')), null)
  assert.notEqual(seal(secret, KEY), seal(secret, KEY))
})

test('a service calls an endpoint that was made by its API, tests it, lists and repeats deliveries', async (t) => {
  const { call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', NO_FAULTS)
  const [arrived, come] = gate()
  const [again, cameAgain] = gate()
  const events: string[] = []
  const to = await receiver(t, (response, { body }) => {
    response.writeHead(200).end('thanks')
    if (!body.includes('payment.succeeded')) return
    events.push(body)
    if (events.length === 1) come()
    else cameAgain()
  })
  const made = await call('POST', '/webhook-endpoints', { url: to.url, types: ['payment.*'] })
  assert.equal(made.status, 201, made.text)
  const secret = String(made.body['secret'])
  assert.match(secret, /^whsec_[\w+/]{43}=$/)
  const read = await call('GET', '/webhook-endpoints/1')
  assert.ok(!read.text.includes(secret.slice(6)) && !('secret' in read.body))
  const tried = await call('POST', '/webhook-endpoints/1/test')
  assert.deepEqual([tried.body['status'], tried.body['reply']], [200, 'thanks'])
  const user = await call('POST', '/users/', { balance: 10 })
  await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  await arrived
  assert.ok(to.received.every((one) => verifies(one, secret)))
  interface Listed {
    readonly event_id: string
    readonly state: string
  }
  const listed = async (): Promise<Listed> => {
    for (;;) {
      const { body } = await call('GET', '/webhook-endpoints/1/deliveries?state=delivered')
      const [first] = body['data'] as Listed[]
      if (first !== undefined) return first
    }
  }
  const { event_id: id } = await listed()
  const path = `/webhook-endpoints/1/deliveries/${id}/retry`
  assert.equal((await call('POST', path)).status, 204)
  await again
  assert.equal(events[0], events[1])
  const calls = await call('GET', `/webhook-endpoints/1/deliveries/${id}/attempts`)
  const [first] = calls.body['data'] as Record<string, unknown>[]
  assert.deepEqual([first?.['status'], first?.['reply']], [200, 'thanks'])
  for (const [endpoint, event, code] of [
    [1, 'msg_999', 'delivery_not_found'],
    [1, '7', 'delivery_not_found'],
    [9, id, 'endpoint_not_found'],
  ]) {
    const wrong = `/webhook-endpoints/${endpoint}/deliveries/${event}/attempts`
    const { status: was, body } = await call('GET', wrong)
    assert.deepEqual([was, body['code']], [404, code])
  }
  const own = await call('GET', '/payments/1/deliveries')
  const told = own.body['data'] as Record<string, unknown>[]
  assert.deepEqual(
    told.map(({ url, endpoint_id: at, payment_id: of, event_id: event }) => [url, at, of, event]),
    [[to.url, 1, 1, id]],
  )
  assert.deepEqual((await call('GET', '/payments/2/deliveries')).body['code'], 'payment_not_found')

  const none = await call('POST', '/webhook-endpoints/1/deliveries/msg_999/retry')
  assert.deepEqual([none.status, none.body['code']], [404, 'delivery_not_found'])
  const refused = await call('POST', '/webhook-endpoints', {
    url: 'http://shop.example/',
    types: ['payment.*'],
  })
  assert.deepEqual([refused.status, refused.body['code']], [422, 'url_refused'])
})

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }
