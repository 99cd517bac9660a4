import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import type { GatewayTerms } from '../domain/evidence.ts'
import type { GatewayProfile } from '../domain/gateway-profile.ts'
import { operationOf, type PaymentType } from '../domain/payment.ts'
import { routing, type Routing } from '../domain/routing.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import type { KnownGateway } from '../charging/gateway-look.ts'
import { strandedTasks } from '../queue/load-store.ts'
import { profileOf } from './drivers.ts'
import type { Db } from '../ports.ts'
import type { Logger } from 'pino'

/** What the configured gateways can do, by name. */
export function profilesOf({ gateways }: Config): ReadonlyMap<string, GatewayProfile> {
  return new Map(gateways.map((gateway) => [gateway.name, profileOf(gateway)]))
}

/** The configured gateways as they are shown. */
export function knownGateways(config: Config): KnownGateway[] {
  const rules =
    config.gatewayRoutes ??
    config.gateways.map(({ name }) => ({ type: null, currency: null, gateway: name }))
  return config.gateways.map((one) => ({
    name: one.name,
    driver: one.driver,
    profile: profileOf(one),
    rules: rules.filter(({ gateway }) => gateway === one.name),
  }))
}

/** Where payments go, by the settings. */
export function routingOf(config: Config): Routing {
  return routing(profilesOf(config), config.gatewayRoutes)
}

/** What a gateway promises, by its name; of one that is not configured nothing may be assumed. */
export function termsOf(config: Config): (gateway: string) => GatewayTerms {
  const terms = new Map(
    config.gateways.map((gateway) => {
      const { repeats, keyLifeMs, lookup, watchMs, namesByRef } = profileOf(gateway)
      const { timeoutMs } = gateway
      const named = namesByRef === true ? { namesByRef } : {}
      return [gateway.name, { repeats, keyLifeMs, lookup, timeoutMs, watchMs, ...named }]
    }),
  )
  const none = { repeats: 'may_execute_again', keyLifeMs: 0, lookup: 'none', gone: true } as const
  return (gateway) => terms.get(gateway) ?? { ...none, timeoutMs: config.gatewayTimeoutMs }
}

/**
 * Look whether payments can go where they have to. The currency of the books and those that have a
 * floor must have somewhere to go, a rule must fit something that its gateway does, and what is
 * open must be at a gateway that is configured: production refuses to start otherwise, and
 * elsewhere it is a warning. A payment in a currency that has no route is refused when it comes.
 */
export async function checkGateways(world: {
  readonly db: Db
  readonly config: Config
  readonly log: Pick<Logger, 'warn'>
}): Promise<void> {
  const { db, config, log } = world
  const problems = routeProblems(config)
  const names = config.gateways.map(({ name }) => name)
  const stranded = new Map<string, number>()
  for (const counts of whole(await eachInTurn(db.shards, (shard) => strandedTasks(shard, names)))) {
    for (const [name, count] of counts) stranded.set(name, (stranded.get(name) ?? 0) + count)
  }
  for (const [name, count] of stranded) {
    problems.push(
      `GATEWAYS must name ${name} until its payments are final: ${count} of them wait for it`,
    )
  }
  if (problems.length > 0 && config.production) throw new ConfigError(problems)
  for (const problem of problems) log.warn(problem)
}

/** What of the settings leaves payments without a way, each with the remedy. */
export function routeProblems(config: Config): string[] {
  const profiles = profilesOf(config)
  const problems: string[] = []
  for (const { type, currency, gateway } of config.gatewayRoutes ?? []) {
    const profile = profiles.get(gateway)
    if (profile === undefined || fits(profile, type, currency)) continue
    const prefix = gateway === 'http' ? 'GATEWAY' : `GATEWAY_${gateway.toUpperCase()}`
    problems.push(
      `GATEWAY_ROUTES must not have ${type ?? '*'}:${currency ?? '*'}=${gateway}, which ` +
        `${gateway} does not carry out: take the rule out, or extend ${prefix}_OPERATIONS or ` +
        `${prefix}_CURRENCIES`,
    )
  }
  const routes = routing(profiles, config.gatewayRoutes)
  for (const currency of new Set([config.currency, ...config.fees.mins.keys()])) {
    const setting = currency === config.currency ? 'CURRENCY' : 'TRANSACTION_FEE_MIN'
    for (const type of ['deposit', 'withdraw'] as const) {
      if (routes.to(type, currency) !== null) continue
      problems.push(
        `GATEWAY_ROUTES must have a route for ${type} in ${currency}, which ${setting} names: ` +
          `add ${type}:${currency}= with a gateway that carries it out`,
      )
    }
  }
  return problems
}

/** Whether a gateway carries out anything that a rule is about. */
function fits(
  { operations, currencies }: GatewayProfile,
  type: PaymentType | null,
  currency: string | null,
): boolean {
  const types = type === null ? (['deposit', 'withdraw'] as const) : [type]
  if (!types.some((one) => operations.has(operationOf(one)))) return false
  if (currencies === 'any') return true
  return currency === null ? currencies.size > 0 : currencies.has(currency)
}
