import type { ChargeOutcome } from '../../src/domain/outcome.ts'
import { chargeKind, type confirms, type Shape } from '../../src/domain/reply-outcome.ts'
import type { Evidence } from '../../src/ports.ts'
import type { Faults } from './faults.ts'

/** A reply as it comes over a connection. */
interface Reply {
  readonly status: number | null
  readonly shape: Shape
  readonly last: boolean
}

type Charged = Evidence<ChargeOutcome>

/**
 * A charge over a connection that carried others, of which a page comes that names nobody. Either
 * it is the answer, and the lookup behind it is answered next, by the gateway or by another page.
 * Or it was meant for an earlier request: then our charge arrived all the same, and what comes next
 * is its own answer, or that page once more.
 */
export async function pageFirst(
  faults: Faults,
  arrive: () => Promise<Charged>,
  proves: typeof confirms,
): Promise<Charged> {
  const status = faults.pick([401, 404, 429])
  const late = faults.between(0, 2) === 0
  const next = late ? behindLate(faults, status, await arrive()) : behindOurs(faults, status)
  const kind = chargeKind(status, 'page')
  if (kind !== 'misconfigured' && kind !== 'not_executed') throw new Error(`${status} is ${kind}`)
  const reason = `http_${status}`
  const outcome = kind === 'not_executed' ? { kind, reason, retryAfterMs: 1_000 } : { kind, reason }
  const proven = proves(next.status, next.shape, next.last)
  return {
    outcome: proven ? outcome : { ...outcome, unproven: true },
    sent: true,
    httpStatus: status,
  }
}

function behindLate(faults: Faults, status: number, { outcome, httpStatus }: Charged): Reply {
  const shapes: readonly string[] = ['success', 'declined', 'pending', 'rejected']
  const shape = shapes.includes(outcome.kind) ? (outcome.kind as Shape) : 'page'
  const own = { status: httpStatus, shape, last: faults.between(0, 2) === 0 }
  return faults.pick([own, { status, shape: 'page', last: false }])
}

function behindOurs(faults: Faults, status: number): Reply {
  return faults.pick<Reply>([
    { status, shape: 'page', last: true },
    { status: 404, shape: 'rejected', last: true },
    { status: 200, shape: 'success', last: true },
    { status: 502, shape: 'page', last: true },
    { status: null, shape: 'empty', last: true },
  ])
}
