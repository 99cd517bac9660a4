import { againstRedrive, type GatewayTerms, type KnownEvidence } from './evidence.ts'
import { CANCELED } from './cancel.ts'
import { total } from './ledger.ts'
import type { Exponent } from './currency.ts'
import { formatMoney } from './money.ts'
import type { BookedType, Payment } from './payment.ts'
import type { Refusal } from './refusal.ts'
import { mayRepeat, NOT_FINISHED } from './doubt.ts'

/**
 * The error of a letter about a failed payment that the gateway turned out to have charged. Its
 * money has moved, so nothing may send it again: a person has to look.
 */
export const CHARGED_AFTER_FAILED = 'charged_after_failed'

/**
 * The error of a letter about a payment that succeeded under a key that its gateway had forgotten:
 * an earlier charge whose reply was lost may have been executed as well. A person has to look.
 */
export const MAYBE_CHARGED_TWICE = 'maybe_charged_twice'

/** A task as it is explained to people. */
export interface TaskLook {
  /** When it is due; while `leased`, when its lease ends. */
  readonly runAt: Date
  /** How long until then, in milliseconds; 0: it has come. */
  readonly dueInMs: number
  /** Charges that may have been sent. */
  readonly attempts: number
  /** How much of the limit is used up; a redrive starts it over. */
  readonly tries: number
  readonly lookups: number
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
  /** Its payer has to do something first. */
  readonly asksPayer: boolean
  /** Claimed and not settled, even if the lease is over: then its worker is lost. */
  readonly leased: boolean
  /** Whether `runAt` has come. */
  readonly due: boolean
  readonly inDoubt: boolean
  readonly lastError: string | null
}

/** A payment as it is explained: what gives back what, and what came back how. */
type Explained = Omit<Payment, 'type'> & {
  readonly type: BookedType
  /** Of it, what is refunded and what came back by itself. */
  readonly refunded: bigint
  readonly returned: bigint
  readonly parentId: bigint | null
  readonly feeReturned: bigint | null
  readonly returnKind:
    'payout_returned' | 'charged_back' | 'refunded_there' | 'dispute_won' | 'was_refund' | null
}

/** All that a payment's state follows from. */
export interface Situation {
  readonly payment: Explained
  /** Of its currency. */
  readonly exponent: Exponent
  /**
   * Its task; null: it has left the queue. `due`: its moment, or the end of its lease, has come.
   */
  readonly task: TaskLook | null
  /** What all calls together say, and since when its key is in use. */
  readonly known: KnownEvidence
  /**
   * What the gateway in use can do: what happens next, and what an operator can do, follow from it.
   */
  readonly terms: GatewayTerms
  /** What the newest gateway call came to that was settled in time; null: none was made. */
  readonly lastOutcome: string | null
  /** Why its newest charge in doubt is so, as a code; null: none is, or nobody has said why. */
  readonly doubtedBy: string | null
  /** The yes came by a claim that had been lost. */
  readonly lateYes: boolean
  /** An operator redrove it while its outcome was unknown. */
  readonly redriven: boolean
  /** Who decided the outcome in the gateway's place, if a person did. */
  readonly resolved: { readonly actor: string; readonly reason: string } | null
  /** Its open dead letter. */
  readonly letter: { readonly id: bigint; readonly error: string } | null
  /** The payment that repeats it. */
  readonly repeatedBy: bigint | null
  /** An operator booked that the gateway had executed it, although it failed. */
  readonly corrected: boolean
}

/** One sentence: why a payment is in its state, and what happens next, when. */
export function explain(situation: Situation): string {
  const { payment, task } = situation
  if (payment.type === 'return') return cameBack(payment)
  if (payment.status === 'success') return succeeded(situation)
  if (payment.status === 'failed') return failed(situation)
  if (payment.status === 'unknown') return unknown(situation)
  if (task === null) {
    return 'It is open and has no task to finish it, which must not be: run `payments verify`.'
  }
  return task.leased ? claimed(task) : waiting(situation, task)
}

function claimed(task: TaskLook): string {
  if (task.due) {
    return (
      'The worker that held it was lost, so a charge may have been sent and it is in doubt; the ' +
      'next free worker takes it over now.'
    )
  }
  const what =
    task.inDoubt || task.pending
      ? 'is finding out what became of an earlier charge'
      : `is charging the gateway (attempt ${task.attempts + 1})`
  return `A worker ${what}; if that worker dies, another takes over at ${time(task.runAt)}.`
}

