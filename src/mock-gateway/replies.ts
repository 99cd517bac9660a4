import assert from 'node:assert'
import type { JsonNumber } from '../domain/exact-json.ts'
import { toWire } from '../domain/money.ts'
import type { Fault, Faults, Plan } from './faults.ts'
import { decimalsOf, returnRef, type GivenBack, type Returned } from './given-back.ts'
import type { Charge } from './orders.ts'

/** How a reply goes out, `afterMs` milliseconds from now. */
export type Reply =
  | {
      readonly kind: 'answer'
      readonly afterMs: number
      readonly status: number
      readonly body: object
      readonly retryAfterSeconds: number | null
      readonly headers?: Readonly<Record<string, string>>
    }
  /** A page of HTML. */
  | { readonly kind: 'html'; readonly afterMs: number; readonly status: number }
  /** A TCP reset instead of a reply. */
  | { readonly kind: 'reset'; readonly afterMs: number }
  /** Half of the body; then the connection ends. */
  | {
      readonly kind: 'truncated'
      readonly afterMs: number
      readonly status: number
      readonly body: object
    }
  /** The body byte by byte, over `overMs` milliseconds. */
  | {
      readonly kind: 'drip'
      readonly afterMs: number
      readonly status: number
      readonly body: object
      readonly overMs: number
    }

/** A reply body: `payment_id`, `amount` and `idempotency_key` echo the order. */
interface Body {
  readonly status: 'success' | 'failed' | 'pending' | 'rejected' | 'error'
  readonly code?: string
  readonly gateway_ref?: string
  readonly payment_id?: number
  readonly amount?: JsonNumber
  readonly idempotency_key?: string
  readonly currency?: string
  readonly refunded?: JsonNumber
  readonly returns?: readonly ReturnBody[]
  readonly action?: { readonly type: 'redirect'; readonly url: string }
}

/** What came back of a charge, as a lookup of it tells. */
interface ReturnBody {
  readonly gateway_ref: string
  readonly kind: Returned['kind']
  readonly amount: JsonNumber
  readonly at: string
}

/** What a fault does, and what is seen of it. */
export interface Effect {
  /** `ask`: it waits for what its payer says on a page. */
  readonly does: 'execute' | 'decline' | 'execute_late' | 'ask' | 'nothing'
  readonly shows:
    | 'outcome'
    | 'other_amount'
    | 'html'
    | 'unauthorized'
    | 'pending'
    | 'reset'
    | 'truncated'
    | 'drip'
    | Refusal
  /** Whether the reply is held for `timeout_ms`. */
  readonly held?: true
}

type Refusal = keyof typeof REFUSALS

/** Answers that are no outcome. */
const REFUSALS = {
  rate_limited: 429,
  bad_gateway: 502,
  closing: 503,
  journal_unavailable: 503,
  gateway_timeout: 504,
  in_progress: 409,
  idempotency_key_reuse: 422,
  not_found: 404,
  unknown_method: 422,
  unknown_charge: 422,
} as const

/** Of these the ones that refuse the request itself: the contract's own errors. */
const REJECTIONS: ReadonlySet<string> = new Set([
  'idempotency_key_reuse',
  'not_found',
  'unknown_method',
  'unknown_charge',
])

/** Every fault as what it does and shows. */
export const EFFECTS: Readonly<Record<Fault | 'none', Effect>> = {
  none: { does: 'execute', shows: 'outcome' },
  timeout_before: { does: 'nothing', shows: 'gateway_timeout', held: true },
  timeout_after: { does: 'execute', shows: 'outcome', held: true },
  late_execute: { does: 'execute_late', shows: 'gateway_timeout', held: true },
  error_before: { does: 'nothing', shows: 'bad_gateway' },
  error_after: { does: 'execute', shows: 'bad_gateway' },
  rate_limited: { does: 'nothing', shows: 'rate_limited' },
  decline: { does: 'decline', shows: 'outcome' },
  reset_before: { does: 'nothing', shows: 'reset' },
  reset_after: { does: 'execute', shows: 'reset' },
  truncated: { does: 'execute', shows: 'truncated' },
  wrong_body: { does: 'execute', shows: 'html' },
  wrong_amount: { does: 'execute', shows: 'other_amount' },
  slow_drip: { does: 'execute', shows: 'drip' },
  pending: { does: 'execute_late', shows: 'pending' },
  rejected: { does: 'nothing', shows: 'unknown_method' },
  wrong_credential: { does: 'nothing', shows: 'unauthorized' },
  asks_payer: { does: 'ask', shows: 'pending' },
}

