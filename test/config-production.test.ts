import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEnv } from 'node:util'
import { loadConfig } from '../src/config/config.ts'
import { ConfigError } from '../src/config/config-error.ts'
import { envExample } from '../scripts/settings-pages.ts'
import { problemsOf } from './config-kit.ts'

const PRODUCTION = {
  APP_ENV: 'production',
  DATABASE_URL: 'postgresql://pay:pw@db:5432/payments',
  PAYMENT_GATEWAY_URL: 'https://gateway.example.com/v2',
  GATEWAY_ECHO: 'required',
  WEBHOOK_SECRETS_KEY: 'MzIgYnl0ZXMgb2YgYW4gZXhhbXBsZSwgbm8ga2V5ISE=',
}

test('no secret is printed, whatever is wrong with it', () => {
  const secret = 'c4n4ry'
  const env = {
    DATABASE_URL: `mysql://pay:${secret}@db/payments`,
    PAYMENT_GATEWAY_URL: `https://pay:${secret}@gateway`,
    PORT: 'x',
    DATABASE_URLS: secret,
  }
  try {
    loadConfig(env)
    assert.fail('must be refused')
  } catch (error) {
    assert(error instanceof ConfigError)
    assert.equal(error.problems.length, 3)
    assert(!`${error.stack} ${error.message} ${JSON.stringify(error)}`.includes(secret))
  }
  const { warnings } = loadConfig({ DATABASE_URLS: secret })
  assert.deepEqual(warnings, ['DATABASE_URLS is not a setting: did you mean DATABASE_URL?'])
})

test('production lists every unsafe setting', () => {
  assert.equal(problemsOf({ APP_ENV: 'production' }).length, 3)
  assert.deepEqual(problemsOf({ APP_ENV: 'prod' }), problemsOf({ APP_ENV: 'production' }))
  const unsafe = {
    APP_ENV: 'Production',
    DEBUG: 'true',
    PAYMENT_GATEWAY_URL: 'http://pay.example.com/api/v1/mock-gateway',
  }
  const names = problemsOf(unsafe).map((problem) => problem.split(' ')[0])
  const gateway = 'PAYMENT_GATEWAY_URL'
  assert.deepEqual(names, ['DATABASE_URL', gateway, gateway, 'WEBHOOK_SECRETS_KEY', 'DEBUG'])
})

test('what contradicts each other anywhere does in production as well', () => {
  const contradictions = [
    { WORKER_PROCESSING_TIMEOUT_SECONDS: '4', GATEWAY_TIMEOUT_SECONDS: '1' },
    { GATEWAY_BACKOFF_BASE_SECONDS: '40' },
    { DATABASE_POOL: '4', ACCEPT_LANES: '4' },
    { CITUS: 'true', SHARD_DATABASES: '0-0=postgresql://pay:pw@db:5432/one', SHARDS: '1' },
    { TRANSACTION_FEE_MIN: '0.001', CURRENCY: 'USD' },
  ]
  for (const wrong of contradictions) {
    const { DATABASE_URL } = PRODUCTION
    const anywhere = problemsOf({ DATABASE_URL, ...wrong })
    assert.equal(anywhere.length, 1, JSON.stringify(wrong))
    assert.deepEqual(problemsOf({ ...PRODUCTION, ...wrong }), anywhere, JSON.stringify(wrong))
  }
})

test('production accepts safe settings, and debugging is off unless somebody asked for it', () => {
  const config = loadConfig(PRODUCTION)
  assert.equal(config.production, true)
  assert.equal(config.debug, false)
  assert.equal(config.mockGateway, false)
  assert.equal(loadConfig({ APP_ENV: 'test' }).debug, true)
  for (const host of ['localhost', '127.0.0.1', '[::1]']) {
    assert.deepEqual(problemsOf({ ...PRODUCTION, PAYMENT_GATEWAY_URL: `http://${host}:9/x` }), [])
  }
  for (const host of ['localhost.example.com', '10.0.0.1', '127.0.0.1.example.com']) {
    assert.equal(problemsOf({ ...PRODUCTION, PAYMENT_GATEWAY_URL: `http://${host}/x` }).length, 1)
  }
})

test('production says whether its gateway names what it answers about', () => {
  const { GATEWAY_ECHO: _said, ...unsaid } = PRODUCTION
  assert.match(problemsOf(unsaid).join('\n'), /^GATEWAY_ECHO must be set/)
  for (const echo of ['required', 'optional'] as const) {
    assert.equal(loadConfig({ ...unsaid, GATEWAY_ECHO: echo }).gatewayEcho, echo)
  }
  assert.equal(loadConfig({}).gatewayEcho, 'required')
  const other = { PAYMENT_GATEWAY_URL: 'https://gateway.example.com' }
  assert.equal(loadConfig(other).gatewayEcho, 'optional')
})

