import type { Socket } from 'node:net'
import { Client, errors, Pool, type buildConnector, type Dispatcher } from 'undici'

/** The largest reply body that is read, in bytes. A longer one ends the exchange. */
export const REPLY_BYTES_MAX = 64 * 1024

/** Larger response heads end the exchange too; ours are a few hundred bytes. */
const HEAD_BYTES_MAX = 16 * 1024

/** How long an idle connection is kept when the other side does not say, in milliseconds. */
const IDLE_MS_MAX = 4_000

/** One request. `headers` alternates names and values. */
export interface HttpCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: readonly string[]
  readonly body: string | null
}

/**
 * How an exchange ended. A `reply` is one that was read to its end. For a `fault`, `sent` says
 * whether a byte of the request may have left, and `status` what was read of the reply, if anything.
 */
export type Exchange =
  | {
      readonly kind: 'reply'
      readonly sent: true
      readonly status: number
      readonly retryAfter: string | null
      readonly body: Buffer
      /** Its connection had carried other requests before. */
      readonly reused: boolean
    }
  | {
      readonly kind: 'fault'
      readonly sent: boolean
      readonly status: number | null
      readonly reason: string
    }

/** Exchanges requests for replies with one origin, over its own connections. */
export interface HttpClient {
  /**
   * Never throws: whatever happens is an `Exchange`. Redirects are replies; none is followed. A reply
   * whose body is not `trusted` ends its connection: what else arrives on it belongs to nobody.
   */
  exchange(call: HttpCall, signal?: AbortSignal, trusted?: Trusted): Promise<Exchange>
  /** Refuses new calls at once; resolves when those in flight have ended. May be called again. */
  close(): Promise<void>
}

/** Whether a reply body is what was expected on this connection. */
export type Trusted = (body: Buffer) => boolean

/**
 * A client for `origin` with up to `connections` connections, kept alive or each for one request.
 * `timeoutMs` is one absolute deadline over the whole exchange: waiting for a connection, sending, and
 * reading to the last byte. What arrives on an idle connection ends it.
 */
export function httpClient(options: {
  readonly origin: string
  readonly timeoutMs: number
  readonly connections: number
  readonly keepAlive: boolean
}): HttpClient {
  const pool = new Pool(options.origin, {
    connections: options.connections,
    // One request per connection at a time: an error then belongs to that request alone.
    pipelining: 1,
    // Half the deadline, so that a host which swallows packets is told apart from a slow one.
    connect: { timeout: Math.ceil(options.timeoutMs / 2) },
    // Our deadline is stricter than undici's timeouts, which start again with every byte.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: IDLE_MS_MAX,
    maxHeaderSize: HEAD_BYTES_MAX,
    factory: (origin, client) => line(origin, client as Client.Options),
  })
  const watch = abortWatch()
  let closing: Promise<void> | undefined
  return {
    exchange: (call, signal, trusted = () => true) =>
      exchange({ ...options, pool, watch, trusted }, call, signal),
    close: () => (closing ??= pool.close()),
  }
}

/** A connection as it is used: how many requests it has carried, and how to end it. */
interface Line {
  served: number
  socket: Socket | null
}

/** What is handed to the connection that takes an exchange, beside the request. */
type Tied = Dispatcher.DispatchOptions & { readonly take?: (line: Line) => void }

/** A client of the pool, one connection at a time, that tells each exchange which one takes it. */
function line(origin: URL, options: Client.Options): Dispatcher {
  const own: Line = { served: 0, socket: null }
  // The pool hands its own connector down.
  const connect = options.connect as buildConnector.connector
  const client = new Client(origin, {
    ...options,
    connect: (to, done) =>
      connect(to, (...made) => {
        Object.assign(own, { served: 0, socket: made[1] })
        done(...made)
      }),
  })
  const dispatch = client.dispatch.bind(client)
  client.dispatch = (request: Tied, handler) => {
    request.take?.(own)
    return dispatch(request, handler)
  }
  return client
}

/** What every exchange of a client has in common. */
interface Common {
  readonly pool: Pool
  readonly timeoutMs: number
  readonly keepAlive: boolean
  readonly watch: AbortWatch
  readonly trusted: Trusted
}

/** What has been seen of an exchange so far. */
interface Progress {
  /** The connection that took it, and whether it had carried others before. */
  line: Line | null
  reused: boolean
  /** Set right before the request is written: from then on it counts as sent. */
  controller: Dispatcher.DispatchController | null
  ended: boolean
  status: number | null
  retryAfter: string | null
  readonly chunks: Buffer[]
  bytes: number
}

