import type { CameBack } from './outcome.ts'

/** Something that came back by itself, as the gateway lists it. */
export interface GatewayReturn {
  /** Of which payment; null: it names that by `parentRef` alone. */
  readonly paymentId: bigint | null
  /** The gateway's own reference of that payment; null: it names our payment. */
  readonly parentRef: string | null
  /** The gateway's own reference, as a look at the payment tells it. */
  readonly ref: string
  /** In the words of returns; null: the list does not say, or says something else. */
  readonly kind: CameBack['kind'] | null
  /** As the gateway tells it, in major units; null: it does not. */
  readonly amount: unknown
  /** Null: it does not say. */
  readonly currency: string | null
  /** Of money that came back from it again: the reference of what it undoes. */
  readonly undoes?: string
  /** It says that it is a refund of ours, which failed there. */
  readonly ours?: { readonly paymentId: bigint; readonly key: string }
  /** Null: the list does not say. */
  readonly at: Date | null
}
