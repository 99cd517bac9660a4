import { against, againstRedrive, type GatewayTerms, type KnownEvidence } from './evidence.ts'
import { CHARGED_AFTER_FAILED } from './explain.ts'
import { correctionEntry, type Entry } from './ledger.ts'
import { isOpen, type BookedType, type Payment, type StoredStatus } from './payment.ts'
import type { Refusal } from './refusal.ts'

/** Another payment of the chain that redrives made: it repeats the payment, or the other way. */
export interface Relative {
  readonly id: bigint
  readonly status: StoredStatus
  /** What the gateway calls it; null: it has not said, or not executed it. */
  readonly gatewayRef: string | null
  /** It failed, and that the gateway executed it is booked. */
  readonly corrected: boolean
  /** The reference under which somebody had found it there. */
  readonly correctedAs: string | null
}

/** An operator's word that a payment was executed. */
interface Word {
  /** What the gateway calls it. */
  readonly ref: string
  readonly known: KnownEvidence
  readonly insists: boolean
  /** The operator has compared it with the redrives that have no name there: it is none of them. */
  readonly besidesRedrive: boolean
  readonly relatives: readonly Relative[]
}

/** A payment whose outcome may have to be corrected. */
interface Correctable {
  readonly payment: Omit<
    Pick<Payment, 'id' | 'userId' | 'type' | 'status' | 'amount' | 'commission'>,
    'type'
  > & { readonly type: BookedType }
  /** The error of its open letter; null: it has none. */
  readonly letter: string | null
  /** That it was executed is booked; `ref`: under which reference, null: nobody said one. */
  readonly corrected: { readonly ref: string | null } | null
  /** An operator has seen it at the gateway, under the gateway's reference; null: nobody has. */
  readonly word: Word | null
}

type CorrectionDecision =
  /** Its status stays `failed`; its letter is closed. `evidence`: what a word goes against. */
  | {
      readonly kind: 'correct'
      readonly entry: Entry
      readonly evidence: ReturnType<typeof against>
    }
  /** It was corrected before, and nobody says anything else: the same answer again. */
  | { readonly kind: 'corrected' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/**
 * Whether the money of a failed payment that the gateway executed is booked, and how: by a late yes
 * of the gateway, or by the word of an operator who has seen it there. A word against what the
 * gateway said is refused unless it is meant so; one that may be about a redrive of the payment is
 * refused, because that is booked by itself.
 */
export function decideCorrection(
  { payment, letter, corrected, word }: Correctable,
  available: bigint,
): CorrectionDecision {
  const { id: paymentId, type } = payment
  if (corrected !== null) return correctedBefore(paymentId, corrected, word)
  // A refund that was made after all is booked as a return of its deposit.
  const plain = type === 'deposit' || type === 'withdraw'
  const late = letter === CHARGED_AFTER_FAILED
  if (!plain || payment.status !== 'failed' || (!late && word === null)) {
    return { kind: 'refused', refusal: { code: 'not_correctable' } }
  }
  const said = late ? null : word
  const another = said === null ? null : whichElse(said)
  if (another !== null) return { kind: 'refused', refusal: another }
  const evidence = said === null ? null : against('success', said.known)
  if (evidence !== null && word?.insists !== true) {
    return { kind: 'refused', refusal: { code: 'evidence_contradicts', paymentId, evidence } }
  }
  return { kind: 'correct', entry: correctionEntry({ ...payment, type }, available), evidence }
}

/** What the gateway calls otherwise may be a second charge: booking that here again is no way. */
function correctedBefore(
  paymentId: bigint,
  { ref }: NonNullable<Correctable['corrected']>,
  word: Word | null,
): CorrectionDecision {
  if (word === null || word.ref === ref) return { kind: 'corrected' }
  return { kind: 'refused', refusal: { code: 'correction_differs', paymentId } }
}

/** Why what an operator has seen may be another payment of the chain; null: it is none of them. */
function whichElse({ ref, besidesRedrive, relatives }: Word): Refusal | null {
  const open = relatives.find(({ status }) => isOpen(status))
  if (open !== undefined) return { code: 'redrive_open', paymentId: open.id }
  const same = relatives.find(({ status, gatewayRef, correctedAs }) => {
    const unnamed = status === 'success' && gatewayRef === null && !besidesRedrive
    return gatewayRef === ref || correctedAs === ref || unnamed
  })
  return same === undefined ? null : { code: 'correction_is_redrive', paymentId: same.id }
}

/** What went back of a deposit, as far as it tells whether a refund was made after all. */
interface WentBack {
  readonly id: bigint
  readonly parentId: bigint
  readonly type: 'refund' | 'return'
  readonly status: StoredStatus
  readonly amount: bigint
  readonly kind: string | null
  readonly ref: string | null
  readonly createdAt: Date
}

/** How much the clocks of two servers that stamp rows of one shard may differ, in milliseconds. */
const CLOCKS_MS = 60_000

/**
 * What speaks against repeating a failed payment: its gateway is gone, what its calls saw, or what
 * operators booked. Only what may have been executed is repeated by somebody who insists.
 */
export function againstRepeat(
  payment: Parameters<typeof bookedElsewhere>[0],
  seen: {
    readonly known: KnownEvidence
    readonly relatives: Parameters<typeof bookedElsewhere>[1]
    readonly wentBack: readonly WentBack[]
    readonly terms: GatewayTerms
  },
): Pick<Refusal, 'code' | 'evidence' | 'paymentId'> | null {
  const { known, relatives, wentBack, terms } = seen
  if (terms.gone === true) return { code: 'no_route', paymentId: payment.id }
  return againstRedrive('failed', known, terms) ?? bookedElsewhere(payment, relatives, wentBack)
}

/**
 * Why a failed payment is not repeated although no evidence speaks against it: an operator has
 * booked that a payment of its chain was executed, or, of a refund, a refund at the gateway of as
 * much, which it may have been. What was booked before the refund was asked for is none of it: by
 * the time, because ids do not follow it while ids of a reserve are given. Null: nothing of the
 * kind is booked.
 */
export function bookedElsewhere(
  payment: Pick<Payment, 'id' | 'amount' | 'createdAt'> & { readonly parentId: bigint | null },
  relatives: readonly Pick<Relative, 'id' | 'corrected'>[],
  wentBack: readonly WentBack[],
): Pick<Refusal, 'code' | 'evidence' | 'paymentId'> | null {
  const done = relatives.find(({ corrected }) => corrected)
  if (done !== undefined) {
    return { code: 'evidence_contradicts', evidence: 'success', paymentId: done.id }
  }
  const children = wentBack.filter(({ parentId }) => parentId === payment.parentId)
  const made = children.filter(({ type, status }) => type === 'refund' && status !== 'failed')
  const refunds = new Set(made.map(({ ref }) => ref))
  const sinceMs = payment.createdAt.getTime() - CLOCKS_MS
  const seen = children.find(
    ({ kind, amount, ref, createdAt }) =>
      kind === 'refunded_there' &&
      createdAt.getTime() >= sinceMs &&
      amount === payment.amount &&
      !refunds.has(ref),
  )
  return seen === undefined
    ? null
    : { code: 'maybe_executed', evidence: 'in_doubt', paymentId: seen.id }
}
