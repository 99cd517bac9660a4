import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseEnv } from 'node:util'
import { type Config, loadConfig, readEnvironment } from '../src/config/config.ts'
import type { GatewayConfig } from '../src/config/gateways.ts'
import { configurationTable, envExample } from '../scripts/settings-pages.ts'
import { SETTINGS } from '../src/config/settings.ts'
import { feeIn } from '../src/domain/fee.ts'
import { problemsOf } from './config-kit.ts'

const OF_GATEWAYS = {
  gatewayNames: ['http'],
  gatewayRoutes: null,
  gatewayCurrencies: null,
  gatewayOperations: ['charge', 'payout', 'refund'],
  gatewayPendingMsMax: 259_200_000,
  gatewayWatchMs: [],
} satisfies Partial<Config>

/** The database, where nobody says otherwise. */
const OF_DATABASE = {
  databaseUrl: null,
  shardDatabases: null,
  citus: false,
  keysOutageMs: 300_000,
  databasePooler: 'none',
  databasePreparedStatements: true,
  databaseTls: 'auto',
  autoCreateTables: true,
  shards: 1,
  databasePool: 10,
  databaseConnectTimeoutMs: 2_000,
  databaseWaitMs: 30_000,
  databaseStatementTimeoutMs: 5_000,
  databaseLockTimeoutMs: 3_000,
  databaseIdleTransactionTimeoutMs: 10_000,
} satisfies Partial<Config>

/** The one gateway that there is where nobody says otherwise. */
const HTTP: GatewayConfig = {
  name: 'http',
  driver: 'http',
  timeoutMs: 1_000,
  attemptsMax: 3,
  giveUpMs: 900_000,
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  jitterMs: 500,
  notFoundGraceMs: 60_000,
  concurrency: 256,
  settings: {
    url: null,
    authorization: null,
    headers: null,
    echo: null,
    lookup: 'auto',
    idempotent: true,
    keyLifeMs: 3_600_000,
    currencies: null,
    operations: ['charge', 'payout', 'refund'],
    pendingMsMax: 259_200_000,
    watchMs: [],
  },
}

test('without any variable every default holds, in the units of its name', () => {
  assert.deepEqual(loadConfig({}), {
    appName: 'Payment Service',
    appEnv: 'local',
    debug: true,
    dataDir: '.data',
    shutdownTimeoutMs: 8_000,
    host: '127.0.0.1',
    port: 8_000,
    workerPort: 8_001,
    mockGatewayPort: 8_002,
    bodyLimitKb: 64,
    console: 'on',
    httpConnectionsMax: null,
    trustedProxies: null,
    rateLimit: 0,
    ...OF_DATABASE,
    ...OF_GATEWAYS,
    gatewayUrl: null,
    gatewayTimeoutMs: 1_000,
    gatewayAttemptsMax: 3,
    gatewayBackoffBaseMs: 1_000,
    gatewayBackoffMaxMs: 30_000,
    gatewayBackoffJitterMs: 500,
    gatewayLookup: 'consistent',
    gatewayIdempotent: true,
    gatewayAuthorization: null,
    gatewayHeaders: null,
    gatewayEcho: 'required',
    gatewayGiveUpMs: 900_000,
    gatewayKeyLifeMs: 3_600_000,
    gatewayNotFoundGraceMs: 60_000,
    mockGatewaySeed: null,
    workerPollIntervalMs: 500,
    leaseMs: 30_000,
    workerConcurrency: 256,
    workerBatch: 500,
    unsettledDir: null,
    acceptBatch: 500,
    acceptQueue: 10_000,
    acceptLanes: 2,
    queueAgeLimitMs: 60_000,
    gatewayOutageMsMax: 3_600_000,
    gatewayOutageTasksMax: 100_000,
    logLevel: 'info',
    logFormat: 'auto',
    statsdUrl: null,
    otlpEndpoint: null,
    otlpHeaders: null,
    otelServiceName: 'payments',
    tracesSampler: 'parentbased_always_on',
    tracesSamplerArg: 1,
    currency: 'USD',
    feeBps: 200,
    feeMin: 0n,
    refundFee: 'keep',
    returnFee: 'keep',
    fees: { bps: 200, mins: new Map([['USD', 0n]]) },
    gateways: [HTTP],
    production: false,
    mockGateway: true,
    webhookSecretsKey: null,
    webhookAllowNetworks: null,
    eventsKeepDays: 30,
    warnings: [],
    shown: loadConfig({}).shown,
  } satisfies Config)
})