function waiting(situation: Situation, task: TaskLook): string {
  const { tries, attempts, lastError } = task
  if (task.pending && task.asksPayer) {
    return (
      'The gateway waits for the payer, who has to open a page; it is asked again ' +
      `${when(task)}.`
    )
  }
  if (task.pending) {
    return `The gateway has it and has not finished it; ${when(task)} it is asked again.`
  }
  if (task.inDoubt) return inDoubt(situation, task)
  if (tries === 0 && attempts === 0 && lastError === null) {
    return task.due
      ? `It was accepted and has waited for a free worker since ${time(task.runAt)}.`
      : `It was accepted, and its first attempt is due ${when(task)}.`
  }
  if (tries === 0) {
    return (
      `The gateway refuses to talk to us${because(lastError)}, so no money moved and nothing is ` +
      `used up; it is tried again ${when(task)}.`
    )
  }
  return (
    `Try ${tries} was not executed${because(lastError)}, so no money moved; the next one is due ` +
    `${when(task)}.`
  )
}

/** Why it is in doubt, and what finds out: asking, sending again under its key, or neither. */
function inDoubt({ redriven, known, terms, doubtedBy }: Situation, task: TaskLook): string {
  const doubt =
    redriven && task.tries === 0
      ? 'An operator redrove it and what became of its earlier charge is not known'
      : `It is in doubt whether the gateway executed it${because(doubtedBy ?? task.lastError)}`
  const again = mayRepeat(known, terms, task.dueInMs)
  if (terms.lookup !== 'none') {
    const then = again
      ? 'and it is sent again only under its own key'
      : 'and it is sent again only if that proves that it never arrived'
    return `${doubt}; ${when(task)} the gateway is asked, ${then}.`
  }
  if (again) return `${doubt}; ${when(task)} it is sent again under its own key.`
  return (
    `${doubt}, and the gateway can neither be asked nor charged again safely; ${when(task)} it ` +
    'becomes unknown, for an operator to resolve.'
  )
}

function unknown(situation: Situation): string {
  const { payment, exponent, task, letter, terms, known } = situation
  const cost = heldOf(payment)
  const money =
    cost === null ? 'nothing is credited' : `its ${formatMoney(cost, exponent)} stay held`
  const which = letter === null ? 'it' : `dead letter ${letter.id}`
  if (known.yes) {
    return (
      `The gateway said that it executed it, in a report that came late; redriving ${which} ` +
      'settles it.'
    )
  }
  const canAsk = terms.lookup !== 'none'
  const given = payment.lastError === NOT_FINISHED
  const doubt = given ? payment.lastError : (situation.doubtedBy ?? payment.lastError)
  const why = given
    ? 'The gateway took it, and neither finished nor ended it in time'
    : `Nobody knows whether the gateway executed it${because(doubt)}`
  if (task === null || (!canAsk && !task.leased)) {
    const acts = canAsk || mayRepeat(known, terms) ? 'redrives or resolves' : 'resolves'
    const how = canAsk ? 'it is not looked up any more' : 'the gateway cannot be asked'
    return `${why} and ${how}; ${money} until an operator ${acts} ${which}.`
  }
  return `${why}; ${money}, and ${nextLookup(task, doubt)}.`
}

/** When the gateway is asked, and what it has said since, where that is something else. */
function nextLookup(task: TaskLook, doubt: string | null): string {
  const { lastError } = task
  if (task.leased) {
    return task.due
      ? 'the worker that asked was lost, so another asks now'
      : `the gateway is being asked, until ${time(task.runAt)} at the latest`
  }
  const asked = lastError === null || lastError === doubt ? '' : ` (last lookup: ${lastError})`
  return `the gateway is asked again ${when(task)}${asked}`
}

/** What of it went back since; empty: nothing. */
function wentBack({ payment: { refunded, returned }, exponent }: Situation): string {
  const parts = [
    ...(refunded === 0n ? [] : [`${formatMoney(refunded, exponent)} of it was refunded`]),
    ...(returned === 0n ? [] : [`${formatMoney(returned, exponent)} of it came back`]),
  ]
  return parts.length === 0 ? '' : `; ${parts.join(' and ')}`
}

function succeeded(situation: Situation): string {
  const { payment, resolved, lateYes, letter } = situation
  const reference = payment.gatewayRef === null ? '' : ` (reference ${payment.gatewayRef})`
  const who =
    resolved === null
      ? `The gateway executed it${reference} within ${count(payment.attempts, 'attempt')}` +
        (lateYes ? ', as a report said that came late' : '')
      : `${resolved.actor} resolved it as executed${reference}: "${resolved.reason}"`
  if (letter?.error === MAYBE_CHARGED_TWICE) {
    return (
      `${who}; it is final${since(payment.finishedAt)}, but the gateway may have executed an ` +
      'earlier charge of it as well: compare with the gateway, then resolve dead letter ' +
      `${letter.id}.`
    )
  }
  const back = wentBack(situation)
  return `${who}; it is final${since(payment.finishedAt)} and nothing happens next${back}.`
}

