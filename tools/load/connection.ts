import { connect } from 'node:net'
import { responseReader } from './response.ts'

/** One keep-alive connection with at most one request on its way. */
export interface Connection {
  send(request: Buffer): void
  close(): void
}

interface ConnectionEvents {
  readonly onOpen: () => void
  readonly onResponse: (status: number, body: Buffer | null) => void
  /** It broke, or answered what is no response. Not told of `close`. */
  readonly onFault: (error: Error) => void
}

/** One read of the socket; every connection reads into a buffer of its own, again and again. */
const READ_BYTES = 16_384

/**
 * Open a connection. Raw, because a general HTTP client costs as much as the service it measures.
 */
export function openConnection(
  to: {
    readonly host: string
    readonly port: number
    readonly bodies: boolean
    /** Where it comes from; not there: from wherever the system says. */
    readonly localAddress?: string
  },
  events: ConnectionEvents,
): Connection {
  let closed = false
  const fail = (error: Error): void => {
    if (closed) return
    closed = true
    socket.destroy()
    events.onFault(error)
  }
  const reader = responseReader(events.onResponse, to.bodies)
  const socket = connect({
    host: to.host,
    port: to.port,
    ...(to.localAddress === undefined ? {} : { localAddress: to.localAddress }),
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback(bytes, buffer) {
        try {
          reader.read(Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
        } catch (error) {
          fail(error instanceof Error ? error : new Error(String(error)))
        }
        return true
      },
    },
  })
  socket.once('connect', events.onOpen)
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection was closed')))
  return {
    send(request) {
      socket.write(request)
    },
    close() {
      closed = true
      socket.destroy()
    },
  }
}
