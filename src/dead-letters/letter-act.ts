import type { GatewayTerms } from '../domain/evidence.ts'
import type { GivenBackMove } from '../domain/ends.ts'
import type { FeePolicies } from '../domain/fee.ts'
import type { Entry } from '../domain/ledger.ts'
import type { Refusal } from '../domain/refusal.ts'
import { post } from '../ledger/post.ts'
import { moveGivenBack, type WholePayment } from '../payments/back-store.ts'
import { finishPayments, type Finish } from '../payments/store.ts'
import type { BatchSpan, Db, Runner, Shard, Tx } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { insertWatches, type Watched } from '../queue/watches-store.ts'
import { keepSaidRefs, type KeptRef } from '../payments/gateway-refs-store.ts'
import { eachPart, whole } from '../each-shard.ts'
import { underKey, type About } from '../operators/under-key.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
import type { Operator } from '../domain/operator.ts'
import { endLetters, readLetters } from './store.ts'

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
export interface Verdict<Answer> {
  readonly answers: Map<bigint, Answer | Refused>
  readonly finishes: Finish[]
  readonly entries: Entry[]
  readonly moves: GivenBackMove[]
  readonly acts: LetterAct[]
  /** What is looked at, now that somebody has ended it: see `expectBack`. */
  readonly watched: Watched[]
  /** What operators say that gateways call deposits. */
  readonly refs: KeptRef[]
}

/** What a batch comes to before anything of it is decided, but that letters are busy. */
export function newVerdict<Answer>(busy: Iterable<bigint>): Verdict<Answer> {
  const answers = new Map([...busy].map((letterId) => [letterId, refuse('busy')] as const))
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
export function expectBack(
  { watched, refs }: Pick<Verdict<unknown>, 'watched' | 'refs'>,
  { payment, outcome, parentId, gatewayRef }: Ended,
  { watchMs = [], namesByRef }: GatewayTerms,
): void {
  const { id, type, gateway } = payment
  // Somebody may have booked a refund as a return that failed there.
  const back = parentId !== null && namesByRef === true && outcome === 'failed' ? parentId : null
  const paymentId = parentId === null && outcome === 'success' ? id : back
  if (paymentId !== null && watchMs.length > 0) watched.push({ paymentId, gateway, delayMs: 0 })
  if (type !== 'deposit' || outcome === 'failed' || gatewayRef === null) return
  refs.push({ gateway, ref: gatewayRef, paymentId: id })
}

export function refuse(code: Refusal['code'], more: Omit<Refusal, 'code'> = {}): Refused {
  return { kind: 'refused', refusal: { code, ...more } }
}

/** Act on letters: N requests in, N answers out, in order; one transaction per shard. */
export async function actOnEach<Request extends { readonly letterId: bigint }, Answer>(
  db: Db,
  requests: readonly Request[],
  act: (shard: Shard, part: readonly Request[]) => Promise<Pick<Verdict<Answer>, 'answers'>>,
): Promise<(Answer | Refused)[]> {
  const answers = new Map<bigint, Answer | Refused>()
  const idOf = ({ letterId }: Request) => letterId
  const places = await db.find('letter', requests.map(idOf))
  const acted = await eachPart(places, requests, idOf, async (shard, part) => {
    const verdict = await act(shard, part)
    for (const [letterId, answer] of verdict.answers) answers.set(letterId, answer)
  })
  whole(acted)
  return requests.map(({ letterId }) => answers.get(letterId) ?? refuse('letter_not_found'))
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
    async (own) => (await act({ ...by, key: own }))[0] ?? refuse('letter_not_found'),
    again,
  )
}

function aboutLetter(id: bigint): About {
  const userIn = async (shard: Runner) => (await readLetters(shard, [id]))[0]?.userId ?? null
  return { kind: 'letter', id, userIn }
}

/** Write what ends: payments with their entries and tasks, and letters; and who did it. */
export async function writeEnds(
  tx: Tx,
  verdict: Omit<Verdict<unknown>, 'answers'>,
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
