import type { EventTypeName } from '../../src/domain/event.ts'

/** Who wants events; times in milliseconds. */
export interface EndpointRow {
  readonly id: bigint
  readonly url: string | null
  readonly types: readonly string[]
  readonly state: 'enabled' | 'disabled' | 'removed'
  readonly payload: 'full' | 'thin'
  readonly ordered: boolean
  readonly secret: string | null
  readonly version: number
  readonly disabledWhy: string | null
  readonly disabledAt: number | null
  readonly enabledAt: number
  readonly changedAt: number
  readonly createdAt: number
  readonly createdBy: string
  /** What was done to it, oldest first. */
  readonly acts: readonly EndpointActRow[]
}

/** Something that was done to an endpoint, and of it what a replay of the missed goes by. */
interface EndpointActRow {
  readonly act: 'create' | 'change' | 'disable' | 'remove'
  readonly before: Pick<EndpointRow, 'types' | 'state'> | null
  readonly after: Pick<EndpointRow, 'types' | 'state'>
  readonly createdAt: number
}

/** What a shard knows of an endpoint. */
export interface SubscriptionRow {
  readonly shard: number
  readonly endpointId: bigint
  readonly version: number
  readonly types: readonly string[]
  readonly deliver: boolean
  readonly ordered: boolean
  readonly pausedUntil: number | null
  readonly deliveredAt: number | null
}

/** An event on its way to an endpoint. */
export interface DeliveryRow {
  readonly shard: number
  readonly eventId: bigint
  readonly endpointId: bigint
  readonly paymentId: bigint
  readonly position: bigint
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly runAt: number
  readonly fence: number
  readonly attempts: number
  readonly leased: boolean
  readonly endedAt: number | null
  readonly replayId: bigint | null
  readonly retryId: bigint | null
  readonly setAside: boolean
}

/** An event; what is in its body is the payment or letter as it is. */
export interface EventRow {
  readonly shard: number
  readonly id: bigint
  readonly paymentId: bigint
  readonly type: EventTypeName
  readonly sequence: number | null
  readonly body: string
  readonly createdAt: number
  /** Null: not yet. */
  readonly position: bigint | null
}

/** A call that was made for a delivery. */
export interface CallRow {
  readonly shard: number
  readonly eventId: bigint
  readonly endpointId: bigint
  readonly fence: number
  readonly startedAt: number
  readonly tookMs: number
  readonly status: number | null
  readonly reason: string | null
  readonly reply: string | null
}

/** A run that sends events again. */
export interface RunRow {
  readonly id: bigint
  readonly endpointId: bigint
  readonly state: 'planned' | 'running' | 'done' | 'canceled'
  readonly eventIds: readonly string[]
  readonly position: number
  readonly redriven: number
  readonly skipped: number
  readonly ratePerSecond: number
  readonly startedBy: string | null
  readonly reason: string | null
  readonly requestId: string | null
  readonly canceledBy: string | null
  readonly createdAt: number
  readonly createdBy: string
  readonly startedAt: number | null
  readonly endedAt: number | null
  readonly nextAt: number
}
