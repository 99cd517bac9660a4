import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import {
  explainSpawn,
  findPackage,
  prepareBinaries,
  reachable,
  serverUser,
  unsupported,
  type Binaries,
  type Package,
  type ServerUser,
} from './embedded-binaries.ts'

/** A PostgreSQL cluster on disk and all that is needed to run a server on it. */
export interface Cluster {
  /** The cluster itself: `<dataDir>/pg18`, or elsewhere if the server's account cannot go there. */
  readonly dir: string
  readonly dataDir: string
  readonly portFile: string
  readonly logFile: string
  /** The superuser's, who makes the cluster and counts its users. */
  readonly password: string
  /** That of the role `payments`, which the service has: knowing it does not make a superuser. */
  readonly servicePassword: string
  readonly binaries: Binaries
  readonly user: ServerUser | null
}

/**
 * What the server's processes see of our environment on POSIX: nothing. Stray PG* variables would
 * change the server, and our secrets are none of its business. Windows programs need theirs
 * (undefined).
 */
export const SERVER_ENV: NodeJS.ProcessEnv | undefined =
  process.platform === 'win32'
    ? undefined
    : { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }

/**
 * Where the server's processes start. Not our own folder, which the server's account may not enter;
 * and never a folder that someone may want to unmount or delete.
 */
export const SERVER_CWD: string = process.platform === 'win32' ? tmpdir() : '/'

const run = promisify(execFile)

/** initdb takes a second; on a slow, busy disk its final sync can take minutes. */
const INITDB_MS_MAX = 300_000

/**
 * Find the cluster of `dataDir`, or create it. Durable when it returns; an interrupted creation
 * leaves no half cluster behind, and of several processes creating at once one wins and all use its
 * cluster.
 *
 * Throws if this machine has no embedded server, if the folder holds the data of another PostgreSQL
 * major or of another account, and if the recorded cluster is gone: it never starts empty instead.
 */
export async function prepareCluster(
  folder: string,
  log: (line: string) => void,
): Promise<Cluster> {
  const found = findPackage()
  const dataDir = resolve(folder)
  await fs.mkdir(dataDir, { recursive: true })
  const name = `pg${found.major}`
  const base = join(dataDir, name)
  const existing = await findCluster(base)
  if (existing === null) await refuseOtherMajor(dataDir, found)
  const user = await serverUser(existing ?? base)
  if (existing !== null) await ownCluster(existing, user)

  const binaries = await prepareBinaries(found, user, dataDir, log)
  const password = await writeOnce(`${base}.password`, randomBytes(24).toString('base64url'))
  const servicePassword = await writeOnce(
    `${base}.service.password`,
    randomBytes(24).toString('base64url'),
  )
  const dir = existing ?? (await createCluster(base, { found, binaries, user, password, log }))
  const portFile = `${base}.port`
  const logFile = `${base}.log`
  return { dir, dataDir, portFile, logFile, password, servicePassword, binaries, user }
}

/** Whether a folder holds a cluster, of whichever PostgreSQL. Changes nothing. */
export async function hasCluster(folder: string): Promise<boolean> {
  const entries = await fs.readdir(resolve(folder)).catch((): string[] => [])
  return entries.some((entry) => CLUSTER.test(entry))
}

/**
 * The names of a cluster in a data folder: the folder itself, or the file that says where it is.
 */
const CLUSTER = /^pg(\d+)(\.location)?$/

/** The cluster that belongs to `base`, or null if none was ever created. */
async function findCluster(base: string): Promise<string | null> {
  const recorded = (await readText(`${base}.location`))?.trim()
  const dir = recorded ?? base
  if ((await readText(join(dir, 'PG_VERSION'))) !== null) return dir
  if (recorded === undefined) {
    // PG_VERSION of another account's cluster cannot be read, and must not be taken for absent.
    const entries = await fs.readdir(base).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw new Error(
        `The data folder ${base} cannot be read (${error.message}). If it belongs to another ` +
          'account, start as that account or set another data folder.',
        { cause: error },
      )
    })
    if (entries.length === 0) return null
    throw new Error(`The data folder ${base} is not empty and holds no PostgreSQL cluster.`)
  }
  throw new Error(
    `The PostgreSQL data recorded in ${base}.location is missing or unreadable: ${recorded}. ` +
      'Restore it, or delete that file to start with an empty database.',
  )
}

/** The package has no pg_upgrade, and an empty database in place of the data would be worse. */
async function refuseOtherMajor(dataDir: string, found: Package): Promise<void> {
  for (const entry of await fs.readdir(dataDir)) {
    const major = CLUSTER.exec(entry)?.[1]
    if (major === undefined || Number(major) === found.major) continue
    throw new Error(
      `${dataDir} holds the data of PostgreSQL ${major}, and this release brings PostgreSQL ` +
        `${found.major}. Export the data with the release that wrote it, or set another data ` +
        'folder.',
    )
  }
}

