/**
 * Run in a network of its own, where this machine has every address there is: whoever connects to
 * any of them arrives here and is counted. Sends what webhooks send to private addresses in every
 * way, and prints what came of it, as JSON. `attempts.ts FOLDER`, as root in new namespaces.
 */
import { execFileSync } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { createServer, isIP } from 'node:net'
import { join } from 'node:path'
import { EnvHttpProxyAgent, request } from 'undici'
import { systemClock } from '../../src/adapters/clock.ts'
import { publicAddresses } from '../../src/adapters/public-address.ts'
import { webhookSender } from '../../src/adapters/webhook-sender.ts'
import { hostOf, PRIVATE, PUBLIC } from './hosts.ts'
import { nameServer, type Zone } from './name-server.ts'

const PORT = 8_080
const OUTSIDE = '93.184.216.34'
const INSIDE = '10.1.2.3'

/** What came of a call. */
export interface Attempt {
  readonly host: string
  readonly status: number | null
  readonly reason: string | null
}

/** What this program prints. */
export interface Told {
  /** Hosts in a URL, and names that resolve to them, by whether they are private. */
  readonly inside: readonly Attempt[]
  readonly outside: readonly Attempt[]
  /** A name that is another's in turn, and what redirects there. */
  readonly rebound: readonly Attempt[]
  readonly redirected: readonly Attempt[]
  /** Names whose name servers say nothing. */
  readonly silent: readonly Attempt[]
  /** What came to its end while these were asked for: a call, and a look of the system's. */
  readonly beside: readonly (Attempt | string)[]
  /** Addresses that somebody connected to on behalf of the sender. */
  readonly reached: readonly string[]
  /** And on behalf of senders that are not careful: they show that this would be seen. */
  readonly careless: readonly string[]
}

/** Make every address one of this machine, and its resolver the one that is here. */
function prepareNetwork(folder: string): void {
  const run = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' })
  run('link', 'set', 'lo', 'up')
  run('route', 'add', 'local', 'default', 'dev', 'lo')
  run('-6', 'route', 'add', 'local', 'default', 'dev', 'lo')
  const replace = (path: string, text: string) => {
    const own = join(folder, path.replaceAll('/', '-'))
    writeFileSync(own, text)
    execFileSync('mount', ['--bind', own, path], { stdio: 'pipe' })
  }
  replace('/etc/resolv.conf', 'nameserver 127.0.0.1\nsearch inside.test\noptions attempts:1\n')
  replace('/etc/hosts', `127.0.0.1 localhost\n::1 ip6-localhost\n${INSIDE} intranet\n`)
  replace('/etc/nsswitch.conf', 'hosts: files dns\n')
}

