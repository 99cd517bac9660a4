import type { GatewayTerms } from '../domain/evidence.ts'
import type { GivenBackMove } from '../domain/ends.ts'
import type { FeePolicy } from '../domain/fee.ts'
import type { Entry } from '../domain/ledger.ts'
import type { Refusal } from '../domain/refusal.ts'
import { post } from '../ledger/post.ts'
import { moveGivenBack } from '../payments/back-store.ts'
import { finishPayments, type Finish } from '../payments/store.ts'
import type { BatchSpan, Db, Runner, Shard, Tx } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { eachPart, whole } from '../each-shard.ts'
import { underKey, type About } from '../operators/under-key.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
import type { Operator } from '../domain/operator.ts'
import { endLetters, readLetters } from './store.ts'

export interface ActWorld {
  readonly db: Db
  /** What the gateway in use can do. */
  readonly terms: (gateway: string) => GatewayTerms
  /** Whether refunds return their part of the commission. */
  readonly refundFee: FeePolicy
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
}

/** What a batch comes to before anything of it is decided, but that letters are busy. */
export function newVerdict<Answer>(busy: Iterable<bigint>): Verdict<Answer> {
  const answers = new Map([...busy].map((letterId) => [letterId, refuse('busy')] as const))
  return { answers, finishes: [], entries: [], moves: [], acts: [] }
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
  verdict: Pick<Verdict<unknown>, 'finishes' | 'entries' | 'moves' | 'acts'>,
  act: OperatorAct['act'],
  by: Operator,
): Promise<void> {
  const { finishes, entries, moves, acts } = verdict
  finishPayments(tx, finishes)
  post(tx, entries)
  moveGivenBack(tx, moves)
  deleteTasks(
    tx,
    finishes.map(({ id }) => id),
  )
  const letterIds = acts.map(({ letterId }) => letterId)
  endLetters(tx, letterIds, act === 'redrive' ? 'redriven' : 'resolved', by)
  await insertActs(
    tx,
    acts.map((one) => ({ ...one, ...by, act })),
  )
}
