import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { CameBack, ToldRefund, UnreadReturn } from '../domain/outcome.ts'
import { failedAfterAll, oursIn } from './driver.ts'
import { whyNoPage } from './driver-lists.ts'
import type { Exchange, HttpCall } from './http-exchange.ts'
import type { ReplyFields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { backCall, OUR_STRIPE_NAMES, type StripeAccess } from './stripe-call.ts'
import { pageIn, reversalsOfTransfer } from './stripe-list.ts'
import { reversalsIn } from './stripe-objects.ts'
import { disputed } from './stripe-taken.ts'

/**
 * What came back of a payment intent: refunds that were not made by us, disputes, and the money of
 * those that were won. Of each all on one page; a text says why it cannot be told.
 */
export async function stripeBack(
  exchange: (call: HttpCall) => Promise<Exchange>,
  access: StripeAccess,
  operation: GatewayOperation,
  intent: string,
): Promise<Told | string> {
  const back: CameBack[] = []
  const refunds: ToldRefund[] = []
  const unread: UnreadReturn[] = []
  for (const [what, read] of LISTS) {
    const seen = await exchange(backCall(access, what, intent))
    const page = pageIn(seen)
    if (page === null) return whyNoPage(seen)
    if (page.more) return 'list_too_long'
    if (page.rows.some((row) => row['payment_intent'] !== intent)) return 'reply_mismatch'
    // The oldest first: what is won was taken before.
    for (const row of page.rows.toReversed()) {
      for (const told of read(row, operation)) {
        if ('code' in told) unread.push(told)
        else if ('ours' in told) refunds.push(told)
        else back.push(told)
      }
    }
  }
  const returns = inTime(back)
  return {
    returns,
    ...(refunds.length === 0 ? {} : { refunds }),
    ...(unread.length === 0 ? {} : { unread }),
  }
}

/** All that came back of a transfer, where it is more than its object tells. */
export async function stripeReversals(
  exchange: (call: HttpCall) => Promise<Exchange>,
  access: StripeAccess,
  operation: GatewayOperation,
  transfer: string,
): Promise<Partial<Told> | string> {
  const rows = await reversalsOfTransfer(exchange, access, transfer)
  return typeof rows === 'string' ? rows : reversalsIn(rows, operation)
}

/** What came back earlier is told earlier, whether it was refunded or disputed. */
function inTime(back: readonly CameBack[]): readonly CameBack[] {
  const dated = back.map((one) => ({ one, ms: one.at?.getTime() ?? NaN }))
  if (dated.some(({ ms }) => Number.isNaN(ms))) return back
  return dated.toSorted((a, b) => a.ms - b.ms).map(({ one }) => one)
}

interface Told {
  readonly returns: readonly CameBack[]
  readonly refunds?: readonly ToldRefund[]
  readonly unread?: readonly UnreadReturn[]
}

type Read = (
  row: ReplyFields,
  operation: GatewayOperation,
) => readonly (CameBack | ToldRefund | UnreadReturn)[]

const LISTS: readonly (readonly [what: 'refunds' | 'disputes', read: Read])[] = [
  ['refunds', refundIn],
  ['disputes', disputeIn],
]

/**
 * A refund that others made is a return. Where it fails after all its money is ours again: that
 * undoes the return, if it was booked. Whether one with our names is ours is for the books to say.
 */
function refundIn(row: ReplyFields, operation: GatewayOperation): ReturnType<Read> {
  const { status } = row
  const made = status === 'succeeded'
  if (!made && status !== 'failed' && status !== 'canceled') return []
  const one = named(row, operation)
  if ('code' in one) return made ? [one] : []
  const back: CameBack = made
    ? { ...one, kind: 'refunded_there', besidesRefund: true }
    : failedAfterAll(one)
  const ours = oursIn(row['metadata'], OUR_STRIPE_NAMES)
  return [ours === null ? back : { ref: one.ref, ours, made, back }]
}

function disputeIn(row: ReplyFields, operation: GatewayOperation): ReturnType<Read> {
  const { taken, won, odd } = disputed(row)
  const unread = odd === null ? [] : [odd]
  if (!taken) return unread
  const one = named(row, operation)
  if ('code' in one) return [one, ...unread]
  const back = { ...one, kind: 'charged_back' } as const
  const given = { ...one, ref: `${one.ref}:won`, kind: 'dispute_won', undoes: one.ref } as const
  return [back, ...(won ? [given] : []), ...unread]
}

/** What of an object is told of every return, or why that cannot be. */
function named(
  row: ReplyFields,
  operation: GatewayOperation,
): Omit<CameBack, 'kind'> | UnreadReturn {
  const { id, amount: units, currency, created } = row
  const amount = fromStripe(units, operation)
  const whole = typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id)
  if (!whole) return { ref: null, code: 'ref_unreadable' }
  if (currency !== operation.currency.toLowerCase()) return { ref: id, code: 'currency_differs' }
  if (amount === null || amount <= 0n) return { ref: id, code: 'amount_unreadable' }
  return { ref: id, amount, at: typeof created === 'number' ? new Date(created * 1_000) : null }
}