/** Listen on every address; the set has those that somebody has connected to since. */
async function listenEverywhere(): Promise<Set<string>> {
  const reached = new Set<string>()
  for (const host of ['0.0.0.0', '::']) {
    const server = createServer((socket) => {
      reached.add(socket.localAddress ?? '')
      socket.on('error', () => undefined)
      socket.once('data', (bytes) => {
        const [, path = ''] = bytes.toString('latin1').split(' ')
        const [, code, where] = /^\/to\/(\d+)\/(.+)$/.exec(path) ?? []
        const head = code === undefined ? '200 OK' : `${code} Elsewhere\r\nlocation: ${where}`
        socket.end(`HTTP/1.1 ${head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)
      })
    })
    const own = { host, port: PORT, ipv6Only: host === '::' }
    await new Promise<void>((resolve) => server.listen(own, resolve))
  }
  return reached
}

const addresses = (hosts: readonly string[]) => [
  ...new Set(hosts.map(hostOf).filter((host) => isIP(host) > 0)),
]
const namesOf = (hosts: readonly string[], word: string): Zone =>
  Object.fromEntries(addresses(hosts).map((address, at) => [`${word}${at}.test`, [[address]]]))

/** Names of which one address is private, in some way. */
const MIXED: Zone = {
  'both.test': [[OUTSIDE, INSIDE]],
  'last.test': [[OUTSIDE, '1.1.1.1', '8.8.8.8', '127.0.0.1']],
  'six.test': [[OUTSIDE, 'fd00::1']],
  'mapped.test': [[OUTSIDE, '::ffff:a01:203']],
  'alias.test': [['both.test']],
  'alias-of-alias.test': [['alias.test']],
  'metadata.inside.test': [['169.254.169.254']],
}

/** More names than the process has threads to resolve them. */
const SILENT: Zone = Object.fromEntries(
  Array.from({ length: 30 }, (_, at) => [`silent${at}.test`, []] as const),
)

/** Names of this machine and its network, some of which only the resolver knows. */
const NAMES = [
  ...Object.keys(MIXED),
  ...'localhost LOCALHOST ip6-localhost intranet metadata BOTH.test both.test.'.split(' '),
]

async function main(folder: string): Promise<Told> {
  prepareNetwork(folder)
  const [inside, outside] = [namesOf(PRIVATE, 'in'), namesOf(PUBLIC, 'out')]
  const turns: Zone = { 'turns.test': [[OUTSIDE], [INSIDE], [OUTSIDE], ['127.0.0.1']] }
  const names = await nameServer({ ...inside, ...outside, ...MIXED, ...turns, ...SILENT })
  const reached = await listenEverywhere()
  const sender = webhookSender({ allowed: publicAddresses([], false), clock: systemClock })
  const send = async (host: string, path = '/'): Promise<Attempt> => {
    const url = `http://${host}:${PORT}${path}`
    const { status, reason } = await sender.send({ url, headers: {}, body: '{}' })
    return { host, status, reason }
  }
  const all = async (hosts: readonly string[]) => {
    const attempts: Attempt[] = []
    for (const host of hosts) attempts.push(await send(host))
    return attempts
  }
  const told = {
    inside: await all([...PRIVATE, ...Object.keys(inside), ...NAMES]),
    outside: await all([...PUBLIC, ...Object.keys(outside)]),
    rebound: await all(Array.from({ length: 40 }, () => 'turns.test')),
    redirected: [] as Attempt[],
  }
  for (const code of [301, 302, 303, 307, 308]) {
    told.redirected.push(await send(OUTSIDE, `/to/${code}/http://${INSIDE}:${PORT}/`))
  }
  const { silent, beside } = await besideSilence(send)
  await sender.close()
  const seen = [...reached]
  reached.clear()
  await beCareless(names.asked('turns.test'))
  return { ...told, silent, beside, reached: seen, careless: [...reached] }
}

/** What goes on while endpoints are called whose names nobody answers for. */
async function besideSilence(send: (host: string) => Promise<Attempt>) {
  let ended = false
  const calls = Object.keys(SILENT).map(async (host) => {
    const attempt = await send(host)
    ended = true
    return attempt
  })
  const beside: (Attempt | string)[] = []
  for (const name of ['out0.test', 'out1.test']) {
    const attempt = await send(name)
    // As a client of a gateway does it.
    const { address } = await lookup(name)
    if (!ended) beside.push(attempt, address)
  }
  return { silent: await Promise.all(calls), beside }
}

/** Ask the resolver first and connect by the name then; and use the proxy of the environment. */
async function beCareless(asked: number): Promise<void> {
  // An even number of questions so far: the next answer is public, and the one behind it is not.
  if (asked % 2 !== 0) await lookup('turns.test', 4)
  const { address } = await lookup('turns.test', 4)
  if (address !== OUTSIDE) throw new Error(`it resolved to ${address}`)
  // From Node 24 on the agent that everybody shares asks the proxy, which would ask nobody here.
  const agent = new Agent()
  await new Promise<void>((resolve, reject) => {
    const asking = get({ host: 'turns.test', port: PORT, family: 4, agent }, (response) => {
      response.resume().on('end', resolve)
    })
    asking.on('error', reject)
  })
  const dispatcher = new EnvHttpProxyAgent()
  // Here nobody is a proxy, so that fails; who was asked is what counts.
  await request(`http://${OUTSIDE}:${PORT}/`, { dispatcher }).catch(() => null)
  await dispatcher.destroy()
}

const told = await main(process.argv[2] ?? '')
process.stdout.write(JSON.stringify(told), () => process.exit())
