import type { FeePolicy, Fees } from '../../src/domain/fee.ts'
import { ACCOUNT_NAMES } from '../../src/domain/ledger.ts'
import { must, Violation } from './promises.ts'
import { HOME } from './currencies.ts'
import { actsByPayment, checkNewActs, NO_ACTS, type Acts } from './act-checks.ts'
import { checkGivenBack } from './back-checks.ts'
import { checkEvents } from './event-checks.ts'
import { checkLookedAt, checkWithGateway } from './gateway-checks.ts'
import { checkPostings, costOf } from './posting-checks.ts'
import { checkTasks } from './task-checks.ts'
import { checkReferences } from './text-checks.ts'
import type { Journal } from './gateway.ts'
import type { LetterRow, PaymentRow, Tables, TaskRow } from './tables.ts'

/** What the auditor knows of the world; nothing of it comes from the code under test. */
export interface AuditWorld {
  readonly tables: Tables
  readonly journal: Journal
  readonly nowMs: () => number
  readonly fees: Fees
  readonly refundFee: FeePolicy
  readonly returnFee: FeePolicy
  readonly attemptsMax: number
  /** Whether a charge that may have happened can be told from one that has not. */
  readonly lookup: 'none' | 'eventual' | 'consistent'
  /** How old payments that ended well are when they are looked at; none: they are not. */
  readonly watchMs: readonly number[]
  /** Payments with a yes that nobody acted on when it was kept. */
  readonly ignored: ReadonlySet<bigint>
}

export interface Auditor {
  /** Check the whole books; cheap when nothing was committed since the last time. */
  check(): void
  /** Check what must hold when nothing is left to do. */
  checkAtRest(): void
}

/** What is remembered of the books as they were, to judge how they changed. */
interface Before {
  readonly payments: Map<bigint, PaymentRow>
  readonly tasks: Map<bigint, TaskRow>
  postings: number
  attempts: number
  acts: number
  /** Payments with a yes in their evidence. */
  yes: ReadonlySet<bigint>
}

/**
 * An auditor with a model of its own: it recomputes commissions, postings and balances, and follows
 * every row from commit to commit. Throws `Violation` at the first broken promise.
 */
export function auditor(world: AuditWorld): Auditor {
  const { tables, journal } = world
  const before: Before = {
    payments: new Map(),
    tasks: new Map(),
    postings: 0,
    attempts: 0,
    acts: 0,
    yes: new Set(),
  }
  let version = -1
  let executed = -1

  const check = (): void => {
    checkGateway(world)
    if (tables.version() === version && journal.executed.size === executed) return
    version = tables.version()
    executed = journal.executed.size
    const letters = lettersByPayment(tables)
    const evidence = evidenceByPayment(tables)
    checkBalances(tables)
    checkNewEvidence(tables, before)
    checkAppendOnly(tables, before)
    checkNewActs(tables, before)
    checkGivenBack(world, before.payments)
    const acts = actsByPayment(tables)
    for (const payment of tables.payments.rows.values()) {
      const own = acts.get(payment.id) ?? NO_ACTS
      checkChange(payment, before.payments.get(payment.id), own)
      checkLookedAt(payment, before.payments.get(payment.id), world)
      checkCommission(payment, world)
      checkPostings(payment, tables, own.corrected)
      const known = { letters: letters.get(payment.id) ?? [], acts: own }
      checkWork(payment, world, known)
      checkVerdict(payment, world, known, evidence.get(payment.id))
      checkRepeat(payment, tables)
      if (!before.payments.has(payment.id)) checkArrival(payment, tables)
      before.payments.set(payment.id, payment)
    }
    checkCounts(tables)
    checkEvents(tables)
    checkTasks(world, before.tasks, (id) => acts.get(id)?.redriven ?? 0)
    before.acts = tables.acts.rows.size
    before.yes = new Set([...evidence].filter(([, said]) => said.has('success')).map(([id]) => id))
  }

  return {
    check,
    checkAtRest() {
      version = -1
      check()
      for (const payment of tables.payments.rows.values()) checkFinished(payment, world)
      checkReferences(tables)
      checkWithGateway(tables, journal)
    },
  }
}

