import type { PaymentStatus } from '../app/shapes.ts'

/**
 * The state that agrees with a sentence that was read at another moment: the one that the sentence
 * is about; of what is under way, the payment knows more.
 */
export function statusBeside(told: PaymentStatus, read: PaymentStatus): PaymentStatus {
  if (told !== 'new') return told
  return read === 'new' || read === 'pending' ? read : 'processing'
}
