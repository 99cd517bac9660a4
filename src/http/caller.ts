import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Proxies that a request is followed back through; more of them are no network but a forgery. */
const HOPS_MAX = 20

/** Where a request comes from. */
export interface Caller {
  /** The whole address; empty: the connection is gone. */
  readonly address: string
  /** The unit that limits are counted by: an IPv6 address counts as its /64. */
  readonly network: string
}

/**
 * Make the function that says where a request comes from: the address of the connection, or where
 * that is a trusted proxy, the last address in `X-Forwarded-For` that is none. The header is read
 * from the right, because everything left of the first stranger is what the stranger wrote. Limits
 * count networks, because one machine has all of a /64.
 */
export function callers(trusted: readonly string[]): (request: IncomingMessage) => Caller {
  const addressOf = addresses(trusted)
  return (request) => {
    const address = addressOf(request)
    return { address, network: network(address) }
  }
}

function addresses(trusted: readonly string[]): (request: IncomingMessage) => string {
  const proxies = blockList(trusted)
  const isProxy = (address: string) => proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (request) => {
    let address = plain(request.socket.remoteAddress ?? '')
    if (trusted.length === 0 || address === '' || !isProxy(address)) return address
    // Node joins repeated headers of this name in their order.
    const hops = String(request.headers['x-forwarded-for'] ?? '').split(',')
    for (const hop of hops.slice(-HOPS_MAX).toReversed()) {
      const named = plain(withoutPort(hop.trim()))
      if (isIP(named) === 0) break
      address = named
      if (!isProxy(address)) break
    }
    return address
  }
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const each of networks) {
    const [address = '', bits] = each.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/**
 * An IPv4 address that came over an IPv6 socket is an IPv4 address; a zone says nothing of the
 * peer.
 */
function plain(address: string): string {
  if (!address.includes(':')) return address
  const [bare = ''] = address.split('%', 1)
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare
}

/** Some proxies write the port as well: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1]
  return bracketed ?? hop.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
}

/** The unit that limits are counted by. */
function network(address: string): string {
  if (!address.includes(':')) return address
  if (isIP(address) !== 6) return address
  const [head = '', tail = ''] = address.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const known = [...groups(head), ...groups(tail)].length + (address.includes('.') ? 1 : 0)
  const zeros = address.includes('::') ? Array.from({ length: 8 - known }, () => '0') : []
  const prefix = [...groups(head), ...zeros, ...groups(tail)].slice(0, 4)
  return `${prefix.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
