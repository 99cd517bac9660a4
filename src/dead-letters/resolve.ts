import { against, NO_EVIDENCE, type KnownEvidence } from '../domain/evidence.ts'
import { refundShare } from '../domain/ends.ts'
import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import { corrections } from '../ledger/store.ts'
import type { WholePayment } from '../payments/back-store.ts'
import type { NamedRefund } from '../domain/was-refund.ts'
import { paymentsNamed } from '../payments/named-store.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { takeBackBooked } from '../payments/was-refund.ts'
import type { Shard } from '../ports.ts'
import {
  actOnEach,
  actUnderKey,
  decideEach,
  endUnknown,
  newVerdict,
  refusedLetter,
  writeEnds,
  type ActWorld,
  type Refused,
  type LetterVerdict,
} from './letter-act.ts'
import { claimName, namesOf } from './gateway-names.ts'
import { knownOf } from './known-store.ts'
import { whereFree, type Locked } from './lock.ts'
import type { Operator } from '../domain/operator.ts'
import type { DeadLetter } from './store.ts'

/** An operator's word on what became of a payment. */
interface ResolveRequest {
  readonly letterId: bigint
  readonly outcome: 'success' | 'failed'
  /** The gateway's own reference, where the operator knows it. */
  readonly gatewayRef: string | null
  /** The operator knows that the evidence says otherwise, and insists. */
  readonly againstEvidence?: boolean
}

interface Resolved {
  readonly kind: 'resolved'
  readonly letterId: bigint
  readonly paymentId: bigint
}

type ResolveWorld = Pick<ActWorld, 'db' | 'terms'>

type ResolveAnswer = Resolved | Refused

/** Why a payment failed when an operator said so. */
const OPERATOR_ERROR = 'resolved_by_operator'

/**
 * Resolve letters by an operator's word: N requests in, N answers out, in order; one transaction
 * per shard. A payment of unknown outcome ends as the operator says, with its postings, exactly
 * once: its task goes, so a worker that settles it at the same moment finds its claim gone and
 * keeps its evidence only. A word against what the gateway said, by the evidence, is refused unless
 * the request says that it is meant so, which is recorded. A letter whose payment is final is
 * closed; the word must agree with what is final. One that tells of a late yes to a failed payment
 * is closed as failed only by who insists, unless that yes is booked.
 */
export async function resolve(
  { db, terms }: ResolveWorld,
  by: Operator,
  requests: readonly ResolveRequest[],
): Promise<ResolveAnswer[]> {
  return actOnEach(db, requests, (shard, part) => resolveInShard({ shard, terms }, by, part))
}

/** Resolve one letter, once for the key of a request; null: it has none. */
export function resolveUnderKey(
  world: ResolveWorld,
  { word, key }: { readonly word: ResolveRequest; readonly key: string | null },
  by: Operator,
) {
  const { letterId, outcome, gatewayRef, againstEvidence } = word
  return actUnderKey<Resolved>(world.db, 'resolve', by, {
    letterId,
    key,
    fields: {
      outcome,
      reason: by.reason,
      gateway_ref: gatewayRef,
      against_evidence: againstEvidence === true ? 'true' : null,
    },
    act: (operator) => resolve(world, operator, [word]),
    again: ({ paymentId }) => ({ kind: 'resolved', letterId, paymentId: paymentId ?? 0n }),
  })
}

async function resolveInShard(
  { shard, terms }: { readonly shard: Shard } & Pick<ActWorld, 'terms'>,
  by: Operator,
  requests: readonly ResolveRequest[],
): Promise<LetterVerdict<Resolved>> {
  return whereFree(shard, requests, async (tx, letters, lock) => {
    const locked = await lock()
    // Behind the locks: a late report waits for them, or is here.
    const late = letters.filter(({ error }) => error === CHARGED_AFTER_FAILED)
    const [known, named, booked] = await Promise.all([
      knownOf(tx, openOf(locked)),
      paymentsNamed(tx, namesOf(requests, locked)),
      corrections(
        tx,
        late.map(({ userId }) => userId),
        late.map(({ paymentId }) => paymentId),
      ),
    ])
    const corrected = new Set(booked.map(({ paymentId }) => paymentId))
    const verdict = decide(requests, { ...locked, known, named, corrected, terms })
    const takenBack = await takeBackBooked(tx, verdict.refunds)
    await writeEnds(tx, verdict, 'resolve', by)
    noteNow(tx, takenBack)
    return verdict
  })
}

