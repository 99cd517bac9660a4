import { NO_MOVE, refundShare } from '../domain/ends.ts'
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
import { takeReferences } from '../payments/details-store.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { writeTrace } from '../payments/traces-store.ts'
import { insertRepeats, reopenPayments } from '../payments/store.ts'
import type { Shard, Tx } from '../ports.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
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
import { recordedRefusal, recordRefusal } from './kept-refusal.ts'
import { whereFree, type Locked } from './lock.ts'
import type { Operator } from '../domain/operator.ts'
import { againstLetter, readFacts, type Facts } from './redrivable.ts'
import { referenceTaken, take, type Taken } from './references.ts'
import type { DeadLetter } from './store.ts'
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
interface RedriveVerdict extends LetterVerdict<Redriven> {
  /** Payments of unknown outcome that start over, beginning with a lookup. */
  readonly reopened: Delayed[]
  readonly repeats: Repeat[]
  /** References that repeats take over. */
  readonly taken: Taken
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
  return whereFree(shard, requests, async (tx, letters, lock) => {
    const failed = letters.filter((letter) => letter.class === 'failed' && letter.state === 'open')
    const [locked, ids] = await Promise.all([lock(), tx.ids('payment_ids', failed.length)])
    // Behind the locks: a late report waits for them, or is here.
    const facts = await readFacts(tx, locked.payments.values())
    const { redriveId } = by
    const { terms, db } = world
    const books = {
      ...facts,
      locked,
      ids,
      redriveId,
      terms,
      policies: world,
      currency: db.currency,
    }
    const verdict = decide(requests, books)
    await write(tx, verdict, by)
    await keepRefusals(tx, verdict, by, books)
    return verdict
  })
}

/** What the decisions depend on. */
interface Books extends Facts {
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
  readonly terms: ActWorld['terms']
  readonly verdict: RedriveVerdict
}

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
  decideEach(requests, locked, verdict, (request, letter) =>
    decideOne(request, letter, { ...books, available, parents, verdict }),
  )
  return verdict
}

function decideOne(request: RedriveRequest, letter: DeadLetter, books: Books): RedriveAnswer {
  const { paymentId } = letter
  const redriven = (newPaymentId: bigint | null): RedriveAnswer => {
    return { kind: 'redriven', letterId: letter.id, paymentId, newPaymentId }
  }
  if (letter.state !== 'open') {
    const ours = letter.state === 'redriven' && letter.redriveId !== null
    return ours && letter.redriveId === books.redriveId
      ? redriven(null)
      : refusedLetter('letter_not_open')
  }
  const payment = books.locked.payments.get(paymentId)
  if (payment === undefined) return refusedLetter('payment_final')
  const against = againstLetter(letter, payment, books, books.terms)
  // A yes is never charged again; what is only in doubt is, by somebody who knows it.
  const insists = against?.code === 'maybe_executed' && request.againstEvidence === true
  if (against !== null && !insists) return { kind: 'refused', refusal: against }
  if (payment.status === 'unknown') return startOver(request, letter, payment, books)
  const insisted = against === null ? {} : { against_evidence: against.evidence ?? null }
  return repeat({ ...request, insisted }, letter, payment, books)
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
  const isKnown = books.known.get(paymentId)?.yes === true
  if (isKnown) {
    const { tasks } = books.locked
    const yes = { outcome: 'success', error: null, gatewayRef: null } as const
    endUnknown(verdict, payment, yes, { tasks, terms: books.terms })
  } else {
    verdict.reopened.push({ paymentId, operation: operationOf(letter.type), delayMs })
  }
  const became = isKnown ? { payment: 'success', evidence: 'success' } : { payment: 'new' }
  const before = { payment: 'unknown', letter: letter.state }
  const after = { ...became, letter: 'redriven' }
  verdict.acts.push({ paymentId, letterId, before, after })
  return { kind: 'redriven', letterId, paymentId, newPaymentId: null }
}

/** Redrive a failed payment: a new one repeats it. */
function repeat(
  { delayMs, insisted }: RedriveRequest & { readonly insisted: OperatorAct['after'] },
  letter: DeadLetter,
  payment: WholePayment,
  books: Books,
): RedriveAnswer {
  const { paymentId, id: letterId } = letter
  const { verdict } = books
  const reference = books.left.get(paymentId)
  const taken = referenceTaken(reference, verdict.taken)
  if (taken !== null) return { kind: 'refused', refusal: taken }
  const id = books.ids[verdict.repeats.length]
  if (id === undefined) throw new Error('fewer ids than failed letters')
  const held = holdAgain(payment, id, books)
  if (held.kind === 'refused') return held
  const operation = operationOf(letter.type)
  const { feeReturned } = held
  verdict.repeats.push({ id, operation, repeated: paymentId, delayMs, feeReturned })
  if (reference !== undefined) take(verdict.taken, reference, id)
  const before = { payment: 'failed', letter: letter.state }
  const after = { payment: 'failed', letter: 'redriven', repeated_by: String(id), ...insisted }
  verdict.acts.push({ paymentId, letterId, before, after })
  return { kind: 'redriven', letterId, paymentId, newPaymentId: id }
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
    if (left < required) return refusedLetter('insufficient_funds', { required, exponent })
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
  writeTrace(tx, by, [
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
