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
  /** What its payer has to do first, while it is pending. */
  readonly action: { readonly url: string; readonly expires_at: string | null } | null
  readonly currency: string
}

export type PaymentStatus = 'new' | 'processing' | 'pending' | 'success' | 'failed' | 'unknown'

/** The shards that could not be read, so that what is in them is left out; mostly none. */
export interface Missing {
  readonly missing_shards?: readonly number[]
}

export interface Page<T> extends Missing {
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
  readonly losses?: Exact
  readonly letter_id?: number | null
  readonly class?: LetterClass
  readonly error?: string
  readonly actor?: string | null
  readonly redrive_id?: number | null
  readonly after?: { readonly reference_taken_by?: string }
  readonly gateway?: string | null
}

export interface Timeline {
  readonly payment_id: number
  readonly status: PaymentStatus
  readonly explanation: string
  readonly events: readonly TimelineEvent[]
}

type LetterClass = 'failed' | 'unknown'

export interface PaymentEvent {
  readonly id: string
  readonly type: string
  readonly timestamp: string
}

export interface DeadLetter {
  readonly id: number
  readonly payment_id: number
  readonly user_id: number
  readonly amount: Exact
  readonly payment_type: string
  readonly class: LetterClass
  readonly error: string
  readonly attempts: number
  readonly state: 'open' | 'redriven' | 'resolved'
  readonly created_at: string
  readonly currency: string
}

/** Open letters that have the same thing wrong with them. */
export interface LetterGroup {
  readonly class: LetterClass
  readonly error: string
  readonly payment_type: string
  readonly currency: string
  readonly count: number
  readonly amount: Exact
  readonly oldest_at: string
}

export interface LetterGroups extends Missing {
  readonly data: readonly LetterGroup[]
}

export interface RedrivePlan {
  readonly snapshot: number
  readonly count: number
  readonly amount: Exact
  readonly matching: number
  readonly would_refuse: readonly { readonly code: string; readonly count: number }[]
  readonly other_amounts?: readonly CurrencySum[]
}

interface CurrencySum {
  readonly currency: string
  readonly count: number
  readonly amount: Exact
}

export interface Redrive {
  readonly id: number
  readonly state: 'planned' | 'running' | 'done' | 'canceled'
  readonly total: number
  readonly rate_per_second: number
  readonly done: number
  readonly redriven: number
  readonly skipped: number
  readonly refused: number
  readonly refusals: Readonly<Record<string, number>>
}

export interface User {
  readonly id: number
  readonly balance: Exact
  readonly held: Exact
  readonly created_at: string
  readonly external_id: string | null
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly currency: string
}

/** What came in and went out of what a user has, by month. */
export interface Statement {
  readonly complete: boolean
  readonly periods: readonly {
    readonly from: string
    readonly entries: number
    readonly opening: Exact
    readonly credited: Exact
    readonly debited: Exact
    readonly commission: Exact
    readonly closing: Exact
    readonly available: Exact
  }[]
}

export interface Transaction {
  readonly payment_id: number | null
  readonly kind: string
  readonly balance: Exact
  readonly held: Exact
  readonly commission: Exact
  readonly created_at: string
}

export interface Endpoint {
  readonly id: number
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled'
  readonly disabled_reason: string | null
  readonly created_at: string
  readonly payload: string
  readonly ordered: boolean
  readonly paused_until: string | null
}

export interface ReplayPlan {
  readonly snapshot: number
  readonly count: number
  readonly matching: number
  readonly by_type: readonly { readonly type: string; readonly count: number }[]
  readonly oldest_at: string | null
  readonly newest_at: string | null
  readonly until: string | null
}

export interface Replay {
  readonly id: number
  readonly state: 'planned' | 'running' | 'done' | 'canceled'
  readonly total: number
  readonly done: number
  readonly delivered: number
  readonly failed: number
  readonly other: number | null
}

export interface Attempt {
  readonly at: string
  readonly status: number | null
  readonly reason: string | null
  readonly took_ms: number
  readonly reply: string | null
}

export interface Delivery {
  readonly event_id: string
  readonly type: string
  readonly payment_id: number | null
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly attempts: number
  readonly created_at: string
  readonly next_attempt_at: string | null
  readonly last_attempt: Attempt | null
}

