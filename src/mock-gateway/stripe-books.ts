import type { Clock } from '../ports.ts'
import { EFFECTS, type Effect } from './replies.ts'
import {
  listBody,
  type Answer,
  type Dispute,
  type Intent,
  type Refund,
  type Transfer,
} from './stripe-objects.ts'
import type { Form } from './stripe-form.ts'

/** What an operation at Stripe is carried out on. */
export interface StripeBooks {
  readonly clock: Clock
  readonly intents: Map<string, Intent>
  readonly refunds: Map<string, Refund>
  readonly transfers: Map<string, Transfer>
  readonly disputes: Map<string, Dispute>
  count: number
}

/** What of a fault concerns the object itself; how its reply goes out is another matter. */
export interface Doing {
  readonly does: Effect['does']
  /** How long what is not finished at once takes. */
  readonly lateMs: number
}

/** Nothing goes wrong. */
export const PLAINLY: Doing = { does: EFFECTS.none.does, lateMs: 0 }

export function stripeBooks(clock: Clock): StripeBooks {
  const empty = { refunds: new Map(), transfers: new Map(), disputes: new Map() }
  return { clock, intents: new Map(), ...empty, count: 0 }
}

/** The next number, and the id that is made of it. */
export function nextId(books: StripeBooks, prefix: string): { number: number; id: string } {
  books.count += 1
  return { number: books.count, id: `${prefix}_mock${String(books.count).padStart(12, '0')}` }
}

/** What succeeded until now: what is processed late changes by itself. */
export function intentOf(books: StripeBooks, id: string): Intent | undefined {
  const intent = books.intents.get(id)
  if (intent?.state.status !== 'processing') return intent
  if (nowMs(books) < intent.state.doneMs) return intent
  return put(books.intents, { ...intent, state: { status: 'succeeded' } })
}

/** The same of a refund. */
export function refundOf(books: StripeBooks, id: string): Refund | undefined {
  const refund = books.refunds.get(id)
  if (refund?.state.status !== 'pending' || nowMs(books) < refund.state.doneMs) return refund
  return put(books.refunds, { ...refund, state: { status: 'succeeded' } })
}

export function put<Kept extends { readonly id: string }>(
  all: Map<string, Kept>,
  kept: Kept,
): Kept {
  all.set(kept.id, kept)
  return kept
}

export function nowMs({ clock }: StripeBooks): number {
  return clock.now().getTime()
}

/** What was refunded of an intent, or is under way. */
export function refundedOf(books: StripeBooks, intent: string): number {
  return allRefunds(books)
    .filter((refund) => refund.intent === intent)
    .filter(({ state }) => state.status !== 'failed' && state.status !== 'canceled')
    .reduce((sum, { amount }) => sum + amount, 0)
}

export function allRefunds(books: StripeBooks): Refund[] {
  return [...books.refunds.keys()].flatMap((id) => refundOf(books, id) ?? [])
}

const LIMIT_MAX = 100
const LIMIT = 10

/** A page of what was made, newest first, as lists are. */
export function pageOf<Kept extends { readonly id: string }>(
  kept: readonly Kept[],
  form: Form,
  { url, body }: { readonly url: string; readonly body: (one: Kept) => object },
): Answer {
  const newest = kept.toReversed()
  const after = form.get('starting_after')
  const from = after === undefined ? 0 : newest.findIndex(({ id }) => id === after) + 1
  const asked = Number(form.get('limit') ?? LIMIT)
  const limit = Math.min(LIMIT_MAX, Math.max(1, Number.isInteger(asked) ? asked : LIMIT))
  const page = newest.slice(from, from + limit)
  const more = newest.length > from + limit
  return { status: 200, body: listBody(page.map(body), more, url) }
}