/** PostgreSQL insists on owning its folder. Root may give it away; others get a clear message. */
async function ownCluster(dir: string, user: ServerUser | null): Promise<void> {
  const owner = await fs.stat(dir)
  if (process.getuid === undefined || owner.uid === (user?.uid ?? process.getuid())) return
  if (user === null) {
    throw new Error(
      `The database in ${dir} belongs to the account with uid ${owner.uid}, and we run as uid ` +
        `${process.getuid()}. Start as that account, or set another data folder.`,
    )
  }
  for (const entry of await fs.readdir(dir, { recursive: true })) {
    await fs.lchown(join(dir, entry), user.uid, user.gid)
  }
  await fs.chown(dir, user.uid, user.gid)
}

interface Creation {
  readonly found: Package
  readonly binaries: Binaries
  readonly user: ServerUser | null
  readonly password: string
  readonly log: (line: string) => void
}

async function createCluster(base: string, creation: Creation): Promise<string> {
  const { found, user, log } = creation
  const version = found.version.split('.', 2).join('.')
  const place = (await reachable(dirname(base), user)) ? base : await placeElsewhere(base, user)
  log(`Creating a PostgreSQL ${version} database in ${place} (first start only)`)

  const draft = `${place}.new-${randomBytes(4).toString('hex')}`
  const passwordFile = `${draft}.password`
  try {
    await fs.mkdir(draft, { mode: 0o700 })
    await fs.writeFile(passwordFile, creation.password, { mode: 0o600, flag: 'wx' })
    if (user !== null) {
      await fs.chown(draft, user.uid, user.gid)
      await fs.chown(passwordFile, user.uid, user.gid)
    }
    await runInitdb(draft, passwordFile, creation)
    return await publish(draft, place, base, log)
  } finally {
    await fs.rm(passwordFile, { force: true })
    await fs.rm(draft, { recursive: true, force: true })
  }
}

/**
 * A folder the server's account can reach, when it cannot reach the data folder (such as one under
 * /root). The random part makes a deleted data folder a fresh start, not a return of the old data.
 */
async function placeElsewhere(base: string, user: ServerUser | null): Promise<string> {
  const hash = createHash('sha256').update(base).digest('hex').slice(0, 12)
  for (const parent of ['/var/lib', tmpdir()]) {
    const open = await reachable(parent, user).catch(() => false)
    const writable = await fs.access(parent, fs.constants.W_OK).then(
      () => true,
      () => false,
    )
    if (open && writable) return join(parent, `payments-${hash}-${randomBytes(4).toString('hex')}`)
  }
  throw new Error(`No folder outside ${dirname(base)} can be used by the PostgreSQL account.`)
}

/** Move the finished draft to its place, unless another process has published its own first. */
async function publish(
  draft: string,
  place: string,
  base: string,
  log: (line: string) => void,
): Promise<string> {
  try {
    await fs.rename(draft, place)
  } catch (error) {
    const winner = await findCluster(base)
    if (winner === null) throw error
    return winner
  }
  await syncFolder(dirname(place))
  if (place === base) return place
  const winner = (await writeOnce(`${base}.location`, place)).trim()
  if (winner !== place) await fs.rm(place, { recursive: true, force: true })
  log(`The PostgreSQL account cannot enter ${dirname(base)}: the database is in ${winner}`)
  return winner
}

async function runInitdb(dir: string, passwordFile: string, creation: Creation): Promise<void> {
  const { binaries, user } = creation
  const flags = [
    `--pgdata=${dir}`,
    // The superuser. The service itself connects as the plain role `payments`.
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    // No dependence on the host's locales, and the fastest comparisons of text.
    '--locale=C',
    '--encoding=UTF8',
    '--no-instructions',
  ]
  try {
    await run(binaries.initdb, flags, {
      cwd: SERVER_CWD,
      ...(SERVER_ENV && { env: SERVER_ENV }),
      ...(user && { uid: user.uid, gid: user.gid }),
      timeout: INITDB_MS_MAX,
      windowsHide: true,
    })
  } catch (error) {
    // What a failed execFile rejects with: the exit code is a number, a failed spawn's a string.
    const failure = error as NodeJS.ErrnoException & { stdout?: string; stderr?: string }
    if (typeof failure.code === 'string') throw explainSpawn(failure)
    if (failure.stderr?.includes('could not look up effective user ID') === true) {
      throw unsupported('our user id has no account on this system (a container?)', error)
    }
    const lines = `${failure.stdout ?? ''}${failure.stderr ?? ''}`.trim().split('\n').slice(-8)
    throw new Error(`initdb could not create ${dir}:\n  ${lines.join('\n  ')}`, { cause: error })
  }
}

/** Read a small file, or null if it is not there. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await fs.readFile(path, 'utf8')
  } catch (error) {
    // Every error of fs carries its code.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return null
    throw error
  }
}

/**
 * Write a private file unless it exists, all or nothing, and return what it holds now: of several
 * writers one wins and all return its text. On disk when this returns.
 */
async function writeOnce(path: string, text: string): Promise<string> {
  const present = await fs.readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (present !== null) return present
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = await fs.open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  // A link, unlike a rename, never replaces the winner's file.
  await fs.link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await fs.rm(draft)
  await syncFolder(dirname(path))
  return await fs.readFile(path, 'utf8')
}

/** Make a rename survive a power cut. Windows has no such call and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await fs.open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
