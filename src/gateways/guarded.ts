import {
  admitted,
  BREAKER_POLICY,
  CLOSED,
  observed,
  probing,
  verdictOf,
  type Breaker,
  type BreakerPolicy,
  type CallEnded,
  type Why,
} from '../domain/breaker.ts'
import type { Operation } from '../domain/payment.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { Clock, Evidence, Gateway } from '../ports.ts'

/** What a guarded gateway saw of one call. */
export interface CallSeen {
  readonly call: 'charge' | 'lookup' | 'cancel'
  readonly outcome: string
  readonly reason: string | null
  readonly ms: number
}

/** What this process has seen of one operation of its gateway, and what it allows. */
export interface GuardedRoute {
  /** How many of `wanted` tasks may be claimed now, beside `running` ones. */
  admitted(wanted: number, running: number): number
  breaker(): Breaker['state']
  /** Why it is open; null while it is closed. */
  why(): Why | null
  /** Try the gateway with a few calls, whatever this process has seen itself. */
  probe(why: Why | null): void
  /** How long ago it answered a charge with a word about the payment, in milliseconds; or never. */
  answeredMs(): number
}

export interface GuardedGateway extends Gateway {
  route(operation: Operation): GuardedRoute
}

/**
 * Put a circuit breaker for each operation and a witness around a gateway. The breaker does not
 * refuse calls, it keeps tasks from being claimed: a gateway that is down burns no attempt of any
 * payment.
 */
export function guardedGateway(
  gateway: Gateway,
  clock: Clock,
  onCall: (seen: CallSeen) => void,
  policy: BreakerPolicy = BREAKER_POLICY,
): GuardedGateway {
  const routes = {
    charge: guardedRoute(clock, policy),
    payout: guardedRoute(clock, policy),
    refund: guardedRoute(clock, policy),
  }
  const watch = async <Outcome extends { readonly kind: string }>(
    call: CallSeen['call'],
    { kind: operation, paymentId }: GatewayOperation,
    made: Promise<Evidence<Outcome>>,
  ): Promise<Evidence<Outcome>> => {
    const startedMs = clock.elapsedMs()
    const evidence = await made
    const ms = clock.elapsedMs() - startedMs
    const { kind } = evidence.outcome
    const reason = 'reason' in evidence.outcome ? String(evidence.outcome.reason) : null
    // What is to be ended was looked up just before: the breaker has heard what there is to hear.
    if (call !== 'cancel') routes[operation].saw({ call, paymentId, evidence, reason, tookMs: ms })
    onCall({ call, outcome: kind, reason, ms })
    return evidence
  }
  const { cancel } = gateway
  return {
    ...gateway,
    execute: (request, signal) => watch('charge', request, gateway.execute(request, signal)),
    lookup: (request, signal) => watch('lookup', request, gateway.lookup(request, signal)),
    ...(cancel === undefined
      ? {}
      : { cancel: (request, signal) => watch('cancel', request, cancel(request, signal)) }),
    route: (operation) => routes[operation],
  }
}

interface Seen {
  readonly call: CallEnded['call']
  readonly paymentId: bigint
  readonly evidence: Evidence<{ readonly kind: string }>
  readonly reason: string | null
  readonly tookMs: number
}

/**
 * Outcomes of a charge that the gateway did talk to us about. `pending` is all that some say first.
 */
const WORDS: ReadonlySet<string> = new Set(['success', 'declined', 'pending'])

function guardedRoute(
  clock: Clock,
  policy: BreakerPolicy,
): GuardedRoute & { saw(seen: Seen): void } {
  let breaker: Breaker = CLOSED
  let answeredAtMs = Number.NEGATIVE_INFINITY
  return {
    saw({ call, paymentId, evidence, reason, tookMs }) {
      const { kind } = evidence.outcome
      const nowMs = clock.elapsedMs()
      // What got such a word is not charged again, so whoever asks later is another payment.
      if (call === 'charge' && WORDS.has(kind)) answeredAtMs = nowMs
      const { sent, httpStatus } = evidence
      const verdict = verdictOf(kind, sent)
      if (verdict === null) return
      const ended = { call, paymentId, verdict, reason: reason ?? '', httpStatus, tookMs }
      breaker = observed(breaker, ended, nowMs, policy)
    },
    breaker: () => breaker.state,
    why: () => breaker.why,
    probe(why) {
      breaker = probing(breaker, why, clock.elapsedMs())
    },
    answeredMs: () => clock.elapsedMs() - answeredAtMs,
    admitted(wanted, running) {
      const allowed = admitted(breaker, wanted, clock.elapsedMs(), policy)
      return breaker.state === 'closed' ? allowed : Math.max(0, allowed - running)
    },
  }
}
