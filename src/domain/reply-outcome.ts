import type { ChargeOutcome, LookupOutcome } from './outcome.ts'

/** What the body of a reply is, whatever its status. */
export type Shape =
  /**
   * A JSON object in the words of our contract: it was charged, it was declined, it is worked on.
   */
  | 'success'
  | 'declined'
  | 'pending'
  /** The contract's own error: the request was refused, with a code. */
  | 'rejected'
  /** Another JSON object, whoever wrote it. */
  | 'json'
  /** No JSON object, or one with two meanings: a page, a fragment, a list. */
  | 'page'
  | 'empty'
  /** A JSON object about another payment, amount or key than ours. */
  | 'another'

/** Nobody executed anything: another address was meant. None is followed. */
const MOVED: ReadonlySet<number> = new Set([301, 307, 308])
/** Who asks is not believed, whatever the body says of the request. */
const UNKNOWN_CALLER: ReadonlySet<number> = new Set([401, 407])
/** 4xx that say nothing about execution: it took too long, it collides, it came too early. */
const UNDECIDED: ReadonlySet<number> = new Set([408, 409, 425])
/** 4xx with which a gateway may say a documented no. */
const DECLINES: ReadonlySet<number> = new Set([400, 402, 409, 422])

/**
 * What the reply to a charge says: one total function of its status and the shape of its body. The
 * status decides first, because whatever stands in between writes bodies as it likes. Null: no
 * whole reply was read; then only whether a byte was `sent` counts.
 *
 * A refusal claims that the request was not executed. So nothing is one whose body is about another
 * payment, for then our own reply is somewhere else, or says that ours was charged.
 */
export function chargeKind(
  status: number | null,
  shape: Shape,
  sent = true,
): ChargeOutcome['kind'] {
  if (!sent) return 'not_executed'
  if (status === null || shape === 'another') return 'in_doubt'
  if (status >= 200 && status < 300) return wordOf(shape) ?? 'in_doubt'
  if (shape === 'success' || shape === 'pending') return 'in_doubt'
  if (MOVED.has(status)) return 'misconfigured'
  return status < 400 || status >= 500 ? 'in_doubt' : refusalKind(status, shape)
}

/** What a 4xx without a yes says. */
function refusalKind(status: number, shape: Shape): ChargeOutcome['kind'] {
  if (status === 429) return 'not_executed'
  if (UNKNOWN_CALLER.has(status)) return 'misconfigured'
  if (shape === 'declined' && DECLINES.has(status)) return 'declined'
  if (UNDECIDED.has(status)) return 'in_doubt'
  return shape === 'rejected' ? 'rejected' : 'misconfigured'
}

const REFUSALS: ReadonlySet<string> = new Set(['rejected', 'misconfigured', 'not_executed'])

/** Whether a reply to a charge says that it was not executed. */
export function refuses(status: number | null, shape: Shape): boolean {
  return REFUSALS.has(chargeKind(status, shape))
}

/**
 * Whether a refusal that names nobody was meant for our charge, although its connection had carried
 * other requests and it might be a surplus reply to one of them. A lookup was sent behind the
 * charge, on the same connection, as its last; `status` and `shape` are of what came next, and
 * `last` is whether that reply ends the connection, as the reply to a last request does.
 *
 * Replies come in the order of their requests, so until the last one our own has come. If both are
 * refusals, one of them is ours, and it does not matter which. Where the second is none, or more
 * may follow it, ours may be still to come.
 */
export function confirms(status: number | null, shape: Shape, last: boolean): boolean {
  return last && refuses(status, shape)
}

/**
 * What the reply to a lookup says. "Not found" has to be said in the contract's own words: a page
 * or a bare 404 comes from whoever stands in between, and proves nothing.
 */
export function lookupKind(status: number | null, shape: Shape): LookupOutcome['kind'] {
  if (status === null || shape === 'another') return 'no_answer'
  if (status >= 200 && status < 300) return wordOf(shape) ?? 'no_answer'
  if (shape === 'success' || shape === 'pending') return 'no_answer'
  if (status === 404 && shape === 'rejected') return 'not_found'
  return UNKNOWN_CALLER.has(status) || status === 403 ? 'misconfigured' : 'no_answer'
}

function wordOf(shape: Shape): 'success' | 'declined' | 'pending' | null {
  return shape === 'success' || shape === 'declined' || shape === 'pending' ? shape : null
}
