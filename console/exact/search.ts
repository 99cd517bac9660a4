/** What a text in the search box may be. */
type Guess =
  | { readonly kind: 'payment'; readonly id: string }
  | { readonly kind: 'filter'; readonly query: Readonly<Record<string, string>> }

/**
 * Guess what was typed: a whole number is the id of a payment, `user 7` and `user:7` the payments
 * of a user, and anything else is looked for wherever it can be.
 */
export function guess(typed: string): Guess | null {
  const text = typed.trim()
  if (text === '') return null
  if (/^#?\d{1,15}$/.test(text)) return { kind: 'payment', id: text.replace('#', '') }
  const [, name = '', value = ''] = /^(\w+)\s*[: ]\s*(.+)$/.exec(text) ?? []
  const field = FIELDS[name.toLowerCase()]
  // Users may have names of their own, which the search for everything knows.
  const unknown = field === 'user_id' && !/^\d{1,15}$/.test(value.trim())
  if (unknown) return { kind: 'filter', query: { q: value.trim() } }
  if (field !== undefined) return { kind: 'filter', query: { [field]: value.trim() } }
  return { kind: 'filter', query: { q: text } }
}

const FIELDS: Readonly<Record<string, string>> = {
  user: 'user_id',
  user_id: 'user_id',
  reference: 'reference',
  ref: 'reference',
  gateway_ref: 'gateway_ref',
  gateway: 'gateway_ref',
}
