import { isStripeTestKey } from '../domain/test-keys.ts'
import { exponentOf } from '../domain/currency.ts'
import { shortestMoney } from '../domain/money.ts'
import type { GatewayReturn } from '../domain/gateway-return.ts'
import type { GatewayCharge, ListCharges } from '../ports.ts'
import { SAID_KINDS } from '../domain/returns.ts'
import { oursIn } from './driver.ts'
import { listsInTurn, whyNoPage } from './driver-lists.ts'
import type { Exchange, HttpCall } from './http-exchange.ts'
import { fieldsIn, objectOf, type ReplyFields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { isTest } from './stripe-reply.ts'
import { disputed } from './stripe-taken.ts'
import { listCall, OUR_STRIPE_NAMES, reversalsCall, type StripeAccess } from './stripe-call.ts'

/**
 * How large one page may be, in bytes: twenty disputes with all the evidence that Stripe takes, in
 * whatever script.
 */
const PAGE_BYTES_MAX = 16 * 1024 * 1024

/** What is listed, one after the other, and what it is to us. */
const LISTS = [
  { what: 'payment_intents', type: 'deposit' },
  { what: 'refunds', type: 'refund' },
  { what: 'transfers', type: 'withdraw' },
  { what: 'disputes', type: null },
] as const

/**
 * Lists what Stripe executed for us: payment intents, refunds and transfers one after the other,
 * each newest first, and disputes. What others made in the same account is left out, but for what
 * they gave back of ours.
 */
export function stripeCharges(url: string, secretKey: string): ListCharges {
  const live = !isStripeTestKey(secretKey)
  return listsInTurn(
    { name: 'Stripe', url, tells: SAID_KINDS },
    LISTS,
    async ({ client, root }, list, after) => {
      const access = { root, secretKey }
      const ask = (call: HttpCall) => client.exchange({ ...call, bytesMax: PAGE_BYTES_MAX })
      const exchange = await ask(listCall(access, list.what, after))
      const page = pageIn(exchange)
      if (page === null) return whyNoPage(exchange)
      const rows: ReplyFields[] = []
      for (const row of page.rows) {
        // What moves no money was not executed.
        if (live && isTest(row)) continue
        const whole = list.what === 'transfers' ? await withReversals(ask, access, row) : row
        if (typeof whole === 'string') return whole
        rows.push(whole)
      }
      const { type } = list
      const charges = type === null ? [] : rows.flatMap((row) => chargeOf(row, type))
      const returns = rows.flatMap((row) => returnsOf(row, list.what))
      const names = rows.flatMap((row) => namesIn(row, list.what))
      return { charges, returns, names, next: page.more ? String(page.rows.at(-1)?.['id']) : null }
    },
  )
}

/** A transfer of ours with all of its reversals: its object tells ten. */
async function withReversals(
  ask: (call: HttpCall) => Promise<Exchange>,
  access: StripeAccess,
  row: ReplyFields,
): Promise<ReplyFields | string> {
  const isWhole = fieldsIn(row['reversals'])['has_more'] !== true
  if (isWhole || oursIn(row['metadata'], OUR_STRIPE_NAMES) === null) return row
  const data = await reversalsOfTransfer(ask, access, String(row['id']))
  return typeof data === 'string' ? data : { ...row, reversals: { data } }
}

/** Everything that came back of a transfer, or why it cannot be told. */
export async function reversalsOfTransfer(
  ask: (call: HttpCall) => Promise<Exchange>,
  access: StripeAccess,
  transfer: string,
): Promise<readonly ReplyFields[] | string> {
  const seen = await ask(reversalsCall(access, transfer))
  const page = pageIn(seen)
  if (page === null) return whyNoPage(seen)
  if (page.more) return 'list_too_long'
  return page.rows.some((row) => row['transfer'] !== transfer) ? 'reply_mismatch' : page.rows
}

/** The objects of a page, and whether others follow. */
export function pageIn(exchange: Exchange) {
  const page = exchange.kind === 'reply' && exchange.status === 200 ? exchange.body : null
  const { data, has_more: more } = (page === null ? null : objectOf(page)) ?? {}
  if (!Array.isArray(data) || typeof more !== 'boolean' || (more && data.length === 0)) return null
  return { rows: data.map(fieldsIn), more }
}

/** An amount in major units, and its currency; null for what is none. */
function moneyOf({ amount, currency }: ReplyFields) {
  const code = typeof currency === 'string' ? currency.toUpperCase() : null
  const exponent = exponentOf(code ?? '')
  if (code === null || exponent === undefined) return { amount: null, currency: code }
  const units = fromStripe(amount, { currency: code, exponent })
  return { amount: units === null ? null : shortestMoney(units, exponent), currency: code }
}

/** An executed object of ours. Transfers have no status: there is none that is not done. */
function chargeOf(row: ReplyFields, type: GatewayCharge['type']): GatewayCharge[] {
  const { id, status = 'succeeded', metadata, payment_intent: parentRef } = row
  const ours = oursIn(metadata, OUR_STRIPE_NAMES)
  const { amount, currency } = moneyOf(row)
  const known = currency !== null && exponentOf(currency) !== undefined
  if (status !== 'succeeded' || ours === null || !known) return []
  const ref = typeof id === 'string' ? id : null
  const about = { ...ours, amount, currency, type, ref }
  return [type === 'refund' && typeof parentRef === 'string' ? { ...about, parentRef } : about]
}

/** What an object says came back, under the names that a look gives it. */
function returnsOf(row: ReplyFields, what: (typeof LISTS)[number]['what']): GatewayReturn[] {
  const ours = oursIn(row['metadata'], OUR_STRIPE_NAMES)
  if (what === 'transfers') return reversalsOf(row)
  const { payment_intent: parentRef, status } = row
  if (typeof parentRef !== 'string') return []
  const kind = what === 'disputes' ? 'charged_back' : 'refunded_there'
  const of = { parentRef, kind } as const
  if (what === 'disputes') {
    const { taken, won } = disputed(row)
    return taken ? returned(row, of, won ? ':won' : '') : []
  }
  if (what !== 'refunds') return []
  // With our names it is listed as a refund of ours, while it is made.
  if (status === 'succeeded') return ours === null ? returned(row, of) : []
  const told = ours === null ? of : { ...of, ours }
  return status === 'failed' || status === 'canceled' ? returned(row, told, ':failed') : []
}

/** The names of a refund or a dispute, and of what it moved: people book odd ones under them. */
function namesIn(row: ReplyFields, what: (typeof LISTS)[number]['what']): string[] {
  if (what !== 'refunds' && what !== 'disputes') return []
  const { balance_transactions: moves } = row
  const moved = Array.isArray(moves) ? moves.map(fieldsIn) : []
  return [row, ...moved].flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
}

/** What came back of a transfer of ours. */
function reversalsOf({ metadata, reversals, currency }: ReplyFields): GatewayReturn[] {
  const ours = oursIn(metadata, OUR_STRIPE_NAMES)
  const { data } = fieldsIn(reversals)
  if (!Array.isArray(data) || ours === null) return []
  const of = { paymentId: ours.paymentId, kind: 'payout_returned' } as const
  return data.map(fieldsIn).flatMap((one) => returned({ currency, ...one }, of))
}

/** What undoes something else ends so. */
type End = '' | ':won' | ':failed'

/** With an `end` it undoes what is under the name without it. */
function returned(
  row: ReplyFields,
  of: Partial<GatewayReturn> & Pick<GatewayReturn, 'kind'>,
  end: End = '',
): GatewayReturn[] {
  const { id, created } = row
  if (typeof id !== 'string') return []
  const seconds = [created, ...movesOf(row, end).map((move) => move['created'])]
  const known = seconds.filter((one) => typeof one === 'number')
  const at = known.length === 0 ? null : new Date(Math.max(...known) * 1_000)
  const undoes = end === '' ? {} : ({ undoes: id, kind: 'dispute_won' } as const)
  const told = { paymentId: null, parentRef: null, ...moneyOf(row), ...of }
  return [{ ...told, ref: `${id}${end}`, ...undoes, at }]
}

/**
 * The moves of Stripe's balance by which something came back, or was given back again: a dispute
 * that was a question at first takes the money later, one is won weeks after that, and a refund
 * goes out or fails days after it was made. None: Stripe has not listed them.
 */
function movesOf(row: ReplyFields, end: End): readonly ReplyFields[] {
  if (end === ':failed') return [fieldsIn(row['failure_balance_transaction'])]
  const { balance_transactions: moves } = row
  if (!Array.isArray(moves)) return [fieldsIn(row['balance_transaction'])]
  const came = end === ':won'
  return moves
    .map(fieldsIn)
    .filter(({ amount }) => typeof amount === 'number' && (came ? amount > 0 : amount < 0))
}
