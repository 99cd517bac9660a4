import type { GatewayTerms } from '../domain/evidence.ts'
import { executed, refundShare, undone, type GivenBackMove } from '../domain/ends.ts'
import type { FeePolicies } from '../domain/fee.ts'
import type { Entry } from '../domain/ledger.ts'
import type { Refusal } from '../domain/refusal.ts'
import { watchedOnceEnded } from '../domain/watch.ts'
import { post } from '../ledger/post.ts'
import { moveGivenBack, type WholePayment } from '../payments/back-store.ts'
import { finishPayments, type Finish } from '../payments/store.ts'
import type { BatchSpan, Db, Runner, Shard, Tx } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { insertWatches, type Watched } from '../queue/watches-store.ts'
import { keepSaidRefs, type KeptRef } from '../payments/gateway-refs-store.ts'
import { answeredByShard } from '../each-shard.ts'
import { underKey, type About } from '../operators/under-key.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
import type { Operator } from '../domain/operator.ts'
import type { Locked } from './lock.ts'
import { endLetters, readLetters, type DeadLetter } from './store.ts'

export interface ActWorld extends FeePolicies {
  readonly db: Db
  /** What the gateway in use can do. */
  readonly terms: (gateway: string) => GatewayTerms
  /** Told after each commit that tasks are due. */
  readonly onEnqueued?: (count: number) => void
  /** Not there: nothing is traced. */
  readonly batchSpan?: BatchSpan
}

export interface Refused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

/** What of an act on a letter is its own. */
type LetterAct = Pick<OperatorAct, 'paymentId' | 'before' | 'after'> & {
  readonly letterId: bigint
}

/** What a batch of acts comes to: the answers by letter, and everything to write. */
export interface LetterVerdict<Answer> {
  readonly answers: Map<bigint, Answer | Refused>
  readonly finishes: Finish[]
  readonly entries: Entry[]
  readonly moves: GivenBackMove[]
  readonly acts: LetterAct[]
  /** What is looked at, now that somebody has ended it: see `watchEnded`. */
  readonly watched: Watched[]
  /** What operators say that gateways call deposits. */
  readonly refs: KeptRef[]
}

/** What a batch comes to before anything of it is decided, but that letters are busy. */
export function newVerdict<Answer>(busy: Iterable<bigint>): LetterVerdict<Answer> {
  const answers = new Map([...busy].map((letterId) => [letterId, refusedLetter('busy')] as const))
  return { answers, finishes: [], entries: [], moves: [], acts: [], watched: [], refs: [] }
}

/** What an act has ended, for what may come back of it. */
interface Ended {
  readonly payment: Pick<WholePayment, 'id' | 'type' | 'gateway'>
  readonly outcome: 'success' | 'failed'
  /** Of a refund, the deposit that it gives back; null: it is none. */
  readonly parentId: bigint | null
  /** What its gateway calls it; null: nobody has said. */
  readonly gatewayRef: string | null
}

/**
 * What payments that an act has ended need when something of them comes back, as those that a
 * worker settles do: they are looked at, and may be named by nothing but the gateway's reference.
 * They are looked at once at first, since until now nobody looked what came back of them.
 */
export function watchEnded(
  { watched, refs }: Pick<LetterVerdict<unknown>, 'watched' | 'refs'>,
  { payment, outcome, parentId, gatewayRef }: Ended,
  { watchMs = [], namesByRef }: GatewayTerms,
): void {
  const { id, type, gateway } = payment
  const paymentId = watchedOnceEnded({ id, parentId, outcome }, namesByRef === true)
  const isAsked = paymentId !== id || watchMs.length > 0
  if (paymentId !== null && isAsked) watched.push({ paymentId, gateway, delayMs: 0 })
  if (type !== 'deposit' || outcome === 'failed' || gatewayRef === null) return
  refs.push({ gateway, ref: gatewayRef, paymentId: id })
}

