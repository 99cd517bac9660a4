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

/** Rows that a statement judges; what they are called in it stands in the stores. */
type Row = 'user' | 'posting' | 'payment' | 'key' | 'letter' | 'task' | 'attempt'

/** Of each kind of row, the SQL condition under which one violates the rule. */
type Broken = Readonly<Partial<Record<Row, string>>>

export interface Rule {
  readonly subject: Subject
  readonly severity: Severity
  /** What holds, as a sentence. */
  readonly holds: string
  /**
   * Conditions over the facts that `payments-store.ts` and `users-store.ts` collect. None where the
   * rule is about more than one row: `verify.ts`, `pass.ts`, `compare-with-gateway.ts` and
   * `compare-returns.ts` decide those.
   */
  readonly broken: Broken
}

function rule(severity: Severity) {
  return (subject: Subject, holds: string, broken: Broken = {}): Rule => {
    return { subject, severity, holds, broken }
  }
}

const critical = rule('critical')
const warning = rule('warning')

/**
 * Whether an id tells another shard. One of before there were more shards tells one of those, of
 * which the shards are a multiple.
 */
function misplaced(id: string): string {
  return `(
    ${id} % shards <> $1 and (${id} >= below or ${id} % shards_before <> $1 % shards_before)
  )`
}

/**
 * Every invariant of the books: what it is checked on, how bad its violation is, what holds, and
 * the condition that finds what violates it. The names are codes: of the report, of the metric's
 * label, of alerts. The order is that of the report.
 */
