import { systemClock } from '../adapters/clock.ts'
import type { Answer, PaymentDraft, Gateways } from '../domain/acceptance.ts'
import { operationOf, OPERATIONS, type Route } from '../domain/payment.ts'
import type { Routing } from '../domain/routing.ts'
import type { RouteHealth, RouteProbes } from '../http/health.ts'
import type { Accepts } from '../payments/accepting.ts'
import { admission, ADMISSION_MS, type Admission } from '../payments/admission.ts'
import { every } from '../queue/every.ts'
import { GatewayUnavailable, Overloaded } from '../ports.ts'
import type { Closing } from './closing.ts'
import type { Process } from './shared.ts'

/** Watch what waits for each operation of each gateway. */
export function openGate({ db, config }: Process, stops: Closing): Admission {
  const { queueAgeLimitMs: ageMsMax } = config
  const { gatewayOutageMsMax: outageMsMax, gatewayOutageTasksMax: outageTasksMax } = config
  const policy = { ageMsMax, outageMsMax, outageTasksMax }
  const gateways = config.gateways.map(({ name }) => name)
  const gate = admission({ db, clock: systemClock, gateways, policy })
  const looking = every(systemClock, ADMISSION_MS, gate.turn)
  stops.push(() => looking.stop())
  return gate
}

/** Show the breakers to whoever scrapes this process. */
export function showBreakers({ config, metrics }: Process, gate: Admission): void {
  const names = config.gateways.map(({ name }) => name)
  metrics.breaker(() => routesOf(names, gate).map((route) => ({ ...route, state: route.breaker })))
}

/** What health says of routes and of workers elsewhere, by what the database knows. */
export function routeProbes(names: readonly string[], gate: Admission): RouteProbes {
  return { routes: () => routesOf(names, gate), workedMs: () => gate.workedMs() }
}

function routesOf(names: readonly string[], gate: Admission): RouteHealth[] {
  const all = names.flatMap((gateway) => OPERATIONS.map((operation) => ({ gateway, operation })))
  return all.map((route) => ({ ...route, ...gate.breaker(route) }))
}

/**
 * Where payments go, and which routes are closed where a payment's is known only with its account.
 */
export function gatewaysOf(routing: Routing, gate: Admission): Gateways {
  if (routing.always !== null) return { routing, closed: () => null }
  return {
    routing,
    closed: (gateway, type) => gate.refusal({ gateway, operation: operationOf(type) }),
  }
}

/** Why a route is closed, to be thrown; null: it is open. */
export function closedFor(gate: Admission, route: Route): Overloaded | GatewayUnavailable | null {
  const refusal = gate.refusal(route)
  if (refusal === null) return null
  return refusal === 'overloaded' ? new Overloaded() : new GatewayUnavailable()
}

/**
 * Accept only what could be begun soon; the rest is refused by its operation, also within a batch.
 */
export function admitting(
  { accept, acceptAll }: Accepts,
  gate: Admission,
  routing: Routing,
): Accepts {
  const refusal = ({ type, gateway: named }: PaymentDraft) => {
    const gateway = named ?? routing.always
    return gateway === null ? null : closedFor(gate, { gateway, operation: operationOf(type) })
  }
  return {
    accept(draft) {
      const refused = refusal(draft)
      return refused === null ? accept(draft) : Promise.reject(refused)
    },
    async acceptAll(drafts) {
      const refused = drafts.map(refusal)
      const given = await acceptAll(drafts.filter((_, index) => refused[index] === null))
      const answers = given.values()
      // As many answers as drafts that were not refused, in order.
      return refused.map((error) => error ?? (answers.next().value as Answer | Error))
    },
  }
}
