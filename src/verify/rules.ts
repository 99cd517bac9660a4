/** What a rule is checked on, and what its violations are named by. */
export type Subject =
  | 'user'
  | 'posting'
  | 'ledger'
  | 'payment'
  | 'task'
  | 'letter'
  | 'attempt'
  | 'sequence'
  | 'table'
  | 'charge'

/**
 * `critical`: money is wrong, or can become wrong by what happens next. `warning`: work is stuck,
 * or a record that people rely on is missing or contradicts another.
 */
export type Severity = 'critical' | 'warning'

/**
 * Every invariant of the books as what it is checked on, how bad its violation is, and what holds.
 * The names are codes: of the report, of the metric's label, of alerts. The order is that of the
 * report.
 */
export const RULES = {
  entry_unbalanced: ['posting', 'critical', 'The five accounts of a journal entry sum to zero.'],
  ledger_unbalanced: ['ledger', 'critical', 'The sums of the five accounts sum to zero.'],
  balance_available: ['user', 'critical', 'What a user can spend is the sum of the postings.'],
  balance_held: ['user', 'critical', 'What is held of a user is the sum of the postings.'],
  balance_negative: ['user', 'critical', 'No balance is below zero.'],
  held_open: ['user', 'critical', 'What is held is the cost of the open withdrawals that hold.'],
  opening_missing: ['user', 'critical', 'A user has an opening entry.'],
  opening_repeated: ['user', 'critical', 'A user has one opening entry only.'],
  opening_legs: ['user', 'critical', 'An opening entry moves nothing but the opening balance.'],
  posting_orphan: ['posting', 'critical', 'A posting belongs to a payment that exists.'],
  posting_user: ['posting', 'critical', 'A posting moves the money of its own payment’s user.'],
  posting_user_missing: ['posting', 'critical', 'A posting belongs to a user that exists.'],
  posting_kind: ['posting', 'critical', 'A posting is a hold, settlement, release or opening.'],
  settle_missing: ['payment', 'critical', 'A successful payment is settled.'],
  settle_repeated: ['payment', 'critical', 'A payment is settled once.'],
  settle_unearned: ['payment', 'critical', 'Only a successful payment is settled.'],
  settle_legs: ['payment', 'critical', 'A settlement moves the amount and the commission.'],
  hold_missing: ['payment', 'critical', 'An accepted withdrawal has placed its hold.'],
  hold_repeated: ['payment', 'critical', 'A withdrawal holds once.'],
  hold_legs: ['payment', 'critical', 'A hold reserves the amount and the commission.'],
  deposit_held: ['payment', 'critical', 'A deposit holds and releases nothing.'],
  release_missing: ['payment', 'critical', 'A failed withdrawal gives back its hold.'],
  release_repeated: ['payment', 'critical', 'A hold is released once.'],
  release_unearned: ['payment', 'critical', 'No hold is released unless its payment has failed.'],
  release_legs: ['payment', 'critical', 'A release gives back exactly what was held.'],
  refused_traces: ['payment', 'critical', 'A refused payment is failed and left nothing else.'],
  failed_but_charged: ['payment', 'critical', 'No failed payment was charged, unless known.'],
  evidence_ignored: ['payment', 'critical', 'No payment stays open after the gateway said yes.'],
  key_repeated: ['payment', 'critical', 'A user’s Idempotency-Key belongs to one payment.'],
  gateway_key_repeated: ['payment', 'critical', 'No two payments share a gateway key.'],
  amount_range: ['payment', 'critical', 'An amount is within the limits of the API.'],
  commission_rule: ['payment', 'critical', 'A commission is its rate’s, or a floor above it.'],
  commission_floor: ['payment', 'critical', 'A commission above its rate’s is a known floor.'],
  payment_fields: ['payment', 'critical', 'Type, status, rate and commission can exist.'],
  payment_user_missing: ['payment', 'critical', 'A payment belongs to a user that exists.'],
  repeat_wrong: ['payment', 'critical', 'A redriven payment repeats a failed one as it was.'],
  repeat_twice: ['payment', 'critical', 'A failed payment is repeated once.'],
  payment_stranded: ['payment', 'critical', 'An open payment has a task, or an open letter.'],
  finish_time: ['payment', 'warning', 'A final payment has the time it finished, others none.'],
  time_order: ['payment', 'warning', 'Nothing finishes before it began.'],
  time_in_future: ['payment', 'warning', 'No stored time is more than a minute from now.'],
  id_in_wrong_shard: ['payment', 'critical', 'An id tells the shard in which its row is.'],
  row_outside_shards: ['table', 'critical', 'No row is in a shard that there is not.'],
  sequence_behind: ['sequence', 'critical', 'The next id of a sequence is not taken.'],
  task_orphan: ['task', 'critical', 'A task belongs to a payment that exists.'],
  task_of_final: ['task', 'critical', 'A final payment has no task left.'],
  task_operation: ['task', 'warning', 'A task’s operation is the one of its payment’s type.'],
  task_counters: ['task', 'warning', 'A task’s counters fit each other and its payment.'],
  letter_orphan: ['letter', 'warning', 'A dead letter belongs to a payment that exists.'],
  letter_values: ['letter', 'warning', 'A dead letter says what its payment says.'],
  letter_state: ['letter', 'warning', 'An open letter is of the class of its payment’s status.'],
  letter_closing: ['letter', 'warning', 'A letter has a closing time if and only if it is closed.'],
  letter_repeated: ['letter', 'warning', 'A payment has one open letter at most.'],
  unknown_without_letter: ['payment', 'critical', 'Money at risk has an open letter saying so.'],
  failed_without_letter: ['payment', 'warning', 'A failed payment has a letter saying why.'],
  success_without_evidence: ['payment', 'critical', 'A success has a yes of gateway or operator.'],
  failed_without_evidence: ['payment', 'critical', 'A failure has a no of gateway or operator.'],
  attempts_without_evidence: ['payment', 'warning', 'Every counted attempt left evidence.'],
  attempt_orphan: ['attempt', 'warning', 'Evidence belongs to a payment that exists.'],
  evidence_unclaimed: ['attempt', 'critical', 'Evidence belongs to a claim that was made.'],
  gateway_charged_twice: ['charge', 'critical', 'The gateway charged each payment once at most.'],
  gateway_missing_here: ['charge', 'critical', 'What the gateway charged is not failed here.'],
  gateway_missing_there: ['charge', 'critical', 'What succeeded here was charged there.'],
  gateway_amount: ['charge', 'critical', 'The gateway charged the amount that is in the books.'],
} as const satisfies Record<string, readonly [subject: Subject, severity: Severity, holds: string]>

export type RuleCode = keyof typeof RULES

/** All codes, in the order of the report. */
// Object.keys forgets the keys' type.
export const RULE_CODES = Object.keys(RULES) as readonly RuleCode[]