/** A repeat is of a failed payment, as it was, and the only one. */
function checkRepeat(payment: PaymentRow, tables: Tables): void {
  if (payment.redriveOf === null) return
  const first = tables.payments.get(payment.redriveOf)
  must(first?.status === 'failed', 'only a failed payment is repeated', payment)
  for (const field of ['userId', 'type', 'amount', 'commission', 'parentId'] as const) {
    must(first?.[field] === payment[field], `a repeat has the same ${field}`, payment)
  }
  const others = [...tables.payments.rows.values()].filter(
    ({ redriveOf }) => redriveOf === payment.redriveOf,
  )
  must(others.length === 1, 'a failed payment is repeated once', payment)
}

function checkGateway({ journal, tables, attemptsMax }: AuditWorld): void {
  for (const [id, charges] of journal.executed) {
    must(charges.length === 1, 'the gateway executes a payment once', id)
    const amount = tables.payments.get(id)?.amount
    must(charges[0]?.amount === amount, 'the gateway executes the amount asked for', id)
  }
  const acts = tables.acts.rows.size === 0 ? null : actsByPayment(tables)
  for (const [id, calls] of journal.calls) {
    const rounds = 1 + (acts?.get(id)?.redriven ?? 0)
    must(calls <= attemptsMax * rounds, 'a payment is not sent more often than allowed', id)
  }
}

/** The counters say what the tables say, after every commit. */
function checkCounts(tables: Tables): void {
  const payments = [...tables.payments.rows.values()]
  // What came back by itself was nobody's work.
  const accepted = payments.filter(({ refusedFor, type }) => {
    return refusedFor === null && type !== 'return'
  })
  const letters = [...tables.letters.rows.values()]
  const total = (
    what: 'succeeded' | 'failed' | 'letters' | 'resolved_success' | 'resolved_failed',
  ) => [...tables.counts.rows.values()].reduce((sum, row) => sum + Number(row[what]), 0)
  const ended = (status: string) => accepted.filter((payment) => payment.status === status).length
  must(total('succeeded') === ended('success'), 'successes are counted', total('succeeded'))
  must(total('failed') === ended('failed'), 'failures are counted', total('failed'))
  const words = [...tables.acts.rows.values()].filter(
    ({ before, after }) => before['payment'] === 'unknown' && after['payment'] !== 'new',
  )
  const said = (how: string) => words.filter(({ after }) => after['payment'] === how).length
  must(total('resolved_success') === said('success'), 'words are counted', words.length)
  must(total('resolved_failed') === said('failed'), 'words are counted', words.length)
  must(total('letters') === letters.length, 'letters are counted', total('letters'))
}

function lettersByPayment(tables: Tables): Map<bigint, LetterRow[]> {
  const letters = new Map<bigint, LetterRow[]>()
  for (const letter of tables.letters.rows.values()) {
    letters.set(letter.paymentId, [...(letters.get(letter.paymentId) ?? []), letter])
  }
  return letters
}

/** Conservation, and stored balances equal postings. */
function checkBalances(tables: Tables): void {
  const sums = new Map<bigint, { available: bigint; held: bigint; owed: bigint }>()
  for (const posting of tables.postings.rows.values()) {
    const sum = ACCOUNT_NAMES.reduce((total, account) => total + posting[account], 0n)
    must(sum === 0n, 'a journal entry sums to zero', posting)
    const own = sums.get(posting.userId) ?? { available: 0n, held: 0n, owed: 0n }
    own.available += posting.user
    own.held += posting.held
    sums.set(posting.userId, own)
  }
  for (const payment of tables.payments.rows.values()) {
    const open = payment.status === 'new' || payment.status === 'unknown'
    const own = sums.get(payment.userId)
    const currency = tables.users.get(payment.userId)?.currency
    must(payment.currency === currency, 'a payment is in the currency of its user', payment)
    if (own === undefined) throw new Violation(`a payment has a user ${payment.id}`)
    if (open && payment.type !== 'deposit') own.owed += costOf(payment)
  }
  for (const user of tables.users.rows.values()) {
    const own = sums.get(user.id) ?? { available: 0n, held: 0n, owed: 0n }
    must(user.available >= 0n && user.held >= 0n, 'nobody spends what is not there', user)
    must(user.available === own.available, 'what can be spent equals its postings', user)
    must(user.held === own.held, 'what is held equals its postings', user)
    must(user.held === own.owed, 'what is held equals what is open', user)
  }
}

