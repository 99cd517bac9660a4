// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

import type { MissedEvents } from './answers.ts'

/** A call of the endpoint. */
export interface WebhookAttempt {
  readonly at: string
  /** What was answered; null: nothing. */
  readonly status: number | null
  /** Why nothing was. */
  readonly reason: string | null
  readonly took_ms: number
  /** The beginning of the answer. */
  readonly reply: string | null
}

export interface WebhookAttempts {
  readonly data: readonly WebhookAttempt[]
}

export interface WebhookDeliveries {
  readonly data: readonly WebhookDelivery[]
}

export interface WebhookDelivery {
  readonly event_id: string
  readonly type: string
  readonly payment_id: number | null
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly attempts: number
  readonly created_at: string
  /** At the earliest; not before a pause of the endpoint ends. */
  readonly next_attempt_at: string | null
  readonly ended_at: string | null
  readonly last_attempt: WebhookAttempt | null
}

export interface WebhookEndpoint {
  readonly id: number
  /** Null: nobody is called. Read `GET /events`. */
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled'
  /** `gone`: it answered 410. `silent`: nothing arrived for a day. `operator`. */
  readonly disabled_reason: string | null
  readonly disabled_at: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered: boolean
  /** Null: as many as there are. */
  readonly rate_per_second: number | null
  readonly created_at: string
  readonly created_by: string
  /**
   * Until when it is not called, as it asked by 429, 502, 503 or 504. Any change ends the pause.
   * Null: it is called.
   */
  readonly paused_until: string | null
}

export interface WebhookEndpointChanged {
  readonly id: number
  /** Null: nobody is called. Read `GET /events`. */
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled'
  /** `gone`: it answered 410. `silent`: nothing arrived for a day. `operator`. */
  readonly disabled_reason: string | null
  readonly disabled_at: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered: boolean
  /** Null: as many as there are. */
  readonly rate_per_second: number | null
  readonly created_at: string
  readonly created_by: string
  /**
   * Until when it is not called, as it asked by 429, 502, 503 or 504. Any change ends the pause.
   * Null: it is called.
   */
  readonly paused_until: string | null
  readonly missed?: MissedEvents
}

export interface WebhookEndpointRotated {
  readonly id: number
  /** Null: nobody is called. Read `GET /events`. */
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled'
  /** `gone`: it answered 410. `silent`: nothing arrived for a day. `operator`. */
  readonly disabled_reason: string | null
  readonly disabled_at: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered: boolean
  /** Null: as many as there are. */
  readonly rate_per_second: number | null
  readonly created_at: string
  readonly created_by: string
  /**
   * Until when it is not called, as it asked by 429, 502, 503 or 504. Any change ends the pause.
   * Null: it is called.
   */
  readonly paused_until: string | null
  /** What deliveries are signed with. Shown this once; null where nobody is called. */
  readonly secret: string | null
}

export interface WebhookEndpointWithSecret {
  readonly id: number
  /** Null: nobody is called. Read `GET /events`. */
  readonly url: string | null
  readonly types: readonly string[]
  readonly description: string | null
  readonly state: 'enabled' | 'disabled'
  /** `gone`: it answered 410. `silent`: nothing arrived for a day. `operator`. */
  readonly disabled_reason: string | null
  readonly disabled_at: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered: boolean
  /** Null: as many as there are. */
  readonly rate_per_second: number | null
  readonly created_at: string
  readonly created_by: string
  /**
   * Until when it is not called, as it asked by 429, 502, 503 or 504. Any change ends the pause.
   * Null: it is called.
   */
  readonly paused_until: string | null
  /** What deliveries are signed with. Shown this once; null where nobody is called. */
  readonly secret: string | null
}

export interface WebhookEndpoints {
  readonly data: readonly WebhookEndpoint[]
}

export interface WebhookTest {
  /** What the endpoint answered; null: nothing. */
  readonly status: number | null
  /**
   * Why it did not. `secret_unreadable`: its secret was sealed with another
   * `WEBHOOK_SECRETS_KEY`; give it a new one.
   */
  readonly reason: string | null
  readonly took_ms: number
  /** The beginning of its answer. */
  readonly reply: string | null
}