/** The payments whose outcome nobody has settled. */
function openOf({ payments }: Locked): bigint[] {
  return [...payments.values()].filter(({ status }) => status === 'unknown').map(({ id }) => id)
}

type Books = Locked & {
  readonly known: ReadonlyMap<bigint, KnownEvidence>
  /** Successful payments by their names at the gateway, and those that earlier letters end. */
  readonly named: Map<string, bigint>
  /** Failed payments of which it is booked that they were executed. */
  readonly corrected: ReadonlySet<bigint>
  readonly terms: ActWorld['terms']
}

/** `refunds`: those that were executed, where the operator names them as the gateway does. */
type ResolveVerdict = LetterVerdict<Resolved> & { readonly refunds: NamedRefund[] }

function decide(requests: readonly ResolveRequest[], books: Books): ResolveVerdict {
  const verdict: ResolveVerdict = { ...newVerdict<Resolved>(books.busy), refunds: [] }
  decideEach(requests, books, verdict, (request, letter) =>
    decideOne(request, letter, books, verdict),
  )
  return verdict
}

function decideOne(
  request: ResolveRequest,
  letter: DeadLetter,
  books: Books,
  verdict: ResolveVerdict,
): ResolveAnswer {
  const { outcome, gatewayRef, againstEvidence = false } = request
  const { id: letterId, paymentId } = letter
  const payment = books.payments.get(paymentId)
  if (letter.state !== 'open' || payment === undefined) return refusedLetter('letter_not_open')
  // Only an outcome nobody knows can be decided by a person; what is final stays.
  const open = payment.status === 'unknown'
  if (!open && payment.status !== outcome) return refusedLetter('payment_final')
  const known = books.known.get(paymentId) ?? NO_EVIDENCE
  const evidence = open ? against(outcome, known) : againstClosing(letter, books)
  if (evidence !== null && !againstEvidence) {
    return { kind: 'refused', refusal: { code: 'evidence_contradicts', paymentId, evidence } }
  }
  const other = open && outcome === 'success' ? claimName(payment, gatewayRef, books) : null
  if (other !== null) return refusedLetter('gateway_ref_taken', { paymentId: other })
  if (open) end(request, payment, books, verdict)
  const before = { payment: payment.status, letter: letter.state }
  const insisted = evidence === null ? {} : { against_evidence: evidence }
  const after = { payment: outcome, letter: 'resolved', gateway_ref: gatewayRef, ...insisted }
  verdict.acts.push({ paymentId, letterId, before, after })
  return { kind: 'resolved', letterId, paymentId }
}

/**
 * What closing a letter about a failed payment goes against: the late yes that it tells of, unless
 * that is booked. A refund that was made after all is booked as a return of its deposit.
 */
function againstClosing({ error, type, paymentId }: DeadLetter, { corrected }: Books) {
  const told = error === CHARGED_AFTER_FAILED && type !== 'refund'
  return told && !corrected.has(paymentId) ? 'success' : null
}

/** End a payment of unknown outcome as the operator says. */
function end(
  { outcome, gatewayRef }: ResolveRequest,
  payment: WholePayment,
  books: Books,
  verdict: ResolveVerdict,
): void {
  const error = outcome === 'failed' ? OPERATOR_ERROR : null
  endUnknown(verdict, payment, { outcome, error, gatewayRef, resolves: true }, books)
  const share = refundShare(payment)
  if (outcome === 'failed' || gatewayRef === null || share === null) return
  verdict.refunds.push({ id: payment.id, parentId: share.parentId, ref: gatewayRef })
}
