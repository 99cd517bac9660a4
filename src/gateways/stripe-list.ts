import { exponentOf } from '../domain/currency.ts'
import { shortestMoney } from '../domain/money.ts'
import type { GatewayCharge, GatewayReturn, ListCharges } from '../ports.ts'
import { oursIn } from './driver.ts'
import { listsInTurn, whyNoPage } from './driver-lists.ts'
import type { Exchange } from './http-exchange.ts'
import { fieldsIn, objectOf, type Fields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { TAKEN } from './stripe-taken.ts'
import { listCall, OURS } from './stripe-call.ts'

/** How large one page may be, in bytes. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024

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
  return listsInTurn({ name: 'Stripe', url }, LISTS, async ({ client, root }, list, after) => {
    const call = listCall({ root, secretKey }, list.what, after)
    const exchange = await client.exchange({ ...call, bytesMax: PAGE_BYTES_MAX })
    const page = pageIn(exchange)
    if (page === null) return whyNoPage(exchange)
    const { rows, more } = page
    const { type } = list
    const charges = type === null ? [] : rows.flatMap((row) => chargeOf(row, type))
    const returns = rows.flatMap((row) => returnsOf(row, list.what))
    return { charges, returns, next: more ? String(rows.at(-1)?.['id']) : null }
  })
}

/** The objects of a page, and whether others follow. */
export function pageIn(exchange: Exchange) {
  const page = exchange.kind === 'reply' && exchange.status === 200 ? exchange.body : null
  const { data, has_more: more } = (page === null ? null : objectOf(page)) ?? {}
  if (!Array.isArray(data) || typeof more !== 'boolean' || (more && data.length === 0)) return null
  return { rows: data.map(fieldsIn), more }
}

/** An executed object of ours. Transfers have no status: there is none that is not done. */
function chargeOf(row: Fields, type: GatewayCharge['type']): GatewayCharge[] {
  const { id, status = 'succeeded', amount, currency, metadata, payment_intent: parentRef } = row
  const ours = oursIn(metadata, OURS)
  const code = typeof currency === 'string' ? currency.toUpperCase() : ''
  const exponent = exponentOf(code)
  if (status !== 'succeeded' || ours === null || exponent === undefined) return []
  const units = fromStripe(amount, { currency: code, exponent })
  const money = units === null ? null : shortestMoney(units, exponent)
  const ref = typeof id === 'string' ? id : null
  const about = { ...ours, amount: money, currency: code, type, ref }
  return [type === 'refund' && typeof parentRef === 'string' ? { ...about, parentRef } : about]
}

/** What an object says came back, under the names that a look gives it. */
function returnsOf(row: Fields, what: (typeof LISTS)[number]['what']): GatewayReturn[] {
  const ours = oursIn(row['metadata'], OURS)
  if (what === 'transfers') {
    const { data } = fieldsIn(row['reversals'])
    const made = Array.isArray(data) && ours !== null ? data.map(fieldsIn) : []
    return made.flatMap((one) => returned(one, { paymentId: ours?.paymentId ?? null }))
  }
  const { payment_intent: parentRef, status } = row
  if (typeof parentRef !== 'string') return []
  const of = { parentRef }
  if (what === 'disputes' && status === 'won') return returned(row, of, ':won')
  if (what === 'disputes') return TAKEN.has(status) ? returned(row, of) : []
  if (what !== 'refunds') return []
  // With our names it is listed as a refund of ours, while it is made.
  if (status === 'succeeded') return ours === null ? returned(row, of) : []
  const told = ours === null ? of : { ...of, ours }
  return status === 'failed' || status === 'canceled' ? returned(row, told, ':failed') : []
}

/** What undoes something else ends so. */
type End = '' | ':won' | ':failed'

/** With an `end` it undoes what is under the name without it. */
function returned(
  row: Fields,
  of: Partial<Pick<GatewayReturn, 'paymentId' | 'parentRef' | 'ours'>>,
  end: End = '',
): GatewayReturn[] {
  const { id, created } = row
  if (typeof id !== 'string') return []
  const seconds = [created, ...movesOf(row, end).map((move) => move['created'])]
  const known = seconds.filter((one) => typeof one === 'number')
  const at = known.length === 0 ? null : new Date(Math.max(...known) * 1_000)
  const undoes = end === '' ? {} : { undoes: id }
  return [{ paymentId: null, parentRef: null, ...of, ref: `${id}${end}`, ...undoes, at }]
}

/**
 * The moves of Stripe's balance by which something came back, or was given back again: a dispute
 * that was a question at first takes the money later, one is won weeks after that, and a refund
 * goes out or fails days after it was made. None: Stripe has not listed them.
 */
function movesOf(row: Fields, end: End): readonly Fields[] {
  if (end === ':failed') return [fieldsIn(row['failure_balance_transaction'])]
  const { balance_transactions: moves } = row
  if (!Array.isArray(moves)) return [fieldsIn(row['balance_transaction'])]
  const came = end === ':won'
  return moves
    .map(fieldsIn)
    .filter(({ amount }) => typeof amount === 'number' && (came ? amount > 0 : amount < 0))
}
