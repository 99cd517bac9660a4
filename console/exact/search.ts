import { entryOf } from './entry.ts'
import { isId } from './route.ts'

/** Where a text of the search box leads. `typed` is what was typed, to look for everywhere else. */
type Guess =
  | { readonly kind: 'payment'; readonly id: string; readonly typed: string }
  | { readonly kind: 'filter'; readonly query: Readonly<Record<string, string>> }

/**
 * Guess what was typed: a whole number is the id of a payment, `user 7` and `user:7` the payments
 * of a user, and anything else is looked for wherever it can be.
 */
export function guess(text: string): Guess | null {
  const typed = text.trim()
  if (typed === '') return null
  const id = typed.replace(/^#/, '')
  if (isId(id)) return { kind: 'payment', id, typed }
  const { field, rest } = named(typed)
  // Users may have names of their own, which the search for everything knows.
  if (field === undefined || (field === 'user_id' && !isId(rest))) {
    return { kind: 'filter', query: { q: typed } }
  }
  return { kind: 'filter', query: { [field]: rest, typed } }
}

/** What a text may be the name of: itself, and what stands behind the name of a field. */
export function meaningsOf(typed: string): readonly [whole: string, rest: string | null] {
  const { field, rest } = named(typed)
  return [typed, field === undefined ? null : rest]
}

function named(typed: string): { field: string | undefined; rest: string } {
  const [, name = '', rest = ''] = /^(\w+)\s*[: ]\s*(.+)$/.exec(typed) ?? []
  return { field: entryOf(FIELDS, name.toLowerCase()), rest: rest.trim() }
}

const FIELDS: Readonly<Record<string, string>> = {
  user: 'user_id',
  user_id: 'user_id',
  reference: 'reference',
  ref: 'reference',
  gateway_ref: 'gateway_ref',
  gateway: 'gateway_ref',
}
