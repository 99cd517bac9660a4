/** Numbers, and ids of events. */
const ID = /^(?:msg_)?[1-9]\d{0,17}$/

/**
 * A path below `/api/v1`, made of words of our own and of ids. An id may be a text of somebody
 * else, whatever its type says: one that is no id must not become another path, nor a query.
 */
export function at(words: TemplateStringsArray, ...ids: readonly unknown[]): string {
  const texts = ids.map(String)
  for (const text of texts) {
    if (!ID.test(text))
      throw new TypeError(`${text} is no id, and makes no path: an id is a number`)
  }
  return String.raw({ raw: words }, ...texts)
}

/** A query of what was given; empty for nothing. */
export function queryOf(filter: object): string {
  const given = Object.entries(filter).filter(([, value]) => value !== undefined)
  const query = new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  )
  return given.length === 0 ? '' : `?${query.toString()}`
}
