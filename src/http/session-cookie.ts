import type { IncomingMessage } from 'node:http'
import { SESSION_HOURS_MAX } from '../domain/session.ts'
import { isOwnMachine } from './host-and-origin.ts'

/** The cookie of a session. Over https browsers keep its prefix to this very host, by https. */
const NAME = 'payments_session'
const SECURE_NAME = `__Host-${NAME}`

const SECONDS_MAX = SESSION_HOURS_MAX * 3_600

/**
 * The token in the cookie of a request; null: there is none, or two of the same name, of which
 * another site of the domain may have set one. Over https only the cookie counts that nobody but
 * this host could set, by https: with any other somebody else could sign its user in.
 */
export function sessionToken(request: IncomingMessage): string | null {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim())
  for (const name of isHttps(request) ? [SECURE_NAME] : [SECURE_NAME, NAME]) {
    const [value, ...more] = pairs
      .filter((pair) => pair.startsWith(`${name}=`))
      .map((pair) => pair.slice(name.length + 1))
    if (value !== undefined) return more.length === 0 ? value : null
  }
  return null
}

/** The header that gives a browser the cookie of a session. Scripts of the page cannot read it. */
export function cookieOf(token: string, request: IncomingMessage): string {
  return cookie(isHttps(request), token, SECONDS_MAX)
}

/** The headers that take it back, whichever it is. */
export function noCookies(): string[] {
  return [true, false].map((secure) => cookie(secure, '', 0))
}

function cookie(secure: boolean, token: string, seconds: number): string {
  const pair = `${secure ? SECURE_NAME : NAME}=${token}`
  const parts = [pair, 'Path=/', `Max-Age=${seconds}`, 'HttpOnly', 'SameSite=Strict']
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ')
}

/**
 * Whether the browser speaks https, which only a proxy in front does: the browser says so by its
 * `Origin`, or, where it sends none, by telling `Sec-Fetch-Site` to a host that is not this
 * machine, as it does by https alone. What a proxy says can only make it stricter.
 */
function isHttps({ headers }: IncomingMessage): boolean {
  const { origin, host = '' } = headers
  if (origin !== undefined && origin !== 'null') return origin.startsWith('https://')
  if (headers['x-forwarded-proto'] === 'https') return true
  return headers['sec-fetch-site'] !== undefined && !isOwnMachine(host)
}
