import type { Answer, Draft } from '../domain/acceptance.ts'
import { writeJson } from '../domain/json.ts'
import { parseMoney } from '../domain/money.ts'
import type { PaymentType } from '../domain/payment.ts'
import { API } from '../http/paths.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { refused, type FastAnswer, type FastRequest, type FastRoute } from '../http/fast-path.ts'
import { acceptedPayment, type PaymentRoutes } from './routes.ts'

const JSON_TYPE = ['content-type', 'application/json; charset=utf-8']

/**
 * `POST /payments/deposit` and `POST /payments/withdraw`, as long as there is nothing to refuse.
 */
export function fastPaymentRoutes(prefix: string, accept: PaymentRoutes['accept']): FastRoute[] {
  const route = (type: PaymentType): FastRoute => ({
    path: `${prefix}/payments/${type}`,
    answer(body, request, requestId) {
      const draft = readDraft(type, body, request)
      if (draft === null) return null
      return accept(draft).then((answer) => answerOf(answer, requestId))
    },
  })
  return [route('deposit'), route('withdraw')]
}

/**
 * Null for everything that the schema of the route would refuse, or that it might read otherwise.
 */
function readDraft(type: PaymentType, body: unknown, request: FastRequest): Draft | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const fields = body as Readonly<Record<string, unknown>> // An object of JSON has string keys.
  const { user_id: userId } = fields
  const amount = type === 'deposit' ? fields['deposit'] : fields['amount']
  if (typeof userId !== 'number' || !Number.isSafeInteger(userId) || userId < 1) return null
  if (typeof amount !== 'number' && typeof amount !== 'string') return null
  if (Object.keys(fields).length !== 2) return null
  const money = parseMoney(amount)
  const key = keyOfHeaders(request)
  if (!money.ok || !key.ok) return null
  return { type, userId: BigInt(userId), amount: money.minor, idempotencyKey: key.key }
}

function answerOf(answer: Answer, requestId: string): FastAnswer {
  const replayed = answer.replayed ? ['idempotent-replayed', 'true'] : []
  if (answer.kind === 'refused') {
    const plain = refused(answer.refusal, requestId)
    return { ...plain, headers: [...plain.headers, ...replayed] }
  }
  const { payment } = answer
  const location = ['location', `${API}/payments/${payment.id}`]
  const body = writeJson(acceptedPayment(payment))
  return { status: 202, headers: [...JSON_TYPE, ...location, ...replayed], body }
}
