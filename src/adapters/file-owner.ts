import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** How often somebody else may be quicker before it is an error. */
const TURNS_MAX = 100

/**
 * Become the one owner of a file, until `release` or the end of the process. Owners are numbered:
 * whoever makes `<path>.owner-<n + 1>` takes over from a dead owner `n`, and of several that try
 * one makes it. The file with the highest number is never removed, so a number is never given
 * twice.
 *
 * Throws, with the process id, while another process that lives is the owner.
 */
export function takeOwnership(path: string): { release(): void } {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    const newest = ownersOf(path).at(-1) ?? 0
    const holder = newest === 0 ? null : livingOwner(`${path}.owner-${newest}`)
    if (holder !== null) throw new Error(`${path} belongs to process ${holder}, which runs`)
    const mine = newest + 1
    if (!claim(path, mine)) continue
    // Somebody who was long on the way may have taken a number that is over.
    if (ownersOf(path).at(-1) !== mine) {
      fs.rmSync(`${path}.owner-${mine}`, { force: true })
      continue
    }
    for (const old of ownersOf(path)) {
      if (old < mine) fs.rmSync(`${path}.owner-${old}`, { force: true })
    }
    return { release: () => release(`${path}.owner-${mine}`) }
  }
  throw new Error(`${path} could not be taken over: too many processes try at once`)
}

/** The id of the process that owns a file, or null when none that lives does. Changes nothing. */
export function holderOf(path: string): number | null {
  const newest = ownersOf(path).at(-1)
  return newest === undefined ? null : livingOwner(`${path}.owner-${newest}`)
}

/** The numbers of a file's owners, lowest first. */
function ownersOf(path: string): number[] {
  const prefix = `${basename(path)}.owner-`
  const names = fs.existsSync(dirname(path)) ? fs.readdirSync(dirname(path)) : []
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .toSorted((a, b) => a - b)
}

/** Whole when it appears: a link to a finished file. False when the number is taken. */
function claim(path: string, number: number): boolean {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  fs.writeFileSync(draft, `${process.pid} ${processStart(process.pid) ?? ''}\n`, { mode: 0o600 })
  try {
    fs.linkSync(draft, `${path}.owner-${number}`)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    fs.rmSync(draft)
  }
}

/** The process that an owner file names, if it is still the same one. */
function livingOwner(file: string): number | null {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
  const [, id, started] = /^(\d+) (.*)\n$/.exec(text) ?? []
  if (id === undefined) return null
  // The start tells the owner from another process that was given its id later.
  const now = processStart(Number(id))
  return now !== null && now === started ? Number(id) : null
}

/** An empty file has no owner. It stays: see above. */
function release(file: string): void {
  try {
    fs.truncateSync(file)
  } catch {
    // The folder is gone, and with it what was owned.
  }
}

/**
 * When a process was started: a text that is the same for its whole life and another for every
 * other process that ever has its id. Null when there is no such process, or only what is left of
 * one that ended.
 */
function processStart(pid: number): string | null {
  return process.platform === 'linux' ? linuxStart(pid) : otherStart(pid)
}

function linuxStart(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may hold anything: what counts stands behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    if (state === 'Z' || state === 'X') return null
    // Field 22 of proc_pid_stat(5): clock ticks since the boot, which has an id of its own.
    return `${fields[19]} ${fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return null
  }
}

/** Windows has no such command: there the id alone has to do. */
function otherStart(pid: number): string | null {
  if (process.platform !== 'win32') {
    const { stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
    return stdout === null || stdout.trim() === '' ? null : stdout.trim()
  }
  try {
    process.kill(pid, 0)
    return ''
  } catch {
    return null
  }
}
