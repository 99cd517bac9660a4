import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * A request as it is to stand on the wire; nothing is checked, escaped or completed but lengths.
 */
export interface Wire {
  readonly method?: string
  readonly path: string
  /** Beside Host, and Content-Type and Content-Length where there is a body. In this order. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: string | Uint8Array
}

/** An answer as it came. Names of headers are lower case; of repeated ones the last counts. */
export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A connection that takes requests one after the other and reconnects when it was closed. */
export interface Connection {
  /**
   * Send a request and await its answer; null when the server closed, or was silent for two
   * minutes.
   */
  ask(request: Wire): Promise<Received | null>
  close(): void
}

/** No answer takes this long, in milliseconds: a hanging request is a finding, not a wait. */
export const ANSWER_MS_MAX = 120_000
/** A connection that is to be closed is closed by then, in milliseconds. */
const CLOSE_MS_MAX = 60_000
const NO_BODY = new Set([204, 304])
const HEAD_END = '\r\n\r\n'

/** The bytes of a request. Headers are latin-1, as in HTTP/1.1; a text body is UTF-8. */
export function bytesOf(request: Wire): Buffer {
  const { method = 'GET', path, headers = [], body } = request
  const given = new Set(headers.map(([name]) => name.toLowerCase()))
  const bytes = Buffer.from(body ?? '')
  const own: [string, string][] = given.has('host') ? [] : [['Host', 'localhost']]
  if (body !== undefined && !given.has('content-type')) {
    own.push(['Content-Type', 'application/json'])
  }
  if (body !== undefined && !given.has('transfer-encoding') && !given.has('content-length')) {
    own.push(['Content-Length', String(bytes.length)])
  }
  const lines = [...own, ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes])
}

/** Open a connection to a port of this machine. */
export function open(port: number): Connection {
  let socket: Socket | null = null
  return {
    async ask(request) {
      if (socket === null || socket.destroyed || !socket.writable) socket = await dial(port)
      const { answer, closed } = await exchange(socket, bytesOf(request), request.method === 'HEAD')
      if (closed || answer?.headers['connection'] === 'close') socket.destroy()
      return answer
    },
    close: () => socket?.destroy(),
  }
}

/** What became of raw bytes on a connection of their own. */
export interface Outcome {
  readonly answer: Received | null
  /** Whether the server ended the connection, as it said or without a word. */
  readonly closed: boolean
}

/** Send raw bytes, or pieces with a pause in milliseconds between them, and see what comes back. */
export async function raw(
  port: number,
  bytes: Uint8Array | readonly Uint8Array[],
  pauseMs = 0,
): Promise<Outcome> {
  const socket = await dial(port)
  const ended = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)))
  const pieces = bytes instanceof Uint8Array ? [bytes] : bytes
  const [first = Buffer.alloc(0), ...rest] = pieces
  void drip(socket, rest, pauseMs)
  const { answer } = await exchange(socket, first, false)
  const parting = answer === null || answer.headers['connection'] === 'close'
  const closed = await Promise.race([ended, pause(parting ? CLOSE_MS_MAX : 0).then(() => false)])
  socket.destroy()
  return { answer, closed }
}

async function drip(socket: Socket, pieces: readonly Uint8Array[], pauseMs: number): Promise<void> {
  for (const piece of pieces) {
    await pause(pauseMs)
    if (!socket.writable) return
    socket.write(piece)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms).unref())
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: false })
  // A reset is an answer too: the reader sees the end of the connection.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

function exchange(
  socket: Socket,
  bytes: Uint8Array,
  bodiless: boolean,
): Promise<{ answer: Received | null; closed: boolean }> {
  return new Promise((settle) => {
    let seen: Buffer = Buffer.alloc(0)
    const finish = (answer: Received | null, closed: boolean) => {
      clearTimeout(limit)
      socket.off('data', onData).off('close', onClose)
      settle({ answer, closed })
    }
    const onData = (data: Buffer) => {
      seen = seen.length === 0 ? data : Buffer.concat([seen, data])
      const answer = parse(seen, bodiless, false)
      if (answer !== null) finish(answer, false)
    }
    const onClose = () => finish(parse(seen, bodiless, true), true)
    const limit = setTimeout(() => {
      socket.destroy()
      finish(null, true)
    }, ANSWER_MS_MAX)
    socket.on('data', onData).on('close', onClose)
    socket.write(bytes)
  })
}

/** The first final answer in `seen`, or null while it is incomplete. */
function parse(seen: Buffer, bodiless: boolean, ended: boolean): Received | null {
  const headEnd = seen.indexOf(HEAD_END)
  if (headEnd === -1) return null
  const [statusLine = '', ...lines] = seen.toString('latin1', 0, headEnd).split('\r\n')
  const status = Number(statusLine.split(' ')[1])
  const rest = seen.subarray(headEnd + HEAD_END.length)
  if (status < 200) return parse(rest, bodiless, ended)
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  if (bodiless || NO_BODY.has(status)) return { status, headers, body: '' }
  const body = bodyOf(rest, headers, ended)
  return body === null ? null : { status, headers, body: body.toString('utf8') }
}

function bodyOf(rest: Buffer, headers: Record<string, string>, ended: boolean): Buffer | null {
  if (headers['transfer-encoding'] === 'chunked') return dechunk(rest)
  const length = Number(headers['content-length'] ?? Number.NaN)
  if (Number.isNaN(length)) return ended ? rest : null
  return rest.length < length ? null : rest.subarray(0, length)
}

function dechunk(rest: Buffer): Buffer | null {
  const chunks: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at)
    if (lineEnd === -1) return null
    const size = Number.parseInt(rest.toString('latin1', at, lineEnd), 16)
    if (size === 0) return Buffer.concat(chunks)
    const end = lineEnd + 2 + size
    if (rest.length < end + 2) return null
    chunks.push(rest.subarray(lineEnd + 2, end))
    at = end + 2
  }
}
