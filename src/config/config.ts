import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { feeIn, feeMinsIn, type Fees } from '../domain/fee.ts'
import { ConfigError } from './config-error.ts'
import { assumed, readGateways, type GatewayConfig } from './gateways.ts'
import type { KindValue, Setting } from './kinds.ts'
import { shownSetting, type ShownSetting } from './shown.ts'
import { isNear } from './spelling.ts'
import { isMockGateway, PRODUCTION_RULES } from './production.ts'
import { SETTINGS } from './settings.ts'

type Field = keyof typeof SETTINGS

/** Every setting as it was read; null is an absent one. */
type Values = {
  readonly [F in Field]:
    | KindValue<(typeof SETTINGS)[F]['kind']>
    | ((typeof SETTINGS)[F]['fallback'] extends null ? null : never)
}

/**
 * The configuration: checked, typed, never changed after the start. Durations end in `Ms`, money is
 * minor units, `feeBps` is basis points.
 */
export type Config = Omit<Values, 'gatewayLookup' | 'gatewayEcho' | 'feeMin'> & {
  /** Every gateway with its settings, in the order of `GATEWAYS`. */
  readonly gateways: readonly GatewayConfig[]
  /** The least commission in `currency`. */
  readonly feeMin: bigint
  /** The commission's rule in every currency. */
  readonly fees: Fees
  readonly gatewayLookup: Exclude<Values['gatewayLookup'], 'auto'>
  readonly gatewayEcho: 'required' | 'optional'
  /** `APP_ENV` is production: unsafe settings were refused. */
  readonly production: boolean
  /** `http` is no real gateway: `gatewayUrl` is unset or leads to a mock gateway. */
  readonly mockGateway: boolean
  /** Sentences about variables that are probably misspelt. Names only, never values. */
  readonly warnings: readonly string[]
  /** The settings as operators may see them: no secret is among them. */
  readonly shown: readonly ShownSetting[]
}

/** Environment variables by name. An empty text is the same as an absent variable. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Something that settings, each right by itself, must not be together. */
interface Rule {
  /** The settings the rule looks at. It is skipped when one of them could not be read. */
  readonly uses: readonly Field[]
  readonly broken: (values: Values) => boolean
  /** What to do about it, beginning with the variable's name. */
  readonly fix: string
}

/** What settings must not be together, in every environment. */
export const SETTING_RULES: readonly Rule[] = [
  {
    uses: ['leaseMs', 'gatewayTimeoutMs'],
    broken: (values) => values.leaseMs < 3 * values.gatewayTimeoutMs + 2_000,
    fix:
      'WORKER_PROCESSING_TIMEOUT_SECONDS must be at least 3 x GATEWAY_TIMEOUT_SECONDS + 2, or ' +
      'tasks are claimed again while their gateway call still runs',
  },
  {
    uses: ['gatewayBackoffBaseMs', 'gatewayBackoffMaxMs'],
    broken: (values) => values.gatewayBackoffMaxMs < values.gatewayBackoffBaseMs,
    fix: 'GATEWAY_BACKOFF_MAX_SECONDS must not be less than GATEWAY_BACKOFF_BASE_SECONDS',
  },
  {
    uses: ['databasePool', 'acceptLanes'],
    broken: (values) => values.databasePool <= values.acceptLanes + 1,
    fix:
      'DATABASE_POOL must be at least ACCEPT_LANES + 2, or accepting payments takes every ' +
      'connection',
  },
  {
    uses: ['shards', 'shardDatabases'],
    broken: ({ shards, shardDatabases }) =>
      shardDatabases !== null && shardDatabases.at(-1)?.last !== shards - 1,
    fix: 'SHARD_DATABASES must name every shard from 0 to SHARDS - 1, and no others',
  },
  {
    uses: ['citus', 'shardDatabases'],
    broken: ({ citus, shardDatabases }) => citus && shardDatabases !== null,
    fix: 'CITUS and SHARD_DATABASES exclude each other: Citus itself knows where shards are',
  },
  {
    uses: ['citus', 'databaseUrl'],
    broken: ({ citus, databaseUrl }) => citus && databaseUrl === null,
    fix: 'DATABASE_URL must be set with CITUS: it leads to the coordinator',
  },
  {
    uses: ['databaseUrl', 'shardDatabases'],
    broken: ({ databaseUrl, shardDatabases }) => shardDatabases !== null && databaseUrl === null,
    fix:
      'DATABASE_URL must be set with SHARD_DATABASES: it is the home side, which holds what ' +
      'belongs to no shard',
  },
  {
    uses: ['currency', 'feeMin'],
    broken: ({ currency, feeMin }) => feeMinsIn(feeMin, currency) === null,
    fix:
      'TRANSACTION_FEE_MIN must be an amount that can be paid in its currency, and one for each ' +
      'currency; an amount without a currency is in CURRENCY',
  },
]

