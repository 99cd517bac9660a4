import type { GatewayReturn } from '../domain/gateway-return.ts'
import {
  GatewayUnreadable,
  type ChargePage,
  type GatewayCharge,
  type ListCharges,
} from '../ports.ts'
import { urlParts } from './driver.ts'
import { httpClient, type Exchange } from './http-exchange.ts'

/** How long one page may take, in milliseconds. */
export const PAGE_MS_MAX = 30_000
/** Pages of all lists of a gateway at most: a hundred million objects. */
const PAGES_MAX = 1_000_000

/** Where pages are asked for. */
export interface Pages {
  readonly client: ReturnType<typeof httpClient>
  readonly root: string
}

/** A page of a list; `next` is where its next one begins, null: nowhere. */
interface Page {
  readonly charges: readonly GatewayCharge[]
  readonly returns: readonly GatewayReturn[]
  readonly names?: readonly string[]
  readonly next: string | null
}

/** One page of a list, behind `after`; a text says why it is none. */
type AskPage<List> = (pages: Pages, list: List, after: string | null) => Promise<Page | string>

/**
 * Goes through the lists that a gateway has, one after the other, to their ends. To be read in
 * order. A call throws `GatewayUnreadable` for every answer that is no such list, and when they do
 * not end; the same page may then be asked for again.
 */
export function listsInTurn<List extends { readonly what: string }>(
  { name, url, tells }: { readonly name: string; readonly url: string } & Pick<ChargePage, 'tells'>,
  lists: readonly List[],
  askPage: AskPage<List>,
): ListCharges {
  const { origin, root } = urlParts(url)
  const options = { origin, timeoutMs: PAGE_MS_MAX, connections: 1, keepAlive: false }
  const client = httpClient(options)
  const at = { list: 0, after: null as string | null, pages: 0 }
  const wasThere = loopWatch()
  return async (after) => {
    const list = lists[at.list]
    if (list === undefined || after !== at.pages) {
      throw new GatewayUnreadable(`${name}'s lists were not read in order (page ${after})`)
    }
    const page = await askPage({ client, root }, list, at.after)
    if (typeof page === 'string') {
      const about = `${name}'s list of ${list.what} cannot be read: ${page}`
      throw new GatewayUnreadable(about, { passing: isPassing(page) })
    }
    if (after >= PAGES_MAX || wasThere(`${at.list} ${at.after ?? ''}`)) {
      throw new GatewayUnreadable(`${name}'s list of ${list.what} does not end (page ${after})`)
    }
    at.pages += 1
    at.after = page.next
    if (page.next === null) at.list += 1
    const ended = at.list === lists.length
    if (ended) await client.close()
    return { ...page, ...(tells && { tells }), next: ended ? null : at.pages }
  }
}

/**
 * Says whether a place comes again after one of those before it, and so for ever. It remembers one
 * place at a time, twice as long each time, so that a loop of any length is found (Brent).
 */
function loopWatch(): (place: string) => boolean {
  let remembered: string | null = null
  let steps = 0
  let stepsMax = 1
  return (place) => {
    if (place === remembered) return true
    steps += 1
    if (steps === stepsMax) {
      remembered = place
      steps = 0
      stepsMax *= 2
    }
    return false
  }
}

/** Whether it may go well a moment later, by why a page is none. */
export function isPassing(reason: string): boolean {
  const status = /^http_(\d+)$/.exec(reason)?.[1]
  if (status !== undefined) return /^(408|425|429|5\d\d)$/.test(status)
  return !LASTING.has(reason)
}

/** What an answer says that is not the list of a gateway, whenever it is asked. */
const LASTING: ReadonlySet<string> = new Set([
  'list_too_long',
  'reply_mismatch',
  'reply_too_large',
  'tls',
  'unreadable_reply',
])

/** Why an answer is no page. */
export function whyNoPage(exchange: Exchange): string {
  if (exchange.kind === 'fault') return exchange.reason
  return exchange.status === 200 ? 'unreadable_reply' : `http_${exchange.status}`
}
