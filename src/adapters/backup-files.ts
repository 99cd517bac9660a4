import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import * as fs from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { writeJson } from '../domain/exact-json.ts'

/** A table of a backup: a file of what COPY gives, compressed. */
export interface BackedTable {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
  /** Relative to the folder. */
  readonly file: string
  readonly bytes: number
  readonly sha256: string
}

/** What a backup has of one server, all of it of one moment. */
export interface BackupPart {
  /** `home`, or `shards-` and a range: of several servers each has one. */
  readonly name: string
  readonly moment: string
  readonly tables: readonly BackedTable[]
  /** `last`: the last number given, as decimal text. */
  readonly sequences: readonly { readonly name: string; readonly last: string }[]
}

/** What a backup says of itself. */
export interface Manifest {
  readonly form: typeof FORM
  readonly id: string
  /** Of the build that made it. */
  readonly version: string
  /** Which servers belong together, and what each holds; null: there is one. */
  readonly cluster: string | null
  readonly map: string | null
  /** Null: no process has ever used the database. */
  readonly shards: string | null
  readonly currency: string | null
  /** The schema: every migration that was applied. */
  readonly migrations: readonly { readonly name: string; readonly checksum: string }[]
  readonly parts: readonly BackupPart[]
}

/** A backup on the disk. */
export interface Backup {
  readonly folder: string
  readonly manifest: Manifest
}

/** The form of a backup: one in another is not read. */
export const FORM = 'payments-backup-1'
const MANIFEST = 'manifest.json'
/** Rows repeat themselves, so the quickest level saves nearly as much as the best. */
const LEVEL = 1

/** A folder that becomes a backup. */
export interface BackupDraft {
  readonly id: string
  /** Write a table's rows, and say what there is to say of the file. */
  write(file: string, rows: Readable): Promise<{ bytes: number; sha256: string }>
  /** Everything is there: the folder gets its name. Throws when something has that by now. */
  publish(manifest: Manifest): Promise<void>
  /** Take it away, unless it was published. */
  drop(): Promise<void>
}

/**
 * Begin a backup. It is written beside its place, under a name that says that it is not whole, and
 * gets its own when it is on the disk. Throws when there is something already. Only its owner may
 * read it: it holds what the database holds.
 */
export async function beginBackup(to: string): Promise<BackupDraft> {
  const place = resolve(to)
  await demandFree(place)
  await fs.mkdir(dirname(place), { recursive: true })
  const draft = await fs.mkdtemp(`${place}.unfinished-`)
  const folders = new Set<string>()
  return {
    id: randomUUID(),
    async write(file, rows) {
      const path = join(draft, file)
      await fs.mkdir(dirname(path), { recursive: true, mode: 0o700 })
      folders.add(dirname(path))
      const counted = { bytes: 0, hash: createHash('sha256') }
      const handle = await fs.open(path, 'wx', 0o600)
      await pipeline(
        rows,
        createGzip({ level: LEVEL }),
        async function* (source: AsyncIterable<Buffer>) {
          for await (const chunk of source) {
            counted.bytes += chunk.length
            counted.hash.update(chunk)
            yield chunk
          }
        },
        handle.createWriteStream({ flush: true }),
      )
      return { bytes: counted.bytes, sha256: counted.hash.digest('hex') }
    },
    async publish(manifest) {
      const text = `${writeJson({ ...manifest, sha256: hashOf(manifest) })}\n`
      const handle = await fs.open(join(draft, MANIFEST), 'wx', 0o600)
      await handle.writeFile(text)
      await handle.sync().finally(() => handle.close())
      for (const folder of [...folders, draft]) await syncFolder(folder)
      await demandFree(place)
      await fs.rename(draft, place)
      await syncFolder(dirname(place))
    },
    drop: () => fs.rm(draft, { recursive: true, force: true }),
  }
}

/**
 * Make what a folder holds, and under which names, survive a power cut. Windows has no such call
 * and does not need it.
 */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await fs.open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}

async function demandFree(place: string): Promise<void> {
  if ((await fs.lstat(place).catch(() => null)) === null) return
  throw new Error(`${place} is there already, and nothing is overwritten: name another place.`)
}

/** Read what a backup says of itself. Throws a sentence when it is none, or was changed. */
export async function readBackup(from: string): Promise<Backup> {
  const folder = resolve(from)
  const text = await fs.readFile(join(folder, MANIFEST), 'utf8').catch((cause: unknown) => {
    const what = basename(folder).includes('.unfinished-') ? 'was never finished' : 'is no backup'
    throw new Error(`${folder} ${what}: it has no ${MANIFEST}.`, { cause })
  })
  const { sha256, ...manifest } = parsed(text, folder)
  if (manifest.form !== FORM) {
    throw new Error(`The backup ${folder} is in a form that this build does not know.`)
  }
  if (hashOf(manifest) !== sha256) throw new Error(`${join(folder, MANIFEST)} was changed.`)
  demandInside(manifest, folder)
  return { folder, manifest }
}

/** Files of a backup are in the folder of their server, wherever it says that they are. */
function demandInside({ parts }: Manifest, folder: string): void {
  for (const { file } of parts.flatMap(({ tables }) => tables)) {
    if (/^[\w-]+\/[^/\\]+\.copy\.gz$/.test(file)) continue
    throw new Error(`${join(folder, MANIFEST)} names a file that is not its own: ${file}.`)
  }
}

/** What its hash vouches for is of the form that it says. */
function parsed(text: string, folder: string): Manifest & { readonly sha256: string } {
  try {
    return JSON.parse(text) as Manifest & { readonly sha256: string }
  } catch (cause) {
    throw new Error(`${join(folder, MANIFEST)} is damaged.`, { cause })
  }
}

function hashOf(manifest: Manifest): string {
  return createHash('sha256').update(writeJson(manifest)).digest('hex')
}

/** Demand that a file of a backup is as it was written. Throws a sentence when it is not. */
export async function checkFile({ folder }: Backup, table: BackedTable): Promise<void> {
  const path = join(folder, table.file)
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  } catch (cause) {
    throw new Error(`${path} is missing or cannot be read: the backup cannot be used.`, { cause })
  }
  if (hash.digest('hex') === table.sha256) return
  throw new Error(`${path} is damaged: its checksum is another one. The backup cannot be used.`)
}

/** Hand the rows of a table to whoever takes them. Throws what that throws. */
export async function readRows<Result>(
  { folder }: Backup,
  table: BackedTable,
  take: (rows: AsyncIterable<Buffer>) => Promise<Result>,
): Promise<Result> {
  return await pipeline(createReadStream(join(folder, table.file)), createGunzip(), take)
}
