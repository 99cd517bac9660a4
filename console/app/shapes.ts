import type { Exact } from '../exact/json.ts'

// What the API answers with, as far as the console reads it: docs/openapi.json has the whole.

export interface Payment {
  readonly payment_id: number
  readonly user_id: number
  readonly type: 'deposit' | 'withdraw' | 'refund' | 'return'
  readonly amount: Exact
  readonly commission: Exact
  readonly status: PaymentStatus
  readonly attempts: number
  readonly last_error: string | null
  readonly gateway_ref: string | null
  readonly created_at: string
  readonly finished_at: string | null
  readonly next_attempt_at: string | null
  readonly refunded: Exact
  readonly returned: Exact
  readonly parent_id: number | null
  readonly fee_returned: Exact | null
  readonly return_kind: string | null
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly payment_method: string | null
  readonly return_url: string | null
  readonly currency: string
}

type PaymentStatus = 'new' | 'processing' | 'success' | 'failed' | 'unknown'

export interface Page<T> {
  readonly data: readonly T[]
  readonly next_cursor: string | null
}

export interface TimelineEvent {
  readonly at: string
  readonly event: string
  readonly amount?: Exact
  readonly commission?: Exact
  readonly repeats?: number | null
  readonly fence?: number
  readonly call?: number
  readonly outcome?: string
  readonly reason?: string | null
  readonly sent?: boolean
  readonly http_status?: number | null
  readonly took_ms?: number
  readonly late?: boolean
  readonly effect?: string | null
  readonly balance?: Exact
  readonly held?: Exact
  readonly letter_id?: number | null
  readonly class?: LetterClass
  readonly error?: string
  readonly actor?: string | null
  readonly redrive_id?: number | null
  readonly gateway?: string | null
}

export interface Timeline {
  readonly payment_id: number
  readonly status: string
  readonly explanation: string
  readonly events: readonly TimelineEvent[]
}

type LetterClass = 'failed' | 'unknown'

export interface PaymentEvent {
  readonly id: string
  readonly type: string
  readonly timestamp: string
}

/** An error document (RFC 9457). */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly code: string
}
