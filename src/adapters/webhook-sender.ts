import { Agent, type Dispatcher } from 'undici'
import { abortWatch } from '../domain/abort-watch.ts'
import { askedWaitMs } from '../domain/asked-wait.ts'
import { connectionReason, isUnreadable } from '../domain/connection-reason.ts'
import type { Called } from '../domain/delivery.ts'
import type { Clock } from '../ports.ts'
import { endpointNames } from './endpoint-names.ts'
import { demandAllowed, Forbidden, guardedConnector } from './private-address-guard.ts'
import type { Allowed } from './public-address.ts'
import type { ResolveName } from './system-names.ts'

/** One call of an endpoint. */
interface WebhookCall {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What came of it, and the beginning of the reply. */
interface WebhookReply extends Called {
  readonly tookMs: number
  readonly reply: string | null
}

export interface WebhookSender {
  /** Never throws: whatever happens is a reply. Redirects are replies too. */
  send(call: WebhookCall, signal?: AbortSignal): Promise<WebhookReply>
  close(): Promise<void>
}

/** One absolute deadline over the whole call. */
const DEADLINE_MS = 15_000
/** What is read of a reply, and what is kept. */
const READ_BYTES_MAX = 4_096
const KEPT_BYTES_MAX = 1_024

interface SenderOptions {
  readonly allowed: Allowed
  readonly clock: Clock
  readonly deadlineMs?: number
  /** How names are resolved; tests have a resolver of their own. */
  readonly resolve?: ResolveName
}

/**
 * A sender that connects to allowed addresses alone. An address is looked at as it stands in the
 * URL, because such a one is never resolved; after it was resolved, where each of several counts;
 * and on the socket that is connected. Proxies that the environment names are not used.
 */
export function webhookSender(options: SenderOptions): WebhookSender {
  const { allowed, clock, deadlineMs = DEADLINE_MS } = options
  const agent = new Agent({
    connect: guardedConnector(allowed, options.resolve ?? endpointNames()),
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 4_000,
    maxHeaderSize: 16 * 1_024,
  })
  const watch = abortWatch()
  const send = (call: WebhookCall, signal?: AbortSignal): Promise<WebhookReply> => {
    const startedMs = clock.elapsedMs()
    return new Promise((resolve) => {
      const exchange = exchangeOf((what) => {
        clearTimeout(late)
        unwatch?.()
        resolve({ ...what, tookMs: Math.max(0, Math.round(clock.elapsedMs() - startedMs)) })
      })
      const late = setTimeout(exchange.cut, deadlineMs, 'timeout')
      const unwatch = signal && watch(signal, () => exchange.cut('aborted'))
      if (signal?.aborted) return exchange.cut('aborted')
      try {
        dispatch(agent, call, allowed, exchange.handler)
      } catch (error) {
        exchange.cut(reasonOf(error))
      }
    })
  }
  return { send, close: () => agent.destroy() }
}

function dispatch(
  agent: Agent,
  { url, headers, body }: WebhookCall,
  allowed: Allowed,
  handler: Dispatcher.DispatchHandler,
): void {
  const { origin, pathname, search, hostname } = new URL(url)
  demandAllowed(hostname, allowed)
  agent.dispatch({ origin, path: pathname + search, method: 'POST', headers, body }, handler)
}

type End = Omit<WebhookReply, 'tookMs'>

/**
 * One exchange while it lasts, as undici's handler. `end` is told once what came of it. Nothing is
 * sent once it was cut, nor a second time by undici itself. A 2xx of which the body broke off is
 * not taken for one; who answers without end is cut off, because what is read says enough.
 */
function exchangeOf(end: (what: End) => void) {
  let controller: Dispatcher.DispatchController | null = null
  let ended = false
  let status: number | null = null
  let retryAfterMs: number | null = null
  const parts: Buffer[] = []
  let bytes = 0
  const endOnce = (what: End): void => {
    if (ended) return
    ended = true
    end(what)
  }
  const failed = (reason: string) =>
    endOnce({ status: null, reason, retryAfterMs: null, reply: null })
  const answered = () => {
    const kept = Buffer.concat(parts).subarray(0, KEPT_BYTES_MAX)
    const reply = kept.length === 0 ? null : kept.toString('utf8').replaceAll('\0', '\ufffd')
    endOnce({ status, reason: null, retryAfterMs, reply })
  }
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      // Throwing keeps it from being written, and leaves the connection to the others.
      if (ended || controller !== null) throw new Error('must not be sent')
      controller = started
    },
    onResponseStart(_own, code, headers) {
      if (code < 200) return
      status = code
      retryAfterMs = askedWaitMs(headers, null)
    },
    onResponseData(reading, part) {
      parts.push(part.subarray(0, READ_BYTES_MAX - bytes))
      bytes += part.length
      if (bytes < READ_BYTES_MAX) return
      answered()
      reading.abort(new Error('enough was read'))
    },
    onResponseEnd: answered,
    onResponseError(_own, error) {
      // A 204 has no body: it is told whole, whatever some send behind it all the same.
      if (status === 204) return answered()
      failed(reasonOf(error))
    },
  }
  const cut = (reason: string): void => {
    failed(reason)
    controller?.abort(new Error(reason))
  }
  return { handler, cut }
}

function reasonOf(error: unknown): string {
  const { code = '' } = error as { readonly code?: string }
  if (error instanceof Forbidden) return 'forbidden_address'
  if (isUnreadable(error as Error)) return 'reply_malformed'
  if (code === 'ETIMEDOUT') return 'timeout'
  return connectionReason(code) ?? 'connection_failed'
}
