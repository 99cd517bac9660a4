import type { AdmissionRefusal } from './admission.ts'
import type { Exponent } from './currency.ts'
import type { Details } from './details.ts'
import { commission, type Fee } from './fee.ts'
import { holdEntry, total, type Entry } from './ledger.ts'
import { inCurrency, shortest, type Decimal, type MoneyProblem } from './money.ts'
import type { Payment, PaymentType } from './payment.ts'
import type { Refusal } from './refusal.ts'
import { UNROUTED, type Routing } from './routing.ts'
import { differing, type SentFields } from './sent-fields.ts'

/** A payment as it was asked for. */
export interface PaymentDraft {
  readonly type: PaymentType
  readonly userId: bigint
  /** In minor units of the books' currency, and within its range; see `asked`. */
  readonly amount: bigint
  readonly idempotencyKey: string | null
  /** Where it is to be carried out; not there: wherever such payments are. */
  readonly gateway?: string
  /** What was said about it; not there where nothing was. */
  readonly given?: Given
  /**
   * The amount as it was sent, which then counts: where a currency was named, or the amount is none
   * of the books' currency and may be one of another. Not there in any other request.
   */
  readonly asked?: Asked
  /** The place of its request in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

interface Asked {
  readonly amount: Decimal
  /** The currency that the request named; null: none. */
  readonly currency: string | null
}

/** What an account is kept in, and what its payments cost. */
export interface Terms {
  readonly currency: string
  readonly exponent: Exponent
  readonly fee: Fee
}

/** What was said about a payment, and its fields as they were sent. */
interface Given {
  readonly details: Details
  readonly sent: SentFields
}

/** A field of a request; of what was said about a payment, `at` says which. */
export type DraftField = Exclude<keyof PaymentDraft, 'traceparent'>

interface Fault {
  readonly field: DraftField
  readonly code: string
  /** Where it stands below the field, as a JSON Pointer. */
  readonly at?: string
}

/** A no to a draft. Which fields are at fault; where a request has them, only its way in knows. */
export interface DraftRefusal extends Omit<Refusal, 'errors'> {
  readonly faults?: readonly Fault[]
}

/** What a caller is told, in the order of the drafts. `replayed`: decided by an earlier request. */
export type Answer =
  | {
      readonly kind: 'accepted'
      readonly payment: AcceptedPayment
      readonly replayed: boolean
      /** Of the payment's currency. */
      readonly exponent: Exponent
    }
  | { readonly kind: 'refused'; readonly refusal: DraftRefusal; readonly replayed: boolean }

/**
 * The answer about a user whom somebody else has locked: nothing was decided, and nothing is
 * stored.
 */
export const BUSY: Answer = { kind: 'refused', refusal: { code: 'busy' }, replayed: false }

/**
 * The part of a payment that an answer is made of, the same for the first answer and every replay.
 */
export type AcceptedPayment = Pick<
  Payment,
  'id' | 'userId' | 'amount' | 'commission' | 'idempotencyKey' | 'gateway'
> & {
  readonly type: PaymentType
  readonly refusedFor: 'insufficient_funds' | null
  /** Null: that of the books. */
  readonly currency: string | null
}

/** What a batch of drafts is decided on; the users are locked where the decision depends on it. */
export interface Books {
  /** What each user can spend, in minor units; a user that is not in the map does not exist. */
  readonly available: ReadonlyMap<bigint, bigint>
  /** Earlier payments by `keyOf`. */
  readonly earlier: ReadonlyMap<string, AcceptedPayment>
  /** At least one unused payment id for each draft. */
  readonly ids: readonly bigint[]
  /** What was said about earlier payments, by their ids; nothing where a payment is not in it. */
  readonly sent?: ReadonlyMap<bigint, SentFields>
  /** Payments that did not fail, by `keyOf` user and reference. */
  readonly references?: ReadonlyMap<string, bigint>
  /** Of those users whose accounts are not in the books' currency. */
  readonly elsewhere?: ReadonlyMap<bigint, Terms>
  /** Where payments go; not there: to the one gateway there is. */
  readonly gateways?: Gateways
}

/** Where payments go, and where none may go now. */
export interface Gateways {
  readonly routing: Routing
  /** Why payments of a type are refused at a gateway now; null: they are accepted. */
  readonly closed: (gateway: string, type: PaymentType) => AdmissionRefusal | null
}

const ONE_GATEWAY: Gateways = { routing: UNROUTED, closed: () => null }

/** What was said about a payment, to be written. */
export interface Noted extends Given {
  readonly id: bigint
  readonly userId: bigint
  /** Whether it did not fail, so that its reference is taken. */
  readonly live: boolean
}

