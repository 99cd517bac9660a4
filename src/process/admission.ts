import { systemClock } from '../adapters/clock.ts'
import type { Answer, Draft } from '../domain/acceptance.ts'
import { GATEWAY, operationOf, OPERATIONS } from '../domain/payment.ts'
import type { RouteHealth, RouteProbes } from '../http/health.ts'
import type { Accepts } from '../payments/accepting.ts'
import { admission, ADMISSION_MS, type Admission } from '../payments/admission.ts'
import { every } from '../queue/every.ts'
import type { Closing } from './closing.ts'
import type { Process } from './shared.ts'

/** Watch what waits for each operation. */
export function openGate({ db, config }: Process, stops: Closing): Admission {
  const { queueAgeLimitMs: ageMsMax } = config
  const { gatewayOutageMsMax: outageMsMax, gatewayOutageTasksMax: outageTasksMax } = config
  const policy = { ageMsMax, outageMsMax, outageTasksMax }
  const gate = admission({ db, clock: systemClock, policy })
  const looking = every(systemClock, ADMISSION_MS, gate.look)
  stops.push(() => looking.stop())
  return gate
}

/** Show the breakers to whoever scrapes this process. */
export function showBreakers({ metrics }: Process, gate: Admission): void {
  metrics.breaker(() => routesOf(gate).map((route) => ({ ...route, state: route.breaker })))
}

/** What health says of routes and of workers elsewhere, by what the database knows. */
export function routeProbes(gate: Admission): RouteProbes {
  return { routes: () => routesOf(gate), workedMs: () => gate.workedMs() }
}

function routesOf(gate: Admission): RouteHealth[] {
  return OPERATIONS.map((operation) => {
    const shared = gate.breaker(operation)
    const isOpen = shared !== undefined && shared.trips > 0
    const breaker = !isOpen ? 'closed' : shared.openMs > 0 ? 'open' : 'half_open'
    const misconfigured = shared?.cause === 'misconfigured'
    return { gateway: GATEWAY, operation, breaker, misconfigured, reason: shared?.reason ?? null }
  })
}

/**
 * Accept only what could be begun soon; the rest is refused by its operation, also within a batch.
 */
export function admitting({ accept, acceptAll }: Accepts, gate: Admission): Accepts {
  const refusal = ({ type }: Draft) => gate.refusal(operationOf(type))
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
