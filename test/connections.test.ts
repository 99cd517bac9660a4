import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { loadConfig } from '../src/config/config.ts'
import { openGuards, type GuardOptions } from '../src/http/auth.ts'
import type { ConnectionCounts } from '../src/http/connections.ts'
import { addFastPath } from '../src/http/fast-path.ts'
import { buildServer, requestIds } from '../src/http/server.ts'
import { connectionsMax } from '../src/process/guards.ts'

const LARGE = Buffer.alloc(8 * 1_024 * 1_024, 'x')

interface Limits {
  readonly max?: number
  readonly answerMsMax?: number
  readonly idleMsMax?: number
  readonly elapsedMs?: () => number
  readonly arrival?: { readonly headersMsMax: number; readonly requestMsMax: number }
  readonly guards?: GuardOptions
}

const PLAIN = {
  status: 202,
  body: '{"by":"plain"}',
  headers: ['content-type', 'application/json'],
}

/** A server whose routes answer at once, when told, or with more than a socket holds. */
async function server(t: TestContext, limits: Limits = {}) {
  const { max = 100, arrival, guards, ...deadlines } = limits
  const full: ConnectionCounts[] = []
  const held: (() => void)[] = []
  let handled = 0
  const requestId = requestIds()
  const onAnswer = () => undefined
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0',
    title: 'test',
    documented: true,
    guards: openGuards(systemClock, guards),
    connections: {
      max,
      elapsedMs: limits.elapsedMs ?? systemClock.elapsedMs,
      onFull: (counts) => full.push(counts),
      ...deadlines,
    },
    ...(arrival === undefined ? {} : { arrival }),
    requestId,
    onAnswer,
  })
  app.addHook('onRequest', (_request, _reply, done) => {
    handled += 1
    done()
  })
  const release = () => new Promise<void>((resolve) => held.push(resolve))
  app.get('/now', () => ({ by: 'framework' }))
  app.get('/later', () => release().then(() => ({ late: true })))
  app.get('/large', (_request, reply) => reply.type('text/plain').send(LARGE))
  app.post('/body', () => ({ ok: true }))
  addFastPath(app, {
    routes: [
      { path: '/plain', answer: () => Promise.resolve(PLAIN) },
      { path: '/plain-later', answer: () => release().then(() => PLAIN) },
    ],
    admit: () => true,
    open: () => true,
    requestId,
    elapsedMs: systemClock.elapsedMs,
    onAnswer,
  })
  const handles = () =>
    new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)))
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const clients: Client[] = []
  t.after(() => {
    held.forEach((answer) => answer())
    // Node does not close a connection that has not sent anything.
    clients.forEach(({ socket }) => socket.destroy())
    return app.close()
  })
  return {
    full,
    handled: () => handled,
    counts: () => app.front.connections.counts(),
    handles,
    release: () => held.splice(0).forEach((answer) => answer()),
    held: () => held.length,
    async dial(): Promise<Client> {
      const client = await dialTo(Number(port))
      clients.push(client)
      return client
    },
  }
}

interface Client {
  readonly socket: Socket
  /** What came so far. */
  text(): string
  /** Whether the other side has ended or reset it. */
  closed(): boolean
}

/** A client that never closes by itself: it ignores that the other side has. */
async function dialTo(port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let text = ''
  let closed = false
  const end = () => void (closed = true)
  socket.on('error', end).on('close', end).on('end', end)
  socket.on('data', (chunk: Buffer) => (text += chunk.length > 100_000 ? '' : chunk.toString()))
  await once(socket, 'connect')
  return { socket, text: () => text, closed: () => closed }
}

async function until(what: string, so: () => boolean): Promise<void> {
  for (let poll = 0; poll < 3_000 && !so(); poll += 1) await wait(10)
  assert.ok(so(), what)
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const post = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code)

const WAYS = { 'through the framework': get('/later'), 'in front of it': post('/plain-later') }