/** What a batch comes to: the answers, and everything to write. */
export interface AcceptanceVerdict {
  readonly answers: readonly Answer[]
  readonly payments: readonly AcceptedPayment[]
  readonly holds: readonly Entry[]
  readonly noted: readonly Noted[]
  readonly idsUsed: number
}

/** The scope of an idempotency key or a reference: two users may use the same. */
export function keyOf(userId: bigint, idempotencyKey: string): string {
  return `${userId} ${idempotencyKey}`
}

/**
 * Decide every draft of a batch in order: earlier drafts spend before later ones, and a later draft
 * with an earlier one's key is its replay. Refusals harm no neighbour.
 *
 * A refusal for lack of funds under a key is stored as a failed payment, so that a retry never
 * turns a "no" that the caller acted on into a "yes". Without a key nothing could replay it:
 * nothing stored.
 */
export function decideBatch(
  drafts: readonly PaymentDraft[],
  books: Books,
  home: Terms,
): AcceptanceVerdict {
  const batch: Batch = {
    home,
    elsewhere: books.elsewhere ?? NOWHERE,
    gateways: books.gateways ?? ONE_GATEWAY,
    ids: books.ids,
    available: new Map(books.available),
    decided: new Map(books.earlier),
    sent: new Map(books.sent),
    references: new Map(books.references),
    payments: [],
    holds: [],
    noted: [],
  }
  const answers = drafts.map((draft) => decide(batch, draft))
  const { payments, holds, noted } = batch
  return { answers, payments, holds, noted, idsUsed: payments.length }
}

const NOWHERE: ReadonlyMap<bigint, Terms> = new Map()

/** What the drafts of a batch have come to so far. */
interface Batch {
  /** The terms of the books' currency. */
  readonly home: Terms
  readonly elsewhere: ReadonlyMap<bigint, Terms>
  readonly gateways: Gateways
  readonly ids: readonly bigint[]
  readonly available: Map<bigint, bigint>
  readonly decided: Map<string, AcceptedPayment>
  readonly sent: Map<bigint, SentFields>
  readonly references: Map<string, bigint>
  readonly payments: AcceptedPayment[]
  readonly holds: Entry[]
  readonly noted: Noted[]
}

function decide(batch: Batch, draft: PaymentDraft): Answer {
  const balance = batch.available.get(draft.userId)
  const { home, elsewhere } = batch
  if (balance === undefined) return nobodys(draft, home)
  const plain = draft.asked === undefined && elsewhere.size === 0
  return plain ? decideIn(batch, draft, balance, home) : decideExactly(batch, draft, balance)
}

/**
 * The refusal of a draft of no user. An amount that the books' currency cannot hold is said to be
 * that, whoever it is for, unless a currency was named.
 */
function nobodys({ asked }: PaymentDraft, { exponent }: Terms): Answer {
  return asked?.currency === null ? wrongAmount('amount_precision', exponent) : refuse(NOBODY)
}

const NOBODY: DraftRefusal = { code: 'user_not_found' }

function wrongAmount(code: MoneyProblem, exponent: Exponent): Answer {
  return refuse({ code, faults: [{ field: 'amount', code }], exponent })
}

/**
 * Decide a draft whose account may be in another currency, or which names one. Whether its amount
 * is one of the account's currency comes before its key is compared.
 */
function decideExactly(batch: Batch, draft: PaymentDraft, balance: bigint): Answer {
  const { home, elsewhere } = batch
  const terms = elsewhere.get(draft.userId) ?? home
  const { asked } = draft
  const named = asked?.currency ?? terms.currency
  if (named !== terms.currency) {
    return refuse({ code: 'currency_mismatch', faults: [{ field: 'asked', code: 'differs' }] })
  }
  const amount = asked?.amount ?? shortest({ unscaled: draft.amount, scale: home.exponent })
  const money = inCurrency(amount, terms.exponent)
  if (!money.ok) return wrongAmount(money.problem, terms.exponent)
  return decideIn(batch, { ...draft, amount: money.minor }, balance, terms)
}

