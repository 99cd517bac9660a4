const PARTS = /^(postgresql:\/\/(?:[^/?#@]*@)?)([^/?#@]*)([^?#]*)\??([^#]*)$/

/** What a URL may ask of the server: that it takes writes, which is meant without it, too. */
const WRITABLE = /^target_session_attrs=(read-write|primary)$/

/**
 * The servers of a PostgreSQL URL, each as a URL of its own, in the URL's order. Several hosts are
 * written as libpq reads them, `host1:port1,host2:port2`, and `target_session_attrs` may ask for
 * the one that takes writes. Null: the URL is not well formed, or asks for another kind of server.
 */
export function serverUrls(url: string): string[] | null {
  const [, head, hosts, path = '', search = ''] = PARTS.exec(url) ?? []
  if (head === undefined || hosts === undefined) return null
  const options = search.split('&').filter((option) => option !== '' && !WRITABLE.test(option))
  if (options.some((option) => option.startsWith('target_session_attrs'))) return null
  const names = hosts.split(',')
  if (names.length > 1 && names.includes('')) return null
  const rest = options.length === 0 ? path : `${path}?${options.join('&')}`
  const urls = names.map((name) => `${head}${name}${rest}`)
  return urls.every((each) => URL.canParse(each)) ? urls : null
}
