import { BlockList, isIP } from 'node:net'

/**
 * Networks that belong to no public host: this machine, private and shared networks, link-local
 * addresses with the metadata services of clouds, documentation, multicast, what is reserved, and
 * addresses of IPv6 that stand for one of IPv4, which say nothing of where they lead.
 */
const PRIVATE: readonly string[] = [
  ...'0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12'.split(' '),
  ...'192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24'.split(' '),
  ...'192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24'.split(' '),
  ...'224.0.0.0/4 240.0.0.0/4 168.63.129.16/32'.split(' '),
  // Compatible, mapped and translated addresses, and local translation.
  ...'::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48'.split(' '),
  // Discard, Teredo and other protocol assignments, documentation, 6to4, segment routing.
  ...'100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16'.split(' '),
  // Unique local, link-local, the former site-local, multicast.
  ...'fc00::/7 fe80::/10 fec0::/10 ff00::/8'.split(' '),
]

/** Only this part of IPv6 is given out to the public. */
const GLOBAL_V6 = '2000::/3'

const LOOPBACK = ['127.0.0.0/8', '::1/128']

/** Addresses of IPv6 that stand for one of IPv4; what is open there is open under its own name. */
const STANDING_IN = ['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96']

/**
 * A list for each family: one for both would take the network of all mapped addresses for all of
 * IPv4.
 */
function listOf(networks: readonly string[]): (address: string, family: 4 | 6) => boolean {
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 6 ? 6 : 4
    const whole = family === 6 ? 128 : 32
    const kind = family === 6 ? 'ipv6' : 'ipv4'
    lists[family].addSubnet(address, bits === undefined ? whole : Number(bits), kind)
  }
  return (address, family) => lists[family].check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** Says whether an address may be connected to. */
export type Allowed = (address: string) => boolean

/**
 * Allow public addresses, and private ones in `networks`. With `loopback` this machine is allowed
 * as well. What is no address is not allowed.
 */
export function publicAddresses(networks: readonly string[], loopback: boolean): Allowed {
  const closed = listOf(PRIVATE)
  const standsIn = listOf(STANDING_IN)
  const open = listOf([...networks, ...(loopback ? LOOPBACK : [])])
  const global = listOf([GLOBAL_V6])
  return (address) => {
    // A zone says through which device, and belongs to no public address.
    const family = address.includes('%') ? 0 : isIP(address)
    if (family !== 4 && family !== 6) return false
    if (family === 6 && standsIn(address, 6)) return address === '::1' && open(address, 6)
    if (open(address, family)) return true
    return !closed(address, family) && (family === 4 || global(address, 6))
  }
}