/**
 * How the reply to the order under `key` goes out after `effect`. `charge` is what it settled or
 * found settled, if any.
 */
export function show(
  { faults, plan, key }: { readonly faults: Faults; readonly plan: Plan; readonly key: Key },
  effect: Effect,
  charge: Charge | undefined,
): Reply {
  const afterMs = plan.latencyMs + (effect.held ? faults.timeout_ms : 0)
  const { shows } = effect
  if (shows === 'reset') return { kind: shows, afterMs }
  if (shows === 'html') return { kind: shows, afterMs, status: 200 }
  if (shows === 'unauthorized') return { kind: 'html', afterMs, status: 401 }
  if (shows === 'rate_limited') return refusal(shows, afterMs, key, faults.retry_after_seconds)
  if (shows in REFUSALS) return refusal(shows as Refusal, afterMs, key) // The check is the reason.
  // What was settled under this key before is told, whatever its faults say now.
  if (shows === 'pending' && charge === undefined) return pending(key, afterMs)

  assert(charge !== undefined, 'an effect shows an outcome only if it settles one')
  const status = charge.outcome === 'executed' ? 200 : 402
  const body = bodyOf(charge)
  if (shows === 'truncated') return { kind: 'truncated', afterMs, status, body }
  if (shows === 'drip') return { kind: 'drip', afterMs, status, body, overMs: faults.timeout_ms }
  const shown =
    shows === 'other_amount'
      ? { ...body, amount: toWire(charge.amount + 1n, decimalsOf(charge)) }
      : body
  return { kind: 'answer', afterMs, status, body: shown, retryAfterSeconds: null }
}

/** The body that tells of a settled charge. */
function bodyOf(charge: Charge): Body {
  const executed = charge.outcome === 'executed'
  return {
    status: executed ? 'success' : 'failed',
    ...(executed ? {} : { code: charge.code ?? 'payment_declined' }),
    gateway_ref: gatewayRef(charge),
    payment_id: charge.paymentId,
    amount: toWire(charge.amount, decimalsOf(charge)),
    ...echo(charge.key),
    ...(charge.currency === undefined ? {} : { currency: charge.currency }),
  }
}

/** The same with what went back of it since, as a lookup tells it. */
export function lookupBody(charge: Charge, { refunded, returns }: GivenBack): Body {
  const exponent = decimalsOf(charge)
  const rows = returnRows(returns)
  return {
    ...bodyOf(charge),
    ...(refunded === 0n ? {} : { refunded: toWire(refunded, exponent) }),
    ...(rows.length === 0 ? {} : { returns: rows }),
  }
}

/** What came back, as lookups and the list tell it. */
export function returnRows(returns: readonly Returned[]): ReturnBody[] {
  return returns.map((made) => ({
    gateway_ref: returnRef(made),
    kind: made.kind,
    amount: toWire(made.amount, decimalsOf(made)),
    at: made.at,
  }))
}

/** The gateway's own name for a charge. */
export function gatewayRef(charge: Charge): string {
  return `gw_${charge.number.toString(36).padStart(8, '0')}`
}

/** The key of a request, if it sent one. */
type Key = string | null

/** An order that is taken and not finished. */
function pending(key: Key, afterMs: number): Reply {
  return answer(202, { status: 'pending', ...echo(key) }, afterMs)
}

function echo(key: Key): Pick<Body, 'idempotency_key'> {
  return key === null ? {} : { idempotency_key: key }
}

/** An answer that is no outcome. */
export function refusal(
  code: Refusal,
  afterMs: number,
  key: Key = null,
  retryAfterSeconds: number | null = null,
): Reply {
  const status = REJECTIONS.has(code) ? 'rejected' : 'error'
  const body = { status, code, ...echo(key) } as const
  return { kind: 'answer', afterMs, status: REFUSALS[code], body, retryAfterSeconds }
}

/** An answer with a body. */
export function answer(status: number, body: Body, afterMs: number): Reply {
  return { kind: 'answer', afterMs, status, body, retryAfterSeconds: null }
}

/** An order that cannot be read: the contract's own error. */
export function malformed(code: string): Reply {
  return answer(422, { status: 'rejected', code }, 0)
}
