import {
  admitted,
  BREAKER_POLICY,
  CLOSED,
  observed,
  type Breaker,
  type BreakerPolicy,
} from '../domain/breaker.ts'
import type { Clock, Evidence, Gateway } from '../ports.ts'

/** What a guarded gateway saw of one call. */
export interface CallSeen {
  readonly call: 'charge' | 'lookup'
  readonly outcome: string
  readonly reason: string | null
  readonly ms: number
}

export interface GuardedGateway extends Gateway {
  /** How many of `wanted` tasks may be claimed now, beside `running` ones. */
  admitted(wanted: number, running: number): number
  breaker(): Breaker['state']
  /** Try the gateway with a few calls, whatever this process has seen itself. */
  probe(): void
}

/**
 * Put a circuit breaker and a witness around a gateway. The breaker does not refuse calls, it keeps
 * tasks from being claimed: a gateway that is down burns no attempt of any payment.
 */
export function guardedGateway(
  gateway: Gateway,
  clock: Clock,
  onCall: (seen: CallSeen) => void,
  policy: BreakerPolicy = BREAKER_POLICY,
): GuardedGateway {
  let breaker: Breaker = CLOSED
  const watch = async <Outcome extends { readonly kind: string }>(
    call: CallSeen['call'],
    made: Promise<Evidence<Outcome>>,
  ): Promise<Evidence<Outcome>> => {
    const startedMs = clock.elapsedMs()
    const evidence = await made
    const endedMs = clock.elapsedMs()
    const { kind } = evidence.outcome
    const ok = kind !== 'in_doubt' && kind !== 'not_executed' && kind !== 'no_answer'
    // A gateway that can be asked and cannot charge is down: its lookups must not say otherwise.
    const ended = { ok, tookMs: endedMs - startedMs }
    if (call === 'charge' || !ok) breaker = observed(breaker, ended, endedMs, policy)
    const reason = 'reason' in evidence.outcome ? String(evidence.outcome.reason) : null
    onCall({ call, outcome: kind, reason, ms: endedMs - startedMs })
    return evidence
  }
  return {
    profile: gateway.profile,
    charge: (request, signal) => watch('charge', gateway.charge(request, signal)),
    lookup: (request, signal) => watch('lookup', gateway.lookup(request, signal)),
    close: () => gateway.close(),
    breaker: () => breaker.state,
    probe() {
      breaker = { ...CLOSED, state: 'half_open', sinceMs: clock.elapsedMs(), trips: breaker.trips }
    },
    admitted(wanted, running) {
      const allowed = admitted(breaker, wanted, clock.elapsedMs(), policy)
      return breaker.state === 'closed' ? allowed : Math.max(0, allowed - running)
    },
  }
}
