import type { UnreadReturn } from '../domain/outcome.ts'
import { fieldsIn, type ReplyFields } from './http-reply.ts'

/** Disputes for which Stripe takes the money, and those for which it does not. */
const TAKEN: ReadonlySet<unknown> = new Set([
  'needs_response',
  'under_review',
  'appeal_needs_response',
  'appeal_under_review',
  'lost',
  'won',
])
const NOT_TAKEN: ReadonlySet<unknown> = new Set([
  'warning_needs_response',
  'warning_under_review',
  'warning_closed',
  'prevented',
])
/** Those that are over: what has not moved by then does not. */
const OVER: ReadonlySet<unknown> = new Set(['lost', 'won'])

/** What became of the money of a dispute. */
interface Disputed {
  /** All of it was taken. */
  readonly taken: boolean
  /** All of it was given back afterwards. */
  readonly won: boolean
  /** What moved besides, or did not, which only a person can book: under which name, and why. */
  readonly odd: UnreadReturn | null
}

/**
 * What became of the money of a dispute, by the moves of Stripe's balance where it lists them: one
 * that is lost may have been given back in part, one that is won may be lost after all, and both
 * keep one status. Without a list, its status says it.
 */
export function disputed(row: ReplyFields): Disputed {
  const { id, status } = row
  const told = { taken: TAKEN.has(status), won: status === 'won' }
  const ref = refIn(id)
  const moves = movesOf(row)
  const [first, ...others] = moves ?? []
  if (first !== undefined) return movedBy(row, ref, [first, ...others])
  if (!told.taken && !NOT_TAKEN.has(status)) {
    return { ...told, odd: { ref, code: 'dispute_unknown' } }
  }
  if (moves === null) return { ...told, odd: null }
  const odd = OVER.has(status) ? ({ ref, code: 'dispute_not_taken' } as const) : null
  return { taken: false, won: false, odd }
}

/** The same by its moves: taken first, given back then, and what is neither is for a person. */
function movedBy(
  row: ReplyFields,
  ref: string | null,
  moves: readonly [ReplyFields, ...ReplyFields[]],
): Disputed {
  const [first, second, ...others] = moves
  const taken = amountOf(first) < 0
  const won = taken && second !== undefined && isWhole(row, first, second)
  const neither = [...(taken ? [] : [first]), ...(won || second === undefined ? [] : [second])]
  const [more] = [...neither, ...others]
  if (more === undefined) return { taken, won, odd: null }
  return { taken, won, odd: { ref: refIn(more['id']) ?? ref, code: 'dispute_moved' } }
}

/**
 * Whether all that was taken was given back. In the currency of an account that is not the
 * dispute's, both are as much as that was worth on their days, so only the status says it.
 */
function isWhole(
  { status, currency }: ReplyFields,
  taken: ReplyFields,
  back: ReplyFields,
): boolean {
  const same = taken['currency'] === undefined || taken['currency'] === currency
  if (same) return amountOf(back) === -amountOf(taken)
  return status === 'won' && amountOf(back) > 0
}

/** The moves of Stripe's balance by a dispute, the oldest first; null: it does not list them. */
function movesOf({ balance_transactions: moves }: ReplyFields): readonly ReplyFields[] | null {
  if (!Array.isArray(moves)) return null
  const at = ({ created }: ReplyFields) => (typeof created === 'number' ? created : 0)
  const known = moves.map(fieldsIn).filter((move) => amountOf(move) !== 0)
  return known.toSorted((a, b) => at(a) - at(b) || amountOf(a) - amountOf(b))
}

function refIn(id: unknown): string | null {
  return typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id) ? id : null
}

function amountOf({ amount }: ReplyFields): number {
  return typeof amount === 'number' ? amount : 0
}
