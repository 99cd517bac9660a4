import {
  againstRedrive,
  NO_EVIDENCE,
  type GatewayTerms,
  type KnownEvidence,
} from '../domain/evidence.ts'
import { keyOf } from '../domain/acceptance.ts'
import { againstRepeat } from '../domain/correction.ts'
import { executed, NO_MOVE, refundShare } from '../domain/ends.ts'
import { exponentIn } from '../domain/currency.ts'
import type { FeePolicies } from '../domain/fee.ts'
import { holdEntry, refundHoldEntry, total } from '../domain/ledger.ts'
import { operationOf, type Operation } from '../domain/payment.ts'
import { decideRepeat } from '../domain/refund.ts'
import {
  insertRefundRepeats,
  type StoredParent,
  type WholePayment,
} from '../payments/back-store.ts'
import { referencesLeft, takeReferences } from '../payments/details-store.ts'
import { childrenOf } from '../payments/returns-store.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { writePlace } from '../payments/traces-store.ts'
import { insertRepeats, reopenPayments } from '../payments/store.ts'
import type { Shard, Tx } from '../ports.ts'
import { insertActs } from '../operators/acts-store.ts'
import {
  actOnEach,
  actUnderKey,
  expectBack,
  newVerdict,
  refuse,
  writeEnds,
  type ActWorld,
  type Refused,
  type Verdict,
} from './letter-act.ts'
import { knownOf } from './evidence-store.ts'
import { recordedRefusal, recordRefusal } from './kept-refusal.ts'
import { whereFree, type Locked } from './lock.ts'
import type { Operator } from '../domain/operator.ts'
import { relativesOf } from './relatives-store.ts'
import { readLetters, type DeadLetter } from './store.ts'
import { insertTasksLater, redriveTasks, type Delayed } from './tasks-store.ts'

/** A letter to redrive, and how long its task is to wait, in milliseconds. */
export interface RedriveRequest {
  readonly letterId: bigint
  readonly delayMs: number
  /** The operator knows that the failed payment may have been executed, and insists. */
  readonly againstEvidence?: boolean
}

/** What became of one letter. */
interface Redriven {
  readonly kind: 'redriven'
  readonly letterId: bigint
  readonly paymentId: bigint
  /** The payment that repeats a failed one; null: the same payment goes on. */
  readonly newPaymentId: bigint | null
}

export type RedriveAnswer = Redriven | Refused

/** A new payment that repeats a failed one. */
interface Repeat {
  readonly id: bigint
  readonly repeated: bigint
  readonly operation: Operation
  readonly delayMs: number
  /** Of a refund: what of the commission goes back with it. */
  readonly feeReturned: bigint
}

/** What a batch comes to. `finishes` are payments of unknown outcome that have a yes already. */
interface RedriveVerdict extends Verdict<Redriven> {
  /** Payments of unknown outcome that start over, beginning with a lookup. */
  readonly reopened: Delayed[]
  readonly repeats: Repeat[]
  /** References that repeats take over, by user and reference. */
  readonly taken: Map<string, { userId: bigint; reference: string; paymentId: bigint }>
}

/**
 * Redrive letters: N requests in, N answers out, in order; one transaction per shard.
 *
 * A payment of unknown outcome starts over under its own key and begins with a lookup; it is sent
 * again only if that is safe, and refused where it can be neither asked about nor sent. If some
 * call saw a yes it needs no asking, and succeeds. A failed payment is final, so a new payment
 * repeats it, with its own hold and key, or is refused for lack of funds; one that may have been
 * executed, by the evidence, is repeated only if the request says that it is meant so. A letter
 * that is not open is refused; repeating a step of a run finds the letters that the run closed and
 * answers the same. A refusal for lack of funds is kept with the key of the request, if it has one.
 */
export async function redrive(
  world: ActWorld,
  by: Operator,
  requests: readonly RedriveRequest[],
): Promise<RedriveAnswer[]> {
  const end = by.traceparent === undefined ? null : world.batchSpan?.('redrive', [by.traceparent])
  try {
    return await actOnEach(world.db, requests, async (shard, part) => {
      const verdict = await redriveInShard(world, shard, by, part)
      const queued = verdict.reopened.length + verdict.repeats.length
      if (queued > 0) world.onEnqueued?.(queued)
      return verdict
    })
  } finally {
    end?.()
  }
}

