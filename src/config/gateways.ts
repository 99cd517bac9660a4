import { writeJson } from '../domain/exact-json.ts'
import type { RouteRule } from '../domain/routing.ts'
import {
  COMMON_SETTINGS,
  DRIVER_RULES,
  DRIVER_SETTINGS,
  type DriverName,
  type GatewaySetting,
  type ValuesOf,
} from './driver-settings.ts'
import { isMockGateway } from './production.ts'
import { SETTINGS } from './settings.ts'

type Common = ValuesOf<typeof COMMON_SETTINGS>

/** A gateway with this driver, as it is configured. Durations end in `Ms`. */
export type GatewayOf<D extends DriverName> = Common & {
  readonly name: string
  readonly driver: D
  readonly settings: D extends 'http' ? HttpValues : ValuesOf<(typeof DRIVER_SETTINGS)[D]>
}

/** Of `http` alone the address may be unset: then it is the built-in mock gateway. */
type HttpValues = Omit<ValuesOf<typeof DRIVER_SETTINGS.http>, 'url'> & {
  readonly url: string | null
}

export type GatewayConfig = { [D in DriverName]: GatewayOf<D> }[DriverName]

type Read = Readonly<Record<string, unknown>>

interface Reading {
  /** Variables by name. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The settings of all, by field; one that could not be read is not in it. */
  readonly values: Read
  readonly production: boolean
}

/** The gateways of a configuration, what is wrong with them, and the variables they have. */
interface GatewaysRead {
  readonly gateways: readonly GatewayConfig[]
  readonly problems: readonly string[]
  readonly variables: readonly string[]
}

/** Read the gateways that `GATEWAYS` names, each with its own settings. */
export function readGateways(reading: Reading): GatewaysRead {
  // Left out of the values it is a mistake that is reported already.
  const names = (reading.values['gatewayNames'] ?? []) as readonly string[]
  const read = names.map((name) => (name === 'http' ? theFirst(reading) : another(reading, name)))
  return {
    gateways: read.flatMap(({ gateway }) => gateway),
    problems: [...read.flatMap(({ problems }) => problems), ...strayRules(reading, names)],
    variables: read.flatMap(({ variables }) => variables),
  }
}

/**
 * What is known of a gateway with the driver `http` where nobody says otherwise: everything, of our
 * own mock.
 */
export function assumed({ url, lookup, echo }: Pick<HttpValues, 'url' | 'lookup' | 'echo'>) {
  const isMock = isMockGateway(url)
  const auto = isMock ? 'consistent' : 'eventual'
  const trusted = isMock ? 'required' : 'optional'
  return { lookup: lookup === 'auto' ? auto : lookup, echo: echo ?? trusted } as const
}

/** Whether a gateway has an address; one without is the mock gateway of whoever runs one. */
export function hasAddress({ settings }: GatewayConfig): boolean {
  return settings.url !== null
}

interface OneRead {
  readonly gateway: GatewayConfig[]
  readonly problems: readonly string[]
  readonly variables: readonly string[]
}

/** The gateway of all settings that name none. */
function theFirst({ values }: Reading): OneRead {
  const common = inherited(values)
  const fields = Object.keys(DRIVER_SETTINGS.http).map((field) => [
    field,
    values[gatewayField(field)],
  ])
  const settings = Object.fromEntries(fields) as HttpValues // By the kinds of the same settings.
  return {
    gateway: [{ ...common, name: 'http', driver: 'http', settings }],
    problems: [],
    variables: [],
  }
}

/** The field of all settings that has the value of this one. */
function gatewayField(field: string): string {
  return `gateway${field.slice(0, 1).toUpperCase()}${field.slice(1)}`
}

/** What all gateways have where they say nothing else. */
function inherited(values: Read): Common {
  const fieldOf = (field: string) => {
    if (field === 'concurrency') return 'workerConcurrency'
    return gatewayField(field === 'jitterMs' ? 'backoffJitterMs' : field)
  }
  const fields = Object.keys(COMMON_SETTINGS).map((field) => [field, values[fieldOf(field)]])
  return Object.fromEntries(fields) as Common // By the kinds of the same settings.
}

