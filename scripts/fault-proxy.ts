import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What becomes of a request, and in how many of a hundred. */
const FATES = {
  pass: 44,
  request_lost: 8,
  reply_lost: 10,
  reply_cut: 5,
  doubled: 10,
  delayed: 7,
  /** The reply is lost, and a copy arrives much later, when the caller has gone on. */
  ghost: 8,
  /** The caller gives up, and the request arrives for the first time much later. */
  late: 8,
} as const

type Fate = keyof typeof FATES

/** A proxy that does to requests what networks do. */
export interface FaultProxy {
  readonly url: string
  /** How many requests had which fate. */
  readonly fates: Readonly<Record<string, number>>
  /** Let every copy that is still under way arrive. */
  settle(): Promise<void>
  close(): void
}

interface Message {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: Buffer<ArrayBuffer>
}

interface Received {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** A ghost, or what is late, arrives after so many other requests, at most. */
const GHOST_AFTER_MAX = 50
const DELAY_MS_MAX = 30
const HEADERS = ['content-type', 'idempotency-key', 'accept', 'authorization']

/** Start a proxy before `target`; chance is from 0 to 1. */
export async function startFaultProxy(target: string, random: () => number): Promise<FaultProxy> {
  const fates: Record<string, number> = {}
  const ghosts: { message: Message; left: number }[] = []
  const under = new Set<Promise<unknown>>()
  const forward = (message: Message): Promise<Received> => {
    const asked = ask(target, message)
    under.add(asked)
    const over = () => void under.delete(asked)
    asked.then(over, over)
    return asked
  }
  const haunt = (): void => {
    for (const ghost of ghosts) ghost.left -= 1
    for (const { message } of takeOut(ghosts, ({ left }) => left <= 0)) {
      forward(message).catch(() => undefined)
    }
  }
  const server = createServer((request, response) => {
    haunt()
    const fate = draw(random())
    fates[fate] = (fates[fate] ?? 0) + 1
    const later = Math.ceil(random() * GHOST_AFTER_MAX)
    const waitMs = fate === 'delayed' ? random() * DELAY_MS_MAX : 0
    readMessage(request)
      .then(async (message) => {
        if (fate === 'late') ghosts.push({ message, left: later })
        if (fate === 'request_lost' || fate === 'late') return response.destroy()
        if (waitMs > 0) await new Promise((done) => setTimeout(done, waitMs))
        if (fate === 'doubled') forward(message).catch(() => undefined)
        const received = await forward(message)
        if (fate === 'ghost') ghosts.push({ message, left: later })
        return fate === 'ghost' || fate === 'reply_lost'
          ? response.destroy()
          : reply(response, received, fate === 'reply_cut')
      })
      // The caller was killed, or the service closed: nobody is left to tell.
      .catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    fates,
    async settle() {
      for (const { message } of takeOut(ghosts, () => true)) forward(message).catch(() => undefined)
      await Promise.allSettled(under)
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Remove those from a list that are meant, and return them. */
function takeOut<Item>(list: Item[], is: (item: Item) => boolean): Item[] {
  const out = list.filter(is)
  list.splice(0, list.length, ...list.filter((item) => !is(item)))
  return out
}

function draw(chance: number): Fate {
  let left = chance * 100
  for (const [fate, share] of Object.entries(FATES)) {
    left -= share
    // The keys of FATES.
    if (left < 0) return fate as Fate
  }
  return 'pass'
}

async function readMessage(request: IncomingMessage): Promise<Message> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const sent = HEADERS.flatMap((name) => {
    const value = request.headers[name]
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  return {
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    headers: Object.fromEntries(sent),
    body: Buffer.concat(chunks),
  }
}

async function ask(target: string, { method, path, headers, body }: Message): Promise<Received> {
  const content = method === 'GET' ? {} : { body }
  const answer = await fetch(`${target}${path}`, { method, headers, ...content })
  const bytes = Buffer.from(await answer.arrayBuffer())
  return { status: answer.status, headers: answer.headers, body: bytes }
}

function reply(response: ServerResponse, { status, headers, body }: Received, cut: boolean): void {
  const names = ['content-type', 'idempotent-replayed', 'retry-after', 'location']
  const kept = names.flatMap((name) => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  response.writeHead(status, { ...Object.fromEntries(kept), 'content-length': body.length })
  if (cut) response.write(body.subarray(0, body.length / 2), () => response.destroy())
  else response.end(body)
}
