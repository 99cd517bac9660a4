import { intentOf, nextId, nowMs, pageOf, put, type StripeBooks } from './stripe-books.ts'
import type { Form } from './stripe-form.ts'
import { disputeBody, invalid, missing, type Answer, type Dispute } from './stripe-objects.ts'

/** A payer disputes a payment, or a part of it. No part of Stripe's API. */
export function disputeIntent(books: StripeBooks, id: string, form: Form): Answer {
  const intent = intentOf(books, id)
  if (intent === undefined) return missing('payment_intent', id, 'intent')
  const amount = Number(form.get('amount') ?? intent.amount)
  const disputed = intent.state.status === 'succeeded' && amount >= 1 && amount <= intent.amount
  if (!disputed || !Number.isSafeInteger(amount)) {
    return invalid('This PaymentIntent cannot be disputed in this way.', 'amount')
  }
  const { currency } = intent
  const about = { intent: id, amount, currency, createdMs: nowMs(books) }
  const state = { status: 'needs_response', wonMs: null } as const
  const dispute: Dispute = { ...nextId(books, 'dp'), ...about, ...state }
  return { status: 200, body: disputeBody(put(books.disputes, dispute)) }
}

/** What the bank says in the end: `answer` is `won`, or anything else for lost. */
export function endDispute(books: StripeBooks, id: string, form: Form): Answer {
  const dispute = books.disputes.get(id)
  if (dispute === undefined) return missing('dispute', id, 'dispute')
  const won = form.get('answer') === 'won'
  const state = { status: won ? 'won' : 'lost', wonMs: won ? nowMs(books) : null } as const
  return { status: 200, body: disputeBody(put(books.disputes, { ...dispute, ...state })) }
}

export function listDisputes(books: StripeBooks, form: Form): Answer {
  const intent = form.get('payment_intent')
  const all = [...books.disputes.values()].filter(
    (dispute) => intent === undefined || dispute.intent === intent,
  )
  return pageOf(all, form, { url: '/v1/disputes', body: disputeBody })
}
