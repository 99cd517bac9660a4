import { columns } from '../domain/array-parameters.ts'

/** Which delivery it is. */
export interface DeliveryOf {
  readonly eventId: bigint
  readonly endpointId: bigint
}

/** A delivery that is due, with what is to be sent. */
export interface DueDelivery {
  readonly eventId: bigint
  readonly endpointId: bigint
  /** Only the newest claim may say what came of it. */
  readonly fence: number
  /** Calls before this one. */
  readonly attempts: number
  readonly body: string
}

/** How many deliveries of an endpoint may be claimed. */
export interface Room {
  readonly endpointId: bigint
  readonly free: number
}

export const ROOMS = columns<Room>({ endpointId: 'bigint', free: 'int' })

/** How deliveries are claimed. */
export interface ClaimLimits {
  readonly limit: number
  readonly leaseMs: number
  /** Due deliveries of an ordered endpoint that are looked at. */
  readonly look: number
}

/** An event that is to be sent again, and when. */
export interface Replayed {
  readonly eventId: bigint
  readonly delayMs: number
}

export const REPLAYED = columns<Replayed>({ eventId: 'bigint', delayMs: 'int' })

/** What a claim came to. */
export interface DeliveryResult {
  readonly eventId: bigint
  readonly endpointId: bigint
  readonly fence: number
  readonly state: 'pending' | 'delivered' | 'failed'
  /** False: it was not made, and counts as no call. */
  readonly made: boolean
  readonly delayMs: number
  readonly ageMs: number
  readonly tookMs: number
  readonly status: number | null
  readonly reason: string | null
  readonly reply: string | null
}

export const RESULTS = columns<DeliveryResult>({
  eventId: 'bigint',
  endpointId: 'bigint',
  fence: 'int',
  state: 'word',
  made: 'boolean',
  delayMs: 'bigint',
  ageMs: 'bigint',
  tookMs: 'int',
  status: 'int',
  reason: 'text',
  reply: 'text',
})

/** How many times more deliveries one statement puts aside than a claim looks at. */
export const LOOKS_ASIDE = 10

/** When a delivery that was put aside is looked at again, if nothing makes it due before. */
export const ASIDE = { min: `interval '1 second'`, max: `interval '1 hour'` } as const

/** Deliveries of an endpoint that are looked at when it is not ordered any more. */
export const FREED_MAX = 20_000
