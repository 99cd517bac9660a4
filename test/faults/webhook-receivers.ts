import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Longer than anybody listens. */
const GIBIBYTE = 2 ** 30

/** What became of a message that a receiver got. */
export interface Got {
  readonly id: string
  readonly paymentId: number | null
  /** Of the bytes of the body. */
  readonly hash: string
}

/** How a receiver answers; the last one for good. */
type Answer = (response: ServerResponse, receiver: Receiver) => void

export interface Receiver {
  readonly name: string
  readonly url: string
  /** Whether it takes what it is sent, sooner or later. */
  readonly good: boolean
  readonly got: Got[]
  /** Bytes of replies that were written. */
  written: number
  answer: Answer
  close(): void
}

export const TAKEN: Answer = (response) => void response.writeHead(204).end()

const PIECE = Buffer.alloc(64 * 1_024, '.')

/** Write on until nobody reads any more, up to a gibibyte. */
const ENDLESS: Answer = (response, receiver) => {
  response.writeHead(200, { 'content-length': String(GIBIBYTE) })
  const write = (): void => {
    while (!response.destroyed) {
      receiver.written += PIECE.length
      if (!response.write(PIECE)) return void response.once('drain', write)
    }
  }
  response.on('error', () => undefined)
  write()
}

/** A byte a second, for as long as somebody listens. */
const DRIPPING: Answer = (response) => {
  response.writeHead(200, { 'content-length': '3600' })
  const timer = setInterval(() => response.write('.'), 1_000)
  timer.unref()
  response.on('close', () => clearInterval(timer))
}

/** Refuse the first calls for being too many, and take the others. */
function busy(times: number): Answer {
  let left = times
  return (response, receiver) => {
    left -= 1
    if (left < 0) return TAKEN(response, receiver)
    response.writeHead(429, { 'retry-after': '1' }).end()
  }
}

/** The receivers of the scenario: two that are well, and one of each kind that is not. */
export async function openReceivers(): Promise<readonly Receiver[]> {
  const trap = await openReceiver('trap', false, TAKEN)
  const elsewhere: Answer = (response) => void response.writeHead(307, { location: trap.url }).end()
  const silent: Answer = () => undefined
  const reset: Answer = (response) => void response.destroy()
  const gone: Answer = (response) => void response.writeHead(410).end()
  return [
    await openReceiver('good', true, TAKEN),
    await openReceiver('ordered', true, TAKEN),
    await openReceiver('busy', true, busy(3)),
    await openReceiver('endless', true, ENDLESS),
    await openReceiver('dripping', false, DRIPPING),
    await openReceiver('silent', false, silent),
    await openReceiver('reset', false, reset),
    await openReceiver('redirect', false, elsewhere),
    await openReceiver('gone', false, gone),
    trap,
  ]
}

async function openReceiver(name: string, good: boolean, answer: Answer): Promise<Receiver> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('error', () => undefined)
    request.on('end', () => {
      receiver.got.push(gotOf(request, Buffer.concat(parts)))
      receiver.answer(response, receiver)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    name,
    url: `http://127.0.0.1:${port}/${name}`,
    good,
    got: [],
    written: 0,
    answer,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return receiver
}

function gotOf({ headers }: IncomingMessage, body: Buffer): Got {
  const { data } = JSON.parse(body.toString('utf8')) as { data: { payment_id?: number } }
  return {
    id: String(headers['webhook-id']),
    paymentId: data.payment_id ?? null,
    hash: createHash('sha256').update(body).digest('hex'),
  }
}