/** A gateway with settings of its own. */
function another({ env, values, production }: Reading, name: string): OneRead {
  const prefix = `GATEWAY_${name.toUpperCase()}_`
  const taken = Object.values(SETTINGS).find((setting) => setting.name.startsWith(prefix))
  if (taken !== undefined) {
    const problem =
      `GATEWAYS must not name ${name}: its settings would be mixed up with ` + taken.name
    return { gateway: [], problems: [problem], variables: [] }
  }
  const driver = env[`${prefix}DRIVER`]?.trim() || name
  if (!isDriver(driver)) {
    const allowed = DRIVERS.join(', ')
    return {
      gateway: [],
      problems: [`${prefix}DRIVER must be one of ${allowed}`],
      variables: [`${prefix}DRIVER`],
    }
  }
  const table: Readonly<Record<string, GatewaySetting>> = DRIVER_SETTINGS[driver]
  const special = readTable(env, prefix, table)
  const common = readTable(env, prefix, COMMON_SETTINGS, inherited(values))
  const problems = [...special.problems, ...common.problems]
  // Read by the kinds that the type is derived from.
  const gateway = {
    ...common.values,
    name,
    driver,
    settings: special.values,
  } as unknown as GatewayConfig
  if (problems.length === 0) {
    problems.push(...together(gateway, prefix, values))
    problems.push(...unsafe(gateway, prefix, table, production))
  }
  const tables = [...Object.values(table), ...Object.values<GatewaySetting>(COMMON_SETTINGS)]
  const variables = [`${prefix}DRIVER`, ...tables.map(({ suffix }) => prefix + suffix)]
  return { gateway: [gateway], problems, variables }
}

function isDriver(name: string): name is DriverName {
  return DRIVERS.some((driver) => driver === name)
}

/** What can be chosen. */
// Its keys are the names.
const DRIVERS = Object.keys(DRIVER_SETTINGS) as DriverName[]

/** Read the settings of a table; `unset` is what those are that have no variable. */
function readTable(
  env: Reading['env'],
  prefix: string,
  table: Readonly<Record<string, GatewaySetting>>,
  unset: Read = {},
) {
  const values: Record<string, unknown> = { ...unset }
  const problems: string[] = []
  for (const [field, setting] of Object.entries(table)) {
    const given = env[prefix + setting.suffix]?.trim() || null
    if (given === null && field in unset) continue
    const text = given ?? setting.fallback
    const value = text === null ? null : setting.kind.read(text)
    const allowed = setting.kind.allowed.replaceAll('`', '')
    if (value === null && setting.demanded === true) {
      problems.push(`${prefix}${setting.suffix} must be set: ${allowed}`)
    } else if (value === undefined) {
      const shown = setting.secret === true ? '(value not shown)' : `not ${writeJson(given)}`
      problems.push(`${prefix}${setting.suffix} must be ${allowed}, ${shown}`)
    } else values[field] = value
  }
  return { values, problems }
}

/** What settings of a gateway must not be together. */
function together(gateway: Common, prefix: string, { leaseMs }: Read): string[] {
  const { timeoutMs, backoffBaseMs, backoffMaxMs } = gateway
  const problems: string[] = []
  if (typeof leaseMs === 'number' && leaseMs < 3 * timeoutMs + 2_000) {
    const lease = 'WORKER_PROCESSING_TIMEOUT_SECONDS'
    problems.push(`${lease} must be at least 3 x ${prefix}TIMEOUT_SECONDS + 2`)
  }
  if (backoffMaxMs < backoffBaseMs) {
    problems.push(
      `${prefix}BACKOFF_MAX_SECONDS must not be less than ${prefix}BACKOFF_BASE_SECONDS`,
    )
  }
  return problems
}

/** What is refused of a gateway by its driver's rules; most of them are of production alone. */
function unsafe(
  { driver, settings }: GatewayConfig,
  prefix: string,
  table: Readonly<Record<string, GatewaySetting>>,
  production: boolean,
): string[] {
  type Rule = { field: string; broken: (settings: unknown) => boolean; fix: string; always?: true }
  // A driver's rules look at its own settings.
  const rules = DRIVER_RULES[driver] as unknown as readonly Rule[]
  return rules
    .filter(({ broken, always }) => (production || always === true) && broken(settings))
    .map(({ field, fix, always }) => {
      const where = always === true ? '' : ' (production)'
      return `${prefix}${table[field]?.suffix} ${fix}${where}`
    })
}

/** Rules that name a gateway which is not there. */
function strayRules({ values }: Reading, names: readonly string[]): string[] {
  const rules = (values['gatewayRoutes'] ?? []) as readonly RouteRule[]
  const stray = new Set(rules.map(({ gateway }) => gateway).filter((name) => !names.includes(name)))
  return [...stray].map((name) => `GATEWAY_ROUTES names ${name}, which GATEWAYS does not`)
}
