import type { Socket } from 'node:net'
import { Client, Pool, type buildConnector, type Dispatcher } from 'undici'
import { abortWatch } from '../domain/abort-watch.ts'
import { connectionReason, isUnreadable } from '../domain/connection-reason.ts'

/** The largest reply body that is read, in bytes. A longer one ends the exchange. */
const REPLY_BYTES_MAX = 64 * 1024

/** Larger response heads end the exchange too; ours are a few hundred bytes. */
const HEAD_BYTES_MAX = 16 * 1024

/** How long an idle connection is kept when the other side does not say, in milliseconds. */
const IDLE_MS_MAX = 4_000

/** One request. `headers` alternates names and values. */
export interface HttpCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: string[]
  readonly body: string | null
  /** The largest reply that is read, in bytes; not there: that of an answer about one payment. */
  readonly bytesMax?: number
  /** A deadline before that of the client, in milliseconds. */
  readonly msMax?: number
}

/** A reply that was read to its end. */
export interface Reply {
  readonly kind: 'reply'
  readonly sent: true
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  /** Its connection had carried other requests before. */
  readonly reused: boolean
  /** The other side says that it is the last on its connection. */
  readonly last: boolean
  /** What came of the call that was sent behind it on the same connection; null: none was. */
  readonly behind: Exchange | null
}

/**
 * How an exchange ended. For a `fault`, `sent` says whether a byte of the request may have left,
 * and `status` what was read of the reply, if anything.
 */
export type Exchange =
  | Reply
  | {
      readonly kind: 'fault'
      readonly sent: boolean
      readonly status: number | null
      readonly reason: string
    }

/** Exchanges requests for replies with one origin, over its own connections. */
interface HttpClient {
  /**
   * Never throws: whatever happens is an `Exchange`. Redirects are replies; none is followed.
   * `judge` says what becomes of the connection over which a reply came; by default it is kept.
   */
  exchange(call: HttpCall, signal?: AbortSignal, judge?: Judge): Promise<Exchange>
  /** Refuses new calls at once; resolves when those in flight have ended. May be called again. */
  close(): Promise<void>
}

/**
 * What becomes of a connection after a reply. `keep`: it carries others. `end`: what else arrives
 * on it belongs to nobody. A call: that one is sent behind it, within the deadline, and is the
 * last.
 */
type Judge = (reply: Reply) => 'keep' | 'end' | HttpCall

/**
 * A client for `origin` with up to `connections` connections, kept alive or each for one request.
 * `timeoutMs` is one absolute deadline over the whole exchange: waiting for a connection, sending,
 * and reading to the last byte. What arrives on an idle connection ends it.
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
    factory: (origin, client) => new Line(origin, client as Client.Options),
  })
  const watch = abortWatch()
  let closing: Promise<void> | undefined
  return {
    exchange({ method, path, headers, body, bytesMax, msMax }, signal, judge = keep) {
      if (signal?.aborted) return Promise.resolve(fault('aborted', false, null))
      return new Promise((resolve) => {
        const exchange = new OneExchange(
          Math.min(msMax ?? Infinity, options.timeoutMs),
          judge,
          resolve,
        )
        if (bytesMax !== undefined) exchange.bytesMax = bytesMax
        if (signal !== undefined) exchange.unwatch = watch(signal, () => exchange.cut('aborted'))
        const request: Tied = { method, path, body, headers, exchange }
        pool.dispatch(options.keepAlive ? request : { ...request, reset: true }, exchange)
      })
    },
    close: () => (closing ??= pool.close()),
  }
}

const keep: Judge = () => 'keep'

/** What is handed to the connection that takes an exchange, beside the request. */
type Tied = Dispatcher.DispatchOptions & { readonly exchange?: OneExchange }

/**
 * A connection of the pool: it knows how many requests it has carried, and tells each exchange
 * which connection takes it. Derived, because a method put on every object makes all its accesses
 * slow.
 */
class Line extends Client {
  /** Requests on the present socket. */
  served: number
  socket: Socket | null

  constructor(origin: URL, options: Client.Options) {
    // The pool hands its own connector down.
    const connect = options.connect as buildConnector.connector
    const made: { line: Line | null } = { line: null }
    super(origin, {
      ...options,
      connect: (to, done) =>
        connect(to, (...connected) => {
          made.line?.connected(connected[1])
          done(...connected)
        }),
    })
    this.served = 0
    this.socket = null
    made.line = this
  }

  connected(socket: Socket | null): void {
    this.served = 0
    this.socket = socket
  }

  override dispatch(request: Tied, handler: Dispatcher.DispatchHandler): boolean {
    if (request.exchange !== undefined) request.exchange.line = this
    return super.dispatch(request, handler)
  }
}

/**
 * One exchange while it lasts, as undici's handler. An object with methods rather than closures:
 * many are under way at a time, and what each keeps is what the garbage collector copies.
 *
 * undici calls `onRequestStart` in the same turn as, and right before, the first byte is handed to
 * the connected socket. An error without it means that nothing of the request left this process.
 */
