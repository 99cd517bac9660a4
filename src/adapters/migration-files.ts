import { createHash } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of migrations. */
export interface Migration {
  readonly version: number
  readonly name: string
  readonly checksum: string
  /** One, or where the file has `-- step: …` lines, what stands behind each. */
  readonly steps: readonly MigrationStep[]
}

/**
 * A part of a migration with a transaction of its own, so that it holds its locks alone and
 * briefly. `once`: any statements. `batches`: one statement that is run again and again, each time
 * in a transaction of its own, with the `position` that it last returned as `$1`, a text, null at
 * first; it ends when it returns none.
 */
export interface MigrationStep {
  readonly kind: 'once' | 'batches'
  readonly text: string
  /** Lines of the file before it. */
  readonly linesBefore: number
}

/** Two levels up is the project's folder both from `src/adapters` and from `dist/adapters`. */
const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url))

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

/**
 * Every migration of a folder, in order. Throws if the name or number of a file is wrong, or a step
 * is of no known kind.
 */
export async function readMigrations(dir = MIGRATIONS_DIR): Promise<Migration[]> {
  const files = (await fs.readdir(dir)).filter((file) => file.endsWith('.sql')).toSorted()
  const migrations: Migration[] = []
  for (const file of files) {
    const version = Number(FILE_NAME.exec(file)?.[1])
    if (Number.isNaN(version)) throw new Error(`Migration ${file} is not named like 0001_name.sql.`)
    if (migrations.at(-1)?.version === version) {
      throw new Error(`Two migrations have the number of ${file}.`)
    }
    // Git may check files out with other line ends, and some editors add a byte order mark.
    const raw = await fs.readFile(join(dir, file), 'utf8')
    const text = raw.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
    const checksum = createHash('sha256').update(text).digest('hex')
    const name = file.slice(0, -'.sql'.length)
    migrations.push({ version, name, checksum, steps: stepsOf(name, text) })
  }
  return migrations
}

const STEP = /^-- step: (.*)$/gm

/** The steps of a file: all of it is one, or what stands behind each line that begins one. */
function stepsOf(name: string, text: string): MigrationStep[] {
  const marks = [...text.matchAll(STEP)]
  if (marks.length === 0) return [{ kind: 'once', text, linesBefore: 0 }]
  const head = text.slice(0, marks[0]?.index)
  if (/^(?!--).*\S/m.test(head)) throw new Error(`Migration ${name} has SQL before its first step.`)
  return marks.map((mark, index) => {
    const [line, kind = ''] = mark
    if (kind !== 'once' && kind !== 'batches') {
      throw new Error(`Migration ${name} has a step of no known kind: ${line}`)
    }
    const from = mark.index + line.length
    const linesBefore = text.slice(0, from).split('\n').length - 1
    return { kind, text: text.slice(from, marks[index + 1]?.index), linesBefore }
  })
}

/** What ends a command, or may hide that: comments, texts, names, and bodies in dollars. */
const WORDS = /--[^\n]*|'[^']*'|"[^"]*"|(\$\w*\$)[^]*?\1|[^]/g

/** The commands of a text, each by itself. */
export function commandsOf(text: string): string[] {
  const commands: string[] = ['']
  for (const [word] of text.matchAll(WORDS)) {
    if (word === ';') commands.push('')
    else commands.push(`${commands.pop() ?? ''}${word.startsWith('--') ? '' : word}`)
  }
  return commands.filter((command) => command.trim() !== '')
}
