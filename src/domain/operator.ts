import type { SentFields } from './sent-fields.ts'

/** The idempotency key of an act, and the fields of its request as they were sent. */
export interface ActKey {
  readonly key: string
  readonly sent: SentFields
  /** Told under which id the act keeps it; a transaction that is repeated tells another one. */
  readonly kept: (actId: bigint) => void
}

/** Who acts, why, and by which request. */
export interface Operator {
  readonly actor: string
  readonly reason: string
  readonly requestId: string
  /** The run that acts; null: none. */
  readonly redriveId: bigint | null
  /** The place of the request in a trace; not there: it is not traced. */
  readonly traceparent?: string
  /** The key of the request, which is about one act; null or not there: none. */
  readonly key?: ActKey | null
}