/** A delivery of a payment's event, and where it goes. */
export interface PaymentDelivery extends Delivery {
  readonly endpoint_id: number
  readonly url: string | null
}

interface Accounts {
  readonly user: Exact
  readonly user_held: Exact
  readonly gateway: Exact
  readonly fees: Exact
  readonly opening: Exact
  readonly losses: Exact
}

export interface Books {
  readonly currency: string
  readonly accounts: Accounts
  readonly sum: Exact
  readonly entries: number
}

export interface TrialBalance extends Books {
  readonly as_of: string
  readonly others: readonly Books[]
}

/** What a payment moved between the accounts at once. */
export interface JournalEntry {
  readonly payment_id: number
  readonly kind: string
  readonly currency: string
  readonly accounts: Accounts
  readonly created_at: string
}

export interface Health {
  readonly status: string
  readonly database: string
  readonly worker: string
  readonly gateways: readonly GatewayHealth[]
}

export interface GatewayHealth {
  readonly gateway: string
  readonly operation: string
  readonly breaker: 'closed' | 'half_open' | 'open'
  readonly misconfigured: boolean
  readonly reason: string | null
}

/** A gateway: what it can do, which payments go to it, and what waits for it. */
export interface Gateway {
  readonly name: string
  readonly driver: string
  readonly operations: readonly string[]
  readonly currencies: readonly string[] | null
  readonly repeats: string
  readonly key_life_seconds: number
  readonly lookup: string
  readonly rules: readonly string[]
  readonly routes: readonly {
    readonly operation: string
    readonly waiting: number
    readonly oldest_due_seconds: number | null
  }[]
}

/** An error document (RFC 9457). */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly code: string
  /** Which fields are wrong, and how. */
  readonly errors?: readonly { readonly pointer: string; readonly code: string }[]
}

/** What became of payments, by steps of time. */
export interface Series extends Missing {
  readonly step_seconds: number
  /** When each step begins, in seconds of the epoch. */
  readonly times: readonly number[]
  readonly accepted: readonly number[]
  readonly succeeded: readonly number[]
  readonly failed: readonly number[]
  readonly unknown: readonly number[]
  readonly p50_ms: readonly (number | null)[]
  readonly p95_ms: readonly (number | null)[]
  readonly latency: { readonly bounds_ms: readonly number[]; readonly counts: readonly number[] }
  readonly gateways: readonly GatewaySeries[]
}

export interface GatewaySeries {
  readonly gateway: string
  readonly succeeded: readonly number[]
  readonly failed: readonly number[]
  readonly unknown: readonly number[]
  readonly p95_ms: readonly (number | null)[]
  readonly latency_counts: readonly number[]
}

interface OpenLetters {
  readonly count: number
  readonly oldest_at: string | null
}

interface AmountAtRisk {
  readonly count: number
  readonly amount: Exact
  readonly oldest_at: string | null
}

/** Money of which nobody knows yet where it will be. */
export interface AtRisk {
  readonly currency: string
  readonly unknown: AmountAtRisk
  readonly pending: AmountAtRisk
  readonly held: Exact
}

interface BooksChecked {
  readonly ended_at: string
  readonly rules: number
  readonly violations: number
}

/** How the service is, in one answer. */
export interface State extends Missing {
  readonly queue: {
    readonly due: number
    readonly leased: number
    readonly waiting: number
    readonly oldest_due_at: string | null
  }
  readonly at_risk: readonly AtRisk[]
  readonly letters: { readonly failed: OpenLetters; readonly unknown: OpenLetters }
  readonly gateways: readonly GatewayHealth[]
  readonly webhooks: {
    readonly endpoints: number
    readonly failing: number
    readonly disabled: number
    readonly at: readonly {
      readonly endpoint_id: number
      readonly deliveries: number
      readonly oldest_at: string
    }[]
  }
  readonly books: {
    readonly recent: BooksChecked | null
    readonly full: BooksChecked | null
    readonly running: number | null
  }
  readonly worker: string
}

export interface Verification extends Missing {
  readonly verification_id: number
  readonly scope: 'full' | 'recent'
  readonly state: 'running' | 'done' | 'failed'
  readonly started_at: string
  readonly ended_at: string | null
  readonly progress: {
    readonly part: string
    readonly done: number
    readonly total: number
  } | null
  readonly rules: number | null
  readonly violations: number | null
  readonly error: string | null
}