class OneExchange implements Dispatcher.DispatchHandler {
  /** The connection that took it, and whether it had carried others before. */
  line: Line | null = null
  reused = false
  /** Set right before the request is written: from then on it counts as sent. */
  controller: Dispatcher.DispatchController | null = null
  ended = false
  status: number | null = null
  headers: Reply['headers'] = {}
  last = false
  body: Buffer | null = null
  more: Buffer[] | null = null
  bytes = 0
  bytesMax = REPLY_BYTES_MAX
  readonly timeoutMs: number
  readonly timer: NodeJS.Timeout
  readonly judge: Judge
  readonly resolve: (result: Exchange) => void
  unwatch: (() => void) | null = null
  /** It goes over this socket or not at all; null: over any. */
  only: Socket | null = null
  /** The exchange that follows this one on its connection. */
  behind: OneExchange | null = null

  constructor(timeoutMs: number, judge: Judge, resolve: (result: Exchange) => void) {
    this.judge = judge
    this.resolve = resolve
    this.timeoutMs = timeoutMs
    this.timer = setTimeout(tooLate, timeoutMs, this)
  }

  end(result: Exchange): void {
    if (this.ended) return
    this.ended = true
    clearTimeout(this.timer)
    this.unwatch?.()
    this.resolve(result)
  }

  cut(reason: string): void {
    if (this.behind !== null) return this.behind.cut(reason)
    this.end(fault(reason, this.controller !== null, this.status))
    // Closes the connection: its remaining bytes must never be read as the reply to another
    // request.
    this.controller?.abort(new Error(reason))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Ended while it waited for a connection, or undici starts it again on another one: throwing
    // keeps it from being written, and unlike an abort leaves the connection to the others.
    const again = this.ended || this.controller !== null
    if (again || (this.only !== null && this.only !== this.line?.socket)) {
      throw new Error('must not be sent')
    }
    this.controller = controller
    if (this.line !== null) this.reused = (this.line.served += 1) > 1
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return
    this.status = status
    this.headers = headers
    const { connection } = headers
    this.last = typeof connection === 'string' && /(^|,) *close *(,|$)/i.test(connection)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.bytes > this.bytesMax) return this.cut('reply_too_large')
    if (this.body === null) this.body = chunk
    else (this.more ??= []).push(chunk)
  }

  onResponseEnd(): void {
    const { status, headers, reused, last } = this
    if (status === null) return this.cut('unreadable_reply')
    const first = this.body ?? NO_BYTES
    const body = this.more === null ? first : Buffer.concat([first, ...this.more])
    const reply: Reply = {
      kind: 'reply',
      sent: true,
      status,
      headers,
      body,
      reused,
      last,
      behind: null,
    }
    const after = this.judge(reply)
    // Behind the parser, which is still at work, and before the connection takes another request.
    if (typeof after !== 'string') return queueMicrotask(() => this.follow(reply, after))
    if (after === 'end') queueMicrotask(() => this.line?.socket?.destroy())
    this.end(reply)
  }

  /** Send a call behind this one, on its connection and on no other, within the same deadline. */
  follow(reply: Reply, { method, path, headers, body }: HttpCall): void {
    const { line } = this
    const socket = line?.socket ?? null
    if (this.ended || line === null || socket === null || socket.destroyed) return this.end(reply)
    const next = new OneExchange(this.timeoutMs, keep, (behind) => {
      // Whatever came of it: the reply before it was not one to go on with.
      queueMicrotask(() => socket.destroy())
      this.end({ ...reply, behind })
    })
    next.only = socket
    this.behind = next
    line.dispatch({ method, path, headers, body, reset: true, exchange: next } as Tied, next)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const sent = this.controller !== null
    this.end(fault(reasonOf(error, sent), sent, this.status))
  }
}

const NO_BYTES = Buffer.alloc(0)

function tooLate(exchange: OneExchange): void {
  exchange.cut(exchange.controller === null ? 'connect_timeout' : 'timeout')
}

function fault(reason: string, sent: boolean, status: number | null): Exchange {
  return { kind: 'fault', sent, status, reason }
}

/** What else codes of undici say of what a gateway answered. */
const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_INVALID_ARG: 'invalid_request',
  UND_ERR_CLOSED: 'closed',
  UND_ERR_DESTROYED: 'closed',
}

function reasonOf(error: Error, sent: boolean): string {
  const { code } = error as NodeJS.ErrnoException // Node and undici set it; others leave it out.
  if (isUnreadable(error)) return 'unreadable_reply'
  const otherwise = sent ? 'reset' : 'connection_failed'
  if (typeof code !== 'string') return otherwise
  if (code === 'ETIMEDOUT') return sent ? 'timeout' : 'connect_timeout'
  return connectionReason(code) ?? REASONS[code] ?? otherwise
}
