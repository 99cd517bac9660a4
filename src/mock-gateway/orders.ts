/** What a caller asks for. Amounts are minor units; `key` is null if it sent no Idempotency-Key. */
export interface Order {
  readonly key: string | null
  readonly paymentId: number
  readonly userId: number
  readonly amount: bigint
  readonly commission: bigint
  readonly type: 'deposit' | 'withdraw' | 'refund'
  /** The deposit that a refund gives back. */
  readonly parentId?: number
  /** ISO 4217; without it, that of the books, which has two decimals. */
  readonly currency?: string
}

/** An order that was settled, for good. `number` counts from 1. */
export interface Charge extends Order {
  readonly number: number
  readonly outcome: 'executed' | 'declined'
  /** Why it was declined, where it was not by a fault. */
  readonly code?: string
  /** ISO 8601. */
  readonly at: string
}
