import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** A gateway that echoes, behind a proxy that answers some requests with pages of its own. */
export interface PagingProxy {
  readonly url: string
  /** How often each key was executed. */
  readonly executed: Map<string, number>
  /** The status of the proxy's page instead of an answer; null: the request is passed on. */
  page: (request: { readonly method: string; readonly paymentId: bigint | null }) => number | null
  /** Its pages are the last on their connections. */
  closes: boolean
  /** Requests that reached the proxy, and connections. */
  readonly seen: { requests: number; connections: number }
}

export async function pagingProxy(t: TestContext): Promise<PagingProxy> {
  const own: PagingProxy = {
    url: '',
    executed: new Map(),
    page: () => null,
    closes: false,
    seen: { requests: 0, connections: 0 },
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    own.seen.requests += 1
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const method = request.method ?? ''
    const id = /"payment_id":(\d+)/.exec(text)?.[1]
    const status = own.page({ method, paymentId: id === undefined ? null : BigInt(id) })
    if (status !== null) {
      if (own.closes) response.setHeader('connection', 'close')
      return void response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>No</h1>')
    }
    response.setHeader('content-type', 'application/json')
    if (method === 'GET') {
      const key = decodeURIComponent(request.url?.split('/').at(-1) ?? '')
      const known = own.executed.has(key)
      const word = known ? { status: 'success' } : { status: 'rejected', code: 'not_found' }
      response.writeHead(known ? 200 : 404)
      return void response.end(JSON.stringify({ ...word, idempotency_key: key }))
    }
    const key = String(request.headers['idempotency-key'])
    // A repeated key is answered as the first time.
    if (!own.executed.has(key)) own.executed.set(key, 1)
    response.end(JSON.stringify({ status: 'success', idempotency_key: key }))
  }
  const server = createServer((request, response) => void answer(request, response))
  server.on('connection', () => (own.seen.connections += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // It listens on TCP.
  return Object.assign(own, { url: `http://127.0.0.1:${port}/base` })
}