for (const [way, request] of Object.entries(WAYS)) {
  test(`garbage behind a valid request is answered after it, ${way}`, async (t) => {
    const { dial, release, held, counts } = await server(t)
    const client = await dial()
    client.socket.write(`${request}GARBAGE\r\n\r\n`)
    await until('the request is there', () => held() === 1)
    client.socket.write('more of it')
    await wait(20)
    assert.equal(client.text(), '')
    release()
    await until('both are answered', () => statuses(client.text()).length === 2)
    assert.match(statuses(client.text()).join(), /^20[02],400$/)
    assert.match(client.text(), /"code":"request_unreadable"/)
    await until('the connection is gone', () => counts().open === 0)
  })

  test(`a client that sends too many requests ahead is cut, and they are not carried out, ${way}`, async (t) => {
    const { dial, held, counts } = await server(t)
    const client = await dial()
    client.socket.write(request.repeat(500))
    await until('the connection is gone', () => counts().open === 0)
    assert.equal(counts().cut.sent_ahead, 1)
    assert.ok(held() <= 16, `${held()} were begun`)
  })

  test(`a few requests sent ahead are answered in order, ${way}`, async (t) => {
    const { dial, held, release, counts } = await server(t)
    const client = await dial()
    client.socket.write(request.repeat(10))
    await until('all are there', () => held() === 10)
    release()
    await until('all are answered', () => statuses(client.text()).length === 10)
    assert.equal(counts().open, 1)
  })
}

test('a request that turns into garbage is answered after those before it', async (t) => {
  const { dial, release, held } = await server(t)
  const client = await dial()
  const head = 'POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
  client.socket.write(`${get('/later')}${head}Transfer-Encoding: chunked\r\n\r\nZZ\r\n`)
  await until('the first is there', () => held() === 1)
  assert.equal(client.text(), '')
  release()
  await until('both are answered', () => statuses(client.text()).length === 2)
  assert.deepEqual(statuses(client.text()), ['200', '400'])
})

test('answers that nobody reads are given up, with their connection', async (t) => {
  const { dial, counts } = await server(t, { answerMsMax: 200 })
  const client = await dial()
  client.socket.pause()
  client.socket.write(get('/large').repeat(3))
  await until('the connection is gone', () => counts().cut.unread === 1)
  assert.equal(counts().open, 0)
})

test('a client that reads slowly and gets on is answered', async (t) => {
  const { dial, counts } = await server(t, { answerMsMax: 500 })
  const client = await dial()
  for (let round = 0; round < 20; round += 1) {
    client.socket.write(get('/now').repeat(4))
    await until('answered', () => statuses(client.text()).length === 4 * (round + 1))
    await wait(40)
  }
  assert.equal(counts().open, 1)
})

test('a client that always has an answer to read, and reads one after the other, is not cut', async (t) => {
  const answerMsMax = 100
  let nowMs = 0
  let looks = 0
  const elapsedMs = () => {
    looks += 1
    return nowMs
  }
  const { dial, counts } = await server(t, { answerMsMax, elapsedMs })
  const { socket } = await dial()
  let wanted = 0
  socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
    wanted -= chunk.length
    if (wanted <= 0) socket.pause()
  })
  socket.pause()
  socket.write(get('/large').repeat(12))
  const swept = async () => {
    const before = looks
    await until('deadlines are looked at', () => looks > before + 5)
  }
  for (let read = 0; read < 3; read += 1) {
    await swept()
    // Three quarters of an answer's time; then more is read than that answer and what sockets hold.
    nowMs += 0.75 * answerMsMax
    wanted = 2.5 * LARGE.length
    socket.resume()
    await until('an answer is read', () => wanted <= 0 || counts().cut.unread > 0)
  }
  await swept()
  assert.equal(counts().cut.unread, 0)
  nowMs += 2 * answerMsMax
  await until('who stops reading is cut', () => counts().cut.unread === 1)
})

