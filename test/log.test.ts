import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logger } from '../src/adapters/log.ts'
import { type Config, loadConfig } from '../src/config/config.ts'

const CANARY = 'c4n4ry'

/** A logger, and what it wrote. */
function open(settings: Partial<Pick<Config, 'logLevel' | 'logFormat'>> = {}) {
  const written: string[] = []
  const output = { write: (line: string) => void written.push(line) }
  const log = logger({ logLevel: 'info', logFormat: 'json', ...settings }, 'worker', output)
  return {
    log,
    text: () => written.join(''),
    line: (): Record<string, unknown> => JSON.parse(written.at(-1) ?? '{}'),
  }
}

test('a line is one JSON object with the time, the level as a word, the role and the process', () => {
  const { log, text, line } = open()
  log.warn({ paymentId: '42', attempt: 3 }, 'late evidence')
  const { time, ...rest } = line()
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, {
    level: 'warn',
    role: 'worker',
    pid: process.pid,
    paymentId: '42',
    attempt: 3,
    msg: 'late evidence',
  })
  assert.equal(text().split('\n').length, 2)
  assert(text().endsWith('}\n'))
})

const SECRETS: readonly (readonly [what: string, event: object])[] = [
  ['a header', { req: { headers: { authorization: `Bearer ${CANARY}` } } }],
  ['an idempotency key', { headers: { 'idempotency-key': CANARY } }],
  ['a key in camel case', { idempotencyKey: CANARY }],
  ['a header in capitals', { headers: { Authorization: CANARY, 'X-API-Key': CANARY } }],
  ['a list of cookies', { res: { headers: { 'set-cookie': [`a=${CANARY}]`, 'b'] } } }],
  ['a password with quotes', { user: { password: `"${CANARY}\\"` } }],
  ['a nested secret', { token: { kind: 'bearer', parts: { value: `{${CANARY}` } } }],
  ['a number', { secret: 31_337 }],
  ['a secret deep inside', { a: { b: { c: { d: { e: [{ apiKey: CANARY }] } } } } }],
  ['a database setting', { DATABASE_URL: CANARY, databaseUrl: CANARY, connectionString: CANARY }],
  ['credentials in a URL', { target: `postgresql://pay:${CANARY}@db/payments` }],
]

test('secrets are never written, at any depth, and the line stays readable', () => {
  for (const [what, event] of SECRETS) {
    for (const logFormat of ['json', 'pretty'] as const) {
      const { log, text, line } = open({ logFormat })
      log.child({ kept: 'yes' }).info({ ...event, after: 'kept' }, 'event')
      assert(!text().includes(CANARY) && !text().includes('31337'), `${what}: ${text()}`)
      assert.match(text(), /\[redacted\]/, what)
      if (logFormat === 'json') assert.equal(line()['after'], 'kept', what)
    }
  }
})

test('secrets in the text and the stack of an error are not written', () => {
  const { log, text, line } = open()
  const url = `postgresql://pay:${CANARY}@db:5432/payments`
  const error = Object.assign(new Error(`cannot reach ${url}`, { cause: new Error(url) }), {
    config: { password: CANARY },
  })
  log.error(error, `giving up on ${url}`)
  assert(!text().includes(CANARY), text())
  assert.equal(line()['msg'], 'giving up on postgresql://[redacted]@db:5432/payments')
})

test('a text that only mentions a secret field, and a plain URL, are left alone', () => {
  const { log, line } = open()
  const msg = 'send "idempotency-key": once, see https://example.com/a?b=c and mail a@example.com'
  log.info({ mine: { body: '{"password":"no field"}', tokens: 3 } }, msg)
  assert.equal(line()['msg'], msg)
  assert.deepEqual(line()['mine'], { body: '{"password":"no field"}', tokens: 3 })
})

test('levels below the configured one are not written', () => {
  const { log, text } = open({ logLevel: loadConfig({ LOG_LEVEL: 'WARNING' }).logLevel })
  log.info('quiet')
  assert.equal(text(), '')
  log.warn('loud')
  assert.match(text(), /loud/)
})

test('the text for people has the time, the level and the event, and is written at once', () => {
  const { log, text } = open({ logFormat: 'pretty' })
  log.error({ paymentId: '42' }, 'the worker could not settle')
  assert.match(text(), /^\[\d\d:\d\d:\d\d\.\d{3}\] ERROR: the worker could not settle .*"42".*\n$/)
})

test('`auto` writes JSON where no person is looking', () => {
  const { log, line } = open({ logFormat: 'auto' })
  log.info('hello')
  assert.equal(line()['msg'], 'hello')
})
