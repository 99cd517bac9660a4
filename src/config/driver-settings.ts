import {
  currencies,
  headerValue,
  httpUrl,
  integer,
  seconds,
  secrets,
  type KindValue,
  type Setting,
} from './kinds.ts'
import { isStripeTestKey, isYookassaTestKey } from '../domain/test-keys.ts'
import { HTTP_RULES, URL_RULES } from './production.ts'
import { SETTINGS } from './settings.ts'

/** A setting that each gateway but `http` has for itself: `GATEWAY_<NAME>_<suffix>`. */
export type GatewaySetting = Omit<Setting, 'name' | 'group'> & {
  readonly suffix: string
  /** It has no fallback, and the gateway cannot do without it. */
  readonly demanded?: true
}

/** A setting of the gateway `http`, as every other gateway has it too. */
function shared<S extends Setting>(setting: S, suffix: string) {
  return { ...setting, suffix }
}

/** Where the API of a vendor is. */
function apiAt(fallback: string) {
  return { suffix: 'URL', kind: httpUrl(), fallback, doc: 'Where its API is.' }
}

const { gatewayUrl, gatewayAuthorization, gatewayHeaders, gatewayEcho } = SETTINGS
const { gatewayLookup, gatewayIdempotent, gatewayKeyLifeMs } = SETTINGS
const { gatewayCurrencies, gatewayOperations, gatewayPendingMsMax, gatewayWatchMs } = SETTINGS

/** The same setting with other ages where nothing is said. */
function watchedAt(fallback: string) {
  return { ...shared(gatewayWatchMs, 'WATCH_SECONDS'), fallback }
}

/**
 * What every gateway has, whatever its driver, by its field in `GatewayConfig`. Unset, it is as the
 * setting of all of them says.
 */
export const COMMON_SETTINGS = {
  timeoutMs: shared(SETTINGS.gatewayTimeoutMs, 'TIMEOUT_SECONDS'),
  attemptsMax: shared(SETTINGS.gatewayAttemptsMax, 'MAX_ATTEMPTS'),
  giveUpMs: shared(SETTINGS.gatewayGiveUpMs, 'GIVE_UP_SECONDS'),
  backoffBaseMs: shared(SETTINGS.gatewayBackoffBaseMs, 'BACKOFF_BASE_SECONDS'),
  backoffMaxMs: shared(SETTINGS.gatewayBackoffMaxMs, 'BACKOFF_MAX_SECONDS'),
  jitterMs: shared(SETTINGS.gatewayBackoffJitterMs, 'BACKOFF_JITTER_SECONDS'),
  notFoundGraceMs: shared(SETTINGS.gatewayNotFoundGraceMs, 'NOT_FOUND_GRACE_SECONDS'),
  concurrency: shared(SETTINGS.workerConcurrency, 'CONCURRENCY'),
} as const satisfies Readonly<Record<string, GatewaySetting>>

