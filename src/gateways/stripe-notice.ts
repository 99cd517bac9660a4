import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Operation } from '../domain/payment.ts'
import type { Notice, RawNotice } from '../ports.ts'
import { paymentIn } from './driver.ts'
import { fieldsIn, objectOf, type ReplyFields } from './http-reply.ts'
import { OUR_STRIPE_NAMES } from './stripe-call.ts'

/** What a notice is checked against. */
interface NoticeTerms {
  readonly secrets: readonly string[]
  /** How far its time may be from ours, in milliseconds, in either direction. */
  readonly ageMsMax: number
  /** Our own key is none of the test mode. */
  readonly live: boolean
}

/** Signatures that are looked at; more are nobody's. */
const SIGNATURES_MAX = 10

/**
 * Why a `Stripe-Signature` is not believed; null: it is. The header is `t=…,v1=…`: a time, and
 * HMAC-SHA256 of it and the body as it came, once for every secret that is valid. Other schemes are
 * skipped, so that nobody can ask for a weaker one.
 */
function signatureProblem(
  header: string,
  body: Buffer,
  { secrets, ageMsMax }: NoticeTerms,
  now: Date,
): string | null {
  if (secrets.length === 0) return 'no_notice_secret'
  const parts = header.split(',').map((part) => part.trim().split('=', 2))
  const times = parts.flatMap(([name, value = '']) => (name === 't' ? [value] : []))
  const [time = ''] = times
  const signatures = parts
    .flatMap(([name, value = '']) => (name === 'v1' && /^[0-9a-f]{64}$/.test(value) ? [value] : []))
    .slice(0, SIGNATURES_MAX)
  if (times.length !== 1 || !/^\d{1,12}$/.test(time)) return 'signature_malformed'
  const given = signatures.map((signature) => Buffer.from(signature, 'hex'))
  const right = secrets.some((secret) => {
    const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest()
    return given.some((signature) => timingSafeEqual(signature, expected))
  })
  if (!right) return 'signature_wrong'
  // Signed, and so it was Stripe's once: one that is too old may be somebody's who kept it.
  return Math.abs(now.getTime() - Number(time) * 1_000) > ageMsMax ? 'signature_too_old' : null
}

/** What an event is about, by its name; what is not listed is of no use to us. */
const SUBJECTS: readonly (readonly [event: RegExp, operation: Operation])[] = [
  [/^payment_intent\./, 'charge'],
  [/^charge\.(refunded|dispute\.\w+)$/, 'charge'],
  [/^transfer\./, 'payout'],
  [/^(refund\.|charge\.refund\.)/, 'refund'],
]

/** Events that tell of no yes: a payment that failed is not asked about for them. */
const NO_YES = /^payment_intent\.(?!succeeded$)/

/** Read a notice of Stripe: authentic where it is signed, and never more than a reason to ask. */
export function readStripeNotice(raw: RawNotice, terms: NoticeTerms, now: Date): Notice {
  const header = raw.headers['stripe-signature']
  if (typeof header !== 'string') return { kind: 'refused', reason: 'signature_missing' }
  const problem = signatureProblem(header, raw.body, terms, now)
  if (problem !== null) return { kind: 'refused', reason: problem }
  // What is signed is Stripe's, in whatever form: events of its other APIs tell no object.
  const event = objectOf(raw.body)
  const { id, type } = event ?? {}
  if (event?.['object'] !== 'event' || !isText(id) || !isText(type)) {
    return { kind: 'ignored', reason: 'other_event' }
  }
  // An endpoint of a platform is told of both modes, and payments of a test have ids as ours have.
  if (terms.live && event['livemode'] === false) return { kind: 'ignored', reason: 'test_mode' }
  return noticeOf(event, id, type)
}

/** What an event that is Stripe's is about. */
function noticeOf(event: ReplyFields, id: string, type: string): Notice {
  const object = fieldsIn(fieldsIn(event['data'])['object'])
  const operation = SUBJECTS.find(([name]) => name.test(type))?.[1]
  const ref = operation === 'charge' ? (object['payment_intent'] ?? object['id']) : object['id']
  if (operation === undefined || !isText(ref)) return { kind: 'ignored', reason: 'other_event' }
  const status = isText(object['status']) ? object['status'] : ''
  const paymentId = paymentIn(object['metadata'], OUR_STRIPE_NAMES)
  const named = { operation, ref, paymentId, event: type, status, dedupeKey: id }
  const about = NO_YES.test(type) ? { ...named, noNewsOf: ['failed'] as const } : named
  // A dispute, or a refund that we have not made, has nothing of ours but its payment intent.
  const { payment_intent: parentRef } = object
  return { kind: 'authentic', ...about, ...(isText(parentRef) ? { parentRef } : {}) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value)
}
