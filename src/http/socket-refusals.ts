import type { Duplex } from 'node:stream'
import { writeJson } from '../domain/exact-json.ts'
import { REFUSALS, type RefusalCode } from '../domain/refusal.ts'
import { problem } from './answer.ts'
import { afterAnswers } from './connections.ts'

/** What Node's parser refuses before there is a request, by its code. */
const SOCKET: Readonly<Record<string, RefusalCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/**
 * Answer bytes that are no HTTP request, on the bare socket, and close it: after the answers to the
 * requests in front of them.
 */
export function unreadableSocket(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET') return void socket.destroy()
  const code = SOCKET[error.code ?? ''] ?? 'request_unreadable'
  afterAnswers(socket, () => refuseSocket(socket, code))
}

/** How long a refused client may take to read why, in milliseconds. */
const PARTING_MS = 1_000

/**
 * Answer on the bare socket and close it. What the client still sends is read for a moment, because
 * a connection that is closed with unread bytes in it takes the answer with it; then the socket is
 * given up, whether the client has closed its side or not. A 405 allows nothing: there is no path
 * to allow it for.
 */
export function refuseSocket(socket: Duplex, code: RefusalCode): void {
  if (!socket.writable) return void socket.destroy()
  const over = setTimeout(() => socket.destroy(), PARTING_MS)
  socket.once('close', () => clearTimeout(over))
  const [status] = REFUSALS[code]
  const body = writeJson(problem({ code }, 'none'))
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n${status === 405 ? 'allow: \r\n' : ''}` +
      `connection: close\r\n\r\n${body}`,
  )
}
