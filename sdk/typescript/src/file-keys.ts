import { open, type FileHandle } from 'node:fs/promises'
import type { KeyStore } from './keys.ts'

/** Keys of intents in a file. */
export interface FileKeys extends KeyStore {
  close(): Promise<void>
}

/**
 * Keep keys in a file, a line for each, for one process at a time: a key is on the disk before it
 * is used. A line that was cut off by a crash was never used, and is left behind.
 */
export async function fileKeys(path: string): Promise<FileKeys> {
  const file = await open(path, 'a+')
  const kept = new Map<string, Promise<string>>()
  for (const line of (await file.readFile('utf8')).split('\n')) {
    const read = readLine(line)
    if (read !== null && !kept.has(read[0])) kept.set(read[0], Promise.resolve(read[1]))
  }
  const write = writer(file)
  return {
    keyOf(intent, fresh) {
      const known = kept.get(intent)
      if (known !== undefined) return known
      const written = write(JSON.stringify([intent, fresh])).then(() => fresh)
      kept.set(intent, written)
      // One that could not be kept was not used: it may be tried again.
      written.catch(() => kept.delete(intent))
      return written
    },
    close: () => file.close(),
  }
}

/** Append lines; those that come while the disk is busy go to it together. */
function writer(file: FileHandle): (line: string) => Promise<void> {
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
        await file.datasync()
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
