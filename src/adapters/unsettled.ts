import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'

/** The first line of each file: what is not written in this form is not read. */
const FORM = 'payments-unsettled-1'
const ENDING = '.unsettled.jsonl'

/** Results that a stopping process could not write to the database, in files of a folder. */
interface Unsettled {
  /** Keep results in a file of their own. They are on the disk when it returns; its path. */
  keep(items: readonly unknown[]): string
  /** The files there are. */
  files(): string[]
  /** What a file holds. Throws for one that is not of this form, and leaves it where it is. */
  read(path: string): unknown[]
  /** What it held is written now. Does nothing when it is gone already. */
  remove(path: string): void
}

/**
 * Open the folder. Nobody owns a file: what it holds may be written to the database any number of
 * times, so processes that find it at once do no harm, and it goes when one of them is done.
 */
export function unsettledIn(folder: string): Unsettled {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return {
    keep(items) {
      const path = join(folder, `${randomUUID()}${ENDING}`)
      const lines = [JSON.stringify(FORM), ...items.map(write)]
      // Under another name until it is whole, so that nobody reads a part of it.
      durably(`${path}.part`, (file) => writeSync(file, `${lines.join('\n')}\n`))
      renameSync(`${path}.part`, path)
      durably(folder, () => undefined)
      return path
    },
    files: () =>
      readdirSync(folder)
        .filter((name) => name.endsWith(ENDING))
        .map((name) => join(folder, name)),
    read(path) {
      const [form, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
      if (form !== JSON.stringify(FORM)) throw new Error(`${path} is of another version`)
      return lines.map((line) => JSON.parse(line, revive) as unknown)
    },
    remove: (path) => rmSync(path, { force: true }),
  }
}

/** Open, use, flush to the disk and close; a folder is flushed for the names in it. */
function durably(path: string, use: (file: number) => void): void {
  const file = path.endsWith('.part') ? openSync(path, 'wx', 0o600) : openSync(path, 'r')
  try {
    use(file)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** JSON with the two kinds of values that it does not have. */
function write(item: unknown): string {
  return JSON.stringify(item, function (this: Readonly<Record<string, unknown>>, name, value) {
    // A Date has turned itself into a text before it comes here.
    const given = this[name]
    if (given instanceof Date) return { $date: given.toISOString() }
    return typeof value === 'bigint' ? { $bigint: String(value) } : (value as unknown)
  })
}

function revive(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$bigint' in value) return BigInt(String(value.$bigint))
  if ('$date' in value) return new Date(String(value.$date))
  return value
}
