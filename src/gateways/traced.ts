import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { Evidence, Gateway, Tracer } from '../ports.ts'

/**
 * Put a span around each call of a gateway that belongs to a trace, and tell the gateway its place
 * in it. Other calls are handed through.
 */
export function tracedGateway(gateway: Gateway, tracer: Tracer): Gateway {
  const { name } = gateway.profile
  const within = async <Outcome extends { readonly kind: string }>(
    call: 'execute' | 'lookup' | 'cancel',
    operation: GatewayOperation,
    make: (operation: GatewayOperation) => Promise<Evidence<Outcome>>,
  ): Promise<Evidence<Outcome>> => {
    const { traceparent: parent, kind, paymentId } = operation
    const attributes = { 'payments.gateway': name, 'payments.payment_id': paymentId }
    const start = { name: `gateway ${call} ${kind}`, kind: 'client', attributes } as const
    const span = parent === undefined ? null : tracer.begin({ ...start, parent })
    if (span === null) return make(operation)
    const evidence = await make({ ...operation, traceparent: span.traceparent })
    span.end(endOf(evidence))
    return evidence
  }
  const { cancel } = gateway
  return {
    ...gateway,
    execute: (operation, signal) =>
      within('execute', operation, (traced) => gateway.execute(traced, signal)),
    lookup: (operation, signal) =>
      within('lookup', operation, (traced) => gateway.lookup(traced, signal)),
    ...(cancel === undefined
      ? {}
      : {
          cancel: (operation, signal) =>
            within('cancel', operation, (traced) => cancel(traced, signal)),
        }),
  }
}

/** What the gateway talked to us about is no failure of the call, whatever it said. */
const WORDS: ReadonlySet<string> = new Set(['success', 'declined', 'pending', 'not_found'])

function endOf({ outcome, httpStatus }: Evidence<{ readonly kind: string }>) {
  const reason = 'reason' in outcome ? String(outcome.reason) : outcome.kind
  const status = httpStatus === null ? {} : { 'http.response.status_code': httpStatus }
  const attributes = { 'payments.outcome': outcome.kind, ...status }
  return { attributes, failed: WORDS.has(outcome.kind) ? null : reason }
}
