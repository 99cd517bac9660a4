import type { RouteRule } from '../domain/routing.ts'
import type { Probed, GatewayLook } from './gateway-look.ts'

/** A gateway as the API shows it. */
export function gatewayBody({ name, driver, profile, rules, routes }: GatewayLook) {
  const { operations, currencies, repeats, keyLifeMs, lookup, pendingMsMax } = profile
  return {
    name,
    driver,
    operations: [...operations],
    currencies: currencies === 'any' ? null : [...currencies.keys()],
    repeats,
    key_life_seconds: keyLifeMs / 1_000,
    lookup,
    pending_max_seconds: pendingMsMax / 1_000,
    rules: rules.map(ruleText),
    routes: routes.map(({ oldestDueMs, ...route }) => ({
      ...route,
      oldest_due_seconds: oldestDueMs === null ? null : oldestDueMs / 1_000,
    })),
  }
}

/** A rule as `GATEWAY_ROUTES` has it. */
export function ruleText({ type, currency, gateway }: RouteRule): string {
  return `${type ?? '*'}:${currency ?? '*'}=${gateway}`
}

/** What a gateway said, as the API shows it. */
export function askedBody({ operation, ok, outcome, reason, httpStatus, tookMs }: Probed) {
  return { operation, ok, outcome, reason, http_status: httpStatus, took_ms: tookMs }
}
