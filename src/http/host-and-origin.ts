import type { IncomingMessage } from 'node:http'
import type { RefusalCode } from '../domain/refusal.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What a browser calls a request of the page itself, or of a person who typed an address. */
const OWN_SITES = new Set(['same-origin', 'none'])

/** Whether an address can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/.test(host)
}

/**
 * Make the check of requests where nobody is asked for a key, because only this machine can
 * connect. The operator's browser can connect too, on behalf of any page it shows. `host` is where
 * the service listens, or null when that is no loopback address: then its names are not known.
 *
 * A page can point a name of its own at 127.0.0.1, so the Host must be a name of this machine. And
 * it can send forms and fetches without reading the answers, so whatever changes something must not
 * say that it comes from elsewhere. Programs say neither.
 */
export function hostAndOriginCheck(
  host: string | null,
): (request: IncomingMessage) => RefusalCode | null {
  // Nearly all requests say the same.
  let known: string | undefined
  return ({ headers, method = 'GET' }) => {
    if (host !== null && headers.host !== undefined && headers.host !== known) {
      if (!isOwnName(headers.host, host)) return 'host_refused'
      known = headers.host
    }
    if (SAFE_METHODS.has(method)) return null
    const { origin } = headers
    if (origin !== undefined && !isOwnOrigin(origin, headers.host)) return 'origin_refused'
    const site = headers['sec-fetch-site']
    const isOwn = site === undefined || (typeof site === 'string' && OWN_SITES.has(site))
    return isOwn ? null : 'origin_refused'
  }
}

/**
 * Names that lead to this machine wherever they are asked for (RFC 6761), and the configured one.
 */
function isOwnName(given: string, host: string): boolean {
  return isOwnMachine(given) || nameOf(given) === host.toLowerCase()
}

/** Whether a Host, with its port, leads to this machine wherever it is asked for. */
export function isOwnMachine(given: string): boolean {
  const name = nameOf(given)
  return isLoopback(name) || name.endsWith('.localhost')
}

/** A Host without its port. */
function nameOf(given: string): string {
  return given.toLowerCase().replace(/:\d{1,5}$/, '')
}

/**
 * Whether a request with a cookie was made by a page of this service: browsers add cookies to what
 * pages of other sites ask for as well, and say where it comes from. What changes something must
 * say that it comes from here; what only looks may say nothing, or that a person typed its address.
 */
export function isFromOwnPage({ headers, method = 'GET' }: IncomingMessage): boolean {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (SAFE_METHODS.has(method)) {
    return site === undefined || (typeof site === 'string' && OWN_SITES.has(site))
  }
  if (site !== undefined) return site === 'same-origin'
  return origin !== undefined && isOwnOrigin(origin, host)
}

/** Whether a request that changes something says that a page of another site makes it. */
export function isFromElsewhere(request: IncomingMessage): boolean {
  const { headers, method = 'GET' } = request
  const said = headers['sec-fetch-site'] ?? headers.origin
  return said !== undefined && !SAFE_METHODS.has(method) && !isFromOwnPage(request)
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`)
}
