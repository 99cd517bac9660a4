import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { publicAddresses } from '../src/adapters/public-address.ts'
import { webhookSender } from '../src/adapters/webhook-sender.ts'
import { manualClock } from './harness.ts'
import { peer } from './misbehaving-peer.ts'
import { hostOf, PRIVATE, PUBLIC } from './network/hosts.ts'

test('no private address is allowed, however it is spelled', () => {
  const allowed = publicAddresses([], false)
  assert.ok(PRIVATE.length >= 100, String(PRIVATE.length))
  for (const spelled of PRIVATE) assert.equal(allowed(hostOf(spelled)), false, spelled)
  for (const spelled of PUBLIC) assert.equal(allowed(hostOf(spelled)), true, spelled)
  for (const none of ['', 'localhost', 'fe80::1%eth0', '8.8.8.8 ', '1.2.3']) {
    assert.equal(allowed(none), false, none)
  }
})

test('networks that are allowed are, and nothing beside them', () => {
  const allowed = publicAddresses(['10.1.0.0/16', 'fd00:1::/32'], false)
  assert.deepEqual(
    ['10.1.2.3', '10.2.0.1', 'fd00:1::5', 'fd00:2::5', '::ffff:10.1.2.3', '127.0.0.1'].map(allowed),
    [true, false, true, false, false, false],
  )
  const near = publicAddresses([], true)
  assert.deepEqual(['127.0.0.1', '::1', '10.0.0.1', '169.254.169.254'].map(near), [
    true,
    true,
    false,
    false,
  ])
})

/** A server that counts who connects to it. */
async function counting(t: TestContext) {
  const server = createServer((socket) => {
    seen.connections += 1
    socket.on('error', () => undefined).end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
  })
  const seen = { connections: 0, port: 0 }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  seen.port = (server.address() as AddressInfo).port
  return seen
}

const CALL = { headers: {}, body: '{}' }

test('nothing is sent to a private address that stands in the URL', async (t) => {
  const seen = await counting(t)
  const sender = webhookSender({ allowed: publicAddresses([], false), clock: manualClock() })
  t.after(() => sender.close())
  for (const host of [
    '127.0.0.1',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '0.0.0.0',
    '2130706433',
  ]) {
    const { status, reason } = await sender.send({ ...CALL, url: `http://${host}:${seen.port}/` })
    assert.deepEqual([status, reason], [null, 'forbidden_address'], host)
  }
  assert.equal(seen.connections, 0)
})

type Resolve = NonNullable<Parameters<typeof webhookSender>[0]['resolve']>

/** A resolver with these answers, one after the other. */
function resolver(...answers: readonly LookupAddress[][]): Resolve {
  let asked = 0
  return () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)] ?? [])
}

const v4 = (address: string): LookupAddress => ({ address, family: 4 })

test('nothing is sent to a name of which one address is private, nor to one that becomes so', async (t) => {
  const seen = await counting(t)
  const cases: readonly Resolve[] = [
    resolver([v4('127.0.0.1')]),
    resolver([v4('8.8.8.8'), v4('127.0.0.1')]),
    resolver([]),
    resolver([{ address: '::ffff:127.0.0.1', family: 6 }]),
  ]
  for (const resolve of cases) {
    const allowed = publicAddresses([], false)
    const sender = webhookSender({ allowed, clock: manualClock(), resolve })
    const { reason } = await sender.send({ ...CALL, url: `http://rebound.example:${seen.port}/` })
    await sender.close()
    assert.equal(reason, 'forbidden_address')
  }
  assert.equal(seen.connections, 0)
})

test('a socket that is connected to another address than was resolved carries nothing', async (t) => {
  const seen = await counting(t)
  // The resolver says what is allowed, and the socket then is where it is.
  let asked = 0
  const allowed = (address: string) => {
    asked += 1
    return address === '127.0.0.1' && asked < 2
  }
  const resolve = resolver([v4('127.0.0.1')])
  const sender = webhookSender({ allowed, clock: manualClock(), resolve })
  t.after(() => sender.close())
  const { reason } = await sender.send({ ...CALL, url: `http://moved.example:${seen.port}/` })
  assert.equal(reason, 'forbidden_address')
  assert.equal(asked, 2)
})

test('a proxy that the environment names is not asked', async (t) => {
  const proxy = await counting(t)
  const target = await counting(t)
  const named = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'ALL_PROXY']
  for (const name of named) process.env[name] = `http://127.0.0.1:${proxy.port}`
  t.after(() => named.forEach((name) => delete process.env[name]))
  const sender = webhookSender({ allowed: publicAddresses([], true), clock: manualClock() })
  t.after(() => sender.close())
  const { status } = await sender.send({ ...CALL, url: `http://127.0.0.1:${target.port}/` })
  assert.deepEqual([status, proxy.connections, target.connections], [200, 0, 1])
})

test('a hundred calls share one signal without a warning, and one abort ends them all', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', onWarning)
  t.after(() => process.off('warning', onWarning))
  const aborter = new AbortController()
  const { url } = await peer(t, (_socket, _request, count) => count === 100 && aborter.abort())
  const sender = webhookSender({ allowed: publicAddresses([], true), clock: manualClock() })
  t.after(() => sender.close())
  const calls = Array.from({ length: 100 }, () => sender.send({ ...CALL, url }, aborter.signal))
  for (const { status, reason } of await Promise.all(calls)) {
    assert.deepEqual([status, reason], [null, 'aborted'])
  }
  assert.deepEqual(warnings, [])
})
