import type { Exponent } from './currency.ts'
import type { Promises } from './charge-decision.ts'
import type { Details } from './details.ts'
import type { Operation } from './payment.ts'

/**
 * What a gateway can do, and what it promises. Declared by its driver and its settings, proven by
 * the conformance suite.
 */
export interface GatewayProfile extends Promises {
  /** As `GATEWAYS` names it. Two gateways may have one driver. */
  readonly name: string
  readonly operations: ReadonlySet<Operation>
  /**
   * ISO codes, each with its decimals at this gateway, which may differ from ISO's; `any`: every
   * currency, with the decimals of ISO.
   */
  readonly currencies: ReadonlyMap<string, number> | 'any'
  /**
   * What a lookup needs: our key, or the gateway's own reference, which is known once it told one.
   * Where it is `ref`, references are kept from the first answer on.
   */
  readonly lookupBy: 'key' | 'ref'
  /** Whether it is told what was said about a payment: only then that is read for its calls. */
  readonly details: boolean
  /** How long it may take to finish what it has taken; then it is asked to end it. */
  readonly pendingMsMax: number
  /**
   * It tells what came back of a charge under its own reference of the charge alone, so references
   * are kept; not there: it names our payments.
   */
  readonly namesByRef?: true
  /** How old final payments are when it is asked whether they came back; none: it never is. */
  readonly watchMs: readonly number[]
}

/** What a gateway is asked to carry out, to look up or to end. Amounts are minor units. */
export interface GatewayOperation {
  readonly kind: Operation
  /** The same for the payment's whole life: the gateway's idempotency key. */
  readonly key: string
  readonly paymentId: bigint
  readonly userId: bigint
  readonly amount: bigint
  readonly commission: bigint
  /** By its code of ISO 4217. */
  readonly currency: string
  /** The decimals of `amount`. */
  readonly exponent: Exponent
  /** The gateway's own reference of it; null or not there: none is known. */
  readonly gatewayRef?: string | null
  /** Of a refund: the deposit that it gives back. */
  readonly parent?: {
    readonly paymentId: bigint
    /** The gateway's own reference of it; null: it gave none. */
    readonly gatewayRef: string | null
  }
  /** When it may have been sent for the first time; null or not there: not known, or never. */
  readonly sentAt?: Date | null
  /** What was said about the payment: method, page to return to, metadata; not there: nothing. */
  readonly details?: Details
  /** It is final, and a lookup is to tell what came back of it as well. */
  readonly watched?: true
  /** Its place in a trace, which is told to the gateway; not there: it is not traced. */
  readonly traceparent?: string
}
