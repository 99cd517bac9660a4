import { actsOfPayment, type KeptAct } from '../operators/acts-store.ts'
import { lettersOfPayment, type DeadLetter } from '../dead-letters/store.ts'
import { exponentIn, type Exponent } from '../domain/currency.ts'
import { NO_EVIDENCE, type Attempt, type GatewayTerms } from '../domain/evidence.ts'
import { explain } from '../domain/explain.ts'
import { postingsOfPayment, type Posting } from '../ledger/store.ts'
import { knownOf } from '../dead-letters/known-store.ts'
import { readWhole, type WholePayment } from '../payments/back-store.ts'
import { repeatsOf } from '../payments/store.ts'
import { childrenOf, type Child } from '../payments/returns-store.ts'
import type { Db, Shard } from '../ports.ts'
import { shardWith } from '../each-shard.ts'
import { attemptsOfPayment, lookAtTask } from './store.ts'

/** One thing that is known of a payment, and when it happened. */
export type TimelineEvent = { readonly at: Date } & (
  | {
      readonly kind: 'accepted' | 'refused'
      readonly payment: WholePayment
      readonly repeats: bigint | null
    }
  | {
      readonly kind: 'call' | 'worker_lost'
      readonly attempt: Attempt
      /** What evidence did that came late; null: it was in time. */
      readonly effect: string | null
    }
  | { readonly kind: 'posting'; readonly posting: Posting }
  | { readonly kind: 'letter_opened' | 'letter_closed'; readonly letter: DeadLetter }
  | { readonly kind: 'act'; readonly act: KeptAct }
  /** Something that goes back of it: a refund, or what came back by itself. */
  | { readonly kind: 'back'; readonly back: Back }
)

/** A refund or a return, as it is told of itself and of the payment that it is of. */
type Back = Pick<Child, 'id' | 'parentId' | 'type' | 'amount' | 'kind' | 'status'>

export interface Timeline {
  readonly payment: WholePayment
  readonly exponent: Exponent
  readonly explanation: string
  readonly events: readonly TimelineEvent[]
}

export interface TimelineWorld {
  readonly db: Db
  /** What each gateway can do. */
  readonly terms: (gateway: string) => GatewayTerms
}

/** Of what happened in the same millisecond, causes come before effects. */
const RANKS: Readonly<Record<TimelineEvent['kind'], number>> = {
  accepted: 0,
  refused: 0,
  back: 0,
  worker_lost: 2,
  call: 2,
  act: 3,
  posting: 4,
  letter_closed: 5,
  letter_opened: 6,
}

/** Everything known about a payment, in order, and why it is in its state. Null: there is none. */
export async function timeline(world: TimelineWorld, id: bigint): Promise<Timeline | null> {
  const shard = await shardWith(world.db, 'payment', id)
  const [payment] = await readWhole(shard, [id])
  if (payment === undefined) return null
  const [task, known, attempts, postings, letters, acts, repeats, children] = await Promise.all([
    lookAtTask(shard, id),
    knownOf(shard, [id]),
    attemptsOfPayment(shard, id),
    postingsOfPayment(shard, payment.userId, id),
    lettersOfPayment(shard, id),
    actsAbout(shard, payment),
    repeatsOf(shard, id),
    childrenOf(shard, [id]),
  ])
  const resolving = acts.findLast(
    ({ act, before }) => act === 'resolve' && before['payment'] === 'unknown',
  )
  const exponent = exponentIn(payment.currency, world.db.currency)
  const explanation = explain({
    payment,
    exponent,
    task,
    known: known.get(id) ?? NO_EVIDENCE,
    terms: world.terms(payment.gateway),
    lateYes: attempts.find(({ outcome }) => outcome === 'success')?.late ?? false,
    redriven: acts.findLast(({ act }) => act === 'redrive')?.after['payment'] === 'new',
    lastOutcome: attempts.findLast(({ late, call }) => !late && call > 0)?.outcome ?? null,
    doubtedBy:
      attempts.findLast(({ kind, outcome }) => kind === 'charge' && isDoubt(outcome))?.reason ??
      null,
    resolved: resolving ?? null,
    letter: letters.find(({ state }) => state === 'open') ?? null,
    repeatedBy: repeats.repeatedBy,
    corrected: postings.some(({ kind }) => kind === 'settle_late'),
  })
  const events: TimelineEvent[] = [
    arrival(payment, repeats.repeated),
    ...children.map((back) => ({ at: back.createdAt, kind: 'back' as const, back })),
    ...postings.map((posting) => ({ at: posting.createdAt, kind: 'posting' as const, posting })),
    ...attempts.map((attempt) => callEvent(attempt, payment)),
    ...letters.flatMap((letter) => letterEvents(letter, acts)),
    ...acts.map((act) => ({ at: act.createdAt, kind: 'act' as const, act })),
  ]
  return { payment, exponent, explanation, events: events.sort(inOrder) }
}