/** Redrive one letter, once for the key of a request; null: it has none. */
export function redriveUnderKey(
  world: ActWorld,
  { letter, key }: { readonly letter: RedriveRequest; readonly key: string | null },
  by: Operator,
) {
  const { letterId, againstEvidence } = letter
  return actUnderKey<Redriven>(world.db, 'redrive', by, {
    letterId,
    key,
    fields: { reason: by.reason, against_evidence: againstEvidence === true ? 'true' : null },
    act: (operator) => redrive(world, operator, [letter]),
    again: ({ paymentId, after }) => {
      const refusal = recordedRefusal(after)
      if (refusal !== null) return { kind: 'refused', refusal }
      const newest = after['repeated_by'] ?? null
      const newPaymentId = newest === null ? null : BigInt(newest)
      return { kind: 'redriven', letterId, paymentId: paymentId ?? 0n, newPaymentId }
    },
  })
}

async function redriveInShard(
  world: ActWorld,
  shard: Shard,
  by: Operator,
  requests: readonly RedriveRequest[],
): Promise<RedriveVerdict> {
  // Which payment and user a letter is about never changes, so this needs no lock.
  const found = await readLetters(
    shard,
    requests.map(({ letterId }) => letterId),
  )
  const failed = found.filter((letter) => letter.class === 'failed' && letter.state === 'open')
  return whereFree(shard, async (tx, lock) => {
    const [locked, ids] = await Promise.all([lock(tx, found), tx.ids('payment_ids', failed.length)])
    const paymentIds = [...locked.payments.keys()]
    // Behind the locks: a late report waits for them, or is here.
    const failedIds = failedOf(locked)
    const [known, left, relatives, children] = await Promise.all([
      knownOf(tx, paymentIds),
      referencesLeft(tx, failedIds),
      relativesOf(tx, failedIds),
      childrenOf(tx, [...locked.parents.keys()]),
    ])
    const { redriveId } = by
    const { terms, db } = world
    const seen = { locked, ids, redriveId, known, left, relatives, children }
    const books = { ...seen, terms, policies: world, currency: db.currency }
    const verdict = decide(requests, books)
    await write(tx, verdict, by)
    await keepRefusals(tx, verdict, by, books)
    return verdict
  })
}

/** The payments that others may repeat. */
function failedOf({ payments }: Locked): bigint[] {
  return [...payments.values()].filter(({ status }) => status === 'failed').map(({ id }) => id)
}

/** What the decisions depend on. */
interface Books {
  readonly locked: Locked
  readonly ids: readonly bigint[]
  /** What users have left, in minor units, as earlier letters are decided. */
  readonly available: Map<bigint, bigint>
  /** What refunds give back, as earlier letters are decided. */
  readonly parents: Map<bigint, StoredParent>
  readonly policies: FeePolicies
  /** Of the books. */
  readonly currency: string
  readonly redriveId: bigint | null
  readonly known: ReadonlyMap<bigint, KnownEvidence>
  /** References of failed payments, and who has them now. */
  readonly left: Awaited<ReturnType<typeof referencesLeft>>
  /** The other payments of their chains of redrives. */
  readonly relatives: Awaited<ReturnType<typeof relativesOf>>
  /** What went back of the deposits that refunds give back. */
  readonly children: Awaited<ReturnType<typeof childrenOf>>
  readonly terms: (gateway: string) => GatewayTerms
  readonly verdict: RedriveVerdict
}

/** Decide every letter in order: earlier ones spend before later ones. */
function decide(
  requests: readonly RedriveRequest[],
  books: Omit<Books, 'available' | 'parents' | 'verdict'>,
): RedriveVerdict {
  const { locked } = books
  const verdict: RedriveVerdict = {
    ...newVerdict<Redriven>(locked.busy),
    reopened: [],
    repeats: [],
    taken: new Map(),
  }
  const available = new Map(locked.available)
  const parents = new Map(locked.parents)
  for (const request of requests) {
    const letter = locked.letters.get(request.letterId)
    if (letter === undefined || verdict.answers.has(request.letterId)) continue
    const answer = decideOne(request, letter, { ...books, available, parents, verdict })
    verdict.answers.set(letter.id, answer)
  }
  return verdict
}

