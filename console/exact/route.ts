/** The screens, by the first part of their path. */
export const SCREENS = [
  'overview',
  'payments',
  'dead-letters',
  'users',
  'ledger',
  'webhooks',
  'gateways',
  'settings',
] as const
export type Screen = (typeof SCREENS)[number]

/** Where the viewer is: a screen, what of it is open, and how it is filtered. */
export interface Route {
  readonly screen: Screen | 'lost'
  /** The payment, user or endpoint that is shown; null: the list. */
  readonly id: string | null
  readonly query: Readonly<Record<string, string>>
}

const BASE = '/console'

/** What of a query is an id, and so a part of a path of the API: nothing else is taken for one. */
const IDS: ReadonlySet<string> = new Set(['run', 'replay'])

/** Whether a text may be an id, which has 15 digits at most, and so a part of a path of the API. */
export function isId(text: string): boolean {
  return /^\d{1,15}$/.test(text)
}

/** Read an address of the console. */
export function readRoute(pathname: string, search: string): Route {
  const asked = [...new URLSearchParams(search)].filter(
    ([name, value]) => !IDS.has(name) || isId(value),
  )
  const query = Object.fromEntries(asked)
  const parts = pathname.replace(BASE, '').split('/').filter(Boolean)
  const [first = 'overview', id = null] = parts
  const screen = SCREENS.find((name) => name === first)
  const bad = screen === undefined || parts.length > 2 || (id !== null && !isId(id))
  return bad ? { screen: 'lost', id: null, query } : { screen, id, query }
}

/** The address of a screen; empty filters are left out. */
export function hrefOf(
  screen: Screen,
  id: string | number | null = null,
  query: Readonly<Record<string, string>> = {},
): string {
  const path =
    screen === 'overview' ? `${BASE}/` : `${BASE}/${screen}${id === null ? '' : `/${id}`}`
  const kept = Object.entries(query).filter(([, value]) => value !== '')
  const text = new URLSearchParams(kept).toString()
  return text === '' ? path : `${path}?${text}`
}

/** Whether an address belongs to the console. */
export function isOwn(pathname: string): boolean {
  return pathname === BASE || pathname.startsWith(`${BASE}/`)
}

/** Whether a path of the API is asked as it is written: no part of it leads up or elsewhere. */
export function isStraight(path: string): boolean {
  const [written] = path.split('?')
  return new URL(`http://api/v1${path}`).pathname === `/v1${written}`
}