/** End a payment of unknown outcome, with its postings. */
export function endUnknown(
  verdict: Omit<LetterVerdict<unknown>, 'answers' | 'acts'>,
  payment: WholePayment,
  end: Pick<Finish, 'error' | 'gatewayRef' | 'resolves'> & Pick<Ended, 'outcome'>,
  { tasks, terms }: Pick<Locked, 'tasks'> & Pick<ActWorld, 'terms'>,
): void {
  const { id, gateway } = payment
  const { outcome, ...how } = end
  const attempts = tasks.get(id)?.attempts ?? payment.attempts
  verdict.finishes.push({ id, status: outcome, attempts, ...how })
  const share = refundShare(payment)
  const { entries, moves } = (outcome === 'success' ? executed : undone)(payment, share)
  verdict.entries.push(...entries)
  verdict.moves.push(...moves)
  const parentId = share?.parentId ?? null
  watchEnded(verdict, { payment, outcome, parentId, gatewayRef: how.gatewayRef }, terms(gateway))
}

export function refusedLetter(code: Refusal['code'], more: Omit<Refusal, 'code'> = {}): Refused {
  return { kind: 'refused', refusal: { code, ...more } }
}

/** Act on letters: N requests in, N answers out, in order; one transaction per shard. */
export async function actOnEach<Request extends { readonly letterId: bigint }, Answer>(
  db: Db,
  requests: readonly Request[],
  act: (shard: Shard, part: readonly Request[]) => Promise<Pick<LetterVerdict<Answer>, 'answers'>>,
): Promise<(Answer | Refused)[]> {
  const idOf = ({ letterId }: Request) => letterId
  const places = await db.find('letter', requests.map(idOf))
  return answeredByShard(places, requests, idOf, async (shard, part) => {
    const { answers } = await act(shard, part)
    return part.map(({ letterId }) => answers.get(letterId) ?? refusedLetter('letter_not_found'))
  })
}

/** What asks for one act on a letter. */
interface AskedOnce<Answer> {
  readonly letterId: bigint
  /** Null: it has no key, so each request is carried out. */
  readonly key: string | null
  readonly fields: Readonly<Record<string, string | null>>
  readonly act: (by: Operator) => Promise<readonly (Answer | Refused)[]>
  readonly again: Parameters<typeof underKey<Answer>>[3]
}

/** Act on one letter, once for the key of a request. */
export function actUnderKey<Answer>(
  db: Db,
  name: OperatorAct['act'],
  by: Operator,
  { letterId, key, fields, act, again }: AskedOnce<Answer>,
) {
  const about = aboutLetter(letterId)
  return underKey<Answer>(
    db,
    { key, about, act: name, fields },
    async (stored) => (await act({ ...by, key: stored }))[0] ?? refusedLetter('letter_not_found'),
    again,
  )
}

function aboutLetter(id: bigint): About {
  const userIn = async (shard: Runner) => (await readLetters(shard, [id]))[0]?.userId ?? null
  return { kind: 'letter', id, userIn }
}

/**
 * Decide every letter in order, each once: what earlier ones use up, later ones do not have. Null:
 * the letter is about nothing that there is.
 */
export function decideEach<Request extends { readonly letterId: bigint }, Answer>(
  requests: readonly Request[],
  { letters }: Pick<Locked, 'letters'>,
  { answers }: Pick<LetterVerdict<Answer>, 'answers'>,
  decideOne: (request: Request, letter: DeadLetter) => Answer | Refused | null,
): void {
  for (const request of requests) {
    const letter = letters.get(request.letterId)
    if (letter === undefined || answers.has(letter.id)) continue
    const answer = decideOne(request, letter)
    if (answer !== null) answers.set(letter.id, answer)
  }
}

/** Write what ends: payments with their entries and tasks, and letters; and who did it. */
export async function writeEnds(
  tx: Tx,
  verdict: Omit<LetterVerdict<unknown>, 'answers'>,
  act: OperatorAct['act'],
  by: Operator,
): Promise<void> {
  const { finishes, entries, moves, acts, watched, refs } = verdict
  finishPayments(tx, finishes)
  post(tx, entries)
  moveGivenBack(tx, moves)
  deleteTasks(
    tx,
    finishes.map(({ id }) => id),
  )
  insertWatches(tx, [...new Map(watched.map((one) => [one.paymentId, one])).values()])
  keepSaidRefs(tx, refs)
  const letterIds = acts.map(({ letterId }) => letterId)
  endLetters(tx, letterIds, act === 'redrive' ? 'redriven' : 'resolved', by)
  await insertActs(
    tx,
    acts.map((one) => ({ ...one, ...by, act })),
  )
}
