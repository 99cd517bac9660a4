import { isYookassaTestKey } from '../domain/test-keys.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { CameBack, LookupOutcome, ToldRefund, UnreadReturn } from '../domain/outcome.ts'
import { typeOf, type Operation } from '../domain/payment.ts'
import type { GatewayReturn } from '../domain/gateway-return.ts'
import type { Clock, Evidence, GatewayCharge, ListCharges } from '../ports.ts'
import { failedAfterAll, oursIn } from './driver.ts'
import { listsInTurn, PAGE_MS_MAX, whyNoPage, type Pages } from './driver-lists.ts'
import type { Exchange, HttpCall } from './http-exchange.ts'
import { fieldsIn, minorUnits, objectOf, type ReplyFields } from './http-reply.ts'
import { OUR_YOOKASSA_NAMES, readFields, refOf, type YookassaBody } from './yookassa-reply.ts'
import { headersOf, PATHS, type Shop } from './yookassa-request.ts'

/** What YooKassa lists at most on one page, and how long such a page may be, in bytes. */
const PAGE_SIZE = 100
const PAGE_BYTES_MAX = 2 * 1024 * 1024
/** Pages that one lookup reads at most. */
const PAGES_MAX = 10
/** How much earlier than we sent a request its object may have been made: clocks differ. */
const CLOCKS_MS = 300_000
/** How long YooKassa remembers a key, in milliseconds: its object is made meanwhile. */
export const YOOKASSA_KEY_LIFE_MS = 86_400_000
/** How far a lookup goes back that does not know when the request was sent. */
const BACK_MS = 3 * YOOKASSA_KEY_LIFE_MS

/**
 * Parts of the time in which an object is made, from when its request was first sent: while that
 * was answered, by a clock that is behind ours, while it was soon repeated, and ever since.
 */
const PARTS_MS = [
  [-30_000, 60_000],
  [-CLOCKS_MS, -30_000],
  [60_000, 900_000],
  [900_000, YOOKASSA_KEY_LIFE_MS + CLOCKS_MS],
] as const

/** What lists are asked with. */
interface Listing extends Pages {
  readonly headers: readonly string[]
}

/** What a search through a list came to; `body` is our object, null: `outcome` says why not. */
type Found = Evidence<LookupOutcome> & { readonly body: YookassaBody | null }

/**
 * Find the object of an operation whose id is not known: among those made since its request may
 * have been sent, the one with our key in its metadata. YooKassa lists the newest first, and ours
 * is mostly among the oldest: where there is more than a page, the time around the request is
 * searched first. Not found is no proof: the request may still be under way.
 */
export async function findListed(
  listing: Listing & { readonly clock: Clock; readonly timeoutMs: number },
  operation: GatewayOperation,
  signal?: AbortSignal,
): Promise<Found> {
  const { clock, timeoutMs } = listing
  const untilMs = clock.elapsedMs() + timeoutMs
  const [all, ...parts] = windowsOf(operation, clock)
  let last: Pick<Evidence<never>, 'sent' | 'httpStatus'> = { sent: false, httpStatus: null }
  let [query, cursor, left] = [all, null as string | null, parts]
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    // All pages have one deadline together.
    const msMax = untilMs - clock.elapsedMs()
    if (msMax <= 0) return { ...last, body: null, outcome: noAnswer('timeout') }
    const asked: PageAsked = { kind: operation.kind, query, cursor, msMax }
    const exchange: Exchange = await pageOf(listing, asked, signal)
    last = { sent: exchange.sent, httpStatus: exchange.status }
    const page = readPage(exchange)
    if (typeof page === 'string') return { ...last, body: null, outcome: noPage(exchange, page) }
    const bodies = page.items.map((item) => readFields(item, operation))
    const [body = null] = ORDER.flatMap(
      (wanted) => bodies.find(({ shape }) => shape === wanted) ?? [],
    )
    if (body !== null) return { ...last, body, outcome: { kind: 'not_found' } }
    const [next, ...others] = left
    // A whole window that is one page has no parts, and behind its last part nothing is left.
    const ended = page.cursor === null && (query === all || next === undefined)
    if (ended) return { ...last, body: null, outcome: { kind: 'not_found' } }
    cursor = page.cursor
    if (next !== undefined && (query === all || page.cursor === null)) {
      ;[query, cursor, left] = [next, null, others]
    }
  }
  return { ...last, body: null, outcome: noAnswer('list_too_long') }
}

/**
 * The refunds of a payment that were not made by us, oldest first; a text says why they cannot be
 * told. `untilMs`: the deadline of all pages together, on the monotonic clock.
 */
