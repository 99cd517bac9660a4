import { open, type FileHandle } from 'node:fs/promises'
import type { KeyStore } from './keys.ts'

/** Keys of intents in a file. */
export interface FileKeys extends KeyStore {
  close(): Promise<void>
}

/**
 * Keep keys in a file, a line for each: a key is on the disk before it is used. Of several lines of
 * an intent the first counts, so processes of one machine that share the file use the same key. A
 * line that was cut off by a crash was never used, and is left behind.
 */
export async function fileKeys(path: string): Promise<FileKeys> {
  const file = await open(path, 'a+')
  await syncFolder(path)
  const kept = new Map<string, string>()
  const takeIn = reader(file, kept)
  await takeIn()
  const write = writer(file, takeIn)
  const proposed = new Map<string, string>()
  return {
    keyOf(intent, fresh) {
      const known = kept.get(intent)
      if (known !== undefined) return known
      // A line that could not be written for sure may stand there all the same, so its key stays.
      const own = proposed.get(intent) ?? fresh
      proposed.set(intent, own)
      return write(JSON.stringify([intent, own])).then(() => {
        const key = kept.get(intent)
        if (key === undefined) throw new Error(`The key of ${intent} could not be kept`)
        proposed.delete(intent)
        return key
      })
    },
    close: () => file.close(),
  }
}

/** Have a new file outlive the machine: its name is in its folder, which is on the disk too. */
async function syncFolder(path: string): Promise<void> {
  // Where a folder cannot be opened, as on Windows, there is nothing of the kind.
  const folder = await open(path.replace(/[^/\\]*$/, '') || '.', 'r').catch(() => null)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

const CHUNK = 65_536
const LINE_END = 10

/**
 * Reads on where it stopped: every whole line that anybody has written since. They count when they
 * are on the disk.
 */
function reader(file: FileHandle, kept: Map<string, string>): () => Promise<void> {
  const chunk = new Uint8Array(CHUNK)
  const found: string[] = []
  let [from, begun] = [0, new Uint8Array(0)]
  return async () => {
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK, from)
      if (bytesRead === 0) break
      from += bytesRead
      const end = chunk.lastIndexOf(LINE_END, bytesRead - 1) + 1
      const whole = join(begun, chunk.subarray(0, end))
      if (end > 0) found.push(new TextDecoder().decode(whole))
      begun = join(end > 0 ? new Uint8Array(0) : whole, chunk.subarray(end, bytesRead))
    }
    await file.datasync()
    for (const lines of found.splice(0)) keep(kept, lines)
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

function keep(kept: Map<string, string>, lines: string): void {
  for (const line of lines.split('\n')) {
    const read = readLine(line)
    if (read !== null && !kept.has(read[0])) kept.set(read[0], read[1])
  }
}

/** Append lines, and take in what is there; those that come while the disk is busy go together. */
function writer(file: FileHandle, takeIn: () => Promise<void>): (line: string) => Promise<void> {
  let waiting: string[] = []
  let flush: Promise<void> | null = null
  let last: Promise<void> = Promise.resolve()
  return (line) => {
    waiting.push(line)
    flush ??= last = last
      .catch(() => undefined)
      .then(async () => {
        const lines = waiting
        waiting = []
        flush = null
        // A line end in front too: behind a line that was cut off, this one is still whole.
        await file.appendFile(`\n${lines.join('\n')}\n`)
        await takeIn()
      })
    return flush
  }
}

function readLine(line: string): readonly [intent: string, key: string] | null {
  try {
    const [intent, key] = JSON.parse(line) as readonly unknown[]
    return typeof intent === 'string' && typeof key === 'string' ? [intent, key] : null
  } catch {
    return null
  }
}