function decideOne(request: RedriveRequest, letter: DeadLetter, books: Books): RedriveAnswer {
  const { paymentId } = letter
  const redriven = (newPaymentId: bigint | null): RedriveAnswer => {
    return { kind: 'redriven', letterId: letter.id, paymentId, newPaymentId }
  }
  if (letter.state !== 'open') {
    const ours = letter.state === 'redriven' && letter.redriveId !== null
    return ours && letter.redriveId === books.redriveId ? redriven(null) : refuse('letter_not_open')
  }
  const payment = books.locked.payments.get(paymentId)
  if (payment?.status === 'unknown') return startOver(request, letter, payment, books)
  // A failed payment that the gateway charged after all has moved money: it is never sent again.
  if (payment?.status !== 'failed' || letter.class !== 'failed') return refuse('payment_final')
  return repeat(request, letter, payment, books)
}

/** Redrive a payment of unknown outcome: by what is known of it, or else by asking the gateway. */
function startOver(
  { delayMs }: RedriveRequest,
  letter: DeadLetter,
  payment: WholePayment,
  books: Books,
): RedriveAnswer {
  const { paymentId, id: letterId } = letter
  const { verdict } = books
  const before = { payment: 'unknown', letter: letter.state }
  const known = books.known.get(paymentId) ?? NO_EVIDENCE
  const refusal = againstRedrive('unknown', known, books.terms(payment.gateway))
  if (refusal !== null) return { kind: 'refused', refusal: { ...refusal, paymentId } }
  if (known.yes) {
    const attempts = books.locked.tasks.get(paymentId)?.attempts ?? payment.attempts
    const end = { status: 'success', attempts, error: null, gatewayRef: null } as const
    verdict.finishes.push({ id: paymentId, ...end })
    const { entries, moves } = executed(payment, refundShare(payment))
    verdict.entries.push(...entries)
    verdict.moves.push(...moves)
    const parentId = refundShare(payment)?.parentId ?? null
    const ended = { payment, outcome: 'success', parentId, gatewayRef: null } as const
    expectBack(verdict, ended, books.terms(payment.gateway))
    const after = { payment: 'success', letter: 'redriven', evidence: 'success' }
    verdict.acts.push({ paymentId, letterId, before, after })
  } else {
    verdict.reopened.push({ paymentId, operation: operationOf(letter.type), delayMs })
    const after = { payment: 'new', letter: 'redriven' }
    verdict.acts.push({ paymentId, letterId, before, after })
  }
  return { kind: 'redriven', letterId, paymentId, newPaymentId: null }
}

/** Redrive a failed payment: a new one repeats it. */
function repeat(
  { delayMs, againstEvidence = false }: RedriveRequest,
  letter: DeadLetter,
  payment: WholePayment,
  books: Books,
): RedriveAnswer {
  const { paymentId, id: letterId } = letter
  const { verdict } = books
  const refusal = againstRepeat(payment, {
    known: books.known.get(paymentId) ?? NO_EVIDENCE,
    relatives: books.relatives.get(paymentId) ?? [],
    wentBack: books.children,
    terms: books.terms(payment.gateway),
  })
  const certain = refusal !== null && refusal.code !== 'maybe_executed'
  // A yes is never charged again; what is only in doubt is, by somebody who knows it.
  if (refusal !== null && (certain || !againstEvidence)) {
    return { kind: 'refused', refusal: { paymentId, ...refusal } }
  }
  const reference = books.left.get(paymentId)
  const takenBy = reference === undefined ? null : holderOf(reference, verdict)
  if (takenBy !== null) return refuse('reference_taken', { paymentId: takenBy })
  const id = books.ids[verdict.repeats.length]
  if (id === undefined) throw new Error('fewer ids than failed letters')
  const held = holdAgain(payment, id, books)
  if (held.kind === 'refused') return held
  const operation = operationOf(letter.type)
  const { feeReturned } = held
  verdict.repeats.push({ id, operation, repeated: paymentId, delayMs, feeReturned })
  if (reference !== undefined) {
    const { userId, reference: text } = reference
    verdict.taken.set(keyOf(userId, text), { userId, reference: text, paymentId: id })
  }
  const before = { payment: 'failed', letter: letter.state }
  const insisted = refusal === null ? {} : { against_evidence: refusal.evidence ?? null }
  const after = { payment: 'failed', letter: 'redriven', repeated_by: String(id), ...insisted }
  verdict.acts.push({ paymentId, letterId, before, after })
  return { kind: 'redriven', letterId, paymentId, newPaymentId: id }
}