/** Only the newest claim of an open task reports in time; the evidence of all others is late. */
function checkNewEvidence(tables: Tables, before: Before): void {
  if (tables.attempts.rows.size === before.attempts) return
  for (const attempt of [...tables.attempts.rows.values()].slice(before.attempts)) {
    const newest = before.tasks.get(attempt.paymentId)?.fence === attempt.fence
    must(newest || attempt.late, 'late evidence is marked late', attempt)
  }
}

function checkAppendOnly(tables: Tables, before: Before): void {
  must(tables.postings.rows.size >= before.postings, 'no posting is ever removed')
  must(tables.attempts.rows.size >= before.attempts, 'no evidence is ever removed')
  before.postings = tables.postings.rows.size
  before.attempts = tables.attempts.rows.size
}

const LEGAL: Readonly<Record<PaymentRow['status'], readonly string[]>> = {
  new: ['new', 'unknown', 'success', 'failed'],
  unknown: ['unknown', 'success', 'failed'],
  success: ['success'],
  failed: ['failed'],
}

const FIXED = [
  ...(['userId', 'type', 'amount', 'commission', 'gatewayKey', 'idempotencyKey'] as const),
  ...(['parentId', 'feeReturned', 'returnKind', 'currency'] as const),
]

function checkChange(now: PaymentRow, before: PaymentRow | undefined, acts: Acts): void {
  if (before === undefined || before === now) return
  const again = before.status === 'unknown' && now.status === 'new' && acts.redriven > 0
  must(again || LEGAL[before.status].includes(now.status), 'a final state is never left', now)
  for (const field of FIXED) must(now[field] === before[field], `${field} never changes`, now)
  if (before.status === 'success' || before.status === 'failed') {
    must(now.finishedAt === before.finishedAt, 'a final payment never changes', now)
  }
}

/** Half-up to the minor unit, computed another way than in the code under test. */
function checkCommission(payment: PaymentRow, { fees }: AuditWorld): void {
  if (payment.parentId !== null) {
    return must(payment.commission === 0n, 'what goes back costs nothing', payment)
  }
  const feeMin = fees.mins.get(payment.currency ?? HOME) ?? 0n
  const exact = payment.amount * BigInt(fees.bps)
  const rest = exact % 10_000n
  const share = exact / 10_000n + (rest * 2n >= 10_000n ? 1n : 0n)
  must(payment.commission === (share < feeMin ? feeMin : share), 'the commission rule', payment)
}

function refusedAtOnce(payment: PaymentRow): boolean {
  return payment.refusedFor !== null
}

/** What others know of a payment. */
interface Known {
  readonly letters: readonly LetterRow[]
  readonly acts: Acts
}

/** No open payment without somebody who will finish it; no work without an open payment. */
function checkWork(
  payment: PaymentRow,
  { tables, lookup }: AuditWorld,
  { letters, acts }: Known,
): void {
  const task = tables.tasks.get(payment.id)
  const open = letters.filter((letter) => letter.state === 'open')
  const { status } = payment
  must(open.length <= 1, 'a payment has one open letter at most', payment)
  const inHand = letters.some(({ error }) => error === 'pending')
  must(lookup === 'none' || !inHand, 'what the gateway has in hand opens no letter', payment)
  if (status === 'new') must(task !== undefined, 'a new payment has a task', payment)
  if (status === 'unknown') {
    must(open[0]?.class === 'unknown', 'a payment in doubt has an open letter', payment)
    must((task?.lookups ?? 1) > 0, 'lookups of a payment in doubt are counted', task)
  }
  if (status === 'success') {
    const told = open.every(({ error }) => error === 'maybe_charged_twice')
    must(told, 'a success has no open letter but one that says it may be the second', payment)
  }
  if (status === 'failed' || status === 'success') {
    must(task === undefined, 'a final payment has no task', payment)
  }
  checkEnd(payment, { letters, acts })
}

