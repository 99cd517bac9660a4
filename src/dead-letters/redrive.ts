import { holdEntry, total, type Entry } from '../domain/ledger.ts'
import { operationOf, type Operation } from '../domain/payment.ts'
import type { Refusal } from '../domain/refusal.ts'
import { byShard } from '../domain/shard.ts'
import { post } from '../ledger/post.ts'
import { insertRepeats, reopenPayments, takePaymentIds } from '../payments/store.ts'
import type { Clock, Db, Tx } from '../ports.ts'
import { insertTasksLater, redriveTasks, type Delayed } from '../queue/acts/store.ts'
import { whereFree, type Locked } from './lock.ts'
import {
  endLetters,
  insertActs,
  readLetters,
  type Closer,
  type DeadLetter,
  type OperatorAct,
} from './store.ts'

export interface ActWorld {
  readonly db: Db
  readonly clock: Clock
  readonly shards: number
  /** Told after each commit that tasks are due. */
  readonly onEnqueued?: (count: number) => void
}

/** A letter to redrive, and how long its task is to wait, in milliseconds. */
export interface RedriveRequest {
  readonly letterId: bigint
  readonly delayMs: number
}

/** What became of one letter. */
export type RedriveAnswer =
  | {
      readonly kind: 'redriven'
      readonly letterId: bigint
      readonly paymentId: bigint
      /** The payment that repeats a failed one; null: the same payment goes on. */
      readonly newPaymentId: bigint | null
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** What a batch comes to: the answers, and everything to write. */
interface Verdict {
  readonly answers: Map<bigint, RedriveAnswer>
  /** Payments of unknown outcome that start over, beginning with a lookup. */
  readonly reopened: Delayed[]
  readonly repeats: { id: bigint; repeated: bigint; operation: Operation; delayMs: number }[]
  readonly holds: Entry[]
  readonly acts: Pick<OperatorAct, 'paymentId' | 'letterId' | 'before' | 'after'>[]
}

/**
 * Redrive letters: N requests in, N answers out, in order; one transaction per shard.
 *
 * A payment of unknown outcome starts over under its own key and begins with a lookup; it is sent
 * again only if that is safe. A failed payment is final, so a new payment repeats it, with its own
 * hold and key, or is refused for lack of funds. A letter that is not open is refused; repeating a
 * step of a run finds the letters that the run closed and answers the same.
 */
export async function redrive(
  world: ActWorld,
  by: Closer,
  requests: readonly RedriveRequest[],
): Promise<RedriveAnswer[]> {
  const answers = new Map<bigint, RedriveAnswer>()
  for (const [shard, own] of byShard(requests, ({ letterId }) => letterId, world.shards)) {
    const verdict = await redriveInShard(world, shard, by, own)
    for (const [letterId, answer] of verdict.answers) answers.set(letterId, answer)
    const queued = verdict.reopened.length + verdict.repeats.length
    if (queued > 0) world.onEnqueued?.(queued)
  }
  return requests.map(({ letterId }) => answers.get(letterId) ?? refuse('letter_not_found'))
}

async function redriveInShard(
  world: ActWorld,
  shard: number,
  by: Closer,
  requests: readonly RedriveRequest[],
): Promise<Verdict> {
  const at = world.clock.database()
  // Which payment and user a letter is about never changes, so this needs no lock.
  const found = await readLetters(
    world.db,
    shard,
    requests.map(({ letterId }) => letterId),
  )
  const failed = found.filter((letter) => letter.class === 'failed' && letter.state === 'open')
  return whereFree(world.db, async (tx, lock) => {
    const [locked, ids] = await Promise.all([
      lock(tx, shard, found),
      takePaymentIds(tx, failed.length, world.shards, shard),
    ])
    const verdict = decide(requests, locked, ids, by.redriveId)
    write(tx, world, shard, verdict, by, at)
    return verdict
  })
}

/** Decide every letter in order: earlier ones spend before later ones. */
function decide(
  requests: readonly RedriveRequest[],
  locked: Locked,
  ids: readonly bigint[],
  redriveId: bigint | null,
): Verdict {
  const verdict: Verdict = {
    answers: new Map(),
    reopened: [],
    repeats: [],
    holds: [],
    acts: [],
  }
  const available = new Map(locked.available)
  for (const letterId of locked.busy) verdict.answers.set(letterId, refuse('busy'))
  for (const request of requests) {
    const letter = locked.letters.get(request.letterId)
    if (letter === undefined || verdict.answers.has(request.letterId)) continue
    const answer = decideOne(request, letter, { locked, ids, available, redriveId }, verdict)
    verdict.answers.set(letter.id, answer)
  }
  return verdict
}

function decideOne(
  { delayMs }: RedriveRequest,
  letter: DeadLetter,
  books: {
    readonly locked: Locked
    readonly ids: readonly bigint[]
    readonly available: Map<bigint, bigint>
    readonly redriveId: bigint | null
  },
  verdict: Verdict,
): RedriveAnswer {
  const { paymentId, userId } = letter
  const redriven = (newPaymentId: bigint | null): RedriveAnswer => {
    return { kind: 'redriven', letterId: letter.id, paymentId, newPaymentId }
  }
  if (letter.state !== 'open') {
    const ours = letter.state === 'redriven' && letter.redriveId !== null
    return ours && letter.redriveId === books.redriveId ? redriven(null) : refuse('letter_not_open')
  }
  const payment = books.locked.payments.get(paymentId)
  const before = { payment: payment?.status ?? null, letter: letter.state }
  if (payment?.status === 'unknown') {
    verdict.reopened.push({ paymentId, operation: operationOf(payment.type), delayMs })
    const after = { payment: 'new', letter: 'redriven' }
    verdict.acts.push({ paymentId, letterId: letter.id, before, after })
    return redriven(null)
  }
  // A failed payment that the gateway charged after all has moved money: it is never sent again.
  if (payment?.status !== 'failed' || letter.class !== 'failed') return refuse('payment_final')

  const id = books.ids[verdict.repeats.length]
  if (id === undefined) throw new Error('fewer ids than failed letters')
  if (payment.type === 'withdraw') {
    const left = (books.available.get(userId) ?? 0n) - total(payment)
    if (left < 0n) {
      const refusal = { code: 'insufficient_funds', required: total(payment) } as const
      return { kind: 'refused', refusal }
    }
    books.available.set(userId, left)
    verdict.holds.push(holdEntry({ ...payment, id }))
  }
  verdict.repeats.push({ id, repeated: paymentId, operation: operationOf(payment.type), delayMs })
  const after = { payment: 'failed', letter: 'redriven', repeated_by: String(id) }
  verdict.acts.push({ paymentId, letterId: letter.id, before, after })
  return redriven(id)
}

function refuse(code: Refusal['code']): RedriveAnswer {
  return { kind: 'refused', refusal: { code } }
}

function write(
  tx: Tx,
  world: ActWorld,
  shard: number,
  verdict: Verdict,
  by: Closer,
  at: Date | null,
): void {
  const { reopened, repeats, holds, acts } = verdict
  reopenPayments(
    tx,
    shard,
    reopened.map(({ paymentId }) => paymentId),
  )
  redriveTasks(tx, shard, reopened, at)
  insertRepeats(tx, shard, repeats, at)
  insertTasksLater(
    tx,
    shard,
    repeats.map(({ id, operation, delayMs }) => ({ paymentId: id, operation, delayMs })),
    at,
  )
  post(tx, shard, holds, at)
  endLetters(
    tx,
    shard,
    acts.map(({ letterId }) => letterId),
    'redriven',
    by,
    at,
  )
  insertActs(
    tx,
    shard,
    world.shards,
    acts.map((act) => ({ ...act, ...by, act: 'redrive' as const })),
    at,
  )
}