function exchange(common: Common, call: HttpCall, signal?: AbortSignal): Promise<Exchange> {
  const { pool, timeoutMs, watch, keepAlive, trusted } = common
  if (signal?.aborted) return Promise.resolve(fault('aborted', false, null))
  return new Promise((resolve) => {
    const seen: Progress = {
      line: null,
      reused: false,
      controller: null,
      ended: false,
      status: null,
      retryAfter: null,
      chunks: [],
      bytes: 0,
    }
    const end = (result: Exchange): void => {
      if (seen.ended) return
      seen.ended = true
      clearTimeout(timer)
      unwatch?.()
      resolve(result)
    }
    const cut = (reason: string): void => {
      end(fault(reason, seen.controller !== null, seen.status))
      // Closes the connection: its remaining bytes must never be read as the reply to another request.
      seen.controller?.abort(new Error(reason))
    }
    const timer = setTimeout(() => cut(seen.controller ? 'timeout' : 'connect_timeout'), timeoutMs)
    const unwatch = signal && watch(signal, () => cut('aborted'))
    const { method, path, body } = call
    const take = (line: Line) => (seen.line = line)
    const request: Tied = { method, path, body, headers: [...call.headers], take }
    pool.dispatch(
      keepAlive ? request : { ...request, reset: true },
      handler(seen, end, cut, trusted),
    )
  })
}

/**
 * undici calls `onRequestStart` in the same turn as, and right before, the first byte is handed to
 * the connected socket. An error without it means that nothing of the request left this process.
 */
function handler(
  seen: Progress,
  end: (result: Exchange) => void,
  cut: (reason: string) => void,
  trusted: Trusted,
): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      // Ended while it waited for a connection, or undici starts it again on another one: throwing
      // keeps it from being written, and unlike an abort leaves the connection to the others.
      if (seen.ended || seen.controller !== null) throw new Error('must not be sent')
      seen.controller = controller
      if (seen.line !== null) seen.reused = (seen.line.served += 1) > 1
    },
    onResponseStart(_controller, status, headers) {
      if (status < 200) return
      seen.status = status
      const retryAfter = headers['retry-after']
      seen.retryAfter = typeof retryAfter === 'string' ? retryAfter : null
    },
    onResponseData(_controller, chunk) {
      seen.bytes += chunk.length
      if (seen.bytes > REPLY_BYTES_MAX) return cut('reply_too_large')
      seen.chunks.push(chunk)
    },
    onResponseEnd() {
      const { status, retryAfter, chunks, reused } = seen
      if (status === null) return cut('unreadable_reply')
      const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
      // Behind the parser, which is still at work, and before the connection takes another request.
      if (!trusted(body)) queueMicrotask(() => seen.line?.socket?.destroy())
      end({ kind: 'reply', sent: true, status, retryAfter, body, reused })
    },
    onResponseError(_controller, error) {
      const sent = seen.controller !== null
      end(fault(reasonOf(error, sent), sent, seen.status))
    },
  }
}

function fault(reason: string, sent: boolean, status: number | null): Exchange {
  return { kind: 'fault', sent, status, reason }
}

/** Error codes of Node and undici, in our words. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection_refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
  UND_ERR_INVALID_ARG: 'invalid_request',
  UND_ERR_CLOSED: 'closed',
  UND_ERR_DESTROYED: 'closed',
  UND_ERR_HEADERS_OVERFLOW: 'reply_too_large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'unreadable_reply',
}

/** The names OpenSSL and Node give to certificates and handshakes that are not accepted. */
const TLS =
  /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_CA|HOSTNAME_)/

function reasonOf(error: Error, sent: boolean): string {
  const { code } = error as NodeJS.ErrnoException // Node and undici set it; others leave it out.
  // Its code is left out for some of the parser's errors.
  if (error instanceof errors.HTTPParserError) return 'unreadable_reply'
  const otherwise = sent ? 'reset' : 'connection_failed'
  if (typeof code !== 'string') return otherwise
  if (code === 'ETIMEDOUT') return sent ? 'timeout' : 'connect_timeout'
  if (TLS.test(code)) return 'tls'
  return REASONS[code] ?? otherwise
}

/** Run `cut` when `signal` aborts; the function returned ends the watch. */
type AbortWatch = (signal: AbortSignal, cut: () => void) => () => void

/**
 * One listener per signal, however many calls share it: adding and removing a listener takes time in
 * proportion to the listeners there are, and Node warns of a leak from the eleventh on.
 */
function abortWatch(): AbortWatch {
  const watchers = new WeakMap<AbortSignal, Set<() => void>>()
  return (signal, cut) => {
    const cuts = watchers.get(signal) ?? new Set()
    if (!watchers.has(signal)) {
      watchers.set(signal, cuts)
      signal.addEventListener('abort', () => cuts.forEach((each) => each()), { once: true })
    }
    cuts.add(cut)
    return () => cuts.delete(cut)
  }
}