const READ: readonly [name: string, text: string, field: keyof Config, value: unknown][] = [
  ['TRANSACTION_FEE', '2.5', 'feeBps', 250],
  ['TRANSACTION_FEE', '0.07', 'feeBps', 7],
  ['TRANSACTION_FEE', '100', 'feeBps', 10_000],
  ['TRANSACTION_FEE_MIN', '0.30', 'feeMin', 30n],
  ['TRANSACTION_FEE_MIN', '9999999999.99', 'feeMin', 999_999_999_999n],
  ['CURRENCY', 'eur', 'currency', 'EUR'],
  ['CURRENCY', 'jpy', 'currency', 'JPY'],
  ['CURRENCY', 'BHD', 'currency', 'BHD'],
  ['GATEWAY_TIMEOUT_SECONDS', '0.075', 'gatewayTimeoutMs', 75],
  ['GATEWAY_TIMEOUT_SECONDS', '1.005', 'gatewayTimeoutMs', 1_005],
  ['QUEUE_AGE_LIMIT_SECONDS', '0', 'queueAgeLimitMs', 0],
  ['PORT', '0', 'port', 0],
  ['PORT', ' 9000 ', 'port', 9_000],
  ['PORT', '', 'port', 8_000],
  ['AUTO_CREATE_TABLES', 'No', 'autoCreateTables', false],
  ['AUTO_CREATE_TABLES', '0', 'autoCreateTables', false],
  ['DEBUG', 'FALSE', 'debug', false],
  ['GATEWAY_IDEMPOTENT', 'yes', 'gatewayIdempotent', true],
  ['APP_ENV', 'Staging', 'appEnv', 'staging'],
  ['APP_ENV', 'dev', 'appEnv', 'development'],
  ['LOG_LEVEL', 'WARNING', 'logLevel', 'warn'],
  ['LOG_LEVEL', 'critical', 'logLevel', 'fatal'],
  ['LOG_LEVEL', 'Trace', 'logLevel', 'trace'],
  ['LOG_FORMAT', 'JSON', 'logFormat', 'json'],
  ['MOCK_GATEWAY_SEED', '42', 'mockGatewaySeed', 42],
  ['DATABASE_URL', 'postgresql+asyncpg://u:p@h:5432/d', 'databaseUrl', 'postgresql://u:p@h:5432/d'],
  ['DATABASE_URL', 'postgres://u:p@h/d', 'databaseUrl', 'postgresql://u:p@h/d'],
  ['PAYMENT_GATEWAY_URL', 'http://localhost:9/api/', 'gatewayUrl', 'http://localhost:9/api'],
  ['GATEWAY_LOOKUP', 'none', 'gatewayLookup', 'none'],
  ['STATSD_URL', 'udp://127.0.0.1:8125', 'statsdUrl', 'udp://127.0.0.1:8125'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://c:4318/otlp', 'otlpEndpoint', 'http://c:4318/otlp'],
  ['OTEL_TRACES_SAMPLER', 'traceidratio', 'tracesSampler', 'traceidratio'],
  ['OTEL_TRACES_SAMPLER_ARG', '0.05', 'tracesSamplerArg', 0.05],
]

test('texts are read exactly, and an empty one is an unset one', () => {
  for (const [name, text, field, value] of READ) {
    assert.equal(loadConfig({ [name]: text })[field], value, `${name}=${text}`)
  }
})

const REFUSED: readonly [name: string, ...texts: string[]][] = [
  ['APP_NAME', 'x'.repeat(65), 'a\nb'],
  ['APP_ENV', 'prd', 'live', 'Production-EU', 'productoin', 'pro duction', '-x'],
  ['DEBUG', 'maybe', '2'],
  ['HOST', 'a b', 'http://x'],
  ['PORT', '65536', '-1', '80.0', '0x50', '8e3', 'abc'],
  ['BODY_LIMIT_KB', '0'],
  ['SHARDS', '0', '1025'],
  ['DATABASE_POOL', '1', '1001'],
  [
    'DATABASE_URL',
    'mysql://u:p@h/d',
    'localhost:5432',
    'postgresql://u:p@h:port/d',
    'postgresql://u:p@a,,b/d',
  ],
  ['DATABASE_LOCK_TIMEOUT_SECONDS', '0', '601'],
  [
    'PAYMENT_GATEWAY_URL',
    'https://x\\@y/',
    'https://x/a\\b',
    'ftp://x',
    'gateway',
    'https://u:p@x/',
    'https://x/#a',
    'https://x/?a=1',
  ],
  ['GATEWAY_TIMEOUT_SECONDS', '0', '1.0005', '1,5', '.5', 'Infinity', '1e1'],
  ['GATEWAY_MAX_ATTEMPTS', '0', '1.0'],
  ['GATEWAY_LOOKUP', 'sometimes'],
  ['LOG_LEVEL', 'LOUD'],
  ['STATSD_URL', 'http://x:1', 'udp://', 'udp://x:port'],
  ['TRANSACTION_FEE', '100.01', '2.555', '-1', '2%'],
  ['TRANSACTION_FEE_MIN', '0.001', '-1', '10000000000'],
  ['TRANSACTION_FEE_MIN', 'USD', 'USD:', ':1', 'USD:1,', 'USD:1;EUR:1', 'USD 1', 'XXX:1', 'AAA:1'],
  [
    'TRANSACTION_FEE_MIN',
    'JPY:0.5',
    'BHD:0.0001',
    'JPY:10000000000',
    'USD:1,USD:2',
    '1,USD:2',
    '1,2',
  ],
  ['CURRENCY', 'US', 'USDX', '840', 'XXX', 'XAU'],
]

test('a least commission is of CURRENCY, or of the currency that it names, in its minor units', () => {
  const floors = (CURRENCY: string, TRANSACTION_FEE_MIN: string) =>
    loadConfig({ CURRENCY, TRANSACTION_FEE_MIN })
  const some = floors('EUR', '0.30, jpy:40,BHD:0.125')
  assert.equal(some.feeMin, 30n)
  const mins = new Map(Object.entries({ EUR: 30n, JPY: 40n, BHD: 125n }))
  assert.deepEqual(some.fees, { bps: 200, mins })
  const others = floors('USD', 'EUR:0.30,CLF:0.0001,JPY:9999999999')
  assert.equal(others.feeMin, 0n)
  assert.deepEqual(
    ['USD', 'EUR', 'CLF', 'JPY', 'KRW'].map((code) => feeIn(others.fees, code).min),
    [0n, 30n, 1n, 9_999_999_999n, 0n],
  )
})

test('texts that are not a value, or are out of bounds, are refused by name', () => {
  for (const [name, ...texts] of REFUSED) {
    for (const text of texts) {
      const problems = problemsOf({ [name]: text })
      assert.equal(problems.length, 1, `${name}=${text}`)
      assert.match(problems[0] ?? '', new RegExp(`^${name} must be `), `${name}=${text}`)
    }
  }
})

test('all mistakes are reported at once, in one readable error', () => {
  const env = { PORT: 'abc', SHARDS: '0', LOG_LEVEL: 'x', GATEWAY_BACKOFF_BASE_SECONDS: '40' }
  assert.equal(problemsOf(env).length, 4)
  assert.throws(() => loadConfig(env), {
    name: 'ConfigError',
    message: [
      'The configuration has 4 problems:',
      '  - PORT must be a whole number from 0 to 65535, not "abc"',
      '  - SHARDS must be a whole number from 1 to 1024, not "0"',
      '  - LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, warning, critical, not "x"',
      '  - GATEWAY_BACKOFF_MAX_SECONDS must not be less than GATEWAY_BACKOFF_BASE_SECONDS',
    ].join('\n'),
  })
})

test('settings that contradict each other are refused, once each can be read', () => {
  const lease = { WORKER_PROCESSING_TIMEOUT_SECONDS: '4.999', GATEWAY_TIMEOUT_SECONDS: '1' }
  assert.match(
    problemsOf(lease)[0] ?? '',
    /^WORKER_PROCESSING_TIMEOUT_SECONDS must be at least 3 x/,
  )
  assert.deepEqual(problemsOf({ ...lease, WORKER_PROCESSING_TIMEOUT_SECONDS: '5' }), [])
  assert.equal(problemsOf({ ...lease, GATEWAY_TIMEOUT_SECONDS: 'x' }).length, 1)
  assert.match(problemsOf({ DATABASE_POOL: '4', ACCEPT_LANES: '4' })[0] ?? '', /^DATABASE_POOL/)
})

test('headers for the gateway are read exactly, and never shown', () => {
  const config = loadConfig({
    GATEWAY_AUTHORIZATION: 'Bearer a;b, c',
    GATEWAY_HEADERS: '{"X-Version": "2; q=1", "X-Merchant": "42"}',
  })
  assert.equal(config.gatewayAuthorization, 'Bearer a;b, c')
  assert.deepEqual(config.gatewayHeaders, { 'X-Version': '2; q=1', 'X-Merchant': '42' })
  const wrong = ['X-A: b', '[]', '{"X-A": 1}', '{"X A": "b"}', '{"X-A": "canary\\nb"}']
  const taken = ['Host', 'content-length', 'Idempotency-Key', 'authorization', 'Connection']
  for (const text of [...wrong, ...taken.map((name) => `{"${name}": "canary"}`)]) {
    const [problem = ''] = problemsOf({ GATEWAY_HEADERS: text })
    assert.match(problem, /^GATEWAY_HEADERS must be a JSON object .*\(value not shown\)$/, text)
  }
  assert.equal(problemsOf({ GATEWAY_AUTHORIZATION: 'Bearer canary\u0000' }).length, 1)
})

test('.env.example names the database of compose.yaml with its password', () => {
  const compose = readFileSync(new URL('../compose.yaml', import.meta.url), 'utf8')
  const of = (name: string) => {
    const value = new RegExp(`${name}: (.*)`).exec(compose)?.[1] ?? ''
    return value.replace(/^\$\{\w+:-(.*)\}$/, '$1')
  }
  const [user, password, database] = [
    of('POSTGRES_USER'),
    of('POSTGRES_PASSWORD'),
    of('POSTGRES_DB'),
  ]
  const url = `postgresql://${user}:${password}@localhost:5432/${database}`
  assert.match(envExample(), new RegExp(`^# DATABASE_URL=${url}$`, 'm'))
})

test('misspelt variables are pointed out, and ordinary ones are not', () => {
  const env = { GATEWAY_TIMOUT_SECONDS: '1', SHARD: '2', log_level: 'x', TRANSACTON_FE: '1' }
  assert.deepEqual(
    loadConfig(env).warnings.map((warning) => warning.split(' ').at(-1)),
    ['GATEWAY_TIMEOUT_SECONDS?', 'SHARDS?', 'LOG_LEVEL?', 'TRANSACTION_FEE?'],
  )
  const ordinary = { HOME: '/', HOSTNAME: 'a', PATH: '/bin', PWD: '/', LOGNAME: 'a', SHELL: 'sh' }
  assert.deepEqual(loadConfig(ordinary).warnings, [])
})

test('the variables of the process win over .env, an empty one included', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'payments-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  assert.equal(readEnvironment(folder)['PATH'], process.env['PATH'])

  const file = '\uFEFFAPP_NAME="From file" # why\r\nPAYMENTS_TEST_A=file\nPAYMENTS_TEST_B=file\n'
  writeFileSync(join(folder, '.env'), file)
  process.env['PAYMENTS_TEST_A'] = ''
  t.after(() => delete process.env['PAYMENTS_TEST_A'])
  const env = readEnvironment(folder)
  assert.equal(env['APP_NAME'], 'From file')
  assert.equal(env['PAYMENTS_TEST_A'], '')
  assert.equal(env['PAYMENTS_TEST_B'], 'file')
})

