import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { declined, doubt, foreign, gateway, http, listen, peer } from './misbehaving-peer.ts'
import { REQUEST, SHORT_MS, success } from './misbehaving-peer.ts'

const BROKEN: readonly (readonly [name: string, raw: string, end: boolean, reason: string])[] = [
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n', false, 'unreadable_reply'],
  ['an end without a reply', '', true, 'reset'],
  ['an end within the head', 'HTTP/1.1 200 OK\r\ncontent-le', true, 'reset'],
  [
    'an end within the body',
    'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"status":',
    true,
    'reset',
  ],
  ['an end within a chunk', chunked('{"status":"ok"}').slice(0, -5), true, 'reset'],
  ['a bad chunk', chunked('{}').replace('2\r\n', 'zz\r\n'), false, 'unreadable_reply'],
  ['two lengths', http(200, '{"status":"ok"}', 'content-length: 3\r\n'), false, 'unreadable_reply'],
  ['an upgrade nobody asked for', upgrade(), false, 'unreadable_reply'],
  ['a status below 100', 'HTTP/1.1 099 Below\r\n\r\n', false, 'unreadable_reply'],
  ['a head without end', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(40_000)}`, false, 'reply_too_large'],
]

function chunked(body: string): string {
  return `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body.length}\r\n${body}\r\n0\r\n\r\n`
}

function upgrade(): string {
  return 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'
}

for (const [name, raw, ends, reason] of BROKEN) {
  test(`a broken reply (${name}) is in doubt`, async (t) => {
    const { url } = await peer(t, (socket) => (ends ? socket.end(raw) : socket.write(raw)))
    const seen = await gateway(t, url).execute(REQUEST)
    assert.deepEqual(seen.outcome, doubt(reason))
    assert.equal(seen.sent, true)
  })
}

test('a connection reset after the request is in doubt', async (t) => {
  const { url } = await peer(t, (socket) => socket.resetAndDestroy())
  const seen = await gateway(t, url).execute(REQUEST)
  assert.deepEqual(seen, { outcome: doubt('reset'), sent: true, httpStatus: null })
})

test('a body longer than its Content-Length is cut there and its rest answers nobody', async (t) => {
  const { url, requests } = await peer(t, (socket, _request, count) => {
    const long = `${http(200, '{"status":"pending"}')}{"status":"ok"}`
    socket.write(count === 1 ? long : http(200, '{"status":"failed"}'))
  })
  const client = gateway(t, url, { connections: 1 })
  assert.equal((await client.execute(REQUEST)).outcome.kind, 'pending')
  assert.deepEqual((await client.execute(REQUEST)).outcome, declined('declined'))
  assert.equal(requests.length, 2)
})

test('a second response on one socket is never taken for the reply to the next request', async (t) => {
  const { url, sockets } = await peer(t, (socket, _request, count) => {
    const twice = http(200, '{"status":"failed"}') + http(200, '{"status":"success"}')
    socket.write(count === 1 ? twice : http(503, ''))
  })
  const client = gateway(t, url, { connections: 1 })
  const first = client.execute(REQUEST)
  const second = client.execute(REQUEST)
  assert.deepEqual((await first).outcome, declined('declined'))
  assert.deepEqual((await second).outcome, doubt('http_503'))
  assert.equal(sockets.length, 2)
})

test('interim responses are skipped', async (t) => {
  const raw = `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${http(200, '{"status":"ok"}')}`
  assert.deepEqual((await chargeAgainst(t, raw)).outcome, success(null))
})

for (const status of [301, 302, 303, 307, 308]) {
  const is = status === 302 || status === 303 ? doubt : foreign
  const outcome = is(`http_${status}`)
  test(`a redirect with ${status} is ${outcome.kind}, and the key goes nowhere else`, async (t) => {
    const other = await peer(t, (socket) => socket.write(http(200, '{"status":"success"}')))
    const location = `location: http://127.0.0.1:${other.port}/base/pay\r\n`
    const { url } = await peer(t, (socket) => socket.write(http(status, '', location)))
    const seen = await gateway(t, url).execute(REQUEST)
    assert.deepEqual(seen, { outcome, sent: true, httpStatus: status })
    assert.equal(other.sockets.length, 0)
  })
}

