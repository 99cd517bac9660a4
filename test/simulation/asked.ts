import type { PaymentDraft } from '../../src/domain/acceptance.ts'
import type { Details } from '../../src/domain/details.ts'
import { parseDecimal } from '../../src/domain/money.ts'
import type { RefundDraft } from '../../src/domain/refund.ts'
import { sentFields } from '../../src/domain/sent-fields.ts'

/** What is said about a payment, with its fields as they are sent. */
export function said(about: Partial<Details>): NonNullable<PaymentDraft['given']> {
  const details = { ...UNSAID, ...about }
  const { reference, description, metadata, paymentMethod, returnUrl } = details
  const urls = { payment_method: paymentMethod, return_url: returnUrl }
  return { details, sent: sentFields({ reference, description, metadata, ...urls }) }
}

const UNSAID: Details = {
  reference: null,
  description: null,
  metadata: null,
  paymentMethod: null,
  returnUrl: null,
}

/** A refund as it is asked for; `amount` as it is written, null: all that is left. */
export function refundDraft(
  parentId: bigint,
  amount: string | null,
  idempotencyKey: string | null,
): RefundDraft {
  const read = amount === null ? null : parseDecimal(amount)
  if (read !== null && !read.ok) throw new Error(read.problem)
  const reason = 'returned goods'
  const sent = sentFields({ amount, reason })
  return { parentId, amount: read?.decimal ?? null, idempotencyKey, reason, sent }
}
