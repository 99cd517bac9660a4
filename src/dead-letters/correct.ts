import { NO_EVIDENCE, type KnownEvidence } from '../domain/evidence.ts'
import { decideCorrection, type Relative } from '../domain/correction.ts'
import { referencesLeft, takeReferences } from '../payments/details-store.ts'
import { paymentsNamed } from '../payments/named-store.ts'
import { corrections } from '../ledger/store.ts'
import type { Shard } from '../ports.ts'
import {
  actOnEach,
  actUnderKey,
  decideEach,
  watchEnded,
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
import { referenceHolder, take, type Taken } from './references.ts'
import { correctedAs, relativesOf } from './relatives-store.ts'
import type { DeadLetter } from './store.ts'

/** A letter about a failed payment that the gateway executed. */
export interface CorrectRequest {
  readonly letterId: bigint
  /** An operator has seen it at the gateway under this reference; null: a late yes says so. */
  readonly gatewayRef: string | null
  /** The operator knows that the evidence says otherwise, and insists. */
  readonly againstEvidence?: boolean
  /** The operator knows that a redrive without a reference of its own was something else. */
  readonly besidesRedrive?: boolean
}

/** The money of a failed payment is booked; its status stays. */
export interface Corrected {
  readonly kind: 'corrected'
  readonly letterId: bigint
  readonly paymentId: bigint
  /** What its letter is now: that of a payment which was redriven stays so. */
  readonly letter: 'resolved' | 'redriven'
  /** Who has its reference, since it had failed; null: it has it again, or had none. */
  readonly referenceTakenBy: bigint | null
}

type CorrectWorld = Pick<ActWorld, 'db' | 'terms'>

type CorrectAnswer = Corrected | Refused

/**
 * Correct failed payments that the gateway turned out to have executed: N requests in, N answers
 * out, in order; one transaction per shard. What moved there is booked here, once, and the letter
 * is closed. A withdrawal gave back its hold, so the user pays as far as the balance goes, and the
 * rest is a loss. That it was executed is said by a late yes, or by an operator who has found it at
 * the gateway; then the letter may be closed already, as it is when somebody failed the payment.
 * The payment gets its reference back, unless another one has it by now: then the answer names it.
 */
export async function correct(
  { db, terms }: CorrectWorld,
  by: Operator,
  requests: readonly CorrectRequest[],
): Promise<CorrectAnswer[]> {
  return actOnEach(db, requests, (shard, part) => correctInShard({ shard, terms }, by, part))
}

/** Correct one, once for the key of a request; null: it has none. */
export function correctUnderKey(
  world: CorrectWorld,
  { request, key }: { readonly request: CorrectRequest; readonly key: string | null },
  by: Operator,
) {
  const { letterId, gatewayRef, againstEvidence, besidesRedrive } = request
  const against_evidence = againstEvidence === true ? 'true' : null
  const besides_redrive = besidesRedrive === true ? 'true' : null
  return actUnderKey<Corrected>(world.db, 'correct', by, {
    letterId,
    key,
    fields: { reason: by.reason, gateway_ref: gatewayRef, against_evidence, besides_redrive },
    act: (operator) => correct(world, operator, [request]),
    again: ({ paymentId, after }) => {
      const letter = after['letter'] === 'redriven' ? 'redriven' : 'resolved'
      const holder = after['reference_taken_by'] ?? null
      const referenceTakenBy = holder === null ? null : BigInt(holder)
      return { kind: 'corrected', letterId, paymentId: paymentId ?? 0n, letter, referenceTakenBy }
    },
  })
}

async function correctInShard(
  { shard, terms }: { readonly shard: Shard } & Pick<ActWorld, 'terms'>,
  by: Operator,
  requests: readonly CorrectRequest[],
): Promise<CorrectVerdict> {
  return whereFree(shard, requests, async (tx, letters, lock) => {
    const locked = await lock()
    // Behind the locks: two operators book it once.
    const userIds = [...new Set(letters.map(({ userId }) => userId))]
    const paymentIds = [...locked.payments.keys()]
    const words = requests.some(({ gatewayRef }) => gatewayRef !== null)
    const [corrected, refs, known, relatives, named, left] = await Promise.all([
      corrections(tx, userIds, paymentIds),
      correctedAs(tx, words ? paymentIds : []),
      words ? knownOf(tx, paymentIds) : new Map<bigint, KnownEvidence>(),
      relativesOf(tx, words ? paymentIds : []),
      paymentsNamed(tx, namesOf(requests, locked)),
      referencesLeft(tx, paymentIds),
    ])
    const books = { ...locked, known, named, left, terms, relatives: new Map(relatives) }
    const verdict = decide(requests, {
      ...books,
      corrected: new Map(corrected.map(({ paymentId: id }) => [id, { ref: refs.get(id) ?? null }])),
    })
    takeReferences(tx, [...verdict.taken.values()])
    await writeEnds(tx, verdict, 'correct', by)
    return verdict
  })
}

/** `taken`: references that corrected payments get back. */
type CorrectVerdict = LetterVerdict<Corrected> & { readonly taken: Taken }

type Books = Locked & {
  readonly known: ReadonlyMap<bigint, KnownEvidence>
  /** The other payments of their chains of redrives, as earlier letters are decided. */
  readonly relatives: Map<bigint, readonly Relative[]>
  /** Successful payments by their names at the gateway, and those corrected by earlier letters. */
  readonly named: Map<string, bigint>
  /** Payments that are booked, with their references, those of earlier letters among them. */
  readonly corrected: Map<bigint, { readonly ref: string | null }>
  /** References of the payments, and who has them now. */
  readonly left: Awaited<ReturnType<typeof referencesLeft>>
  readonly terms: ActWorld['terms']
}

function decide(requests: readonly CorrectRequest[], books: Books): CorrectVerdict {
  const verdict: CorrectVerdict = { ...newVerdict<Corrected>(books.busy), taken: new Map() }
  const available = new Map(books.available)
  decideEach(requests, books, verdict, (request, letter) =>
    decideOne(request, letter, { ...books, available }, verdict),
  )
  return verdict
}

function decideOne(
  request: CorrectRequest,
  { id: letterId, paymentId, userId, state: was, error }: DeadLetter,
  books: Books & { readonly available: Map<bigint, bigint> },
  verdict: CorrectVerdict,
): CorrectAnswer | null {
  const payment = books.payments.get(paymentId)
  if (payment === undefined) return null
  const { gatewayRef } = request
  const seen = {
    payment,
    letter: was === 'open' ? error : null,
    corrected: books.corrected.get(paymentId) ?? null,
    word: gatewayRef === null ? null : wordOf(request, gatewayRef, paymentId, books),
  }
  const available = books.available.get(userId) ?? 0n
  const decision = decideCorrection(seen, available)
  if (decision.kind === 'refused') return { kind: 'refused', refusal: decision.refusal }
  // A payment that was redriven may have been executed as well; its letter stays what it is.
  const state = was === 'redriven' ? was : 'resolved'
  const before = { payment: payment.status, letter: was }
  const after = { payment: payment.status, letter: state }
  const referenceTakenBy = takenBy(paymentId, books, verdict)
  const holder = holderNamed(referenceTakenBy)
  if (decision.kind === 'correct') {
    const other = claimName(payment, gatewayRef, books)
    if (other !== null) return refusedLetter('gateway_ref_taken', { paymentId: other })
    const { entry, evidence } = decision
    books.corrected.set(paymentId, { ref: gatewayRef })
    noteCorrected(books.relatives, paymentId, gatewayRef)
    books.available.set(userId, available + entry.user)
    verdict.entries.push(entry)
    const ended = { payment, outcome: 'success', parentId: null, gatewayRef } as const
    watchEnded(verdict, ended, books.terms(payment.gateway))
    const word = gatewayRef === null ? {} : { gateway_ref: gatewayRef }
    const insisted = evidence === null ? {} : { against_evidence: evidence }
    if (referenceTakenBy === null) takeBack(paymentId, books, verdict)
    verdict.acts.push({
      paymentId,
      letterId,
      before,
      after: { ...after, ...word, ...insisted, ...holder },
    })
  } else if (was === 'open') {
    // A late yes about what an operator's word has booked: there is nothing left to do.
    verdict.acts.push({ paymentId, letterId, before, after: { ...after, ...holder } })
  }
  return { kind: 'corrected', letterId, paymentId, letter: state, referenceTakenBy }
}

/** Another payment that has the reference which one gave up when it failed; null: none. */
function takenBy(id: bigint, { left }: Books, { taken }: CorrectVerdict): bigint | null {
  const reference = left.get(id)
  const holder = reference === undefined ? null : referenceHolder(reference, taken)
  return holder === id ? null : holder
}

/** Give a payment the reference that it gave up, if it had one. */
function takeBack(id: bigint, { left }: Books, { taken }: CorrectVerdict): void {
  const reference = left.get(id)
  if (reference !== undefined) take(taken, reference, id)
}

/** How the record of the act has who has the reference. */
function holderNamed(id: bigint | null): Readonly<Record<string, string>> {
  return id === null ? {} : { reference_taken_by: String(id) }
}

/** What an operator says, and what it may be up against. */
function wordOf(
  { againstEvidence: insists = false, besidesRedrive = false }: CorrectRequest,
  ref: string,
  paymentId: bigint,
  { known, relatives }: Books,
) {
  const chain = relatives.get(paymentId) ?? []
  const evidence = known.get(paymentId) ?? NO_EVIDENCE
  return { ref, known: evidence, insists, besidesRedrive, relatives: chain }
}

/** Tell the other payments of its chain that one is corrected now. */
function noteCorrected(
  relatives: Map<bigint, readonly Relative[]>,
  id: bigint,
  gatewayRef: string | null,
): void {
  for (const [of, chain] of relatives) {
    const told = chain.map((one) =>
      one.id === id ? { ...one, corrected: true, correctedAs: gatewayRef } : one,
    )
    relatives.set(of, told)
  }
}