export async function refundedThere(
  listing: Listing & { readonly clock: Clock },
  money: Money,
  ref: string,
  { untilMs, signal }: { readonly untilMs: number; readonly signal?: AbortSignal | undefined },
): Promise<Back | string> {
  const back: CameBack[] = []
  const refunds: ToldRefund[] = []
  const unread: UnreadReturn[] = []
  let cursor: string | null = null
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    const msMax = untilMs - listing.clock.elapsedMs()
    if (msMax <= 0) return 'timeout'
    const asked: PageAsked = { kind: 'refund', query: [['payment_id', ref]], cursor, msMax }
    const page = readPage(await pageOf(listing, asked, signal))
    if (typeof page === 'string') return page
    if (page.items.some((item) => item['payment_id'] !== ref)) return 'reply_mismatch'
    for (const item of page.items) {
      const told = refundIn(item, money)
      if (told === null) continue
      if ('code' in told) unread.push(told)
      else if ('ours' in told) refunds.push(told)
      else back.push(told)
    }
    cursor = page.cursor
    if (cursor !== null) continue
    const returns = back.toReversed()
    return {
      returns,
      ...(refunds.length === 0 ? {} : { refunds }),
      ...(unread.length === 0 ? {} : { unread }),
    }
  }
  return 'list_too_long'
}

type Money = Pick<GatewayOperation, 'exponent' | 'currency'>

interface Back {
  readonly returns: readonly CameBack[]
  readonly refunds?: readonly ToldRefund[]
  readonly unread?: readonly UnreadReturn[]
}

/** What is told of a refund, or why it cannot be; null: nothing, because it goes on. */
function refundIn(item: ReplyFields, money: Money): CameBack | ToldRefund | UnreadReturn | null {
  const made = item['status'] === 'succeeded'
  if (!made && item['status'] !== 'canceled') return null
  const one = madeIn(item, money)
  if ('code' in one) return made ? one : null
  const ours = oursIn(item['metadata'], OUR_YOOKASSA_NAMES)
  const back = made ? one : failedAfterAll(one)
  return ours === null ? back : { ref: one.ref, ours, made, back }
}

/** What a refund is if it was made by others. */
function madeIn(
  { id, amount, created_at: at }: ReplyFields,
  { exponent, currency }: Money,
): CameBack | UnreadReturn {
  const { value, currency: code } = fieldsIn(amount)
  const [ref, minor] = [refOf(id), minorUnits(value, exponent)]
  if (ref === null) return { ref: null, code: 'ref_unreadable' }
  if (code !== currency) return { ref, code: 'currency_differs' }
  if (minor === null || minor === 0n) return { ref, code: 'amount_unreadable' }
  const madeMs = typeof at === 'string' ? Date.parse(at) : NaN
  const when = Number.isNaN(madeMs) ? null : new Date(madeMs)
  return { ref, amount: minor, kind: 'refunded_there', at: when, besidesRefund: true }
}

/** What is done counts more than what goes on, and that more than what was declined. */
const ORDER = ['succeeded', 'pending', 'canceled'] as const

function noAnswer(reason: string): LookupOutcome {
  return { kind: 'no_answer', reason }
}

/** Why a page is none, as a lookup's outcome. */
function noPage({ status }: Exchange, reason: string): LookupOutcome {
  const refused = status === 401 || status === 403 || status === 407
  return { kind: refused ? 'misconfigured' : 'no_answer', reason }
}

/** Parameters of a list, names and values. */
type Query = readonly (readonly [name: string, value: string])[]

/**
 * When the object of an operation was made: at the earliest and at the latest, and that time in
 * parts, the most likely one first. Its parts are not known where nobody knows when it was sent.
 */
function windowsOf({ sentAt, parent, kind }: GatewayOperation, clock: Clock): [Query, ...Query[]] {
  const sentMs = sentAt?.getTime()
  const ref = parent?.gatewayRef ?? null
  const of = kind === 'refund' && ref !== null ? ([['payment_id', ref]] as const) : []
  const between = (fromMs: number, untilMs: number | null): Query => [
    ['created_at.gte', new Date(fromMs).toISOString()],
    ...(untilMs === null ? [] : ([['created_at.lte', new Date(untilMs).toISOString()]] as const)),
    ...of,
  ]
  if (sentMs === undefined) return [between(clock.now().getTime() - BACK_MS, null)]
  const whole = between(sentMs - CLOCKS_MS, sentMs + YOOKASSA_KEY_LIFE_MS + CLOCKS_MS)
  return [whole, ...PARTS_MS.map(([from, until]) => between(sentMs + from, sentMs + until))]
}

