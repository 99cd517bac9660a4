import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: string }
}

/** A span as it arrived, with the role of the process that sent it. */
export interface ArrivedSpan {
  readonly role: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code?: number; readonly message?: string }
  readonly attributes: Readonly<Record<string, string>>
}

/** An answer whose bytes go on coming, one after the other. */
export const NEVER_ENDS = 'never ends'

/** A collector that answers with one status after the other, the last for good. */
export async function collector(t: TestContext, ...statuses: number[]) {
  const bodies: string[] = []
  const seen: { path: string; headers: Readonly<Record<string, unknown>> }[] = []
  const state = { answer: '{}' }
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const status = (statuses.length > 1 ? statuses.shift() : statuses[0]) ?? 200
      if (status === 200) bodies.push(Buffer.concat(parts).toString('utf8'))
      seen.push({ path: request.url ?? '', headers: request.headers })
      response.writeHead(status, { 'content-type': 'application/json' })
      if (state.answer === NEVER_ENDS) drip(response)
      else response.end(state.answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  t.after(close)
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  return Object.assign(state, { url, bodies, seen, close, spans: () => bodies.flatMap(read) })
}

/** Write on until nobody reads any more. */
function drip(response: ServerResponse): void {
  if (response.destroyed) return
  response.write(' ', () => setImmediate(drip, response))
}

interface Body {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<ArrivedSpan, 'attributes' | 'role'> & {
        readonly attributes: readonly Attribute[]
      })[]
    }[]
  }[]
}

function read(body: string): ArrivedSpan[] {
  return (JSON.parse(body) as Body).resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const role = plain(resource.attributes)['payments.role'] ?? ''
    return scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({ ...span, role, attributes: plain(span.attributes) })),
    )
  })
}

function plain(attributes: readonly Attribute[]): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']),
  )
}
