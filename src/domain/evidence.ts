import type { Refusal } from './refusal.ts'
import type { Promises } from './charge-decision.ts'
import { mayRepeat } from './doubt.ts'

/** One gateway call as it is kept. */
export interface Attempt {
  readonly paymentId: bigint
  readonly fence: number
  /** 1, 2, 3 within a claim. */
  readonly call: number
  readonly kind: 'charge' | 'lookup' | 'cancel'
  readonly outcome: string
  readonly reason: string | null
  readonly sent: boolean
  readonly httpStatus: number | null
  /** On the database's clock, like every time that is compared or sorted. */
  readonly startedAt: Date
  readonly tookMs: number
  /** It arrived after its lease was lost. */
  readonly late: boolean
}

/** What the evidence of a payment's gateway calls comes to, whichever claims brought it. */
export interface KnownEvidence {
  /** Some call saw the gateway say yes. */
  readonly yes: boolean
  /** A lookup said no, which is about the payment whatever was sent before. */
  readonly no: boolean
  /** A charge was answered with a documented no, which is about that charge. */
  readonly declined: boolean
  /** A lookup did not find it. */
  readonly absent: boolean
  /** Some charge may have been executed without anybody being told. */
  readonly doubted: boolean
  /** Time since the first charge may have been sent, in milliseconds. */
  readonly firstSentAgeMs: number
}

/** What is known when nothing is: no call left evidence. */
export const NO_EVIDENCE: KnownEvidence = {
  yes: false,
  no: false,
  declined: false,
  absent: false,
  doubted: false,
  firstSentAgeMs: 0,
}

/** What a gateway promises, and how long a call of it can take. */
export type GatewayTerms = Promises & {
  readonly timeoutMs: number
  /** It is not configured any more, so nobody would send anything there. */
  readonly gone?: true
  /** When final payments are looked at, as in its profile; not there or empty: never. */
  readonly watchMs?: readonly number[]
  /** It may name a deposit by nothing but its own reference. */
  readonly namesByRef?: true
}

/**
 * What is stored that an operator's word goes against; null: nothing. A yes is never outweighed.
 */
export function against(
  outcome: 'success' | 'failed',
  { yes, no, declined, doubted }: KnownEvidence,
): 'success' | 'declined' | null {
  if (yes) return outcome === 'failed' ? 'success' : null
  // A charge's no says nothing of an earlier charge in doubt.
  const said = no || (declined && !doubted)
  return said && outcome === 'success' ? 'declined' : null
}

/**
 * Why a redrive of a payment is refused by what is known of it; null: it is not.
 *
 * One of unknown outcome must be asked about or sent again under its key, or nothing would come of
 * it; where a yes is stored nothing has to. A failed one is charged again as a new payment, so it
 * must not have been executed: a charge in doubt is settled by a lookup's word, or by a decline
 * where a repeated key is answered with the first answer.
 */
export function againstRedrive(
  status: 'unknown' | 'failed',
  { yes, no, declined, absent, doubted, firstSentAgeMs }: KnownEvidence,
  terms: GatewayTerms,
): Pick<Refusal, 'code' | 'evidence'> | null {
  if (status === 'unknown') {
    const useful = yes || terms.lookup !== 'none' || mayRepeat({ firstSentAgeMs }, terms)
    return useful ? null : { code: 'redrive_impossible' }
  }
  if (yes) return { code: 'evidence_contradicts', evidence: 'success' }
  const settled = no || absent || (declined && terms.repeats === 'first_answer')
  return doubted && !settled ? { code: 'maybe_executed', evidence: 'in_doubt' } : null
}
