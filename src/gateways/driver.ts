import type { CameBack, ChargeOutcome } from '../domain/outcome.ts'
import type { Evidence } from '../ports.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { Exchange, HttpCall } from './http-exchange.ts'
import { fieldsIn } from './http-reply.ts'

/** Where requests to a URL go: its origin, and the path in front of all others, mostly empty. */
export function urlParts(url: string): { readonly origin: string; readonly root: string } {
  const { origin, pathname } = new URL(url)
  return { origin, root: pathname.replace(/\/+$/, '') }
}

/** The call with the place of its operation in a trace, where it has one. */
export function withTrace(call: HttpCall, { traceparent }: Pick<GatewayOperation, 'traceparent'>) {
  if (traceparent === undefined) return call
  return { ...call, headers: [...call.headers, 'traceparent', traceparent] }
}

/** An exchange whose body a driver has read. */
export interface ReadExchange<Body> {
  readonly exchange: Exchange
  readonly body: Body
  readonly evidence: Pick<Evidence<never>, 'sent' | 'httpStatus'>
}

export function readExchange<Body>(exchange: Exchange, body: Body): ReadExchange<Body> {
  return { exchange, body, evidence: { sent: exchange.sent, httpStatus: exchange.status } }
}

/** Nothing was sent, because there is nothing that could be asked for. */
export function unasked<Outcome>(outcome: Outcome): Evidence<Outcome> {
  return { outcome, sent: false, httpStatus: null }
}

/** What became of an operation to which no whole reply came. */
export function unanswered({ reason, sent }: Extract<Exchange, { kind: 'fault' }>): ChargeOutcome {
  return sent ? { kind: 'in_doubt', reason } : { kind: 'not_executed', reason, retryAfterMs: null }
}

/** A decline in our word for it, with the gateway's own code, if it gave one. */
export function declined(reason: string, code: string | null) {
  return { kind: 'declined', reason, ...(code === null ? {} : { code }) } as const
}

type Action = NonNullable<Extract<ChargeOutcome, { kind: 'pending' }>['action']>

/**
 * The page that a payer has to open; null: it is none that can be handed on to people. It is
 * encrypted, and its address has no credentials in it, nor a backslash: others read another host.
 */
export function payerPage(url: unknown): Action | null {
  if (typeof url !== 'string' || url.length > 2_048) return null
  if (!/^https:\/\/[\x21-\x5b\x5d-\x7e]+$/.test(url) || !URL.canParse(url)) return null
  const { username, password } = new URL(url)
  return username === '' && password === '' ? { type: 'redirect', url, expiresAt: null } : null
}

/** What is booked of a refund that failed after all: it takes back the return that it was. */
export function failedAfterAll(made: Omit<CameBack, 'kind'>): CameBack {
  const { ref, amount, at } = made
  return { ref: `${ref}:failed`, amount, at, kind: 'dispute_won', undoes: ref }
}

/** What a payment's id and its key are called in the metadata of a gateway's objects. */
interface OurNames {
  readonly payment: string
  readonly key: string
}

/** The id that metadata have for our payment; null: they name none. */
export function paymentIn(metadata: unknown, { payment }: OurNames): bigint | null {
  const id = fieldsIn(metadata)[payment]
  return typeof id === 'string' && /^[1-9]\d{0,17}$/.test(id) ? BigInt(id) : null
}

/** The payment and the key that metadata name; null: the object is none of ours. */
export function oursIn(metadata: unknown, names: OurNames) {
  const paymentId = paymentIn(metadata, names)
  const key = fieldsIn(metadata)[names.key]
  return paymentId === null || typeof key !== 'string' ? null : { paymentId, key }
}