/**
 * Read and check the whole configuration. Pure: the same `env` gives the same value.
 *
 * Throws `ConfigError` with every mistake at once.
 */
export function loadConfig(env: Environment): Config {
  const { values, problems } = readSettings(env)
  const production = values.appEnv === 'production'
  if (isUnsaid(env)) problems.push(UNSAID)
  const rules = production ? [...SETTING_RULES, ...PRODUCTION_RULES] : SETTING_RULES
  // A field that could not be read is missing from `values`; the rules that use it are skipped.
  const complete = values as Values
  for (const rule of rules) {
    if (rule.uses.every((field) => field in values) && rule.broken(complete)) {
      problems.push(
        production && !SETTING_RULES.includes(rule) ? `${rule.fix} (production)` : rule.fix,
      )
    }
  }
  const { gateways, problems: wrong, variables } = readGateways({ env, values, production })
  problems.push(...wrong)
  if (problems.length > 0) throw new ConfigError(problems)
  const { currency, feeBps } = complete
  const mins = feeMinsIn(complete.feeMin, currency) ?? new Map<string, bigint>()
  const fees = { bps: feeBps, mins }
  const business = { fees, feeMin: feeIn(fees, currency).min }
  const gateway = gatewayOf(complete)
  const warnings = misspelt(env, variables)
  const shown = entries().map(([, setting]) =>
    shownSetting(setting, env[setting.name]?.trim() || null, fallbackOf(setting, env)),
  )
  return { ...complete, ...gateway, ...business, gateways, production, warnings, shown }
}

function gatewayOf(values: Values) {
  const { gatewayNames, gatewayUrl: url, gatewayLookup: lookup, gatewayEcho: echo } = values
  const mockGateway = gatewayNames.includes('http') && isMockGateway(url)
  const known = assumed({ url, lookup, echo })
  return { gatewayLookup: known.lookup, gatewayEcho: known.echo, mockGateway }
}

/** Other tools of Node read NODE_ENV; here it says only that somebody meant to say something. */
export const UNSAID =
  'APP_ENV must be set where NODE_ENV is production: to production, or to what this is instead'

/**
 * A production that nobody named here would start as a laptop does: without keys, with the mock.
 */
function isUnsaid(env: Environment): boolean {
  const [node = '', app = ''] = [env['NODE_ENV'], env[SETTINGS.appEnv.name]]
  return node.trim().toLowerCase() === 'production' && app.trim() === ''
}

/**
 * The variables of `.env` in the folder `cwd`, if there is one, under those of the process: a
 * variable that the process has wins, an empty one included. The only reader of the environment.
 *
 * Throws `ConfigError` when `.env` exists and cannot be read.
 */
export function readEnvironment(cwd: string): Environment {
  return { ...readEnvFile(join(cwd, '.env')), ...process.env }
}

function readEnvFile(path: string): Environment {
  try {
    return parseEnv(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    if (code === 'ENOENT') return {}
    throw new ConfigError([`${path} cannot be read: ${code}`])
  }
}

/** Read every setting by itself. One that is wrong is left out of `values` and has a problem. */
function readSettings(env: Environment) {
  const values: Partial<Record<Field, unknown>> = {}
  const problems: string[] = []
  for (const [field, setting] of entries()) {
    const text = env[setting.name]?.trim() || fallbackOf(setting, env)
    const value = text === null ? null : setting.kind.read(text)
    if (value === undefined) problems.push(problemOf(setting, text ?? ''))
    else values[field] = value
  }
  // Each value was read by the kind that its type is derived from.
  return { values: values as Partial<Values>, problems }
}

/** Debugging is on by default, and off by default in production. */
function fallbackOf(setting: Setting, env: Environment): string | null {
  if (setting.name !== SETTINGS.debug.name) return setting.fallback
  const { name, kind } = SETTINGS.appEnv
  return kind.read(env[name]?.trim() ?? '') === 'production' ? 'false' : setting.fallback
}

function problemOf(setting: Setting, text: string): string {
  const allowed = setting.kind.allowed.replaceAll('`', '')
  const shown = setting.secret ? '(value not shown)' : `not ${JSON.stringify(text.slice(0, 40))}`
  return `${setting.name} must be ${allowed}, ${shown}`
}

/** Sentences about names that are almost the name of a setting. */
function misspelt(env: Environment, more: readonly string[]): string[] {
  const known = [...entries().map(([, setting]) => setting.name), ...more]
  return Object.keys(env)
    .filter((name) => !known.includes(name))
    .flatMap((name) => {
      const meant = known.find((candidate) => isNear(name.toUpperCase(), candidate))
      return meant ? [`${name} is not a setting: did you mean ${meant}?`] : []
    })
}

/** The settings table as a list, in its order. */
function entries(): [Field, Setting][] {
  // Object.entries forgets the keys' type.
  return Object.entries(SETTINGS) as [Field, Setting][]
}