test('no spelling of its address brings the mock gateway into production', () => {
  const paths = [
    'mock-gateway',
    'mock%2Dgateway',
    'MOCK-Gateway',
    'mock%252dgateway',
    '%6dock-gateway',
  ]
  for (const path of [...paths, 'm%6Fck%2Dgatew%61y', 'x/../mock-gateway', 'mock_gateway']) {
    const env = { ...PRODUCTION, PAYMENT_GATEWAY_URL: `https://pay.example.com/api/v1/${path}` }
    assert.match(problemsOf(env).join('\n'), /^PAYMENT_GATEWAY_URL must lead to a real/, path)
  }
})

test('a production that only NODE_ENV names is not started as development', () => {
  const unsaid = problemsOf({ NODE_ENV: 'production' })
  assert.match(unsaid.join('\n'), /^APP_ENV must be set where NODE_ENV is production/)
  assert.equal(problemsOf({ NODE_ENV: 'Production ', APP_ENV: ' ' }).length, 1)
  for (const env of [{ APP_ENV: 'staging' }, PRODUCTION]) {
    assert.deepEqual(problemsOf({ NODE_ENV: 'production', ...env }), [])
  }
  assert.deepEqual(problemsOf({ NODE_ENV: 'development' }), [])
})

test('production demands an encrypted connection to a database on a public network', () => {
  const problems = (rest: string, env = {}) =>
    problemsOf({ ...PRODUCTION, DATABASE_URL: `postgresql://pay:pw@${rest}`, ...env })
  const near = [
    'localhost/d',
    '127.0.0.1:5432/d',
    '[::1]:5432/d',
    'db/d',
    '10.1.2.3/d',
    '172.31.0.9/d',
  ]
  for (const rest of [...near, '192.168.7.1/d', '[fd00::7]/d', 'pg.pay.svc/d', 'pg.internal/d']) {
    assert.deepEqual(problems(rest), [], rest)
  }
  assert.deepEqual(problems('localhost/d?host=/var/run/postgresql'), [])
  assert.deepEqual(problems('db,10.1.2.3:5432/d'), [])
  const far = ['db.example.com/d', '203.0.113.9:5432/d', '172.32.0.1/d', '[2001:db8::1]:5432/d']
  for (const rest of [
    ...far,
    '10.example.com/d',
    'localhost.example.com/d',
    'db/d?host=db.example.com',
    // One of several is enough.
    'db,db.example.com/d',
    'db.example.com:5432,db:5432/d',
    'db/d?host=db,203.0.113.9',
  ]) {
    assert.match(problems(rest).join('\n'), /^DATABASE_URL must end in \?sslmode=/, rest)
    assert.deepEqual(problems(rest, { DATABASE_TLS: 'off' }), [])
    const and = rest.includes('?') ? '&' : '?'
    for (const mode of ['verify-full', 'verify-ca', 'require']) {
      assert.deepEqual(problems(`${rest}${and}sslmode=${mode}`), [], mode)
    }
    for (const mode of ['disable', 'allow', 'prefer', 'no-verify', '']) {
      assert.equal(problems(`${rest}${and}sslmode=${mode}`).length, 1, mode)
    }
    // The driver's own word for it, which also says no.
    assert.deepEqual(problems(`${rest}${and}ssl=true`), [])
    for (const no of ['ssl=false', 'ssl=0', 'ssl=', 'ssl=false&sslmode=prefer']) {
      assert.equal(problems(`${rest}${and}${no}`).length, 1, no)
    }
  }
})

test('a copied .env.example becomes a production with the few lines that production needs', () => {
  const copied = parseEnv(envExample())
  assert.deepEqual(problemsOf({ ...(copied as Record<string, string>), ...PRODUCTION }), [])
})

test('only the mock gateway is trusted with "not found" unless somebody says otherwise', () => {
  const lookup = (url: string) => loadConfig({ PAYMENT_GATEWAY_URL: url }).gatewayLookup
  assert.equal(lookup(''), 'consistent')
  assert.equal(lookup('http://localhost:8000/api/v1/mock-gateway'), 'consistent')
  assert.equal(lookup('https://gateway.example.com'), 'eventual')
})

test('production refuses a gateway at an address that belongs to the machine or its cloud', () => {
  const safe = {
    APP_ENV: 'production',
    DATABASE_URL: 'postgresql://u:p@h/d',
    WEBHOOK_SECRETS_KEY: PRODUCTION.WEBHOOK_SECRETS_KEY,
    GATEWAY_ECHO: 'optional',
  }
  const refused = ['169.254.169.254', '0xa9fea9fe', '2852039166', '0', '[::]', '[fe80::1]']
  for (const host of [...refused, '[::ffff:169.254.169.254]']) {
    const env = { ...safe, PAYMENT_GATEWAY_URL: `https://${host}/pay` }
    assert.throws(() => loadConfig(env), /link-local or unspecified/, host)
  }
  for (const host of ['gateway.example.com', '10.0.0.7', '203.0.113.9', '[2001:db8::1]']) {
    loadConfig({ ...safe, PAYMENT_GATEWAY_URL: `https://${host}/pay` })
  }
})
