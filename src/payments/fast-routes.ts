import type { Answer, Draft } from '../domain/acceptance.ts'
import type { Exponent } from '../domain/currency.ts'
import type { PaymentType } from '../domain/payment.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { API } from '../http/paths.ts'
import type { FastRoute } from '../http/fast-path.ts'
import { isRefusal, readDraft, respond, type Fields } from './api.ts'
import { FORMS } from './body-fields.ts'
import { answeredWithin, type TraceRequest } from '../http/traced.ts'

/**
 * `POST /payments/deposit` and `POST /payments/withdraw`, as long as there is nothing to refuse
 * before a payment is decided on. `books` is the exponent of the books' currency. Without `trace`
 * nothing is traced.
 */
export function fastPaymentRoutes(
  accept: (draft: Draft) => Promise<Answer>,
  books: Exponent,
  trace?: TraceRequest,
): FastRoute[] {
  const route = (type: PaymentType): FastRoute => ({
    path: `${API}/payments/${type}`,
    answer(body, request, requestId) {
      const fields = readFields(type, body)
      const draft = fields === null ? null : readDraft(fields, keyOfHeaders(request), books)
      if (draft === null || isRefusal(draft)) return null
      const made = (one: Draft) =>
        accept(one).then((answer) => respond(answer, requestId, FORMS[type].where))
      const span = trace?.(`/payments/${type}`, request.headers.traceparent) ?? null
      if (span === null) return made(draft)
      return answeredWithin(span, made({ ...draft, traceparent: span.traceparent }))
    },
  })
  return [route('deposit'), route('withdraw')]
}

/**
 * Null for everything that the schema of the route would refuse, or that it might read otherwise.
 */
function readFields(type: PaymentType, body: unknown): Fields | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const given = body as Readonly<Record<string, unknown>> // An object of JSON has string keys.
  const { user_id: userId } = given
  const amount = given[FORMS[type].amount]
  if (typeof userId !== 'number' || !Number.isSafeInteger(userId) || userId < 1) return null
  if (typeof amount !== 'number' && typeof amount !== 'string') return null
  return Object.keys(given).length === 2 ? { type, userId, amount } : null
}
