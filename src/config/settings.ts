import { DATABASE_SETTINGS } from './database-settings.ts'
import { GATEWAY_SETTINGS } from './gateway-settings.ts'
import { TRACING_SETTINGS } from './tracing-settings.ts'
import {
  choice,
  currency,
  feeMins,
  flag,
  host,
  integer,
  networks,
  percent,
  seconds,
  secretsKey,
  type Setting,
  statsdUrl,
  text,
} from './kinds.ts'

/** Anything else is refused: a word that is nearly `production` must not be development. */
const ENVIRONMENTS = ['local', 'development', 'test', 'staging', 'production'] as const
const ENVIRONMENT_ALIASES = { dev: 'development', prod: 'production' } as const

/** Python's names for levels, which the original service took, and their counterparts here. */
const LOG_LEVEL_ALIASES = { warning: 'warn', critical: 'fatal' } as const
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/**
 * Every setting, by its field in `Config`. The one place that names environment variables: reading,
 * error messages, `.env.example` and `docs/configuration.md` all come from here.
 */
export const SETTINGS = {
  appName: {
    name: 'APP_NAME',
    group: 'Application',
    kind: text(64),
    fallback: 'Payment Service',
    doc: 'Title of the API documentation and of the web pages.',
  },
  appEnv: {
    name: 'APP_ENV',
    group: 'Application',
    kind: choice(ENVIRONMENTS, ENVIRONMENT_ALIASES),
    fallback: 'local',
    doc:
      'Where the service runs. `production` refuses to start with unsafe settings; the others ' +
      'differ in name only.',
  },
  debug: {
    name: 'DEBUG',
    group: 'Application',
    kind: flag(),
    fallback: 'true',
    varies: true,
    doc: 'Extra help for developers. When unset: true, but false in production.',
  },
  dataDir: {
    name: 'DATA_DIR',
    group: 'Application',
    kind: text(1_024),
    fallback: '.data',
    doc:
      'Folder of the embedded database and of the mock gateway, relative to the working ' +
      'directory.',
  },
  shutdownTimeoutMs: {
    name: 'SHUTDOWN_TIMEOUT_SECONDS',
    group: 'Application',
    kind: seconds(0, 300),
    fallback: '8',
    doc:
      'How long a stopping process lets requests and gateway calls finish. Keep it below the ' +
      'time your platform waits before it kills (Docker: 10).',
  },
  host: {
    name: 'HOST',
    group: 'HTTP server',
    kind: host(),
    fallback: '127.0.0.1',
    doc: 'Address to listen on. `0.0.0.0` listens on all interfaces.',
  },
  port: {
    name: 'PORT',
    group: 'HTTP server',
    kind: integer(0, 65_535),
    fallback: '8000',
    doc: 'Port of the API; 0 takes any free one.',
  },
  workerPort: {
    name: 'WORKER_PORT',
    group: 'HTTP server',
    kind: integer(0, 65_535),
    fallback: '8001',
    doc: 'Port of a separate worker: metrics and health only; 0 takes any free one.',
  },
  mockGatewayPort: {
    name: 'MOCK_GATEWAY_PORT',
    group: 'HTTP server',
    kind: integer(0, 65_535),
    fallback: '8002',
    doc: 'Port of a separate mock gateway; 0 takes any free one.',
  },
  console: {
    name: 'CONSOLE',
    group: 'HTTP server',
    kind: choice(['on', 'off']),
    fallback: 'on',
    doc: 'Whether the API serves the console, the pages for operators, at `/console`.',
  },
  bodyLimitKb: {
    name: 'BODY_LIMIT_KB',
    group: 'HTTP server',
    kind: integer(1, 16_384),
    fallback: '64',
    doc:
      'Largest request body in KiB; a larger one is answered with 413. A batch of payments has ' +
      '512 KiB.',
  },
  httpConnectionsMax: {
    name: 'HTTP_CONNECTIONS_MAX',
    group: 'HTTP server',
    kind: integer(1, 1_000_000),
    fallback: null,
    example: '2000',
    doc:
      'Connections of clients that are open at a time in one process; then the one that was ' +
      'quiet longest makes room. When unset, 2000, or what the limit of open files (`ulimit ' +
      '-n`) leaves.',
  },
  trustedProxies: {
    name: 'TRUSTED_PROXIES',
    group: 'HTTP server',
    kind: networks(),
    fallback: null,
    example: '10.0.0.0/8,fd00::/8',
    doc:
      'Proxies whose `X-Forwarded-For` is believed, for limits that go by address. Without it ' +
      'all that comes through a proxy counts as one address.',
  },
  rateLimit: {
    name: 'RATE_LIMIT_PER_SECOND',
    group: 'HTTP server',
    kind: integer(0, 1_000_000),
    fallback: '0',
    doc: 'Requests per second and API key, or address without a key, in one process; 0: no limit.',
  },
  ...DATABASE_SETTINGS,
  ...GATEWAY_SETTINGS,
  workerPollIntervalMs: {
    name: 'WORKER_POLL_INTERVAL_SECONDS',
    group: 'Worker',
    kind: seconds(0.01, 60),
    fallback: '0.5',
    doc: 'Wait of an idle worker before it looks for due tasks again.',
  },
  leaseMs: {
    name: 'WORKER_PROCESSING_TIMEOUT_SECONDS',
    group: 'Worker',
    kind: seconds(1, 86_400),
    fallback: '30.0',
    doc:
      "The lease: a dead worker's tasks come due again after it. At least 3 x " +
      'GATEWAY_TIMEOUT_SECONDS + 2.',
  },
  workerConcurrency: {
    name: 'WORKER_CONCURRENCY',
    group: 'Worker',
    kind: integer(1, 10_000),
    fallback: '256',
    doc:
      'Gateway calls in flight per worker; each of the three operations is sure of a third of ' +
      'them.',
  },
  workerBatch: {
    name: 'WORKER_BATCH',
    group: 'Worker',
    kind: integer(1, 5_000),
    fallback: '500',
    doc: 'Tasks claimed at once.',
  },
  unsettledDir: {
    name: 'UNSETTLED_DIR',
    group: 'Worker',
    kind: text(1_024),
    fallback: null,
    example: '/var/lib/payments/unsettled',
    doc:
      'Folder in which a stopping process leaves what gateways said and the database did not ' +
      'take any more; the next worker that starts with it writes it. When unset, it is only ' +
      'logged.',
  },
  acceptBatch: {
    name: 'ACCEPT_BATCH',
    group: 'Accepting payments',
    kind: integer(1, 5_000),
    fallback: '500',
    doc: 'Requests that share one transaction.',
  },
  acceptQueue: {
    name: 'ACCEPT_QUEUE',
    group: 'Accepting payments',
    kind: integer(1, 1_000_000),
    fallback: '10000',
    doc: 'Requests that may wait for a transaction; further ones are answered with 503.',
  },
  acceptLanes: {
    name: 'ACCEPT_LANES',
    group: 'Accepting payments',
    kind: integer(1, 64),
    fallback: '2',
    doc:
      'Transactions of accepted payments that run side by side per process and shard when more ' +
      'is waiting than one of them takes.',
  },
  queueAgeLimitMs: {
    name: 'QUEUE_AGE_LIMIT_SECONDS',
    group: 'Accepting payments',
    kind: seconds(0, 86_400),
    fallback: '60',
    doc: 'New payments get 503 while the oldest due task is older than this; 0 switches it off.',
  },
  gatewayOutageMsMax: {
    name: 'GATEWAY_OUTAGE_SECONDS',
    group: 'Accepting payments',
    kind: seconds(0, 604_800),
    fallback: '3600',
    doc:
      'How long payments are accepted for a gateway that cannot be reached, or does not talk to ' +
      'us; then they get 503 `gateway_unavailable`. Each operation by itself. 0: no limit.',
  },
  gatewayOutageTasksMax: {
    name: 'GATEWAY_OUTAGE_MAX',
    group: 'Accepting payments',
    kind: integer(0, 10_000_000),
    fallback: '100000',
    doc:
      'How many of them may wait; further ones get the same 503. The default is what one worker ' +
      'with calls of 100 ms works off within QUEUE_AGE_LIMIT_SECONDS. 0: no limit.',
  },
  logLevel: {
    name: 'LOG_LEVEL',
    group: 'Logging and metrics',
    kind: choice(LOG_LEVELS, LOG_LEVEL_ALIASES),
    fallback: 'INFO',
    doc: 'Least important level that is logged, in any case.',
  },
  logFormat: {
    name: 'LOG_FORMAT',
    group: 'Logging and metrics',
    kind: choice(['auto', 'json', 'pretty']),
    fallback: 'auto',
    doc: 'One JSON object per line, or text for people. `auto` is `pretty` on a terminal.',
  },
  statsdUrl: {
    name: 'STATSD_URL',
    group: 'Logging and metrics',
    kind: statsdUrl(),
    fallback: null,
    example: 'udp://127.0.0.1:8125',
    doc: 'StatsD daemon that gets the metrics too. Prometheus is always served.',
  },
  ...TRACING_SETTINGS,
  currency: {
    name: 'CURRENCY',
    group: 'Business',
    kind: currency(),
    fallback: 'USD',
    doc:
      'The currency of the books: of accounts that are opened without naming one, and of amounts ' +
      'that say none. Fixed for the life of a database.',
  },
  feeBps: {
    name: 'TRANSACTION_FEE',
    group: 'Business',
    kind: percent(),
    fallback: '2',
    doc: 'Commission in percent of the amount, rounded half-up to the minor unit.',
  },
  feeMin: {
    name: 'TRANSACTION_FEE_MIN',
    group: 'Business',
    kind: feeMins(),
    fallback: '0',
    doc:
      'Least commission of a payment, as a decimal amount of `CURRENCY`, or one for each of ' +
      'several currencies.',
  },
  refundFee: {
    name: 'REFUND_FEE',
    group: 'Business',
    kind: choice(['keep', 'return']),
    fallback: 'keep',
    doc: 'Whether a refund of a deposit returns its part of the commission to the user.',
  },
  returnFee: {
    name: 'RETURN_FEE',
    group: 'Business',
    kind: choice(['keep', 'return']),
    fallback: 'keep',
    doc: 'The same of money that comes back by itself: returned payouts and charge-backs.',
  },
  webhookSecretsKey: {
    name: 'WEBHOOK_SECRETS_KEY',
    group: 'Webhooks',
    kind: secretsKey(),
    fallback: null,
    example: 'MzIgYnl0ZXMgb2YgYW4gZXhhbXBsZSwgbm8ga2V5ISE=',
    secret: true,
    doc:
      'Seals the secrets of webhook endpoints in the database. `openssl rand -base64 32` makes ' +
      'one. Production does not start without it. With another key than before, endpoints need ' +
      'new secrets.',
  },
  webhookAllowNetworks: {
    name: 'WEBHOOK_ALLOW_NETWORKS',
    group: 'Webhooks',
    kind: networks(),
    fallback: null,
    example: '10.1.2.0/24',
    doc:
      'Private networks in which webhook endpoints are allowed. Without it only public ' +
      'addresses are called, and in development this machine.',
  },
  eventsKeepDays: {
    name: 'EVENTS_KEEP_DAYS',
    group: 'Webhooks',
    kind: integer(1, 3_650),
    fallback: '30',
    doc:
      'How many days events are kept, with their deliveries and attempts. What is still on its ' +
      'way to an endpoint stays until it has arrived or was given up.',
  },
} as const satisfies Record<string, Setting>
