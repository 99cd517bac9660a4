/**
 * The counters of `GET /api/v1/metrics`, in its order: a contract, so the names never change. The
 * first thirteen are those of the original service.
 *
 * `exact` ones are counted by the statements that move payments, in the same transaction: after any
 * crash they equal what the tables hold. The others are counted by each process and added to the
 * totals once a second; a killed process loses what it had not added yet.
 */
export const COUNTERS = {
  payments_deposit_requests_total: {
    exact: false,
    help: 'Deposit requests with a valid amount and key, replays and refusals included.',
  },
  payments_withdraw_requests_total: {
    exact: false,
    help: 'Withdrawal requests with a valid amount and key, replays and refusals included.',
  },
  idempotency_hits_total: {
    exact: false,
    help: 'Requests answered with the stored answer of an earlier one.',
  },
  payments_task_enqueued_total: {
    exact: true,
    help: 'Tasks put in the queue: payments accepted, and payments that were redriven.',
  },
  payments_processing_started_total: {
    exact: true,
    help: 'Claims of tasks by workers, those that only look up included.',
  },
  gateway_success_total: {
    exact: false,
    help: 'Charges that a call saw executed; lookups are not counted.',
  },
  gateway_timeouts_total: {
    exact: false,
    help: 'Charges without an answer in time; lookups are not counted.',
  },
  gateway_errors_total: {
    exact: false,
    help: 'Charges that ended in another error; lookups are not counted.',
  },
  gateway_non_retryable_errors_total: {
    exact: false,
    help: 'Charges that were declined; lookups are not counted.',
  },
  payments_success_total: {
    exact: true,
    help: 'Payments that ended in success, whoever decided.',
  },
  payments_failed_total: {
    exact: true,
    help: 'Payments that ended in failed after they were accepted, whoever decided.',
  },
  payments_retried_total: {
    exact: true,
    help: 'Claims that used up an attempt and ended in another one to come.',
  },
  dlq_written_total: {
    exact: true,
    help: 'Dead letters written.',
  },
  payments_unknown_total: {
    exact: true,
    help: 'Times that a payment became unknown.',
  },
  payments_resolved_success_total: {
    exact: true,
    help: "Payments that ended in success by an operator's word; part of the successes.",
  },
  payments_resolved_failed_total: {
    exact: true,
    help: "Payments that ended in failed by an operator's word; part of the failures.",
  },
  payments_refund_requests_total: {
    exact: false,
    help: 'Refund requests that can be read, replays and refusals included.',
  },
} as const satisfies Record<string, { readonly exact: boolean; readonly help: string }>

type Counters = typeof COUNTERS

/** The name of a counter. */
export type CounterName = keyof Counters

/** Counted by the database. */
export type ExactName = {
  [Name in CounterName]: Counters[Name]['exact'] extends true ? Name : never
}[CounterName]

/** Counted by processes. */
export type RoughName = Exclude<CounterName, ExactName>

// Object.keys forgets the keys' type.
export const COUNTER_NAMES = Object.keys(COUNTERS) as readonly CounterName[]
export const EXACT_NAMES = COUNTER_NAMES.filter(isExact)
export const ROUGH_NAMES = COUNTER_NAMES.filter((name): name is RoughName => !isExact(name))

export function isExact(name: CounterName): name is ExactName {
  return COUNTERS[name].exact
}

/** What only the database knows. Amounts are minor units; ages are seconds, 0 if there is none. */
export interface DatabaseGauges {
  /** Tasks by state: `due`, `waiting`, `leased`. */
  readonly queueTasks: Readonly<Record<string, number>>
  readonly queueOldestDueSeconds: number
  readonly unknownPayments: number
  /** By currency. */
  readonly unknownAmounts: Readonly<Record<string, bigint>>
  readonly unknownOldestSeconds: number
  /** By currency. */
  readonly heldAmounts: Readonly<Record<string, bigint>>
  /** Open dead letters by class: `failed`, `unknown`. */
  readonly deadLettersOpen: Readonly<Record<string, number>>
  /** Endpoints of webhooks: `failing`, and `disabled` by the service itself. */
  readonly webhookEndpoints: Readonly<Record<string, number>>
  /** Of the delivery that has been due for longest; 0: none is due. */
  readonly webhookOldestDueSeconds: number
  /** The counters that the database keeps, over all processes. */
  readonly counts: Readonly<Record<ExactName, number>>
}
