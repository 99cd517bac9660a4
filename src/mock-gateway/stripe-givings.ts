import {
  allRefunds,
  intentOf,
  nextId,
  nowMs,
  pageOf,
  put,
  refundedOf,
  refundOf,
  type Doing,
  type StripeBooks,
} from './stripe-books.ts'
import { membersOf, unknownField, type Form } from './stripe-form.ts'
import { isAnswer, moneyOf } from './stripe-intents.ts'
import {
  failure,
  invalid,
  missing,
  refundBody,
  reversalBody,
  transferBody,
  type Answer,
  type Refund,
  type Transfer,
} from './stripe-objects.ts'

const KNOWN = {
  refund: 'amount charge expand metadata payment_intent reason',
  transfer: 'amount currency description destination expand metadata transfer_group',
}

/** `POST /v1/refunds`: what is left of a payment intent, or a part of it. */
export function createRefund(books: StripeBooks, form: Form, doing: Doing): Answer {
  const id = form.get('payment_intent') ?? form.get('charge')?.replace('ch_', 'pi_') ?? ''
  const intent = intentOf(books, id)
  if (intent === undefined) return missing('payment_intent', id, 'payment_intent')
  if (intent.state.status !== 'succeeded') {
    const message = 'This PaymentIntent does not have a successful charge to refund.'
    return invalid(message, 'payment_intent', 'payment_intent_unexpected_state')
  }
  const left = intent.amount - refundedOf(books, id)
  if (left === 0) {
    const message = `Charge ${id.replace('pi_', 'ch_')} has already been refunded.`
    return failure(400, { type: 'invalid_request_error', code: 'charge_already_refunded', message })
  }
  const amount = Number(form.get('amount') ?? left)
  if (!Number.isSafeInteger(amount) || amount < 1) {
    return invalid('Invalid integer', 'amount', 'parameter_invalid_integer')
  }
  if (amount > left) {
    return invalid('Refund amount is greater than unrefunded amount on charge', 'amount')
  }
  const made = { amount, currency: intent.currency, metadata: membersOf(form, 'metadata') }
  const state = refundState(books, doing)
  const refund = { ...nextId(books, 're'), ...made, intent: id, createdMs: nowMs(books), state }
  return { status: 200, body: refundBody(put(books.refunds, refund)) }
}

function refundState(books: StripeBooks, { does, lateMs }: Doing): Refund['state'] {
  if (does === 'decline') return { status: 'failed', why: 'declined' }
  if (does === 'execute_late') return { status: 'pending', doneMs: nowMs(books) + lateMs }
  return { status: 'succeeded' }
}

/** What a refund or a transfer must not have, before anything is done. */
export function checkGiving(what: 'refund' | 'transfer', form: Form): Answer | null {
  const stray = unknownField(form, KNOWN[what])
  if (stray !== undefined) {
    return invalid(`Received unknown parameter: ${stray}`, stray, 'parameter_unknown')
  }
  if (what === 'refund') return null
  const money = moneyOf(form)
  if (isAnswer(money)) return money
  const destination = form.get('destination') ?? ''
  if (/^acct_(?!missing)\w+$/.test(destination)) return null
  return { ...missing('destination', destination, 'destination'), status: 400 }
}

export function retrieveRefund(books: StripeBooks, id: string): Answer {
  const refund = refundOf(books, id)
  return refund === undefined
    ? missing('refund', id, 'id')
    : { status: 200, body: refundBody(refund) }
}

export function listRefunds(books: StripeBooks, form: Form): Answer {
  const intent = form.get('payment_intent')
  const all = allRefunds(books).filter((refund) => intent === undefined || refund.intent === intent)
  return pageOf(all, form, { url: '/v1/refunds', body: refundBody })
}

/** `POST /v1/transfers`: to the account of somebody else, at once. */
export function createTransfer(books: StripeBooks, form: Form, { does }: Doing): Answer {
  const money = moneyOf(form)
  if (isAnswer(money)) return money
  if (does === 'decline') {
    return failure(400, {
      type: 'invalid_request_error',
      code: 'balance_insufficient',
      message: 'You have insufficient funds in your Stripe account.',
    })
  }
  const transfer: Transfer = {
    ...nextId(books, 'tr'),
    ...money,
    metadata: membersOf(form, 'metadata'),
    destination: form.get('destination') ?? '',
    group: form.get('transfer_group') ?? null,
    createdMs: nowMs(books),
    reversals: [],
  }
  return { status: 200, body: transferBody(put(books.transfers, transfer)) }
}

export function retrieveTransfer(books: StripeBooks, id: string): Answer {
  const transfer = books.transfers.get(id)
  return transfer === undefined
    ? missing('transfer', id, 'transfer')
    : { status: 200, body: transferBody(transfer) }
}

export function listTransfers(books: StripeBooks, form: Form): Answer {
  const group = form.get('transfer_group')
  const all = [...books.transfers.values()].filter(
    (transfer) => group === undefined || transfer.group === group,
  )
  return pageOf(all, form, { url: '/v1/transfers', body: transferBody })
}

/** `GET /v1/transfers/{id}/reversals`. */
export function listReversals(books: StripeBooks, id: string, form: Form): Answer {
  const transfer = books.transfers.get(id)
  if (transfer === undefined) return missing('transfer', id, 'transfer')
  const url = `/v1/transfers/${id}/reversals`
  return pageOf(transfer.reversals, form, { url, body: (made) => reversalBody(made, transfer) })
}

/** A payout that comes back: Stripe calls it a reversal. */
export function reverseTransfer(books: StripeBooks, id: string, form: Form): Answer {
  const transfer = books.transfers.get(id)
  if (transfer === undefined) return missing('transfer', id, 'transfer')
  const left = transfer.reversals.reduce((sum, made) => sum - made.amount, transfer.amount)
  const amount = Number(form.get('amount') ?? left)
  if (!Number.isSafeInteger(amount) || amount < 1 || amount > left) {
    return invalid('Reversal amount is greater than unreversed amount', 'amount')
  }
  const reversal = { id: nextId(books, 'trr').id, amount, createdMs: nowMs(books) }
  put(books.transfers, { ...transfer, reversals: [...transfer.reversals, reversal] })
  const { currency } = transfer
  const body = { id: reversal.id, object: 'transfer_reversal', amount, currency, transfer: id }
  return { status: 200, body }
}
