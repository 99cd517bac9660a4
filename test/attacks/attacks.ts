import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { newKey } from '../../src/domain/api-key.ts'

/** What somebody without a key does, until told to stop. */
export interface Attack {
  readonly name: string
  readonly start: (port: number) => Running
}

export interface Running {
  /** Do nothing more, and close nothing either. */
  fallSilent(): void
  close(): void
}

/**
 * A client of an attack: what it sends, whether it reads, and when it comes back once it was cut.
 */
interface Plan {
  readonly clients: number
  readonly bytes: (client: number, round: number) => string
  readonly reads?: boolean
  /** Send again so long after the answer, in milliseconds. */
  readonly againMs?: number
  readonly returnMs: number
  readonly address?: (client: number) => string
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const HALF = [
  '',
  'GET /livez HT',
  'POST /api/v1/mock-gateway/pay HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{',
  `POST /docs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n`,
]
const guess = () =>
  `GET /api/v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${newKey(randomBytes).token}\r\n\r\n`

/** The largest public file there is. */
const LARGE = '/docs/static/swagger-ui-bundle.js'

export const ATTACKS: readonly Attack[] = [
  attack('1,600 public requests sent ahead by 20 clients, answers unread', {
    clients: 20,
    bytes: () => get('/openapi.json').repeat(1_600),
    returnMs: 250,
  }),
  attack('16 public requests sent ahead by 200 clients, answers unread', {
    clients: 200,
    bytes: () => get(LARGE).repeat(16),
    returnMs: 1_000,
  }),
  attack('2,000 connections that are idle, or stop in a header or a body', {
    clients: 2_000,
    bytes: (client) => HALF[client % HALF.length] ?? '',
    returnMs: 2_000,
  }),
  attack('300 slow readers', { clients: 300, bytes: () => get(LARGE), returnMs: 1_000 }),
  attack('wrong keys from one address', {
    clients: 40,
    bytes: guess,
    reads: true,
    againMs: 50,
    returnMs: 250,
  }),
  attack('wrong keys from 40 addresses', {
    clients: 40,
    bytes: guess,
    reads: true,
    againMs: 50,
    returnMs: 250,
    address: (client) => `127.0.0.${client + 2}`,
  }),
]

function attack(name: string, plan: Plan): Attack {
  return { name, start: (port) => begin(port, plan) }
}

function begin(port: number, plan: Plan): Running {
  const sockets = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  let over = false
  const later = (ms: number, act: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (!over) act()
    }, ms)
    timers.add(timer)
  }
  const dial = (client: number): void => {
    const localAddress = plan.address?.(client)
    const at = { port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }
    const socket = connect(localAddress === undefined ? at : { ...at, localAddress })
    sockets.add(socket)
    let round = 0
    const send = () => void socket.write(plan.bytes(client, (round += 1)))
    socket.on('error', () => undefined).on('connect', send)
    socket.on('close', () => {
      sockets.delete(socket)
      later(plan.returnMs, () => dial(client))
    })
    // It ignores that the other side has closed, until it is reset.
    if (plan.reads !== true) return void socket.pause()
    socket.on('data', () => plan.againMs !== undefined && later(plan.againMs, send))
  }
  for (let client = 0; client < plan.clients; client += 1) later(client / 4, () => dial(client))
  const fallSilent = (): void => {
    over = true
    for (const timer of timers) clearTimeout(timer)
  }
  return {
    fallSilent,
    close() {
      fallSilent()
      for (const socket of sockets) socket.destroy()
    },
  }
}