/** The payment that has a reference now, or will by a letter before; null: none. */
function holderOf(
  left: { readonly userId: bigint; readonly reference: string; readonly takenBy: bigint | null },
  { taken }: Pick<RedriveVerdict, 'taken'>,
): bigint | null {
  return left.takenBy ?? taken.get(keyOf(left.userId, left.reference))?.paymentId ?? null
}

/** Hold what the new payment costs, as that of a failed one was held. */
function holdAgain(
  payment: WholePayment,
  id: bigint,
  { available, parents, policies, currency, verdict }: Books,
): { readonly kind: 'held'; readonly feeReturned: bigint } | Refused {
  const { type, userId, amount } = payment
  const left = available.get(userId) ?? 0n
  const exponent = exponentIn(payment.currency, currency)
  if (type === 'withdraw') {
    const required = total(payment)
    if (left < required) return refuse('insufficient_funds', { required, exponent })
    available.set(userId, left - required)
    verdict.entries.push(holdEntry({ ...payment, type, id }))
  }
  if (type !== 'refund') return { kind: 'held', feeReturned: 0n }
  const { parentId = null } = refundShare(payment) ?? {}
  const parent = parentId === null ? undefined : parents.get(parentId)
  if (parent === undefined) throw new Error('a refund has a parent')
  const again = decideRepeat(amount, { ...parent, exponent }, left, policies)
  if (again.kind === 'refused') return again
  const { fee: feeReturned } = again
  available.set(userId, left - amount + feeReturned)
  verdict.entries.push(refundHoldEntry({ ...payment, id, feeReturned }))
  const move = { ...NO_MOVE, parentId: parent.id, refundReserved: amount, feeReserved: feeReturned }
  verdict.moves.push(move)
  const refundReserved = parent.refundReserved + amount
  const feeReserved = parent.feeReserved + feeReturned
  parents.set(parent.id, { ...parent, refundReserved, feeReserved })
  return { kind: 'held', feeReturned }
}

async function write(tx: Tx, verdict: RedriveVerdict, by: Operator): Promise<void> {
  const { reopened, repeats } = verdict
  const again = reopened.map(({ paymentId }) => paymentId)
  const made = repeats.map(({ id }) => id)
  reopenPayments(tx, again)
  redriveTasks(tx, reopened)
  const isRefund = ({ operation }: Repeat) => operation === 'refund'
  insertRepeats(
    tx,
    repeats.filter((one) => !isRefund(one)),
  )
  insertRefundRepeats(tx, repeats.filter(isRefund))
  takeReferences(tx, [...verdict.taken.values()])
  writePlace(tx, by, [
    ...reopened.map(({ paymentId }) => paymentId),
    ...repeats.map(({ id }) => id),
  ])
  insertTasksLater(
    tx,
    repeats.map(({ id, operation, delayMs }) => ({ paymentId: id, operation, delayMs })),
  )
  await writeEnds(tx, verdict, 'redrive', by)
  // The last lock of the transaction, because everybody's minute is the same.
  noteNow(tx, made)
}

/**
 * Keep what was refused for lack of funds under a key, so that a no which somebody has acted on
 * never becomes a yes. The letter stays open for another key.
 */
async function keepRefusals(
  tx: Tx,
  { answers }: RedriveVerdict,
  by: Operator,
  { locked, currency }: Pick<Books, 'locked' | 'currency'>,
): Promise<void> {
  if (by.key === undefined || by.key === null) return
  const acts = [...answers].flatMap(([letterId, answer]) => {
    const letter = locked.letters.get(letterId)
    if (answer.kind !== 'refused' || letter === undefined) return []
    const refused = recordRefusal(answer.refusal, letter.currency ?? currency)
    if (refused === null) return []
    const { paymentId, state, class: status } = letter
    const was = { payment: status, letter: state }
    return [{ paymentId, letterId, before: was, after: { ...was, ...refused } }]
  })
  await insertActs(
    tx,
    acts.map((one) => ({ ...one, ...by, act: 'redrive' as const })),
  )
}
