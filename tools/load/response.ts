/** Reads the responses of one keep-alive connection out of its bytes. */
interface ResponseReader {
  /** Takes the next bytes and keeps none of them. Throws when they are no response it can read. */
  read(chunk: Buffer): void
}

/** A head that is longer is none of ours. */
const HEAD_LENGTH_MAX = 16_384
const HEAD_END = '\r\n\r\n'

/**
 * Read HTTP/1.1 responses as a load generator needs them: the status and where the next one begins.
 * Bodies have a Content-Length; a chunked one is refused. `onResponse` gets the body only if
 * `bodies`, because copying it would cost more than all the rest.
 */
export function responseReader(
  onResponse: (status: number, body: Buffer | null) => void,
  bodies = false,
): ResponseReader {
  let head = ''
  let status = 0
  /** Bytes of the body to come; below 0 while the head is read. */
  let left = -1
  let kept: Buffer[] = []

  const finish = (): void => {
    left = -1
    const body = bodies ? Buffer.concat(kept) : null
    kept = []
    onResponse(status, body)
  }

  /** Take what belongs to the head; returns where in the chunk the rest begins. */
  const readHead = (chunk: Buffer, at: number): number => {
    const before = head.length
    const text = head + chunk.toString('latin1', at, Math.min(chunk.length, at + HEAD_LENGTH_MAX))
    const end = text.indexOf(HEAD_END)
    if (end < 0) {
      if (text.length >= HEAD_LENGTH_MAX) throw new Error('the response has no end of its head')
      head = text
      return chunk.length
    }
    head = ''
    status = statusOf(text)
    // An interim response: the real one follows.
    left = status < 200 ? -1 : lengthOf(text.slice(0, end + 2), status)
    return at + end + HEAD_END.length - before
  }

  return {
    read(chunk) {
      let at = 0
      while (at < chunk.length) {
        if (left < 0) at = readHead(chunk, at)
        else {
          const taken = Math.min(left, chunk.length - at)
          if (bodies) kept.push(Buffer.from(chunk.subarray(at, at + taken)))
          left -= taken
          at += taken
        }
        if (left === 0) finish()
      }
    },
  }
}

function statusOf(head: string): number {
  const status = Number(head.slice(9, 12))
  if (!head.startsWith('HTTP/1.') || !(status >= 100 && status <= 599)) {
    throw new Error('the response does not begin like one')
  }
  return status
}

function lengthOf(head: string, status: number): number {
  const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/i.exec(head)?.[1]
  if (length !== undefined) return Number(length)
  if (status === 204 || status === 304) return 0
  throw new Error('the response has no Content-Length')
}
