import { exponentOf } from '../domain/currency.ts'
import { shortestMoney } from '../domain/money.ts'
import type { GatewayCharge, ListCharges } from '../ports.ts'
import { oursIn } from './driver.ts'
import { listsInTurn, whyNoPage } from './driver-lists.ts'
import type { Exchange } from './http-exchange.ts'
import { fieldsIn, objectOf, type Fields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { listCall, OURS } from './stripe-call.ts'

/** How large one page may be, in bytes. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024

/** What is listed, one after the other, and what it is to us. */
const LISTS = [
  { what: 'payment_intents', type: 'deposit' },
  { what: 'refunds', type: 'refund' },
  { what: 'transfers', type: 'withdraw' },
] as const

/**
 * Lists what Stripe executed for us: payment intents, refunds and transfers one after the other,
 * each newest first. What others made in the same account is left out.
 */
export function stripeCharges(url: string, secretKey: string): ListCharges {
  return listsInTurn({ name: 'Stripe', url }, LISTS, async ({ client, root }, list, after) => {
    const call = listCall({ root, secretKey }, list.what, after)
    const exchange = await client.exchange({ ...call, bytesMax: PAGE_BYTES_MAX })
    const page = pageIn(exchange)
    if (page === null) return whyNoPage(exchange)
    const { rows, more } = page
    const charges = rows.flatMap((row) => chargeOf(row, list.type))
    return { charges, next: more ? String(rows.at(-1)?.['id']) : null }
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
  const { id, status = 'succeeded', amount, currency, metadata } = row
  const ours = oursIn(metadata, OURS)
  const code = typeof currency === 'string' ? currency.toUpperCase() : ''
  const exponent = exponentOf(code)
  if (status !== 'succeeded' || ours === null || exponent === undefined) return []
  const units = fromStripe(amount, { currency: code, exponent })
  const money = units === null ? null : shortestMoney(units, exponent)
  const ref = typeof id === 'string' ? id : null
  return [{ ...ours, amount: money, currency: code, type, ref }]
}