interface PageAsked {
  readonly kind: Operation
  readonly query: Query
  readonly cursor: string | null
  /** How long it may take, in milliseconds. */
  readonly msMax: number
}

function pageOf(
  { client, root, headers }: Listing,
  { kind, query, cursor, msMax }: PageAsked,
  signal?: AbortSignal,
): Promise<Exchange> {
  const search = new URLSearchParams(Object.fromEntries(query))
  search.set('limit', `${PAGE_SIZE}`)
  if (cursor !== null) search.set('cursor', cursor)
  const path = `${root}${PATHS[kind]}?${search}`
  const call: HttpCall = { method: 'GET', path, headers: [...headers], body: null }
  return client.exchange({ ...call, bytesMax: PAGE_BYTES_MAX, msMax }, signal)
}

/** A page of a list, or why it is none. */
function readPage(
  exchange: Exchange,
): { readonly items: readonly ReplyFields[]; readonly cursor: string | null } | string {
  const isPage = exchange.kind === 'reply' && exchange.status === 200
  const fields = isPage ? objectOf(exchange.body) : null
  const { items, next_cursor: next = null } = fields ?? {}
  const isCursor = next === null || (typeof next === 'string' && next !== '')
  if (!Array.isArray(items) || !isCursor) return whyNoPage(exchange)
  return { items: items.map(fieldsIn), cursor: next }
}

/** Lists of a YooKassa shop, for `payments verify --gateway`. */
interface YookassaListing {
  readonly url: string
  readonly shop: Shop
  readonly payoutShop: Shop | null
}

/**
 * Lists what YooKassa executed: payments, refunds and payouts one after the other, the newest
 * first. What others made in the same shop is left out.
 */
export function yookassaCharges({ url, shop, payoutShop }: YookassaListing): ListCharges {
  const lists = [
    { what: 'payments', kind: 'charge', shop },
    { what: 'refunds', kind: 'refund', shop },
    ...(payoutShop === null
      ? []
      : [{ what: 'payouts', kind: 'payout', shop: payoutShop } as const]),
  ] as const
  return listsInTurn(
    { name: 'YooKassa', url, tells: [MADE] },
    lists,
    async (pages, list, cursor) => {
      const { kind } = list
      const listing = { ...pages, headers: headersOf(list.shop) }
      const page = readPage(await pageOf(listing, { kind, query: [], cursor, msMax: PAGE_MS_MAX }))
      if (typeof page === 'string') return page
      // What a test shop made moves no money, so it was not executed.
      const live = !isYookassaTestKey(list.shop.secretKey)
      const items = page.items.filter((item) => !(live && item['test'] === true))
      const charges = items.flatMap((item) => chargeOf(item, kind))
      const returns = kind === 'refund' ? items.flatMap(returnOf) : []
      return { charges, returns, next: page.cursor }
    },
  )
}

/** What others refunded is, and what undoes that. */
const MADE = 'refunded_there'
const UNDONE = 'dispute_won'

/** A refund that others made of a payment, and any that failed: it may be booked as made. */
function returnOf(item: ReplyFields): GatewayReturn[] {
  const { id, status, metadata, payment_id: of, created_at: at } = item
  const [ref, parentRef] = [refOf(id), refOf(of)]
  if (ref === null || parentRef === null) return []
  const ours = oursIn(metadata, OUR_YOOKASSA_NAMES)
  const ms = typeof at === 'string' ? Date.parse(at) : NaN
  const when = Number.isNaN(ms) ? null : new Date(ms)
  const { value, currency } = fieldsIn(item['amount'])
  const money = { amount: value, currency: typeof currency === 'string' ? currency : null }
  const about = { paymentId: null, parentRef, ...money, at: when } as const
  // With our names it is listed as a refund of ours, while it is made.
  if (status === 'succeeded') return ours === null ? [{ ...about, ref, kind: MADE }] : []
  const told = ours === null ? about : { ...about, ours }
  return status === 'canceled' ? [{ ...told, ref: `${ref}:failed`, kind: UNDONE, undoes: ref }] : []
}

/** An executed object of ours. */
function chargeOf(item: ReplyFields, kind: Operation): GatewayCharge[] {
  const { id, status, amount, metadata, payment_id: of } = item
  const ours = oursIn(metadata, OUR_YOOKASSA_NAMES)
  if (status !== 'succeeded' || ours === null) return []
  const { value, currency } = fieldsIn(amount)
  const named = typeof currency === 'string' ? currency : null
  const ref = typeof id === 'string' ? id : null
  const about = { ...ours, amount: value, currency: named, type: typeOf(kind), ref }
  const parentRef = kind === 'refund' ? refOf(of) : null
  return [parentRef === null ? about : { ...about, parentRef }]
}
