import { exponentOf } from '../domain/currency.ts'
import {
  intentOf,
  nextId,
  nowMs,
  pageOf,
  put,
  refundedOf,
  type Doing,
  type StripeBooks,
} from './stripe-books.ts'
import { membersOf, unknownField, type Form } from './stripe-form.ts'
import {
  cardError,
  failure,
  intentBody,
  invalid,
  missing,
  type Answer,
  type CardFailure,
  type Intent,
  type IntentState,
} from './stripe-objects.ts'

/** The largest amount, in the currency's smallest unit, and the least one where it has decimals. */
const AMOUNT_MAX = 99_999_999
const AMOUNT_MIN = 50

const KNOWN =
  'amount automatic_payment_methods confirm currency customer description expand metadata ' +
  'off_session payment_method payment_method_types return_url transfer_group'

/** What a card of Stripe's own test tokens does, by a part of its name. */
const CARDS: readonly (readonly [name: RegExp, code: string, declineCode: string])[] = [
  [/InsufficientFunds$/, 'card_declined', 'insufficient_funds'],
  [/LostCard$/, 'card_declined', 'lost_card'],
  [/StolenCard$/, 'card_declined', 'stolen_card'],
  [/ExpiredCard$/, 'expired_card', 'expired_card'],
  [/IncorrectCvc$/, 'incorrect_cvc', 'incorrect_cvc'],
  [/ProcessingError$/, 'processing_error', 'processing_error'],
  [/[cC]hargeDeclined(Fraudulent)?$/, 'card_declined', 'generic_decline'],
]
/** A card whose bank asks the payer. */
const ASKS = /authenticationRequired|threeDSecure/

/** An amount and a currency as they must be, or what is wrong with them. */
export function moneyOf(
  form: Form,
): { readonly amount: number; readonly currency: string } | Answer {
  const text = form.get('amount')
  const currency = form.get('currency')
  if (text === undefined || currency === undefined) {
    const param = text === undefined ? 'amount' : 'currency'
    return invalid(`Missing required param: ${param}.`, param, 'parameter_missing')
  }
  if (!/^\d{1,15}$/.test(text)) {
    return invalid(`Invalid integer: ${text}`, 'amount', 'parameter_invalid_integer')
  }
  const exponent = exponentOf(currency.toUpperCase())
  if (exponent === undefined || currency !== currency.toLowerCase()) {
    return invalid(`Invalid currency: ${currency}.`, 'currency')
  }
  const amount = Number(text)
  if (amount > AMOUNT_MAX) {
    const message = `Amount must be no more than ${AMOUNT_MAX}`
    return invalid(message, 'amount', 'amount_too_large')
  }
  if (exponent === 3 && amount % 10 !== 0) {
    return invalid('The last digit of such an amount must be 0.', 'amount')
  }
  return { amount, currency }
}

/** Whether it is an answer, and not what was asked for. */
export function isAnswer(value: object): value is Answer {
  return 'status' in value && 'body' in value
}

/** `POST /v1/payment_intents`: refused fields change nothing, and are remembered under no key. */
export function checkIntent(form: Form): Answer | null {
  const stray = unknownField(form, KNOWN)
  if (stray !== undefined) {
    return invalid(`Received unknown parameter: ${stray}`, stray, 'parameter_unknown')
  }
  const money = moneyOf(form)
  if (isAnswer(money)) return money
  if (exponentOf(money.currency.toUpperCase()) === 2 && money.amount < AMOUNT_MIN) {
    return invalid('Amount must be at least $0.50 usd', 'amount', 'amount_too_small')
  }
  const method = form.get('payment_method')
  if (method !== undefined && !/^pm_(?!missing)\w+$/.test(method)) {
    return {
      ...missing('PaymentMethod', method, 'payment_method'),
      status: 400,
    }
  }
  if (form.get('confirm') !== 'true' || method === undefined) return null
  const redirects = form.get('automatic_payment_methods[allow_redirects]') !== 'never'
  if (!redirects || form.has('return_url')) return null
  return invalid('A return_url is needed where a payment may redirect.', 'return_url')
}

export function createIntent(books: StripeBooks, form: Form, doing: Doing): Answer {
  const money = moneyOf(form)
  if (isAnswer(money)) return money
  const intent: Intent = {
    ...nextId(books, 'pi'),
    ...money,
    metadata: membersOf(form, 'metadata'),
    method: form.get('payment_method') ?? null,
    customer: form.get('customer') ?? null,
    returnUrl: form.get('return_url') ?? null,
    createdMs: nowMs(books),
    state: stateOf(books, form, doing),
  }
  put(books.intents, intent)
  const { state } = intent
  const confirmed = form.get('confirm') === 'true'
  if (!confirmed || state.status !== 'requires_payment_method' || state.failure === null) {
    return { status: 200, body: intentBody(intent) }
  }
  const declined = { ...intentBody(intent), payment_method: null }
  return failure(402, { ...cardError(state.failure), payment_intent: declined })
}

