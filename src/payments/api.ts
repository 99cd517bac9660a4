import type {
  AcceptedPayment,
  Answer,
  PaymentDraft,
  DraftField,
  DraftRefusal,
} from '../domain/acceptance.ts'
import { readDetails, type DetailFields } from '../domain/details.ts'
import type { JsonNumber } from '../domain/exact-json.ts'
import { exponentOf, type Exponent } from '../domain/currency.ts'
import { parseDecimal, parseMoney, toWire, type MoneyProblem } from '../domain/money.ts'
import type { PaymentType } from '../domain/payment.ts'
import { REFUSALS, type Refusal } from '../domain/refusal.ts'
import {
  JSON_TYPE,
  problem,
  refusalAnswer,
  type HttpAnswer,
  type ProblemBody,
} from '../http/answer.ts'
import type { Key } from '../http/idempotency.ts'
import { API } from '../http/paths.ts'

/**
 * The contract of a payment request, whatever way it came: what its fields mean, and what is
 * answered. A way in reads fields of the right types out of what it gets, and writes the answer; it
 * alone knows where these fields stand. What is said about a payment (`details.ts`), and every
 * field of a refund, has one name in all requests, so its refusals point to it by themselves.
 */
export interface RequestFields {
  readonly type: PaymentType
  /** A positive integer that a JSON number holds exactly. */
  readonly userId: number
  readonly amount: number | string
  /** What is said about the payment; not there where nothing is. */
  readonly given?: DetailFields
  /** Left out: whatever the account's is. */
  readonly currency?: string | undefined
  /** Left out: wherever such payments are carried out. */
  readonly gateway?: string | undefined
}

/** Where a request has each field: its path there, '' for all; null: not in its body. */
export type Where = (field: DraftField) => string | null

/**
 * What a request asks for, or the first thing that is wrong with it. `books` is the exponent of the
 * books' currency.
 */
export function readDraft(
  fields: RequestFields,
  key: Key,
  books: Exponent,
): PaymentDraft | DraftRefusal {
  if (!key.ok) {
    return {
      code: 'idempotency_key_invalid',
      faults: [{ field: 'idempotencyKey', code: 'malformed' }],
    }
  }
  const read = amountOf(fields, key.key, books)
  const { given, gateway } = fields
  if (isRefusal(read)) return read
  const draft = gateway === undefined ? read : { ...read, gateway }
  return given === undefined ? draft : withGiven(draft, given)
}

/** The draft without what is said about it; the amount is read as far as the currency is known. */
function amountOf(
  { type, userId, amount, currency }: RequestFields,
  idempotencyKey: string | null,
  books: Exponent,
): PaymentDraft | DraftRefusal {
  if (currency === undefined) {
    const money = parseMoney(amount, 1n, books)
    if (money.ok) return { type, userId: BigInt(userId), amount: money.minor, idempotencyKey }
    // What is out of range is so in every currency; the account's may have more decimals.
    if (money.problem !== 'amount_precision') return wrongAmount(money.problem, books)
  }
  const read = parseDecimal(amount)
  if (!read.ok) return wrongAmount(read.problem, exponentOf(currency ?? '') ?? books)
  // What the amount comes to is known when the account's currency is.
  const asked = { amount: read.decimal, currency: currency ?? null }
  return { type, userId: BigInt(userId), amount: 0n, idempotencyKey, asked }
}

function wrongAmount(code: MoneyProblem, exponent: Exponent): DraftRefusal {
  return { code, faults: [{ field: 'amount', code }], exponent }
}

/** Whether a request says anything about its payment beside what every request says. */
export function saysMore(fields: DetailFields): boolean {
  const { reference, description, metadata, payment_method: method, return_url: url } = fields
  const texts = reference !== undefined || description !== undefined
  return texts || metadata !== undefined || method !== undefined || url !== undefined
}

function withGiven(draft: PaymentDraft, fields: DetailFields): PaymentDraft | DraftRefusal {
  const read = readDetails(fields)
  if (!read.ok) {
    const { code, errors } = read.refusal
    const faults = errors.map((error) => ({
      field: 'given' as const,
      at: error.field,
      code: error.code,
    }))
    return { code, faults }
  }
  const { details, sent } = read
  return details === null ? draft : { ...draft, given: { details, sent } }
}

/** Whether a request was refused before it could ask for anything. */
export function isRefusal(read: PaymentDraft | DraftRefusal): read is DraftRefusal {
  return 'code' in read
}

/**
 * The answer to a request for one payment: made of stored facts, so that a replay differs in
 * `instance` and in the header that says what it is.
 */
export function respond(answer: Answer, requestId: string, where: Where): HttpAnswer {
  const { replayed } = answer
  if (answer.kind === 'refused') {
    return refusedAnswer(pointed(answer.refusal, where), replayed, requestId)
  }
  const { payment, exponent } = answer
  return acceptedAnswer(payment.id, acceptedBody(payment, exponent), replayed)
}

/** The answer to a request of which a payment of any type came. */
export function acceptedAnswer(id: bigint, body: unknown, replayed: boolean): HttpAnswer {
  const location = ['location', `${API}/payments/${id}`] as const
  const headers = replayed ? [...JSON_TYPE, ...location, ...REPLAYED] : [...JSON_TYPE, ...location]
  return { status: 202, headers, body }
}

/** The answer to a request for a payment that was refused, now or the first time. */
export function refusedAnswer(refusal: Refusal, replayed: boolean, requestId: string): HttpAnswer {
  const refused = refusalAnswer(refusal, requestId)
  return replayed ? { ...refused, headers: [...refused.headers, ...REPLAYED] } : refused
}

/** Refuse a request that was never decided on. */
export function undecided(refusal: DraftRefusal): Answer {
  return { kind: 'refused', refusal, replayed: false }
}

/** What became of one payment of a batch. */
export interface ItemResult {
  /** The status that it would have had by itself. */
  readonly status: number
  readonly replayed: boolean
  readonly payment?: AcceptedItem
  readonly problem?: ProblemBody
}

interface AcceptedItem {
  readonly payment_id: number
  readonly user_id: number
  readonly type: PaymentType
  readonly status: 'processing'
  readonly amount: JsonNumber
}

/** The same for one payment of a batch, whose headers are members. */
export function respondToItem(answer: Answer, requestId: string, where: Where): ItemResult {
  const { replayed } = answer
  if (answer.kind === 'refused') {
    const refusal = pointed(answer.refusal, where)
    const [status] = REFUSALS[refusal.code]
    return { status, replayed, problem: problem(refusal, requestId) }
  }
  const { id, userId, type, amount } = answer.payment
  const payment = {
    payment_id: Number(id),
    user_id: Number(userId),
    type,
    status: 'processing' as const,
    amount: toWire(amount, answer.exponent),
  }
  return { status: 202, replayed, payment }
}

const REPLAYED = ['idempotent-replayed', 'true'] as const

function acceptedBody({ id, userId, type, amount }: AcceptedPayment, exponent: Exponent) {
  return {
    payment_id: Number(id),
    user_id: Number(userId),
    status: 'processing',
    [type]: toWire(amount, exponent),
  }
}

/** A refusal with its faults where the request has them. */
function pointed({ faults = [], ...refusal }: DraftRefusal, where: Where): Refusal {
  const errors = faults.flatMap(({ field, code, at = '' }) => {
    const place = where(field)
    return place === null
      ? []
      : [{ field: [place, at].filter((part) => part !== '').join('/'), code }]
  })
  return errors.length === 0 ? refusal : { ...refusal, errors }
}
