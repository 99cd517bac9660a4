import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { httpGateway, type HttpGatewayOptions } from '../src/gateways/http-gateway.ts'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Gateway } from '../src/ports.ts'
import { profileOf } from './profiles.ts'

/** The charge that the tests send. */
export const REQUEST: GatewayOperation = {
  key: 'pay_7',
  paymentId: 7n,
  userId: 3n,
  amount: 20_050n,
  commission: 401n,
  currency: 'USD',
  exponent: 2,
  kind: 'charge',
}

/** Long enough for a loaded machine. */
const PATIENT_MS = 20_000
/** For tests that are about the deadline. */
export const SHORT_MS = 250

/** A server that misbehaves, and what it received. */
export interface Peer {
  readonly url: string
  readonly port: number
  /** Every request received, as its raw text. */
  readonly requests: string[]
  readonly sockets: Socket[]
}

/** A TCP server that answers each request with what `misbehave` writes to the bare socket. */
export async function peer(
  t: TestContext,
  misbehave: (socket: Socket, request: string, count: number) => void,
): Promise<Peer> {
  const requests: string[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const request = complete(text)
      if (request === null) return
      text = ''
      requests.push(request)
      misbehave(socket, request, requests.length)
    })
  })
  const port = await listen(t, server, sockets)
  return { url: `http://127.0.0.1:${port}/base`, port, requests, sockets }
}

/** Listen on a free port until the test ends. */
export async function listen(t: TestContext, server: Server, sockets: Socket[]): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port // It listens on TCP.
}

/** The request, once its head and its body are there. */
function complete(text: string): string | null {
  const end = text.indexOf('\r\n\r\n')
  const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
  return end !== -1 && text.length >= end + 4 + length ? text : null
}

/** The driver under test, closed when the test ends. */
export function gateway(
  t: TestContext,
  url: string,
  options: Partial<Omit<HttpGatewayOptions, 'url'>> = {},
): Gateway {
  const made = httpGateway({
    url,
    timeoutMs: PATIENT_MS,
    connections: 4,
    profile: profileOf({
      repeats: 'first_answer',
      keyLifeMs: 3_600_000,
      lookup: 'consistent',
    }),
    untold: 'USD',
    echo: 'optional',
    clock: systemClock,
    ...options,
  })
  t.after(() => made.close())
  return made
}

/** A well-framed HTTP response. */
export function http(status: number, body: string, headers = ''): string {
  return `HTTP/1.1 ${status} X\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Outcomes in short. */
export const success = (gatewayRef: string | null): ChargeOutcome => ({
  kind: 'success',
  gatewayRef,
})
export const declined = (reason: string): ChargeOutcome => ({ kind: 'declined', reason })
export const doubt = (reason: string): ChargeOutcome => ({ kind: 'in_doubt', reason })
export const rejected = (reason: string): ChargeOutcome => ({ kind: 'rejected', reason })
export const foreign = (reason: string): ChargeOutcome => ({ kind: 'misconfigured', reason })
