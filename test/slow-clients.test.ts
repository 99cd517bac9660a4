import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { openGuards, type GuardOptions } from '../src/http/auth.ts'
import { buildServer } from '../src/http/server.ts'
import { problemsOf } from './hostile/case.ts'
import { bytesOf, open, raw } from './hostile/wire.ts'

/** Short, so that the test is; in production they are 10 and 15 seconds. */
const ARRIVAL = { headersMsMax: 300, requestMsMax: 600 }
const KEY = 'pay_right'

/** The HTTP server as it is, with one route. Resolves to its port. */
async function server(t: TestContext, guards: GuardOptions = {}): Promise<number> {
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0',
    title: 'test',
    documented: false,
    guards: openGuards(systemClock, guards),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    arrival: ARRIVAL,
    onAnswer: () => undefined,
  })
  app.post('/echo', async () => ({ ok: true }))
  app.get('/echo', async () => ({ ok: true }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const HEAD = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'

/** Requests that never end: how they begin, and what follows every 50 ms. */
const SLOW: Readonly<Record<string, readonly [start: string, drip: string]>> = {
  'nothing at all': ['', ''],
  'half a request line': ['POST /ec', 'h'],
  'headers that never end': [`${HEAD}X-A: `, '1'],
  'a body shorter than its length': [`${HEAD}Content-Length: 100\r\n\r\n{"a":`, '1'],
  'a chunk shorter than its size': [`${HEAD}Transfer-Encoding: chunked\r\n\r\nff\r\n{"a"`, ' '],
  'chunks that never end': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
}

for (const [name, [start, drip]] of Object.entries(SLOW)) {
  test(`a client that sends ${name} is cut off in time with 408`, async (t) => {
    const port = await server(t)
    // More than anybody waits for: only a cut ends it.
    const pieces = [start, ...Array.from({ length: 100_000 }, () => drip)]
    const bytes = pieces.map((piece) => Buffer.from(piece))
    const { answer, closed } = await raw(port, bytes, 50)
    assert.ok(closed)
    assert.equal(answer?.status, 408)
    assert.deepEqual(problemsOf(answer), [])
  })
}

test('a client that is slow but in time is answered', async (t) => {
  const port = await server(t)
  const bytes = bytesOf({ method: 'POST', path: '/echo', body: '{}' })
  const pieces = [bytes.subarray(0, 20), bytes.subarray(20, 60), bytes.subarray(60)]
  const { answer } = await raw(port, pieces, 50)
  assert.equal(answer?.status, 200)
})

/** What is no key, as headers. */
const NO_KEYS: readonly (readonly (readonly [string, string])[])[] = [
  [],
  ...['', 'Bearer', 'Bearer ', 'Bearer  pay_right', `Basic ${KEY}`, KEY, `Bearer ${KEY} x`].map(
    (value) => [['Authorization', value]] as const,
  ),
  ...[`Bearer ${KEY},`, `Bearer ${'x'.repeat(5_000)}`, `Bearer\t${KEY}`, 'Bearer caf\xe9'].map(
    (value) => [['Authorization', value]] as const,
  ),
  [
    ['Authorization', `Bearer ${KEY}`],
    ['Authorization', `Bearer ${KEY}`],
  ],
  [['X-Api-Key', KEY]],
  [['Cookie', `authorization=Bearer ${KEY}`]],
]

test('without exactly one valid key the answer is 401, the same for all', async (t) => {
  const port = await server(t, {
    keys: {
      check: async (token) =>
        token === KEY ? { ok: true, id: 'right', scopes: ['read'] } : { ok: false },
      peek: () => null,
    },
  })
  const connection = open(port)
  t.after(() => connection.close())
  const bodies = new Set<string>()
  for (const headers of NO_KEYS) {
    const answer = await connection.ask({ path: '/echo', headers })
    assert.equal(answer?.status, 401, headers.flat().join(' ').slice(0, 60))
    assert.match(answer?.headers['www-authenticate'] ?? '', /^Bearer /)
    assert.deepEqual(problemsOf(answer), [])
    bodies.add((answer?.body ?? '').replace(/"instance":"[^"]*"/, ''))
  }
  assert.equal(bodies.size, 1)
  const authorized = [['Authorization', `Bearer ${KEY}`]] as const
  assert.equal((await connection.ask({ path: '/echo', headers: authorized }))?.status, 200)
  const written = await connection.ask({ method: 'POST', path: '/echo', headers: authorized })
  assert.equal(written?.status, 403)
  assert.equal((await connection.ask({ path: '/nothing' }))?.status, 401)
})

test('an address cannot escape its rate limit by naming another', async (t) => {
  const port = await server(t, { perSecondMax: 5 })
  const connection = open(port)
  t.after(() => connection.close())
  const statuses: (number | undefined)[] = []
  for (let host = 0; host < 50; host += 1) {
    const headers = [
      ['X-Forwarded-For', `10.0.0.${host}`],
      ['X-Real-IP', `10.0.0.${host}`],
      ['Forwarded', `for=10.0.0.${host}`],
    ] as const
    statuses.push((await connection.ask({ path: '/echo', headers }))?.status)
  }
  assert.ok(statuses.filter((status) => status === 429).length > 0)
})