/** Whether a charge that ended so may have been executed. */
function isDoubt(outcome: string): boolean {
  return outcome === 'in_doubt' || outcome === 'pending'
}

/** Sorting is stable, so attempts and letters of the same moment keep their own order. */
function inOrder(one: TimelineEvent, other: TimelineEvent): number {
  return one.at.getTime() - other.at.getTime() || rank(one) - rank(other)
}

function rank(event: TimelineEvent): number {
  if (event.kind === 'posting' && event.posting.kind === 'hold') return 1
  // A redrive answers a letter; a resolution moves money and closes it.
  if (event.kind === 'act' && event.act.act === 'redrive') return 7
  return RANKS[event.kind]
}

/** How it began: nobody asked for a return, so none is accepted. */
function arrival(payment: WholePayment, repeats: bigint | null): TimelineEvent {
  const { createdAt: at, id, parentId, type, amount, returnKind: kind, status } = payment
  if (type === 'return' && parentId !== null) {
    return { at, kind: 'back', back: { id, parentId, type, amount, kind, status } }
  }
  return { at, kind: payment.refusedFor === null ? 'accepted' : 'refused', payment, repeats }
}

/** The acts on a payment; of a return, the one of whoever said that it came back. */
async function actsAbout(shard: Shard, { id, type, parentId }: WholePayment): Promise<KeptAct[]> {
  const acts = await actsOfPayment(shard, id)
  if (type !== 'return' || parentId === null) return acts
  const said = await actsOfPayment(shard, parentId)
  return [...acts, ...said.filter(({ after }) => after['return'] === String(id))]
}

/**
 * A call, where it was late with what came of it. A claim that never reported is kept as call 0.
 */
function callEvent(attempt: Attempt, payment: WholePayment): TimelineEvent {
  const kind = attempt.call === 0 ? 'worker_lost' : 'call'
  return { at: attempt.startedAt, kind, attempt, effect: effectOf(attempt, payment) }
}

/** What evidence did that came after its claim was lost; null: it was in time. */
function effectOf({ late, outcome }: Attempt, { status }: WholePayment): string | null {
  if (!late) return null
  if (outcome !== 'success') return 'Kept; a claim that was lost decides nothing.'
  if (status === 'success') return 'A yes settles the payment, whichever claim brings it.'
  if (status === 'failed') return 'It contradicts the final state: a dead letter tells a person.'
  return 'It speaks against any other end: redriving the open dead letter settles the payment.'
}

/** A letter's opening, and its end unless an operator's act shows it already. */
function letterEvents(letter: DeadLetter, acts: readonly KeptAct[]): TimelineEvent[] {
  const opened: TimelineEvent = { at: letter.createdAt, kind: 'letter_opened', letter }
  const acted = acts.some(
    ({ letterId, after }) => letterId === letter.id && after['letter'] !== 'open',
  )
  if (letter.closedAt === null || acted) return [opened]
  return [opened, { at: letter.closedAt, kind: 'letter_closed', letter }]
}
