import { Resolver, type LookupAddress } from 'node:dns'
import { systemNames, type ResolveName } from './system-names.ts'

/** How long name servers have, in milliseconds: for a try, and for all. */
const TRY_MS = 1_500
const ALL_MS_MAX = 4_500

/**
 * Resolve the names of endpoints so that one whose name servers are silent holds up nobody else: by
 * a client of name servers that takes no thread and can be stopped. What no name server knows, or
 * what has no dot, the system may know, such as from its file of hosts. Who asks for a name that is
 * being asked for waits for the same answer.
 */
export function endpointNames(): ResolveName {
  const asked = new Map<string, Promise<readonly LookupAddress[]>>()
  const system = systemNames()
  const find = async (hostname: string): Promise<readonly LookupAddress[]> => {
    const name = hostname.replace(/\.$/, '')
    if (!name.includes('.') || name.endsWith('.localhost')) return system(hostname)
    return (await askNameServers(hostname)) ?? system(hostname)
  }
  return (hostname) => {
    const under = asked.get(hostname)
    if (under !== undefined) return under
    const answer = find(hostname).finally(() => asked.delete(hostname))
    asked.set(hostname, answer)
    return answer
  }
}

class Silent extends Error {
  readonly code = 'EAI_AGAIN'
}

/** Addresses by the name servers; null: they do not know the name. Rejects in silence. */
async function askNameServers(hostname: string): Promise<readonly LookupAddress[] | null> {
  // Each reads anew which name servers there are.
  const resolver = new Resolver({ timeout: TRY_MS, tries: 2 })
  const late = setTimeout(() => resolver.cancel(), ALL_MS_MAX)
  try {
    const asked = await Promise.all([
      addresses(resolver, 'resolve4', hostname),
      addresses(resolver, 'resolve6', hostname),
    ])
    const found = asked.flat().filter((one) => one !== null)
    if (found.length > 0) return found
    if (asked.flat().includes(null)) throw new Silent('the name servers do not answer')
    return null
  } finally {
    clearTimeout(late)
  }
}

/** Addresses of one family; `[null]`: nobody said whether there are any. */
function addresses(
  resolver: Resolver,
  how: 'resolve4' | 'resolve6',
  hostname: string,
): Promise<(LookupAddress | null)[]> {
  return new Promise((resolve) => {
    resolver[how](hostname, (error, found) => {
      const family = how === 'resolve4' ? 4 : 6
      if (error === null) return resolve(found.map((address) => ({ address, family })))
      resolve(error.code === 'ETIMEOUT' || error.code === 'ECANCELLED' ? [null] : [])
    })
  })
}