export const RULES = {
  entry_unbalanced: critical('posting', 'The accounts of a journal entry sum to zero.', {
    posting: `unbalanced > 0`,
  }),
  ledger_unbalanced: critical('ledger', 'The sums of the accounts sum to zero.'),
  balance_available: critical('user', 'What a user can spend is the sum of the postings.', {
    user: `available <> posted_available`,
  }),
  balance_held: critical('user', 'What is held of a user is the sum of the postings.', {
    user: `held <> posted_held`,
  }),
  balance_negative: critical('user', 'No balance is below zero.', {
    user: `least(available, held) < 0`,
  }),
  held_open: critical('user', 'What is held is the cost of the open payments that hold.', {
    user: `held <> open_cost`,
  }),
  opening_missing: critical('user', 'A user has an opening entry.', {
    user: `not missing and openings = 0`,
  }),
  opening_repeated: critical('user', 'A user has one opening entry only.', {
    user: `openings > 1`,
  }),
  opening_legs: critical('user', 'An opening entry moves nothing but the opening balance.', {
    user: `openings_wrong > 0`,
  }),
  posting_orphan: critical('posting', 'A posting belongs to a payment that exists.', {
    posting: `not belongs and not elsewhere`,
  }),
  posting_user: critical('posting', 'A posting moves the money of its own payment’s user.', {
    posting: `not belongs and elsewhere`,
  }),
  posting_user_missing: critical('posting', 'A posting belongs to a user that exists.', {
    user: `missing`,
  }),
  posting_kind: critical('posting', 'A posting is of a kind that there is.', {
    posting: `payment_id = 0 and entries > openings`,
    payment: `entries > holds + settles + releases + lates`,
  }),
  settle_missing: critical('payment', 'A successful payment is settled.', {
    payment: `status = 'success' and settles = 0`,
  }),
  settle_repeated: critical('payment', 'A payment is settled once.', { payment: `settles > 1` }),
  settle_unearned: critical('payment', 'Only a successful payment is settled.', {
    payment: `status <> 'success' and settles > 0`,
  }),
  settle_legs: critical('payment', 'A settlement moves what its payment came to.', {
    payment: `settles_wrong > 0`,
  }),
  late_unearned: critical('payment', 'Only what failed is settled late, by an operator’s word.', {
    payment: `lates > 0
      and (status <> 'failed' or not corrected or type not in ('deposit', 'withdraw'))`,
  }),
  late_repeated: critical('payment', 'A failed payment is settled late once.', {
    payment: `lates > 1`,
  }),
  late_legs: critical('payment', 'A late settlement moves the amount and the commission.', {
    payment: `lates_wrong > 0`,
  }),
  hold_missing: critical('payment', 'An accepted withdrawal or refund has placed its hold.', {
    payment: `type in ('withdraw', 'refund') and not refused and holds = 0`,
  }),
  hold_repeated: critical('payment', 'A payment holds once.', { payment: `holds > 1` }),
  hold_legs: critical('payment', 'A hold reserves what its payment costs the user.', {
    payment: `holds_wrong > 0`,
  }),
  deposit_held: critical('payment', 'A deposit or return holds and releases nothing.', {
    payment: `type in ('deposit', 'return') and holds + releases > 0`,
  }),
  release_missing: critical('payment', 'A failed payment gives back its hold.', {
    payment: `status = 'failed' and holds > 0 and releases = 0`,
  }),
  release_repeated: critical('payment', 'A hold is released once.', { payment: `releases > 1` }),
  release_unearned: critical('payment', 'No hold is released unless its payment has failed.', {
    payment: `status <> 'failed' and releases > 0`,
  }),
  release_legs: critical('payment', 'A release gives back exactly what was held.', {
    payment: `releases_wrong > 0`,
  }),
  refused_traces: critical('payment', 'A refused payment is failed and left nothing else.', {
    payment: `refused
      and (status <> 'failed' or entries > 0 or queued or calls > 0 or letters > 0)`,
  }),
  // An operator who fails a payment against a yes has said so. What was told of a refund is booked
  // as a return, and its letter closed.
  failed_but_charged: critical('payment', 'No failed payment was charged, unless known.', {
    payment: `status = 'failed' and said_yes and not alarmed and not insisted and not corrected
      and not (type = 'refund' and contradicted)`,
  }),
  // A yes stored for a minute ends a payment, unless a worker is on it.
  evidence_ignored: critical('payment', 'No payment stays open after the gateway said yes.', {
    payment: `open and said_yes and yes_at < latest - interval '2 minutes'
      and not (leased and run_at > latest - interval '1 minute')`,
  }),
  key_repeated: critical('payment', 'A user’s Idempotency-Key belongs to one payment.', {
    payment: `key_taken`,
  }),
  key_unkept: critical('payment', 'In a later range a payment’s Idempotency-Key is kept apart.', {
    payment: `id >= keyed_from and key_unkept`,
  }),
  key_stray: critical('payment', 'A key that is kept apart is that of its payment.', {
    key: `payment.id is null or payment.user_id <> kept_key.user_id
      or payment.idempotency_key is distinct from kept_key.key`,
  }),
  reference_wrong: critical('payment', 'Who did not fail has its reference, and nobody else.', {
    payment: `reference_wrong`,
  }),
  gateway_key_repeated: critical('payment', 'No two payments share a gateway key.'),
  amount_range: critical('payment', 'An amount is within the limits of the API.', {
    payment: `amount not between 1 and amount_max`,
  }),
  currency_wrong: critical('payment', 'A payment is in the currency of its user’s account.', {
    payment: `user_found is not null and currency is distinct from user_currency`,
  }),
  // Half-up of the stored rate; a deposit that it would take whole is never accepted.
  commission_rule: critical('payment', 'A commission is its rate’s, or a floor above it.', {
    payment: `type in ('deposit', 'withdraw') and (commission < share
      or (type = 'deposit' and commission >= amount and commission > 0))`,
  }),
  // The books do not store which floors were ever configured: without a list any is believed.
  commission_floor: critical('payment', 'A commission above its rate’s is a known floor.', {
    payment: `type in ('deposit', 'withdraw') and commission > share and floors is not null
      and coalesce(currency, books) || ':' || commission <> all (floors)`,
  }),
  payment_fields: critical('payment', 'Type, status, rate and commission can exist.', {
    payment: `type not in ('deposit', 'withdraw', 'refund', 'return') or commission < 0
      or fee_bps < 0 or status not in ('new', 'success', 'failed', 'unknown')
      or (type in ('refund', 'return') and commission > 0)`,
  }),
  parent_wrong: critical('payment', 'A refund or return is of an executed payment of the user.', {
    payment: `not parent_right`,
  }),
  child_unlisted: critical('payment', 'A refund or return is listed with its payment.', {
    payment: `not listed or children_wrong > 0`,
  }),
  refunds_sum: critical('payment', 'What is reserved and refunded is the sum of the refunds.', {
    payment: `refunds_wrong`,
  }),
  returns_sum: critical('payment', 'What came back is the sum of the returns.', {
    payment: `returns_wrong`,
  }),
  return_losses: critical('payment', 'A payout that comes back pays first what it lost us.', {
    payment: `recovery_wrong`,
  }),
  // A dispute that was won may have put right what was booked twice.
  return_was_refund: critical('payment', 'What went back under one reference is booked once.', {
    payment: `booked_twice`,
  }),
  // The last line of defence is a constraint; this finds what was damaged together with it.
  given_back_range: critical('payment', 'No more goes back than it came to, but in disputes.', {
    payment: `refund_reserved not between 0 and amount or returned < 0
      or returned - charged_back > amount
      or least(fee_reserved, returned_fee) < 0
      or coalesce(fee_reserved, 0)::numeric + coalesce(returned_fee, 0) > commission`,
  }),
  fee_returned_range: critical('payment', 'A refund gives back no more fee than it is.', {
    payment: `fee_returned < 0 or (type = 'refund' and fee_returned > amount)
      or (type in ('deposit', 'withdraw') and fee_returned is not null)`,
  }),
  payment_user_missing: critical('payment', 'A payment belongs to a user that exists.', {
    payment: `user_found is null`,
  }),
  repeat_wrong: critical('payment', 'A redriven payment repeats a failed one as it was.', {
    payment: `not repeats_rightly`,
  }),
  repeat_twice: critical('payment', 'A failed payment is repeated once.', {
    payment: `repeats_again`,
  }),
  // A new payment needs a task; an unknown one may instead wait for an operator.
  payment_stranded: critical('payment', 'An open payment has a task, or an open letter.', {
    payment: `open and (not queued or purpose = 'watch')
      and (status = 'new' or letters_open = 0)`,
  }),
  finish_time: warning('payment', 'A final payment has the time it finished, others none.', {
    payment: `open <> (finished_at is null)`,
  }),
  time_order: warning('payment', 'Nothing finishes before it began.', {
    payment: `finished_at < created_at`,
  }),
  time_in_future: warning('payment', 'No stored time is more than a minute from now.', {
    payment: `greatest(created_at, finished_at) > latest`,
    letter: `greatest(letter.created_at, closed_at) > latest`,
    user: `created_at > latest`,
    posting: `created_at > latest`,
  }),
  // A task of a payment that is here is where its payment is.
  id_in_wrong_shard: critical('payment', 'An id tells the shard in which its row is.', {
    payment: `${misplaced('id')} or user_id % shards <> $1`,
    task: `orphan and ${misplaced('payment_id')}`,
    letter: `${misplaced('letter.id')} or ${misplaced('letter.payment_id')}`,
    user: `id % shards <> $1`,
    posting: `payment_id <> 0 and ${misplaced('payment_id')}`,
  }),
  row_outside_shards: critical('table', 'No row is in a shard that there is not.'),
  sequence_behind: critical('sequence', 'The next id of a sequence is not taken.'),
  task_orphan: critical('task', 'A task belongs to a payment that exists.', { task: `orphan` }),
  task_of_final: critical('task', 'A final payment has no task left but one that watches it.', {
    payment: `not open and queued and purpose <> 'watch'`,
  }),
  task_gateway: critical('task', 'A task waits for the gateway of its payment.', {
    payment: `open and queued and task_gateway <> own_gateway`,
  }),
  task_operation: warning('task', 'A task’s operation is the one of its payment’s type.', {
    payment: `open and queued and operation <> case type
      when 'deposit' then 'charge' when 'withdraw' then 'payout' when 'refund' then 'refund'
      else operation end`,
  }),
  task_counters: warning('task', 'A task’s counters fit each other and its payment.', {
    payment: `queued and (task_attempts not between 0 and fence or lookups < 0
      or (status = 'new' and lookups > 0))`,
  }),
  event_missing: warning('payment', 'A final payment has its event, where one was wanted.', {
    payment: `untold and not refused`,
  }),
  letter_orphan: warning('letter', 'A dead letter belongs to a payment that exists.', {
    letter: `payment.id is null`,
  }),
  letter_values: warning('letter', 'A dead letter says what its payment says.', {
    letter: `payment.id is not null and
      (letter.user_id, letter.payment_type, letter.amount, letter.commission, letter.currency)
      is distinct from
      (payment.user_id, payment.type, payment.amount, payment.commission, payment.currency)`,
  }),
  letter_state: warning('letter', 'An open letter is of the class of its payment’s status.', {
    letter: `letter.state = 'open' and payment.id is not null and letter.class <> payment.status
      and not (letter.error = 'charged_after_failed' and payment.status = 'failed')
      and not (letter.error = 'maybe_charged_twice' and payment.status = 'success')`,
  }),
  letter_closing: warning('letter', 'A letter has a closing time if and only if it is closed.', {
    letter: `(letter.state = 'open') <> (closed_at is null) or closed_at < letter.created_at`,
  }),
  letter_repeated: warning('letter', 'A payment has one open letter at most.', {
    payment: `letters_open > 1`,
  }),
  unknown_without_letter: critical('payment', 'Money at risk has an open letter saying so.', {
    payment: `status = 'unknown' and letters_unknown = 0`,
  }),
  failed_without_letter: warning('payment', 'A failed payment has a letter saying why.', {
    payment: `status = 'failed' and not refused and letters_failed = 0
      and not contradicted and not by_operator and last_error is distinct from 'canceled'`,
  }),
  success_without_evidence: critical('payment', 'A success has a yes of gateway or operator.', {
    payment: `status = 'success' and type <> 'return' and not said_yes and not by_operator`,
  }),
  // That nothing was executed is a no only if no other charge is in doubt.
  failed_without_evidence: critical('payment', 'A failure has a no of gateway or operator.', {
    payment: `status = 'failed' and not refused and not said_no and not by_operator
      and last_error is distinct from 'canceled'`,
  }),
  canceled_but_sent: critical(
    'payment',
    'What was canceled was never sent, or the gateway ended it.',
    {
      payment: `status = 'failed' and last_error = 'canceled' and not said_no and doubts > 0`,
    },
  ),
  // A claim in flight has none yet; a letter may stand for a claim that made no call.
  attempts_without_evidence: warning('payment', 'Every counted attempt left evidence.', {
    payment: `greatest(attempts, task_attempts) > claims + letters + leased::int`,
  }),
  attempt_orphan: warning('attempt', 'Evidence belongs to a payment that exists.', {
    attempt: `orphan`,
  }),
  evidence_unclaimed: critical('attempt', 'Evidence belongs to a claim that was made.', {
    payment: `fence_min < 1 or fence_max > fence`,
  }),
  gateway_charged_twice: critical('charge', 'The gateway charged each payment once at most.'),
  gateway_missing_here: critical(
    'charge',
    'What the gateway charged is not failed here, or booked by a word.',
  ),
  gateway_missing_there: critical(
    'charge',
    'What is booked as executed was executed there, or came back by itself.',
  ),
  gateway_return_missing_here: critical(
    'charge',
    'What came back at the gateway an hour ago, or before, is booked.',
  ),
  gateway_return_missing_there: critical(
    'charge',
    'What is booked as come back, and would be listed by its gateway, is listed.',
  ),
  gateway_return_amount: critical(
    'charge',
    'What came back at the gateway is booked as the same, and as much.',
  ),
  gateway_amount: critical('charge', 'The gateway charged the amount that is in the books.'),
} satisfies Record<string, Rule>

export type RuleCode = keyof typeof RULES

/** All codes, in the order of the report. */
// Object.keys forgets the keys' type.
export const RULE_CODES = Object.keys(RULES) as readonly RuleCode[]

/** The codes of the rules that a row of this kind violates, separated by commas, in SQL. */
export function violatedBy(row: Row): string {
  const cases = RULE_CODES.flatMap((code) => {
    const { broken }: Rule = RULES[code]
    return broken[row] === undefined ? [] : [`case when ${broken[row]} then '${code}' end`]
  })
  return `array_to_string(array[\n      ${cases.join(',\n      ')}\n    ], ',')`
}
