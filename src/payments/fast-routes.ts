import type { Answer, PaymentDraft } from '../domain/acceptance.ts'
import type { Exponent } from '../domain/currency.ts'
import type { PaymentType } from '../domain/payment.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { API } from '../http/paths.ts'
import type { FastRoute } from '../http/fast-path.ts'
import { isRefusal, readDraft, respond, type RequestFields } from './api.ts'
import { FORMS } from './body-fields.ts'
import { answeredWithin, type TraceRequest } from '../http/traced.ts'

/**
 * `POST /payments/deposit` and `POST /payments/withdraw`, as long as there is nothing to refuse
 * before a payment is decided on. `books` is the exponent of the books' currency. Without `trace`
 * nothing is traced.
 */
export function fastPaymentRoutes(
  accept: (draft: PaymentDraft) => Promise<Answer>,
  books: Exponent,
  trace?: TraceRequest,
): FastRoute[] {
  const route = (type: PaymentType, path: string): FastRoute => ({
    path: API + path,
    answer(body, request, requestId) {
      const fields = readFields(type, body)
      const draft = fields === null ? null : readDraft(fields, keyOfHeaders(request), books)
      if (draft === null || isRefusal(draft)) return null
      // Nothing is made for traces where there are none.
      const span = trace === undefined ? null : trace('POST', path, request.headers.traceparent)
      if (span !== null) {
        const traced = { ...draft, traceparent: span.traceparent }
        return answeredWithin(span, answered(accept(traced), requestId, type))
      }
      return accept(draft).then((answer) => respond(answer, requestId, FORMS[type].where))
    },
  })
  return [route('deposit', '/payments/deposit'), route('withdraw', '/payments/withdraw')]
}

async function answered(accepting: Promise<Answer>, requestId: string, type: PaymentType) {
  return respond(await accepting, requestId, FORMS[type].where)
}

/**
 * Null for everything that the schema of the route would refuse, or that it might read otherwise.
 */
function readFields(type: PaymentType, body: unknown): RequestFields | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const given = body as Readonly<Record<string, unknown>> // An object of JSON has string keys.
  const { user_id: userId } = given
  const amount = given[FORMS[type].amount]
  if (typeof userId !== 'number' || !Number.isSafeInteger(userId) || userId < 1) return null
  if (typeof amount !== 'number' && typeof amount !== 'string') return null
  return Object.keys(given).length === 2 ? { type, userId, amount } : null
}
