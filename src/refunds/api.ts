import { toWire } from '../domain/money.ts'
import type { RefundAnswer } from '../domain/refund.ts'
import type { HttpAnswer } from '../http/answer.ts'
import { acceptedAnswer, refusedAnswer } from '../payments/api.ts'

/** The answer to a request for one refund, which is a payment. */
export function respondRefund(answer: RefundAnswer, requestId: string): HttpAnswer {
  const { replayed } = answer
  if (answer.kind === 'refused') return refusedAnswer(answer.refusal, replayed, requestId)
  const { payment, exponent } = answer
  const body = {
    payment_id: Number(payment.id),
    user_id: Number(payment.userId),
    parent_id: Number(payment.parentId),
    status: 'processing',
    refund: toWire(payment.amount, exponent),
  }
  return acceptedAnswer(payment.id, body, replayed)
}
