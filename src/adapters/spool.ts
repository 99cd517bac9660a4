import { constants } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { pipeline as flowing } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'

/** A long text that is kept for a reader who takes it at his own pace. */
interface Spool {
  /** Keep these parts, in place of what was kept before. */
  fill(parts: AsyncIterable<string>): Promise<void>
  /** What is kept, in parts. */
  parts(): AsyncIterable<string>
  close(): Promise<void>
}

const OPEN = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL
/** Bytes of the file that are read at a time. */
const CHUNK = 65_536

/**
 * Keep a text in a compressed file of the system's folder for such (`TMPDIR`). The file has no name
 * any more once it is open, so nothing is left of it, however the process ends.
 */
export async function openSpool(): Promise<Spool> {
  const path = join(tmpdir(), `payments-${randomUUID()}.gz`)
  const file = await open(path, OPEN, 0o600).catch((error: unknown) => {
    throw new Error(`No file can be made in ${tmpdir()} (set TMPDIR to another folder).`, {
      cause: error,
    })
  })
  await rm(path)
  return {
    async fill(parts) {
      await file.truncate(0)
      await flowing(parts, createGzip({ level: 1 }), async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) await file.appendFile(chunk)
      })
    },
    parts() {
      const text = createGunzip().setEncoding('utf8')
      // A failure of the file is one of the text, which whoever reads it gets.
      pipeline(Readable.from(chunksOf(file)), text, () => undefined)
      return text as AsyncIterable<string>
    },
    close: () => file.close(),
  }
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK), 0, CHUNK, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