function failed(situation: Situation): string {
  const { payment, letter, repeatedBy, known, terms, corrected } = situation
  if (corrected) {
    return (
      'It failed, and an operator booked that the gateway had executed it; nothing happens ' +
      'next.'
    )
  }
  if (letter?.error === CHARGED_AFTER_FAILED) {
    return (
      'It failed, and later the gateway said that it had charged it; nothing happens by itself: ' +
      (payment.type === 'refund'
        ? `book it as a return of payment ${payment.parentId}, and resolve dead letter ` +
          `${letter.id} if ` +
          'that does not close it.'
        : `correct dead letter ${letter.id}, which books it, or settle it there and resolve it.`)
    )
  }
  let next = 'and nothing happens next'
  if (repeatedBy !== null) next = `and payment ${repeatedBy} repeats it`
  else if (letter !== null) next = offer(letter.id, againstRedrive('failed', known, terms)?.code)
  return `${failure(situation)}; it is final${since(payment.finishedAt)}, ${next}.`
}

/** What an operator can do about a failed payment, by what speaks against repeating it. */
function offer(letterId: bigint, against: Refusal['code'] | undefined): string {
  if (against === undefined)
    return `and redriving dead letter ${letterId} makes a new payment of it`
  if (against === 'evidence_contradicts') {
    return (
      'but some call saw the gateway say yes: settle it there, then resolve dead letter ' +
      `${letterId}`
    )
  }
  return (
    'but a charge of it may have been executed: ask the gateway before you insist on redriving ' +
    `dead letter ${letterId}`
  )
}

function failure({ payment, resolved, lastOutcome }: Situation): string {
  const { lastError: reason, refusedFor } = payment
  if (refusedFor !== null) return `It was refused when it arrived${because(refusedFor)}`
  const back = heldOf(payment) === null ? ' and no money moved' : ' and its hold was given back'
  if (reason === CANCELED) {
    if (lastOutcome === 'declined') return `It was canceled at the gateway${back}`
    const before = payment.attempts === 0 ? 'sent' : 'executed'
    return `It was canceled before it was ${before}${back}`
  }
  if (resolved !== null) {
    return `${resolved.actor} resolved it as not executed${back}: "${resolved.reason}"`
  }
  if (lastOutcome === 'declined') return `The gateway declined it${because(reason)}${back}`
  if (lastOutcome === 'not_found') return `The gateway proved that it never executed it${back}`
  if (lastOutcome === 'rejected') return `The gateway refused the request${because(reason)}${back}`
  if (lastOutcome === 'misconfigured') {
    return `The gateway would not take it, although it took others${because(reason)}${back}`
  }
  if (payment.attempts === 0) return `It was never sent${because(reason)}${back}`
  return `None of ${count(payment.attempts, 'attempt')} was executed${because(reason)}${back}`
}

const CAME_BACK = {
  payout_returned: 'A payout came back',
  charged_back: 'A deposit was charged back',
  refunded_there: 'A deposit was refunded at the gateway itself',
  dispute_won: 'A dispute was won, so money of a deposit came back',
  was_refund: 'A return turned out to be a refund of ours, and was taken back',
} as const

function cameBack({ returnKind, parentId, gatewayRef, finishedAt }: Explained): string {
  const what = returnKind === null ? 'Money came back' : CAME_BACK[returnKind]
  const reference = gatewayRef === null ? '' : `, reference ${gatewayRef}`
  return `${what} (payment ${parentId}${reference}); it is booked and final${since(finishedAt)}.`
}

/** What a payment holds while it is open; null: nothing. */
function heldOf({ type, amount, commission, feeReturned }: Explained): bigint | null {
  if (type === 'withdraw') return total({ amount, commission })
  return type === 'refund' ? amount - (feeReturned ?? 0n) : null
}

function because(reason: string | null): string {
  return reason === null ? '' : ` (${reason})`
}

function since(at: Date | null): string {
  return at === null ? '' : ` since ${time(at)}`
}

function when(task: TaskLook): string {
  return task.due ? 'now' : `at ${time(task.runAt)}`
}

/** A moment in UTC, to the second. */
function time(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
