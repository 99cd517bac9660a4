import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What stands before a gateway, and answers with a page where it will not talk to us. */
export interface Front {
  readonly port: number
  /** From now on it does not talk about the payment of the next charge. */
  pick(): void
  /** Whether payouts are made with a credential that the gateway does not know. */
  lockPayouts(on: boolean): void
  close(): Promise<void>
}

interface State {
  /** The port of the gateway on this machine. */
  readonly target: number
  picking: boolean
  odd: number | null
  locked: boolean
}

/** A front before the gateway at port `target` of this machine. */
export async function startFront(target: number): Promise<Front> {
  const state: State = { target, picking: false, odd: null, locked: false }
  const server = createServer((incoming, reply) => {
    void pass(incoming, reply, state).catch(() => incoming.socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    // A TCP server that listens has an address with a port.
    port: (server.address() as AddressInfo).port,
    pick() {
      state.picking = true
    },
    lockPayouts(on) {
      state.locked = on
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface Charge {
  readonly payment_id?: number
  readonly type?: string
}

function refuse(reply: ServerResponse, status: number): void {
  reply.writeHead(status, { 'content-type': 'text/html' }).end('<!doctype html><h1>No</h1>')
}

async function pass(incoming: IncomingMessage, reply: ServerResponse, state: State): Promise<void> {
  const body = Buffer.concat(await incoming.toArray())
  if (incoming.method === 'POST') {
    // A charge by our own service: it names its payment.
    const { payment_id: id = null, type } = JSON.parse(body.toString()) as Charge
    if (state.picking) state.odd = id
    state.picking = false
    if (id !== null && id === state.odd) return refuse(reply, 404)
    if (state.locked && type === 'withdraw') return refuse(reply, 401)
  }
  const { method, url: path, headers } = incoming
  const out = request({ host: '127.0.0.1', port: state.target, method, path, headers })
  out.end(body)
  const [answer] = (await once(out, 'response')) as [IncomingMessage]
  const text = Buffer.concat(await answer.toArray())
  reply.writeHead(answer.statusCode ?? 502, answer.headers).end(text)
}
