import {
  ages,
  currencies,
  gatewayNames,
  headers,
  headerValue,
  choice,
  flag,
  httpUrl,
  integer,
  operations,
  routes,
  seconds,
  type Setting,
} from './kinds.ts'

/** The settings of the gateway, by their field in `Config`: a part of the one table of settings. */
export const GATEWAY_SETTINGS = {
  gatewayNames: {
    name: 'GATEWAYS',
    group: 'External services',
    kind: gatewayNames(),
    fallback: 'http',
    doc:
      'The gateways, by names of your own. `http` is the one that PAYMENT_GATEWAY_URL leads to, ' +
      'with the settings below; every other has settings of its own.',
  },
  gatewayRoutes: {
    name: 'GATEWAY_ROUTES',
    group: 'External services',
    kind: routes(),
    fallback: null,
    example: '*=http',
    doc:
      'Which gateway carries out which payments: rules `type:currency=gateway`, `*` for any, of ' +
      'which the first counts that fits and whose gateway can do it. When unset, the gateways in ' +
      'the order of GATEWAYS.',
  },
  gatewayUrl: {
    name: 'PAYMENT_GATEWAY_URL',
    group: 'External services',
    kind: httpUrl(),
    fallback: null,
    example: 'https://gateway.example.com/api',
    secret: true,
    doc: 'Base URL of the payment gateway. When unset, the built-in mock gateway is used.',
  },
  gatewayAuthorization: {
    name: 'GATEWAY_AUTHORIZATION',
    group: 'External services',
    kind: headerValue(),
    fallback: null,
    example: 'Bearer secret',
    secret: true,
    doc:
      'Sent to the gateway as the `Authorization` header, with charges and lookups. Never ' +
      'logged.',
  },
  gatewayHeaders: {
    name: 'GATEWAY_HEADERS',
    group: 'External services',
    kind: headers(),
    fallback: null,
    example: '{"X-Merchant": "42"}',
    secret: true,
    doc: 'More headers for charges and lookups, as one JSON object. Never logged.',
  },
  gatewayEcho: {
    name: 'GATEWAY_ECHO',
    group: 'External services',
    kind: choice(['required', 'optional']),
    fallback: null,
    example: 'required',
    doc:
      'Whether each reply of the gateway names `payment_id` or `idempotency_key`. `required`: a ' +
      'yes or no that names nobody is not believed, and connections are kept. `optional`: it is ' +
      'believed, and each call has a connection of its own. When unset: `required` for the mock ' +
      'gateway, `optional` for any other.',
  },
  gatewayTimeoutMs: {
    name: 'GATEWAY_TIMEOUT_SECONDS',
    group: 'External services',
    kind: seconds(0.05, 300),
    fallback: '1.0',
    doc: 'Deadline of one gateway call, connecting and reading included.',
  },
  gatewayAttemptsMax: {
    name: 'GATEWAY_MAX_ATTEMPTS',
    group: 'External services',
    kind: integer(1, 100),
    fallback: '3',
    doc:
      'Tries for one payment before it fails or becomes unknown: charges that were not ' +
      'executed, or whose outcome nobody knows.',
  },
  gatewayGiveUpMs: {
    name: 'GATEWAY_GIVE_UP_SECONDS',
    group: 'External services',
    kind: seconds(0, 86_400),
    fallback: '900',
    doc:
      'A payment that was never executed fails when its tries are used up and the first of them ' +
      'is older than this, so that a short outage fails nobody; 0: as soon as they are used up.',
  },
  gatewayBackoffBaseMs: {
    name: 'GATEWAY_BACKOFF_BASE_SECONDS',
    group: 'External services',
    kind: seconds(0, 3_600),
    fallback: '1.0',
    doc: 'Wait before the second attempt; doubled for each further one.',
  },
  gatewayBackoffMaxMs: {
    name: 'GATEWAY_BACKOFF_MAX_SECONDS',
    group: 'External services',
    kind: seconds(0, 86_400),
    fallback: '30.0',
    doc: 'Longest wait between attempts, before jitter.',
  },
  gatewayBackoffJitterMs: {
    name: 'GATEWAY_BACKOFF_JITTER_SECONDS',
    group: 'External services',
    kind: seconds(0, 3_600),
    fallback: '0.5',
    doc: 'A random wait from 0 to this is added, so that retries do not come in waves.',
  },
  gatewayLookup: {
    name: 'GATEWAY_LOOKUP',
    group: 'External services',
    kind: choice(['auto', 'none', 'eventual', 'consistent']),
    fallback: 'auto',
    doc:
      'Whether a charge can be looked up by our key. `consistent` also promises that "not found" ' +
      'is true of every charge whose request has ended: claim it only if the gateway does. ' +
      '`auto` is `consistent` for the mock gateway and `eventual` for any other.',
  },
  gatewayIdempotent: {
    name: 'GATEWAY_IDEMPOTENT',
    group: 'External services',
    kind: flag(),
    fallback: 'true',
    doc:
      'Whether the gateway honours Idempotency-Key. When false, a charge in doubt is never sent ' +
      'again.',
  },
  gatewayKeyLifeMs: {
    name: 'GATEWAY_KEY_LIFE_SECONDS',
    group: 'External services',
    kind: seconds(1, 31_536_000),
    fallback: '3600',
    doc:
      'How long the gateway remembers a key, from its first use. A charge in doubt is not sent ' +
      'again later than that: it is looked up, and kept unknown.',
  },
  gatewayCurrencies: {
    name: 'GATEWAY_CURRENCIES',
    group: 'External services',
    kind: currencies(),
    fallback: null,
    example: 'USD,EUR',
    doc: 'Currencies that the gateway takes. When unset, every currency.',
  },
  gatewayOperations: {
    name: 'GATEWAY_OPERATIONS',
    group: 'External services',
    kind: operations(),
    fallback: 'charge,payout,refund',
    doc: 'What the gateway carries out.',
  },
  gatewayPendingMsMax: {
    name: 'GATEWAY_PENDING_MAX_SECONDS',
    group: 'External services',
    kind: seconds(1, 31_536_000),
    fallback: '259200',
    doc: 'How long the gateway may take to finish what it has taken; then it is asked to end it.',
  },
  gatewayWatchMs: {
    name: 'GATEWAY_WATCH_SECONDS',
    group: 'External services',
    kind: ages(),
    fallback: 'off',
    example: '86400,604800,2592000',
    doc:
      'How old payments that ended well are when the gateway is asked whether they came back: ' +
      'its lookups have to tell `returns`. What its notices tell of is looked at in any case.',
  },
  gatewayNotFoundGraceMs: {
    name: 'GATEWAY_NOT_FOUND_GRACE_SECONDS',
    group: 'External services',
    kind: seconds(0, 86_400),
    fallback: '60',
    doc:
      'Age of a charge in doubt from which the "not found" of a `consistent` gateway proves that ' +
      'it was not executed.',
  },
  mockGatewaySeed: {
    name: 'MOCK_GATEWAY_SEED',
    group: 'External services',
    kind: integer(0, 4_294_967_295),
    fallback: null,
    example: '42',
    doc: 'Makes the faults of the mock gateway repeatable. When unset, they are random.',
  },
} as const satisfies Record<string, Setting>
