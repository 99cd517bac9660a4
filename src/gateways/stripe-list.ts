import { exponentOf } from '../domain/currency.ts'
import { shortestMoney } from '../domain/money.ts'
import { GatewayUnreadable, type GatewayCharge, type ListCharges } from '../ports.ts'
import { httpClient, type Exchange } from './http-exchange.ts'
import { objectOf, type Fields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { listCall, OURS } from './stripe-call.ts'

/** How long one page may take, in milliseconds, and how large it may be. */
const PAGE_MS_MAX = 30_000
const PAGE_BYTES_MAX = 4 * 1024 * 1024

/** What is listed, one after the other, and what it is to us. */
const LISTS = [
  ['payment_intents', 'deposit'],
  ['refunds', 'refund'],
  ['transfers', 'withdraw'],
] as const

/**
 * Lists what Stripe executed for us: payment intents, refunds and transfers one after the other,
 * each newest first. What others made in the same account is left out. To be read in order. A call
 * throws `GatewayUnreadable` for every answer that is no such list.
 */
export function stripeCharges(url: string, secretKey: string): ListCharges {
  const { origin, pathname } = new URL(url)
  const access = { root: pathname.replace(/\/+$/, ''), secretKey }
  const options = { origin, timeoutMs: PAGE_MS_MAX, connections: 1, keepAlive: false }
  const client = httpClient(options)
  const at = { list: 0, after: null as string | null, pages: 0 }
  return async (after) => {
    const [what, type] = LISTS[at.list] ?? []
    if (what === undefined || type === undefined || after !== at.pages) {
      throw new GatewayUnreadable(`Stripe's lists were not read in order (page ${after})`)
    }
    const call = { ...listCall(access, what, at.after), bytesMax: PAGE_BYTES_MAX }
    const { rows, more } = readPage(await client.exchange(call), what)
    at.pages += 1
    at.after = more ? String(rows.at(-1)?.['id']) : null
    if (!more) at.list += 1
    const ended = at.list === LISTS.length
    if (ended) await client.close()
    return { charges: rows.flatMap((row) => chargeOf(row, type)), next: ended ? null : at.pages }
  }
}

/** The objects of a page, and whether others follow. */
function readPage(exchange: Exchange, what: string) {
  const page = exchange.kind === 'reply' && exchange.status === 200 ? exchange.body : null
  const { data, has_more: more } = (page === null ? null : objectOf(page)) ?? {}
  if (!Array.isArray(data) || typeof more !== 'boolean' || (more && data.length === 0)) {
    const why = exchange.kind === 'fault' ? exchange.reason : `status ${exchange.status}`
    throw new GatewayUnreadable(`Stripe's list of ${what} cannot be read: ${why}`)
  }
  return { rows: data.map((row: unknown) => Object(row) as Fields), more } // Checked one by one.
}

/** An executed object of ours. Transfers have no status: there is none that is not done. */
function chargeOf(row: Fields, type: GatewayCharge['type']): GatewayCharge[] {
  const { status = 'succeeded', amount, currency, metadata } = row
  const { [OURS.payment]: id, [OURS.key]: key } = Object(metadata) as Fields // Checked below.
  const code = typeof currency === 'string' ? currency.toUpperCase() : ''
  const exponent = exponentOf(code)
  const isOurs = typeof id === 'string' && /^(0|[1-9]\d{0,17})$/.test(id) && typeof key === 'string'
  if (status !== 'succeeded' || !isOurs || exponent === undefined) return []
  const units = fromStripe(amount, { currency: code, exponent })
  const money = units === null ? null : shortestMoney(units, exponent)
  return [{ paymentId: BigInt(id), key, amount: money, currency: code, type }]
}