const SILENT: Readonly<Record<string, string>> = {
  nothing: '',
  'half a header': 'GET /now HT',
  'half a body': 'POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{',
  'no HTTP': 'nonsense\r\n\r\n',
  'an answered request': get('/livez-or-not'),
}

for (const [what, bytes] of Object.entries(SILENT)) {
  test(`a client that sends ${what} and never closes is gone after its deadline`, async (t) => {
    const arrival = { headersMsMax: 200, requestMsMax: 400 }
    const { dial, counts, handles } = await server(t, {
      arrival,
      idleMsMax: 200,
      guards: { keys: NOBODY },
    })
    const clients = await Promise.all(Array.from({ length: 20 }, dial))
    for (const { socket } of clients) socket.write(bytes)
    await until('all are gone', () => counts().open === 0)
    await until('and their clients know it', () => clients.every(({ closed }) => closed()))
    assert.equal(await handles(), 0)
  })
}

const NOBODY = {
  check: async () => ({ ok: false as const }),
  peek: () => ({ ok: false as const }),
}
const KEY = { ok: true as const, id: 'one', scopes: ['read' as const] }
const ONE_KEY = {
  check: async (token: string) => (token === 'right' ? KEY : { ok: false as const }),
  peek: () => null,
}
const keyed = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer right\r\n\r\n`

test('at the maximum strangers make room, the quietest first, and a client with a key stays', async (t) => {
  const { dial, counts, full } = await server(t, { max: 10, guards: { keys: ONE_KEY } })
  const friend = await dial()
  friend.socket.write(keyed('/now'))
  await until('the friend is known', () => statuses(friend.text()).length === 1)
  const strangers: Client[] = []
  for (let count = 0; count < 40; count += 1) {
    strangers.push(await dial())
    await until('it is counted', () => counts().cut.made_room === Math.max(0, count - 8))
  }
  await until('the first are gone', () => strangers.slice(0, 31).every(({ closed }) => closed()))
  assert.ok(strangers.slice(31).every(({ closed }) => !closed()))
  assert.equal(counts().open, 10)
  friend.socket.write(keyed('/now'))
  await until('the friend is answered', () => statuses(friend.text()).length === 2)
  // A newcomer with a key gets in as well.
  const newcomer = await dial()
  newcomer.socket.write(keyed('/now'))
  await until('the newcomer is answered', () => statuses(newcomer.text()).length === 1)
  await until('it was said', () => full.length > 0)
  assert.ok(full.length < 5, 'at most once a second')
})

test('at the maximum nobody who waits for an answer is cut for a newcomer', async (t) => {
  const { dial, counts, held, release } = await server(t, { max: 5, guards: { keys: ONE_KEY } })
  const waiting = await Promise.all(Array.from({ length: 5 }, dial))
  for (const { socket } of waiting) socket.write(keyed('/later'))
  await until('all wait', () => held() === 5)
  const refused = await dial()
  await until('the newcomer is refused', () => refused.closed())
  assert.equal(counts().cut.no_room, 1)
  release()
  await until('all are answered', () => waiting.every(({ text }) => statuses(text()).length === 1))
})

test('the maximum of connections leaves files for the database and the gateways', () => {
  const config = loadConfig({})
  assert.equal(connectionsMax(config, null), 2_000)
  assert.equal(connectionsMax(config, 1_000_000), 2_000)
  assert.equal(connectionsMax(config, 1_024), 1_024 - 100 - 10 - 256)
  const bank = { GATEWAY_BANK_DRIVER: 'http', GATEWAY_BANK_URL: 'http://bank.test' }
  const two = loadConfig({ ...bank, GATEWAYS: 'http,bank', GATEWAY_BANK_CONCURRENCY: '100' })
  assert.equal(connectionsMax(two, 1_024), 1_024 - 100 - 10 - 256 - 100)
  assert.equal(connectionsMax(config, 64), 16)
  assert.equal(connectionsMax(loadConfig({ HTTP_CONNECTIONS_MAX: '7' }), 64), 7)
})