test('an endless body is cut at 64 KiB', async (t) => {
  let written = 0
  const { url, sockets } = await peer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const pour = (): void => {
      if (socket.destroyed) return
      written += chunk.length
      socket.write(chunk, pour)
    }
    pour()
  })
  const seen = await gateway(t, url).execute(REQUEST)
  assert.deepEqual(seen, { outcome: doubt('reply_too_large'), sent: true, httpStatus: 200 })
  await closed(sockets[0])
  // What was in flight in the buffers of both sides, and not more.
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes were taken`)
})

function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.destroyed) return Promise.resolve()
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

test('a body of exactly 64 KiB is read', async (t) => {
  const frame = '{"status":"ok","pad":""}'
  const pad = 'x'.repeat(64 * 1024 - frame.length)
  const raw = http(200, frame.replace('""', `"${pad}"`))
  assert.deepEqual((await chargeAgainst(t, raw)).outcome, success(null))
})

const SLOW: readonly (readonly [name: string, first: string, drip: string | null])[] = [
  ['silence', '', null],
  ['a dripping head', 'HTTP/1.1 200 OK\r\n', 'a: b\r\n'],
  ['a dripping body', 'HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n', ' '],
  ['an endless chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n', 'x'],
]

for (const [name, first, drip] of SLOW) {
  test(`the deadline bounds the whole exchange: ${name}`, async (t) => {
    const { url, sockets } = await peer(t, (socket) => {
      if (first !== '') socket.write(first)
      const timer = setInterval(() => drip !== null && socket.write(drip), 10)
      socket.on('close', () => clearInterval(timer))
    })
    const client = gateway(t, url, { timeoutMs: SHORT_MS })
    let seen = await client.execute(REQUEST)
    // A machine that is busy may not even have connected by then.
    for (let tries = 0; !seen.sent && tries < 50; tries += 1) seen = await client.execute(REQUEST)
    assert.deepEqual([seen.outcome, seen.sent], [doubt('timeout'), true])
    await closed(sockets.at(-1))
  })
}

test('a refused connection is not executed and not sent', async (t) => {
  const { url, port } = await peer(t, () => {})
  const dead = url.replace(String(port), String(await freePort()))
  const client = gateway(t, dead, { connections: 2 })
  const calls = Array.from({ length: 20 }, () => client.execute(REQUEST))
  for (const seen of await Promise.all(calls)) {
    assert.deepEqual(seen, unsent('connection_refused'))
  }
  assert.deepEqual((await client.lookup(REQUEST)).outcome, {
    kind: 'no_answer',
    reason: 'connection_refused',
  })
})

function unsent(reason: string) {
  return {
    outcome: { kind: 'not_executed', reason, retryAfterMs: null },
    sent: false,
    httpStatus: null,
  }
}

/** A port that nobody listens on: it was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // It listens on TCP.
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('a name that does not resolve is not executed and not sent', async (t) => {
  const seen = await gateway(t, 'http://nonexistent.invalid/base').execute(REQUEST)
  assert.deepEqual(seen, unsent('dns'))
})

test('a peer that does not speak TLS is not executed and not sent', async (t) => {
  const { port, requests } = await peer(t, () => {})
  const plain = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const sockets: Socket[] = []
  plain.on('connection', (socket) => sockets.push(socket.on('error', () => {})))
  const tlsPort = await listen(t, plain, sockets)
  assert.notEqual(tlsPort, port)
  const seen = await gateway(t, `https://127.0.0.1:${tlsPort}/base`).execute(REQUEST)
  assert.deepEqual(seen, unsent('tls'))
  assert.equal(requests.length, 0)
})

test('waiting for a connection past the deadline is not executed and not sent', async (t) => {
  // Both deadlines pass in one turn: a moment between them would hand the connection on.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { url, requests } = await peer(t, () => {})
  const client = gateway(t, url, { connections: 1, timeoutMs: SHORT_MS })
  const calls = Promise.all([client.execute(REQUEST), client.execute(REQUEST)])
  await until(() => requests.length === 1)
  t.mock.timers.tick(SHORT_MS)
  const [first, second] = await calls
  assert.deepEqual(first, { outcome: doubt('timeout'), sent: true, httpStatus: null })
  assert.deepEqual(second, unsent('connect_timeout'))
  assert.equal(requests.length, 1)
})

