import type { KindValue, Setting } from './kinds.ts'
import { HTTP_RULES } from './production.ts'
import { SETTINGS } from './settings.ts'

/** A setting that each gateway but `http` has for itself: `GATEWAY_<NAME>_<suffix>`. */
export type GatewaySetting = Omit<Setting, 'name' | 'group'> & {
  readonly suffix: string
  /** It has no fallback, and the gateway cannot do without it. */
  readonly demanded?: true
}

/** A setting of the gateway `http`, as every other gateway has it too. */
function own<S extends Setting>(setting: S, suffix: string) {
  return { ...setting, suffix }
}

const { gatewayUrl, gatewayAuthorization, gatewayHeaders, gatewayEcho } = SETTINGS
const { gatewayLookup, gatewayIdempotent, gatewayKeyLifeMs } = SETTINGS
const { gatewayCurrencies, gatewayOperations, gatewayPendingMsMax } = SETTINGS

/**
 * What every gateway has, whatever its driver, by its field in `GatewayConfig`. Unset, it is as the
 * setting of all of them says.
 */
export const COMMON_SETTINGS = {
  timeoutMs: own(SETTINGS.gatewayTimeoutMs, 'TIMEOUT_SECONDS'),
  attemptsMax: own(SETTINGS.gatewayAttemptsMax, 'MAX_ATTEMPTS'),
  giveUpMs: own(SETTINGS.gatewayGiveUpMs, 'GIVE_UP_SECONDS'),
  backoffBaseMs: own(SETTINGS.gatewayBackoffBaseMs, 'BACKOFF_BASE_SECONDS'),
  backoffMaxMs: own(SETTINGS.gatewayBackoffMaxMs, 'BACKOFF_MAX_SECONDS'),
  jitterMs: own(SETTINGS.gatewayBackoffJitterMs, 'BACKOFF_JITTER_SECONDS'),
  notFoundGraceMs: own(SETTINGS.gatewayNotFoundGraceMs, 'NOT_FOUND_GRACE_SECONDS'),
  concurrency: own(SETTINGS.workerConcurrency, 'CONCURRENCY'),
} as const satisfies Readonly<Record<string, GatewaySetting>>

/** The settings of each driver, by their field in `GatewayConfig`. */
export const DRIVER_SETTINGS = {
  http: {
    url: { ...own(gatewayUrl, 'URL'), demanded: true },
    authorization: own(gatewayAuthorization, 'AUTHORIZATION'),
    headers: own(gatewayHeaders, 'HEADERS'),
    echo: own(gatewayEcho, 'ECHO'),
    lookup: own(gatewayLookup, 'LOOKUP'),
    idempotent: own(gatewayIdempotent, 'IDEMPOTENT'),
    keyLifeMs: own(gatewayKeyLifeMs, 'KEY_LIFE_SECONDS'),
    currencies: own(gatewayCurrencies, 'CURRENCIES'),
    operations: own(gatewayOperations, 'OPERATIONS'),
    pendingMsMax: own(gatewayPendingMsMax, 'PENDING_MAX_SECONDS'),
  },
} as const satisfies Record<string, Readonly<Record<string, GatewaySetting>>>

/** What a gateway speaks, by the name that `GATEWAY_<NAME>_DRIVER` has for it. */
export type DriverName = keyof typeof DRIVER_SETTINGS

/** What the settings of a table are read into; null is an absent one. */
export type ValuesOf<Table extends Readonly<Record<string, GatewaySetting>>> = {
  readonly [F in keyof Table]:
    KindValue<Table[F]['kind']> | (Table[F] extends { readonly fallback: null } ? null : never)
}

/** What each driver refuses in production, as a part of a sentence behind the variable's name. */
export const DRIVER_RULES: {
  readonly [D in DriverName]: readonly {
    readonly field: keyof (typeof DRIVER_SETTINGS)[D]
    readonly broken: (settings: ValuesOf<(typeof DRIVER_SETTINGS)[D]>) => boolean
    readonly fix: string
  }[]
} = {
  http: HTTP_RULES,
}