/** The settings of each driver, by their field in `GatewayConfig`. */
export const DRIVER_SETTINGS = {
  http: {
    url: { ...shared(gatewayUrl, 'URL'), demanded: true },
    authorization: shared(gatewayAuthorization, 'AUTHORIZATION'),
    headers: shared(gatewayHeaders, 'HEADERS'),
    echo: shared(gatewayEcho, 'ECHO'),
    lookup: shared(gatewayLookup, 'LOOKUP'),
    idempotent: shared(gatewayIdempotent, 'IDEMPOTENT'),
    keyLifeMs: shared(gatewayKeyLifeMs, 'KEY_LIFE_SECONDS'),
    currencies: shared(gatewayCurrencies, 'CURRENCIES'),
    operations: shared(gatewayOperations, 'OPERATIONS'),
    pendingMsMax: shared(gatewayPendingMsMax, 'PENDING_MAX_SECONDS'),
    watchMs: shared(gatewayWatchMs, 'WATCH_SECONDS'),
  },
  stripe: {
    secretKey: {
      suffix: 'SECRET_KEY',
      kind: headerValue(),
      fallback: null,
      demanded: true,
      secret: true,
      doc: 'A secret or restricted key of the account. Never logged.',
    },
    noticeSecrets: {
      suffix: 'NOTICE_SECRETS',
      kind: secrets(),
      fallback: null,
      secret: true,
      doc:
        'What notices are signed with: the secret of the endpoint, and the one before it while ' +
        'it is being changed. When unset, every notice is refused. Never logged.',
    },
    noticeAgeMsMax: {
      suffix: 'NOTICE_AGE_SECONDS',
      kind: seconds(1, 3_600),
      fallback: '300',
      doc: 'How far the time of a notice may be from ours.',
    },
    currencies: {
      suffix: 'CURRENCIES',
      kind: currencies(),
      fallback: null,
      doc: 'Currencies that the account takes. When unset, all that Stripe knows.',
    },
    operations: shared(gatewayOperations, 'OPERATIONS'),
    pendingMsMax: shared(gatewayPendingMsMax, 'PENDING_MAX_SECONDS'),
    // A day, a week, a month and three: most disputes come within 120 days.
    watchMs: watchedAt('86400,604800,2592000,7776000'),
    url: apiAt('https://api.stripe.com'),
  },
  yookassa: {
    shopId: {
      suffix: 'SHOP_ID',
      kind: integer(1, 999_999_999_999),
      fallback: null,
      demanded: true,
      doc: 'The shop that takes payments and gives refunds.',
    },
    secretKey: {
      suffix: 'SECRET_KEY',
      kind: headerValue(),
      fallback: null,
      demanded: true,
      secret: true,
      doc: "The shop's secret key. Never logged.",
    },
    payoutShopId: {
      suffix: 'PAYOUT_SHOP_ID',
      kind: integer(1, 999_999_999_999),
      fallback: null,
      doc: 'The gateway that makes payouts. When unset, there are none.',
    },
    payoutSecretKey: {
      suffix: 'PAYOUT_SECRET_KEY',
      kind: headerValue(),
      fallback: null,
      secret: true,
      doc: 'Its secret key. Never logged.',
    },
    returnUrl: {
      suffix: 'RETURN_URL',
      kind: httpUrl(),
      fallback: null,
      doc: 'Where payers come back to whose payment has no `return_url`. When unset, it needs one.',
    },
    currencies: {
      suffix: 'CURRENCIES',
      kind: currencies(),
      fallback: 'RUB',
      doc: 'What the shop takes.',
    },
    pendingMsMax: shared(gatewayPendingMsMax, 'PENDING_MAX_SECONDS'),
    watchMs: watchedAt('3600,86400,604800,2592000'),
    url: apiAt('https://api.yookassa.ru/v3'),
  },
} as const satisfies Record<string, Readonly<Record<string, GatewaySetting>>>

/** What a gateway speaks, by the name that `GATEWAY_<NAME>_DRIVER` has for it. */
export type DriverName = keyof typeof DRIVER_SETTINGS

/** Whether a setting may be absent. */
type Absent<S extends GatewaySetting> = S extends { readonly demanded: true }
  ? never
  : S extends { readonly fallback: null }
    ? null
    : never

/** What the settings of a table are read into; null is an absent one. */
export type ValuesOf<Table extends Readonly<Record<string, GatewaySetting>>> = {
  readonly [F in keyof Table]: KindValue<Table[F]['kind']> | Absent<Table[F]>
}

/** What each driver refuses, as a part of a sentence behind the variable's name. */
export const DRIVER_RULES: {
  readonly [D in DriverName]: readonly {
    readonly field: keyof (typeof DRIVER_SETTINGS)[D]
    readonly broken: (settings: ValuesOf<(typeof DRIVER_SETTINGS)[D]>) => boolean
    readonly fix: string
    /** Wherever it is, and not only in production. */
    readonly always?: true
  }[]
} = {
  http: HTTP_RULES,
  stripe: [
    ...URL_RULES,
    {
      field: 'secretKey',
      broken: ({ secretKey }) => isStripeTestKey(secretKey),
      fix: 'must not be a test key: it moves no money',
    },
    {
      field: 'secretKey',
      broken: ({ secretKey }) => !/^[sr]k_(?!org_)/.test(secretKey),
      fix:
        'must be a key of the account, which begins with `sk_` or `rk_`: other keys of Stripe ' +
        'cannot charge, and one of an organization (`sk_org_`) has to name the account',
      always: true,
    },
  ],
  yookassa: [
    ...URL_RULES,
    {
      field: 'secretKey',
      broken: ({ secretKey }) => isYookassaTestKey(secretKey),
      fix: 'must not be the key of a test shop: it moves no money',
    },
    {
      field: 'payoutSecretKey',
      broken: ({ payoutSecretKey }) => isYookassaTestKey(payoutSecretKey ?? ''),
      fix: 'must not be the key of a test gateway: it moves no money',
    },
    {
      field: 'payoutShopId',
      broken: ({ payoutShopId, payoutSecretKey }) =>
        (payoutShopId === null) !== (payoutSecretKey === null),
      fix: 'and PAYOUT_SECRET_KEY belong together: set both, or none for no payouts',
      always: true,
    },
    {
      field: 'returnUrl',
      broken: ({ returnUrl }) => returnUrl?.startsWith('http:') === true,
      fix: 'must be https',
    },
  ],
}