test('a .env that cannot be read is a mistake, not an absent one', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'payments-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, '.env'))
  assert.throws(() => readEnvironment(folder), { name: 'ConfigError', message: /EISDIR/ })
})

test('.env.example and docs/configuration.md are what the settings table generates', () => {
  const root = new URL('../', import.meta.url)
  assert.equal(readFileSync(new URL('.env.example', root), 'utf8'), envExample())
  assert.equal(readFileSync(new URL('docs/configuration.md', root), 'utf8'), configurationTable())
})

test('.env.example loads as it is and changes nothing', () => {
  // All that differs is that it says so.
  const without = { ...loadConfig({}), shown: [] }
  assert.deepEqual({ ...loadConfig(parseEnv(envExample())), shown: [] }, without)
})

test('.env.example with everything uncommented loads too', () => {
  const all = parseEnv(envExample().replace(/^# ([A-Z_]+=)/gm, '$1'))
  assert.equal(Object.keys(all).length, Object.keys(SETTINGS).length)
  assert.equal(loadConfig(all).mockGateway, false)
})

test('every setting has its own variable and its documentation', () => {
  const settings = Object.values(SETTINGS)
  assert.equal(new Set(settings.map(({ name }) => name)).size, settings.length)
  for (const { name, doc } of settings) {
    assert(configurationTable().includes(`| \`${name}\``), name)
    assert.match(doc, /\.$/, name)
  }
})