function stateOf(books: StripeBooks, form: Form, { does, lateMs }: Doing): IntentState {
  const method = form.get('payment_method')
  if (method === undefined) return { status: 'requires_payment_method', failure: null }
  if (form.get('confirm') !== 'true') return { status: 'requires_confirmation' }
  const declined = does === 'decline' ? CARD_DECLINED : failureOf(method)
  if (declined !== null) return { status: 'requires_payment_method', failure: declined }
  if (ASKS.test(method)) {
    const asked = form.get('off_session') !== 'true'
    return asked
      ? { status: 'requires_action' }
      : { status: 'requires_payment_method', failure: UNASKED }
  }
  if (does === 'execute_late') return { status: 'processing', doneMs: nowMs(books) + lateMs }
  return { status: 'succeeded' }
}

const CARD_DECLINED: CardFailure = { code: 'card_declined', declineCode: 'generic_decline' }
const UNASKED: CardFailure = {
  code: 'authentication_required',
  declineCode: 'authentication_required',
}
const UNCONFIRMED: CardFailure = {
  code: 'payment_intent_authentication_failure',
  declineCode: null,
}

function failureOf(method: string): CardFailure | null {
  const card = CARDS.find(([name]) => name.test(method))
  return card === undefined ? null : { code: card[1], declineCode: card[2] }
}

/** `expand[0]=latest_charge` asks for its charge as well. */
export function retrieveIntent(books: StripeBooks, id: string, form: Form): Answer {
  const intent = intentOf(books, id)
  if (intent === undefined) return missing('payment_intent', id)
  const expands = Object.values(membersOf(form, 'expand')).includes('latest_charge')
  return { status: 200, body: intentBody(intent, expands ? refundedOf(books, id) : null) }
}

export function listIntents(books: StripeBooks, form: Form): Answer {
  const url = '/v1/payment_intents'
  return pageOf(allIntents(books), form, { url, body: (one) => intentBody(one) })
}

/** By one member of the metadata: Stripe's language of queries can do more. */
export function searchIntents(books: StripeBooks, form: Form): Answer {
  const query = form.get('query') ?? ''
  const [, name = '', value] = /^metadata\['([^']{1,40})'\]:'([^']{0,500})'$/.exec(query) ?? []
  if (value === undefined) return invalid('We were unable to parse your search query.', 'query')
  const found = allIntents(books).filter(({ metadata }) => metadata[name] === value)
  const data = found.toReversed().map((one) => intentBody(one))
  const body = { object: 'search_result', data, has_more: false, next_page: null }
  return { status: 200, body: { ...body, url: '/v1/payment_intents/search' } }
}

function allIntents(books: StripeBooks): Intent[] {
  return [...books.intents.keys()].flatMap((id) => intentOf(books, id) ?? [])
}

/** Nothing is canceled that is done, or on its way. */
export function cancelIntent(books: StripeBooks, id: string, form: Form): Answer {
  const intent = intentOf(books, id)
  if (intent === undefined) return missing('payment_intent', id)
  const { status } = intent.state
  if (status === 'succeeded' || status === 'canceled' || status === 'processing') {
    return failure(400, {
      type: 'invalid_request_error',
      code: 'payment_intent_unexpected_state',
      message: `You cannot cancel this PaymentIntent because it has a status of ${status}.`,
      payment_intent: intentBody(intent),
    })
  }
  const why = form.get('cancellation_reason') ?? null
  const state = { status: 'canceled', why, atMs: nowMs(books) } as const
  return { status: 200, body: intentBody(put(books.intents, { ...intent, state })) }
}

/** The payer opens the page and says yes or no. Only a sandbox can be told that. */
export function answerIntent(books: StripeBooks, id: string, form: Form): Answer {
  const intent = intentOf(books, id)
  if (intent?.state.status !== 'requires_action') return missing('payment_intent', id)
  const state: IntentState =
    form.get('answer') === 'yes'
      ? { status: 'succeeded' }
      : { status: 'requires_payment_method', failure: UNCONFIRMED }
  return { status: 200, body: intentBody(put(books.intents, { ...intent, state })) }
}