/** Whoever wanted it ended is known; of what else failed somebody is told. */
function checkEnd(payment: PaymentRow, { letters, acts }: Known): void {
  const canceled = payment.lastError === 'canceled'
  const byAct = canceled ? acts.canceled || acts.asked : !acts.canceled
  must(byAct, 'a payment is canceled by somebody’s act', payment)
  if (acts.canceled) return must(letters.length === 0, 'a canceled payment has no letter', payment)
  if (payment.status === 'failed' && !canceled && !refusedAtOnce(payment)) {
    const told = letters.some(
      (letter) => letter.class === 'failed' || letter.error === 'charged_after_failed',
    )
    must(told || acts.word !== null, 'a failed payment has a letter', payment)
  }
}

/** Final states are true: nothing succeeds or fails but by the gateway's word. */
function checkVerdict(
  payment: PaymentRow,
  { journal, ignored }: AuditWorld,
  { letters, acts: { word, canceled } }: Known,
  evidence: ReadonlySet<string> | undefined,
): void {
  const { id, status, type, parentId } = payment
  if (type === 'return') return must(!journal.executed.has(id), 'nobody is asked for it', payment)
  for (const { parent } of journal.executed.get(id) ?? []) {
    must(parent === parentId, 'the gateway is told what a refund gives back', payment)
  }
  const executed = journal.executed.has(id)
  const seen = evidence?.has('success') ?? false
  if (status === 'new' || status === 'unknown') {
    const decided = !seen || ignored.has(id)
    must(decided, 'evidence decides: no payment with a yes stays open', payment)
  }
  if (status === 'success' && word === null) {
    must(executed, 'only what the gateway executed succeeds', payment)
    must(seen, 'a success has evidence', payment)
  }
  const known = { letters, word, canceled }
  if (status === 'failed') checkFailure(payment, { executed, journal }, known, evidence)
}

function checkFailure(
  payment: PaymentRow,
  { executed, journal }: { readonly executed: boolean; readonly journal: Journal },
  { letters, word, canceled }: Pick<Known, 'letters'> & Pick<Acts, 'word' | 'canceled'>,
  evidence: ReadonlySet<string> | undefined,
): void {
  if (refusedAtOnce(payment)) return must(!executed, 'what was refused is never executed', payment)
  // What its gateway ended because somebody asked was in its hands, and is like any other failure.
  if (canceled) {
    const doubt = DOUBTS.some((outcome) => evidence?.has(outcome))
    return must(!executed && !doubt, 'what was canceled is never charged', payment)
  }
  must(evidence !== undefined || word !== null, 'a failure has evidence', payment)
  if (!executed) return
  const excused = journal.broken.has(payment.id) || word !== null
  must(excused, 'nothing fails that the gateway executed', payment)
  const flagged = letters.some((letter) => letter.error === 'charged_after_failed')
  const seen = evidence?.has('success') ?? false
  const insisted = word?.after['against_evidence'] === 'success'
  must(!seen || flagged || insisted, 'evidence against a final state has a letter', payment)
}

/** What says that a charge may have been executed. */
const DOUBTS = ['success', 'in_doubt', 'pending']

/** What the evidence of each payment says. */
function evidenceByPayment(tables: Tables): Map<bigint, Set<string>> {
  const evidence = new Map<bigint, Set<string>>()
  for (const { paymentId, outcome } of tables.attempts.rows.values()) {
    const seen = evidence.get(paymentId)
    if (seen === undefined) evidence.set(paymentId, new Set([outcome]))
    else seen.add(outcome)
  }
  return evidence
}

/** A withdrawal is refused for lack of funds only if they were lacking. */
function checkArrival(payment: PaymentRow, tables: Tables): void {
  if (!refusedAtOnce(payment) || payment.type === 'refund') return
  const available = tables.users.get(payment.userId)?.available ?? 0n
  must(available < payment.amount + payment.commission, 'a no is true', payment)
}

/** With the faults over everything ends as the gateway has it; what is left has a reason. */
function checkFinished(payment: PaymentRow, { journal, lookup, tables }: AuditWorld): void {
  const { id, status } = payment
  must(status !== 'new', 'every payment is finished when nothing is left to do', payment)
  if (status !== 'unknown') return
  must(lookup !== 'consistent', 'a consistent lookup resolves every doubt', payment)
  const looked = lookup === 'eventual' && tables.tasks.get(id) !== undefined
  must(!looked || !journal.executed.has(id), 'a charge that can be looked up is found', payment)
}
