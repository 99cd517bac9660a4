import type { Answer, PaymentDraft } from '../../src/domain/acceptance.ts'
import type { correct } from '../../src/dead-letters/correct.ts'
import type { editPayment } from '../../src/operators/edit-texts.ts'
import type { redrive } from '../../src/dead-letters/redrive.ts'
import type { resolve } from '../../src/dead-letters/resolve.ts'
import type { RetryPolicy } from '../../src/domain/charge-decision.ts'
import type { Fee, Fees } from '../../src/domain/fee.ts'
import type { confirms } from '../../src/domain/reply-outcome.ts'
import type { ChargeWorld, Settlement } from '../../src/charging/charge.ts'
import type { settle } from '../../src/charging/settle.ts'
import type { watch } from '../../src/charging/watch.ts'
import type { Accept } from '../../src/payments/accept.ts'
import type { Promises } from '../../src/domain/charge-decision.ts'
import type { Clock, Db, Gateway } from '../../src/ports.ts'
import type { Worker } from '../../src/queue/worker.ts'
import type { cancelPayments } from '../../src/operators/cancel.ts'
import type { acceptRefunds } from '../../src/refunds/refund.ts'
import type { bookReturns } from '../../src/refunds/returns.ts'
import type { claimDue, deliver, settleDelivered } from '../../src/webhooks/deliver.ts'
import type { deliveryPlaces } from '../../src/webhooks/places.ts'
import type { BackThere } from './came-back.ts'
import type { Auditor } from './checks.ts'
import type { ClientJournal } from './clients.ts'
import type { DeliveryAuditor } from './delivery-checks.ts'
import type { Fault, Faults } from './faults.ts'
import type { HostileGateway } from './gateway.ts'
import type { Handlers } from './handlers.ts'
import type { MemoryDb } from './memory-db.ts'
import type { Plan } from './plan.ts'
import type { Receivers } from './receivers.ts'
import type { RefundJournal } from './refund-clients.ts'
import type { Process, Scheduler } from './scheduler.ts'
import type { Tables } from './tables.ts'

/** Bugs to plant: each replaces one input of the operations. None in production code. */
export interface Plants {
  readonly profile?: Promises
  /** What its seeds have in common, where few others would show it. */
  readonly plan?: Partial<Plan>
  /** Faults that its histories are full of, where few others would show it. */
  readonly trouble?: Partial<Record<Fault, number>>
  readonly fee?: (fee: Fee) => Fee
  readonly fees?: (fees: Fees) => Fees
  readonly policy?: (policy: RetryPolicy) => RetryPolicy
  readonly handlers?: (handlers: Handlers) => Handlers
  readonly gateway?: (gateway: Gateway) => Gateway
  readonly accept?: (accept: Accept) => Accept
  readonly settle?: typeof settle
  readonly clock?: (clock: Clock) => Clock
  /** The time that a process takes for its database's. */
  readonly now?: (clock: Clock) => Date
  readonly acts?: (acts: Acts) => Acts
  readonly proves?: typeof confirms
  readonly watch?: (real: typeof watch) => typeof watch
  /** What is told to whoever looks at a final payment. */
  readonly told?: (gateway: Gateway) => Gateway
  readonly telling?: (telling: Telling) => Telling
}

/** What deliveries are made of. */
export interface Telling {
  readonly claimDue: typeof claimDue
  readonly deliver: typeof deliver
  readonly settleDelivered: typeof settleDelivered
  readonly deliveryPlaces: typeof deliveryPlaces
}

/** What operators do, and those who give money back. */
export interface Acts {
  readonly redrive: typeof redrive
  readonly resolve: typeof resolve
  readonly refund: typeof acceptRefunds
  readonly cancel: typeof cancelPayments
  readonly book: typeof bookReturns
  readonly correct: typeof correct
  readonly edit: typeof editPayment
}

/** A process that accepts payments. */
export interface Api {
  readonly process: Process
  readonly db: Db
  readonly clock: Clock
  /** Accept drafts, each in whatever batch it comes into. */
  readonly accept: (drafts: readonly PaymentDraft[]) => Promise<readonly Answer[]>
}

/** One simulated history: its chance, its database and gateway, its processes, and who checks. */
export interface World {
  readonly plan: Plan
  readonly random: () => number
  readonly tables: Tables
  readonly steps: Scheduler
  readonly faults: Faults
  readonly db: MemoryDb
  readonly gateway: HostileGateway
  readonly books: Auditor
  readonly clients: ClientJournal
  readonly refunds: RefundJournal
  /** The returns that were booked, by `parentId ref`. */
  readonly told: Map<string, bigint>
  /** What came back at the gateway. */
  readonly back: BackThere
  /** Payments that failed here, of which their gateway has said since that it executed them. */
  readonly saidYes: Set<bigint>
  readonly receivers: Receivers
  readonly deliveries: DeliveryAuditor
  /** Endpoints that were answered for, and how many events there were by then. */
  readonly promised: Map<bigint, number>
  readonly apis: Api[]
  readonly workers: { process: Process; worker: Worker }[]
  /** What gateways told workers. */
  readonly words: { readonly process: Process; readonly done: Settlement }[]
  /** Payments with a yes that a process of the version before kept and did not act on. */
  readonly ignored: Set<bigint>
  readonly acts: Acts
  /** What happened, beside the faults. */
  readonly reached: Record<string, number>
  /** Workers that died stay dead from now on. */
  closing: boolean
  /** Report an error that must not happen; the run stops at the next step. */
  fail(error: unknown): void
  count(what: string): void
  /** A process of its own that can work the queue, and what charging needs in it. */
  hand(name: string): { process: Process; needs: ChargeWorld }
  /** An API process as it asks the gateway out of turn. */
  charging(api: Pick<Api, 'process' | 'db' | 'clock'>, gateway: string): ChargeWorld
  startApi(slot: number): void
  startWorker(slot: number): void
}
