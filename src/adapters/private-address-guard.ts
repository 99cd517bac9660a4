import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import type { Allowed } from './public-address.ts'
import type { ResolveName } from './system-names.ts'

/** Nothing was sent: the address is not allowed. */
export class Forbidden extends Error {}

/** Refuse a host that is an address which is not allowed; a name passes, and is resolved later. */
export function demandAllowed(hostname: string, allowed: Allowed): void {
  const literal = hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0 && !allowed(literal)) throw new Forbidden('the address is not allowed')
}

/**
 * Connects to allowed addresses alone: looks at what stands in the URL, at all that a name resolves
 * to, and at the socket that is connected.
 */
export function guardedConnector(allowed: Allowed, resolve: ResolveName): buildConnector.connector {
  const connect = buildConnector({ timeout: 5_000, lookup: guardedLookup(allowed, resolve) })
  return (options, done) => {
    try {
      demandAllowed(options.hostname, allowed)
    } catch (error) {
      return done(error as Error, null)
    }
    connect(options, (...[error, socket]) => {
      // undici leaves it out where its types say null.
      if (error !== null || !(socket as typeof socket | undefined)) {
        return done(error ?? new Error('no socket'), null)
      }
      if (allowed(socket.remoteAddress ?? '')) return done(null, socket)
      socket.destroy()
      done(new Forbidden('the address is not allowed'), null)
    })
  }
}

/** Resolve a name, and refuse it if one of its addresses is not allowed: never choose another. */
function guardedLookup(allowed: Allowed, resolve: ResolveName): LookupFunction {
  return (hostname, options, done) => {
    void resolve(hostname).then(
      (addresses) => {
        const none = addresses.length === 0
        const refused = none || !addresses.every(({ address }) => allowed(address))
        if (refused) return done(new Forbidden('the address is not allowed'), [])
        if (options.all === true) return done(null, [...addresses])
        const [first] = addresses
        done(null, first?.address ?? '', first?.family)
      },
      (error: unknown) => done(error as Error, []),
    )
  }
}
