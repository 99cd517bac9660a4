import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** What a chaos proxy does to the bytes that pass it. All zero and false: nothing. */
export interface Toxics {
  /** Chance that the reply to a COMMIT is thrown away, after the server has sent it. */
  readonly loseCommit: number
  /** Chance that a reply of the server is replaced by a reset. */
  readonly loseReply: number
  /** Swallow everything both ways and close nothing: a half-open connection. */
  readonly blackHole: boolean
  readonly latencyMs: number
  readonly jitterMs: number
  /** Pieces of at most this many bytes; 0: as they come. */
  readonly sliceBytes: number
}

export const CALM: Toxics = {
  loseCommit: 0,
  loseReply: 0,
  blackHole: false,
  latencyMs: 0,
  jitterMs: 0,
  sliceBytes: 0,
}

/** What a proxy did, by fault. */
export type Fired = Map<string, number>

export interface Proxy {
  readonly port: number
  /** How often each fault was done to a connection or to its bytes. */
  readonly fired: Fired
  /** Turn toxics; those left out are off. Connections that were half open are ended. */
  turn(toxics: Partial<Toxics>): void
  /** Reset every connection with a TCP RST; returns how many. */
  reset(): number
  /**
   * Reset every connection and refuse new ones, as a machine without the service does; and back.
   */
  away(on: boolean): Promise<void>
  close(): Promise<void>
}

/** The driver sends COMMIT as a simple query, and the server says which command it completed. */
const COMMIT = Buffer.from('Q\0\0\0\x0bcommit\0', 'latin1')
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1')
const ROLLED_BACK = Buffer.from('ROLLBACK\0', 'latin1')
/** Of every chunk only its beginning is sliced: message heads are there, and time is short. */
const SLICED_BYTES_MAX = 256
/** One lost reply in sixty hangs until the client gives up; the others end with the connection. */
const HANGING = 1 / 60

interface State {
  toxics: Toxics
  readonly fired: Fired
  readonly random: () => number
  readonly links: Set<Link>
}

/** One connection through the proxy. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** Half open for good: bytes were swallowed, so the stream can never be right again. */
  dead: boolean
  /** The reply to a COMMIT is being thrown away. */
  losing: boolean
}

/** A proxy to `targetPort` on this machine, at a free port. */
export async function startProxy(targetPort: number, random: () => number): Promise<Proxy> {
  const state: State = { toxics: CALM, fired: new Map(), random, links: new Set() }
  const listener = createServer((client) => join(state, client, targetPort))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  // A TCP server that listens has an address with a port.
  const { port } = listener.address() as AddressInfo
  const end = async (): Promise<void> => {
    for (const link of state.links) cut(link)
    listener.close()
    await once(listener, 'close')
  }
  return {
    port,
    fired: state.fired,
    turn(toxics) {
      state.toxics = { ...CALM, ...toxics }
      if (state.toxics.blackHole) return
      for (const link of state.links) if (link.dead) cut(link)
    },
    reset() {
      const links = [...state.links]
      for (const link of links) cut(link)
      count(state, 'connections reset', links.length)
      return links.length
    },
    async away(on) {
      if (on === !listener.listening) return
      if (on) await end()
      else await once(listener.listen(port, '127.0.0.1'), 'listening')
    },
    async close() {
      if (listener.listening) await end()
    },
  }
}

function count(state: State, what: string, times = 1): void {
  if (times > 0) state.fired.set(what, (state.fired.get(what) ?? 0) + times)
}

function join(state: State, client: Socket, port: number): void {
  const server = connect(port, '127.0.0.1')
  const link: Link = { client, server, dead: false, losing: false }
  state.links.add(link)
  client.setNoDelay()
  server.setNoDelay()
  const over = (): void => {
    // A half-open connection says nothing to its other end until the network is whole again.
    if (link.dead && state.toxics.blackHole) return
    state.links.delete(link)
    client.destroy()
    server.destroy()
  }
  for (const socket of [client, server]) {
    socket.on('error', () => undefined)
    socket.on('close', over)
  }
  pump(state, link, { from: client, to: server }, watchRequests(state, link))
  pump(state, link, { from: server, to: client }, watchReplies(state, link))
}

function cut({ client, server }: Link): void {
  client.resetAndDestroy()
  server.resetAndDestroy()
}

/** Move bytes one way, through the toxics. `keep` says whether a chunk goes on its way at all. */
function pump(
  state: State,
  link: Link,
  { from, to }: { readonly from: Socket; readonly to: Socket },
  keep: (chunk: Buffer) => boolean,
): void {
  let pending = 0
  let queue = Promise.resolve()
  from.on('data', (chunk: Buffer) => {
    if (state.toxics.blackHole && !link.dead) {
      link.dead = true
      count(state, 'connections half open')
    }
    if (link.dead || !keep(chunk)) return
    const { latencyMs, jitterMs, sliceBytes } = state.toxics
    if (latencyMs + jitterMs + sliceBytes + pending === 0) return void to.write(chunk)
    pending += 1
    const delayMs = latencyMs + state.random() * jitterMs
    if (delayMs > 0) count(state, 'chunks delayed')
    // Delays overlap, and still nothing overtakes what was sent before it.
    const due = delayMs > 0 ? wait(delayMs) : Promise.resolve()
    queue = queue.then(async () => {
      await due
      await deliver(state, to, chunk, sliceBytes)
      pending -= 1
    })
  })
}

async function deliver(state: State, to: Socket, chunk: Buffer, sliceBytes: number) {
  let at = 0
  if (sliceBytes > 0) count(state, 'chunks sliced')
  while (sliceBytes > 0 && at < Math.min(chunk.length, SLICED_BYTES_MAX) && !to.destroyed) {
    const end = at + 1 + Math.floor(state.random() * sliceBytes)
    to.write(chunk.subarray(at, end))
    at = end
    // Another turn of the loop, so that the pieces leave as packets of their own.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (at < chunk.length && !to.destroyed) to.write(chunk.subarray(at))
}

/** Look for COMMIT in what the client sends, wherever chunks begin and end. */
function watchRequests(state: State, link: Link): (chunk: Buffer) => boolean {
  const sees = finder(COMMIT)
  return (chunk) => {
    if (sees(chunk) && state.random() < state.toxics.loseCommit) link.losing = true
    return true
  }
}

function watchReplies(state: State, link: Link): (chunk: Buffer) => boolean {
  const seesCommitted = finder(COMMITTED)
  const seesRolledBack = finder(ROLLED_BACK)
  return (chunk) => {
    const committed = seesCommitted(chunk)
    const rolledBack = seesRolledBack(chunk)
    if (link.losing) {
      if (committed) count(state, 'COMMIT replies lost')
      const hangs = committed && state.random() < HANGING
      if (hangs) count(state, 'COMMIT replies that never came')
      else if (committed || rolledBack) link.client.destroy()
      return false
    }
    if (state.toxics.loseReply > 0 && state.random() < state.toxics.loseReply) {
      count(state, 'replies replaced by a reset')
      cut(link)
      return false
    }
    return true
  }
}

/** Whether a text has come by, in one chunk or across two. */
function finder(text: Buffer): (chunk: Buffer) => boolean {
  let tail: Buffer = Buffer.alloc(0)
  return (chunk) => {
    const both = Buffer.concat([tail, chunk])
    const found = both.includes(text)
    // Less than the text, so that what was found once is not found again.
    tail = both.subarray(Math.max(0, both.length - text.length + 1))
    return found
  }
}
