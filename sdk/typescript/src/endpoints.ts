// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

import type { AppliedFilter } from './answers.ts'

/** What another replay has sent since counts there, and here as `other`. */
export interface Replay {
  readonly id: number
  readonly endpoint_id: number
  /** `done`: every event is on its way again; `pending` says how many still are. */
  readonly state: 'planned' | 'running' | 'done' | 'canceled'
  readonly filter: AppliedFilter
  /** Events of the snapshot. */
  readonly total: number
  readonly rate_per_second: number
  /** Events dealt with: sent or skipped. */
  readonly done: number
  /** Put on their way again. */
  readonly sent: number
  /** No longer kept when their turn came. */
  readonly skipped: number
  /** Of those sent: have arrived. */
  readonly delivered: number
  /** Of those sent: given up. */
  readonly failed: number
  /** Of those sent: on their way. */
  readonly pending: number
  readonly reason: string | null
  readonly created_at: string
  readonly created_by: string
  readonly started_at: string | null
  readonly started_by: string | null
  readonly ended_at: string | null
  readonly canceled_by: string | null
  /**
   * Of those sent: none of these any more. A later replay has sent them and counts them, they are
   * no longer kept, or the endpoint was removed. Null where shards are missing.
   */
  readonly other: number | null
  /**
   * The shards of the database that cannot be read: what is in them is left out. Not there:
   * nothing is left out.
   */
  readonly missing_shards?: readonly number[]
}

/** Events that can be sent to the endpoint again. */
export interface ReplayPlan {
  /** Start it within 15 minutes; then it is the replay’s id. */
  readonly snapshot: number
  readonly endpoint_id: number
  /** Events of the snapshot, at most 100,000: the oldest. */
  readonly count: number
  /** Events that match. Where `until` is not null: at least so many. */
  readonly matching: number
  readonly by_type: readonly ReplayTypeCount[]
  readonly oldest_at: string | null
  readonly newest_at: string | null
  /**
   * Not null: there are, or may be, more than one replay looks at. The next one goes on with this
   * as `created_after`.
   */
  readonly until: string | null
  /**
   * The shards of the database that cannot be read: what is in them is left out. Not there:
   * nothing is left out.
   */
  readonly missing_shards?: readonly number[]
}

export interface ReplayTypeCount {
  readonly type: string
  readonly count: number
}

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

/**
 * `missed`: only where `state` was to be `enabled`, of an endpoint that was disabled: what it has
 * missed, as a dry run of `POST …/replays` finds it, without what a waiting replay will send.
 * Start the snapshot to have it sent. The same request finds it again for a day.
 */
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
  readonly missed?: ReplayPlan
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

export interface WebhookReplays {
  readonly data: readonly Replay[]
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