test('a call given up while it waited is never sent later', async (t) => {
  const held: Socket[] = []
  const { url, requests } = await peer(t, (socket) => held.push(socket))
  const client = gateway(t, url, { connections: 1 })
  const first = client.execute(REQUEST)
  const aborter = new AbortController()
  const second = client.execute(REQUEST, aborter.signal)
  const third = client.execute({ ...REQUEST, key: 'pay_8' })
  aborter.abort()
  assert.deepEqual(await second, unsent('aborted'))

  const answer = http(200, '{"status":"ok"}')
  await until(() => held.length === 1)
  held.pop()?.write(answer)
  assert.equal((await first).outcome.kind, 'success')
  await until(() => held.length === 1)
  held.pop()?.write(answer)
  assert.equal((await third).outcome.kind, 'success')
  assert.equal(requests.length, 2)
  assert.match(requests[1] ?? '', /idempotency-key: pay_8/)
})

/** Turns of the event loop until something is so; the test runner's timeout bounds it. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

test('a host that swallows connections is not executed and not sent', async (t) => {
  const port = await deafPort(t)
  if (port === null) return t.skip('this system does not drop connections beyond a full backlog')
  const client = gateway(t, `http://127.0.0.1:${port}/base`, { timeoutMs: 2 * SHORT_MS })
  assert.deepEqual(await client.execute(REQUEST), unsent('connect_timeout'))
})

/**
 * A listening port whose owner never accepts and whose backlog is full; null if it cannot be had.
 */
async function deafPort(t: TestContext): Promise<number | null> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const server = require('node:net').createServer()
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       // The message leaves at once, and from then on nothing is accepted.
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    { eval: true },
  )
  t.after(() => worker.terminate())
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  for (let tries = 0; tries < 20; tries++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    t.after(() => socket.destroy())
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.setTimeout(SHORT_MS, () => resolve(false))
    })
    if (!connected) return port
  }
  return null
}

test('an aborted call ends at once: unsent before the request, in doubt after it', async (t) => {
  const aborter = new AbortController()
  const { url } = await peer(t, () => aborter.abort())
  const client = gateway(t, url)
  const seen = await client.execute(REQUEST, aborter.signal)
  assert.deepEqual(seen, { outcome: doubt('aborted'), sent: true, httpStatus: null })
  assert.deepEqual(await client.execute(REQUEST, aborter.signal), unsent('aborted'))
  const looked = await client.lookup(REQUEST, aborter.signal)
  assert.deepEqual(looked.outcome, { kind: 'no_answer', reason: 'aborted' })
})

test('after close nothing is sent', async (t) => {
  const { url, requests } = await peer(t, () => {})
  const client = gateway(t, url)
  await client.close()
  assert.deepEqual(await client.execute(REQUEST), unsent('closed'))
  assert.equal(requests.length, 0)
})

test('a key that no header can hold is not sent', async (t) => {
  const { url, requests } = await peer(t, () => {})
  const seen = await gateway(t, url).execute({ ...REQUEST, key: 'a\r\nx: y' })
  assert.deepEqual(seen, unsent('invalid_request'))
  assert.equal(requests.length, 0)
})

test('a hundred calls share one signal without a warning, and one abort ends them all', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', onWarning)
  t.after(() => process.off('warning', onWarning))
  const aborter = new AbortController()
  const { url, requests } = await peer(t, () => requests.length === 100 && aborter.abort())
  const client = gateway(t, url, { connections: 100 })
  const calls = Array.from({ length: 100 }, () => client.execute(REQUEST, aborter.signal))
  for (const seen of await Promise.all(calls)) assert.deepEqual(seen.outcome, doubt('aborted'))
  assert.deepEqual(warnings, [])
})

async function chargeAgainst(t: TestContext, raw: string) {
  const { url } = await peer(t, (socket) => socket.write(raw))
  return gateway(t, url).execute(REQUEST)
}
