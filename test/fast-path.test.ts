import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { addFastPath, type FastPathOptions } from '../src/http/fast-path.ts'
import { openGuards } from '../src/http/auth.ts'
import { buildServer, requestIds } from '../src/http/server.ts'
import { Overloaded } from '../src/ports.ts'
import { open, type Received, type Wire } from './hostile/wire.ts'
import { serve } from './serve.ts'

/** A server whose path `/thing` says who answered it, and with which body. */
async function server(t: TestContext, options: Partial<FastPathOptions> = {}) {
  const answered: string[] = []
  const onAnswer = (method: string, route: string, status: number) =>
    void answered.push(`${method} ${route} ${status}`)
  const requestId = requestIds()
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0.0.0',
    title: 'Test',
    documented: false,
    guards: openGuards(systemClock),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    requestId,
    onAnswer,
  })
  addFastPath(app, {
    routes: [
      {
        path: '/thing',
        answer: (body) =>
          Array.isArray(body)
            ? null
            : Promise.resolve({
                status: 202,
                body: { by: 'plain', body },
                headers: ['content-type', 'application/json; charset=utf-8'],
              }),
      },
    ],
    admit: () => true,
    open: () => true,
    requestId,
    elapsedMs: systemClock.elapsedMs,
    onAnswer,
    ...options,
  })
  app.post('/thing', { schema: { body: {} } }, (request, reply) =>
    reply.code(202).send({ by: 'framework', body: request.body }),
  )
  const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
  t.after(() => app.close())
  const connection = open(Number(port))
  t.after(() => connection.close())
  return { ask: (wire: Wire) => connection.ask(wire), answered }
}

const JSON_TYPE = ['Content-Type', 'application/json'] as const
const thing = (wire: Partial<Wire> = {}): Wire => ({
  method: 'POST',
  path: '/thing',
  body: '{"a":1}',
  ...wire,
})

const PLAIN: readonly Wire[] = [
  thing(),
  thing({ headers: [['Content-Type', 'application/json; charset=utf-8']] }),
  thing({ headers: [['X-Request-Id', 'mine']] }),
  thing({ body: '{"a":"é"}' }),
]

const UNUSUAL: readonly (readonly [what: string, wire: Wire, body?: unknown])[] = [
  ['a body that the route does not take', thing({ body: '[1]' }), [1]],
  ['another spelling of the type', thing({ headers: [['Content-Type', 'Application/JSON']] })],
  ['a query', thing({ path: '/thing?x=1' })],
  ['a slash at the end', thing({ path: '/thing/' })],
  ['a large body', thing({ body: JSON.stringify('x'.repeat(2_000)) }), 'x'.repeat(2_000)],
  [
    'a body in chunks',
    thing({ headers: [['Transfer-Encoding', 'chunked']], body: '7\r\n{"a":1}\r\n0\r\n\r\n' }),
  ],
  ['an expectation', thing({ headers: [['Expect', '100-continue']] })],
  ['an encoding', thing({ headers: [['Content-Encoding', 'identity']] })],
]

for (const wire of PLAIN) {
  test(`a plain request is answered before the framework: ${JSON.stringify(wire)}`, async (t) => {
    const { ask, answered } = await server(t)
    const answer = await ask(wire)
    assert.equal(answer?.status, 202)
    assert.deepEqual(JSON.parse(answer?.body ?? ''), {
      by: 'plain',
      body: JSON.parse(String(wire.body)),
    })
    assert.deepEqual(answered, ['POST /thing 202'])
  })
}

for (const [what, wire, body = { a: 1 }] of UNUSUAL) {
  test(`${what} is the framework's, and it gets the whole body`, async (t) => {
    const { ask } = await server(t)
    const answer = await ask(wire)
    assert.deepEqual(JSON.parse(answer?.body ?? ''), { by: 'framework', body })
  })
}

const MISTAKES: readonly (readonly [what: string, wire: Wire, code: string])[] = [
  ['no JSON', thing({ body: '{"a":' }), 'body_unreadable'],
  ['a name twice', thing({ body: '{"a":1,"a":2}' }), 'body_unreadable'],
  ['no UTF-8', thing({ body: Buffer.from([0x22, 0xff, 0x22]) }), 'body_unreadable'],
  ['an empty body', thing({ body: '' }), 'body_unreadable'],
  ['two types', thing({ headers: [JSON_TYPE, JSON_TYPE] }), 'media_type_unsupported'],
  [
    'two hosts',
    thing({
      headers: [
        ['Host', 'a'],
        ['Host', 'b'],
      ],
    }),
    'request_unreadable',
  ],
  ['another method', thing({ method: 'PUT' }), 'method_not_allowed'],
]

