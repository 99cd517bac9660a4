import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { Client, Connection, Submittable } from 'pg'

/** What the driver has for COPY on its connections, and its types lack. */
interface Wire extends Connection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(reason: string): void
}

/** What the driver calls while a COPY runs. */
interface Copy extends Submittable {
  handleError(error: Error): void
  handleReadyForQuery(): void
  handleCommandComplete(message: { readonly text: string }): void
  handleCopyData(message: { readonly chunk: Buffer }): void
  handleCopyInResponse(connection: Wire): void
}

/** Rows are small, so they are handed on together, in bytes. */
const PART_BYTES = 64 * 1024
/** How much may wait for whoever reads it, in bytes. */
const WAITING_BYTES_MAX = 1024 * 1024

/**
 * What `copy … to stdout` gives, as a stream; `onRow` is told of each row. Whoever reads slowly
 * slows the server down: no more than a megabyte waits here. Left in the middle, the connection is
 * of no use any more.
 */
export function copyOut(client: Client, text: string, onRow: () => void): Readable {
  let wire: Connection | null = null
  let part = Buffer.allocUnsafe(PART_BYTES)
  let used = 0
  const out = new Readable({
    highWaterMark: WAITING_BYTES_MAX,
    read: () => void wire?.stream.resume(),
  })
  const hand = (bytes: Buffer): void => {
    if (!out.push(bytes)) wire?.stream.pause()
  }
  const flush = (): void => {
    if (used === 0) return
    hand(part.subarray(0, used))
    part = Buffer.allocUnsafe(PART_BYTES)
    used = 0
  }
  const copy: Copy = {
    submit(connection) {
      wire = connection
      connection.query(text)
    },
    handleCopyData({ chunk }) {
      onRow()
      if (chunk.length > PART_BYTES - used) flush()
      // Copied, because the driver uses the memory of a message again.
      if (chunk.length > PART_BYTES) return hand(Buffer.from(chunk))
      used += chunk.copy(part, used)
    },
    handleCommandComplete: flush,
    handleReadyForQuery() {
      // Whoever uses the connection next is answered, too.
      wire?.stream.resume()
      out.push(null)
    },
    handleError: (error) => void out.destroy(error),
    handleCopyInResponse: (connection) => connection.sendCopyFail('nothing is sent'),
  }
  client.query(copy)
  return out
}

/**
 * Send `source` as what `copy … from stdin` reads. Returns how many rows the server took. Throws
 * what the source threw, or what the server said.
 */
export function copyIn(
  client: Client,
  text: string,
  source: AsyncIterable<Buffer>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let rows = 0
    let broken: unknown = null
    let over = false
    const send = async (wire: Wire): Promise<void> => {
      try {
        for await (const chunk of source) {
          // The server has refused what came before: it reads no more of it.
          if (over) return
          wire.sendCopyFromChunk(chunk)
          if (wire.stream.writableNeedDrain) await once(wire.stream, 'drain')
        }
        if (!over) wire.endCopyFrom()
      } catch (error) {
        broken = error
        if (!over) wire.sendCopyFail('the source failed')
      }
    }
    const copy: Copy = {
      // The driver's own connection.
      submit: (connection) => connection.query(text),
      handleCopyInResponse: (wire) => void send(wire),
      handleCommandComplete(message) {
        rows = Number(message.text.split(' ').at(-1))
      },
      handleReadyForQuery: () => resolve(rows),
      handleError(error) {
        over = true
        reject(broken ?? error)
      },
      handleCopyData: () => undefined,
    }
    client.query(copy)
  })
}