function decideIn(batch: Batch, draft: PaymentDraft, balance: bigint, terms: Terms): Answer {
  const { userId, amount, idempotencyKey } = draft
  const { exponent } = terms
  if (idempotencyKey !== null) {
    const earlier = batch.decided.get(keyOf(userId, idempotencyKey))
    if (earlier !== undefined) return replay(batch, draft, earlier, exponent)
  }
  if (draft.given !== undefined) {
    const paymentId = withReference(batch, userId, draft.given)
    if (paymentId !== undefined) {
      const faults = [{ field: 'given', at: 'reference', code: 'taken' }] as const
      return refuse({ code: 'reference_taken', faults, paymentId })
    }
  }
  const gateway = gatewayOf(batch, draft, terms.currency)
  if (typeof gateway !== 'string') return refuse(gateway)
  const share = commission(amount, terms.fee)
  if (draft.type === 'deposit') {
    if (share >= amount) return refuse({ code: 'amount_below_commission' })
    return {
      kind: 'accepted',
      payment: store(batch, draft, share, { gateway, refusedFor: null }),
      replayed: false,
      exponent,
    }
  }
  const required = total({ amount, commission: share })
  if (balance < required) {
    if (idempotencyKey === null) return refuse({ code: 'insufficient_funds', required, exponent })
    const refused = { gateway, refusedFor: 'insufficient_funds' } as const
    return answerOf(store(batch, draft, share, refused), false, exponent)
  }
  batch.available.set(userId, balance - required)
  const payment = store(batch, draft, share, { gateway, refusedFor: null })
  batch.holds.push(holdEntry(payment))
  return { kind: 'accepted', payment, replayed: false, exponent }
}

/** Where a draft is carried out, or why it cannot be. */
function gatewayOf(
  { gateways: { routing, closed } }: Batch,
  { type, gateway: named }: PaymentDraft,
  currency: string,
): string | DraftRefusal {
  const gateway = named ?? routing.always ?? routing.to(type, currency)
  if (gateway === null) return { code: 'no_route' }
  if (named !== undefined) {
    const gateways = routing.of(type, currency)
    if (!gateways.includes(named)) {
      return { code: 'gateway_unknown', faults: [{ field: 'gateway', code: 'unknown' }], gateways }
    }
  }
  const code = closed(gateway, type)
  return code === null ? gateway : { code }
}

function store(
  batch: Batch,
  draft: PaymentDraft,
  share: bigint,
  { gateway, refusedFor }: Pick<AcceptedPayment, 'gateway' | 'refusedFor'>,
): AcceptedPayment {
  const { type, userId, amount, idempotencyKey } = draft
  const id = batch.ids[batch.payments.length]
  if (id === undefined) throw new Error('fewer ids than drafts')
  // Spelled out: spreading the draft would cost as much as everything else here.
  const payment = {
    id,
    userId,
    type,
    amount,
    commission: share,
    idempotencyKey,
    refusedFor,
    currency: batch.elsewhere.get(userId)?.currency ?? null,
    gateway,
  }
  batch.payments.push(payment)
  const { given } = draft
  if (given !== undefined) note(batch, { ...given, id, userId, live: refusedFor === null })
  if (idempotencyKey !== null) batch.decided.set(keyOf(userId, idempotencyKey), payment)
  return payment
}

/** The answer to a request whose key was used before: the first answer, or what differs. */
function replay(
  batch: Batch,
  draft: PaymentDraft,
  earlier: AcceptedPayment,
  exponent: Exponent,
): Answer {
  const differs = (['type', 'amount'] as const).filter((field) => draft[field] !== earlier[field])
  const elsewhere = draft.gateway !== undefined && draft.gateway !== earlier.gateway
  const said = differing(draft.given?.sent ?? NOTHING, batch.sent.get(earlier.id) ?? NOTHING)
  if (differs.length + said.length > 0 || elsewhere) {
    const faults: Fault[] = differs.map((field) => ({ field, code: 'differs' }))
    if (elsewhere) faults.push({ field: 'gateway', code: 'differs' })
    for (const { field: at, code } of said) faults.push({ field: 'given', at, code })
    return refuse({ code: 'idempotency_key_reuse', faults, paymentId: earlier.id })
  }
  return answerOf(earlier, true, exponent)
}

const NOTHING: SentFields = {}

/** Keep what was said about a payment, for this batch as well. */
function note(batch: Batch, noted: Noted): void {
  const { id, userId, live, sent, details } = noted
  batch.noted.push(noted)
  batch.sent.set(id, sent)
  if (live && details.reference !== null) {
    batch.references.set(keyOf(userId, details.reference), id)
  }
}

/** The user's payment that has this reference and did not fail; undefined: there is none. */
function withReference(batch: Batch, userId: bigint, { details }: Given): bigint | undefined {
  const { reference } = details
  return reference === null ? undefined : batch.references.get(keyOf(userId, reference))
}

function answerOf(payment: AcceptedPayment, replayed: boolean, exponent: Exponent): Answer {
  const { id: paymentId, refusedFor: code } = payment
  if (code === null) return { kind: 'accepted', payment, replayed, exponent }
  const refusal = { code, paymentId, required: total(payment), exponent }
  return { kind: 'refused', refusal, replayed }
}

function refuse(refusal: DraftRefusal): Answer {
  return { kind: 'refused', refusal, replayed: false }
}