for (const [what, wire, code] of MISTAKES) {
  test(`${what} is refused by the framework`, async (t) => {
    const { ask } = await server(t)
    assert.equal(JSON.parse((await ask(wire))?.body ?? '').code, code)
  })
}

test('who is not admitted, or comes while the process stops, is the framework’s', async (t) => {
  const by = async (options: Partial<FastPathOptions>) => {
    const answer = await (await server(t, options)).ask(thing())
    return JSON.parse(answer?.body ?? '').by
  }
  assert.equal(await by({ admit: () => false }), 'framework')
  assert.equal(await by({ open: () => false }), 'framework')
})

test('what fails is answered like the failure of any route, and says no more', async (t) => {
  const failing = (error: Error) => [{ path: '/thing', answer: () => Promise.reject(error) }]
  const busy = await (await server(t, { routes: failing(new Overloaded()) })).ask(thing())
  assert.equal(busy?.status, 503)
  assert.equal(busy?.headers['retry-after'], '1')
  assert.equal(JSON.parse(busy?.body ?? '').code, 'overloaded')
  const bug = await (await server(t, { routes: failing(new Error('secret')) })).ask(thing())
  assert.equal(bug?.status, 500)
  assert.equal(JSON.parse(bug?.body ?? '').code, 'internal_error')
  assert.doesNotMatch(bug?.body ?? '', /secret/)
})

test('a route that throws before it has begun fails its request and nothing else', async (t) => {
  const throwing = () => {
    throw new Error('a bug')
  }
  const { ask } = await server(t, { routes: [{ path: '/thing', answer: throwing }] })
  for (const _ of [1, 2]) assert.equal((await ask(thing()))?.status, 500)
})

test('requests that are sent ahead on one connection are answered in order', async (t) => {
  const { ask } = await server(t)
  const answers = await Promise.all([0, 1].map((a) => ask(thing({ body: `{"a":${a}}` }))))
  assert.deepEqual(
    answers.map((answer) => JSON.parse(answer?.body ?? '').body.a),
    [0, 1],
  )
})

const PAYMENTS: readonly (readonly [path: string, body: unknown, key?: string])[] = [
  ['deposit', { user_id: 1, deposit: 200 }],
  ['deposit', { user_id: 1, deposit: '0.015' }],
  ['deposit', { user_id: 1, deposit: 12.34 }, 'first'],
  ['deposit', { user_id: 1, deposit: '12.34' }, '"first"'],
  ['deposit', { user_id: 1, deposit: 12.35 }, 'first'],
  ['deposit', { user_id: 99, deposit: 1 }],
  ['deposit', { user_id: 1, amount: 1 }],
  ['deposit', { user_id: 1, deposit: 1, more: 1 }],
  ['deposit', { user_id: 1.5, deposit: 1 }],
  ['deposit', { user_id: '1', deposit: 1 }],
  ['deposit', { user_id: 1, deposit: true }],
  ['deposit', { user_id: 1, deposit: -1 }],
  ['deposit', { user_id: 1, deposit: 1 }, 'two words'],
  ['withdraw', { user_id: 1, amount: 50 }],
  ['withdraw', { user_id: 1, amount: 5_000 }],
  ['withdraw', { user_id: 1, amount: 5_000 }, 'poor'],
  ['withdraw', { user_id: 1, amount: 5_000 }, 'poor'],
  ['withdraw', [], 'poor'],
  ['withdraw', null],
]

test('plain or not, the same request gets the same answer, header by header', async (t) => {
  const asked = async (type: string) => {
    const service = await serve(t)
    await service.call('POST', '/users', { balance: 1_000 })
    const connection = open(Number(new URL(service.url).port))
    t.after(() => connection.close())
    const answers: (Received | null)[] = []
    for (const [index, [path, body, key]] of PAYMENTS.entries()) {
      const headers: [string, string][] = [
        ['Content-Type', type],
        ['X-Request-Id', `request-${index}`],
        ...(key === undefined ? [] : ([['Idempotency-Key', key]] as [string, string][])),
      ]
      const wire = { method: 'POST', path: `/api/v1/payments/${path}`, headers }
      const answer = await connection.ask({ ...wire, body: JSON.stringify(body) })
      answers.push(answer && { ...answer, headers: { ...answer.headers, date: '' } })
    }
    return answers
  }
  const plain = await asked('application/json')
  // Another spelling, which only the framework reads.
  const full = await asked('application/json;charset=UTF-8')
  assert.deepEqual(plain, full)
  assert.deepEqual(
    plain.map((answer) => answer?.status),
    [202, 422, 202, 202, 422, 404, 400, 400, 400, 400, 400, 422, 400, 202, 402, 402, 402, 400, 400],
  )
})
