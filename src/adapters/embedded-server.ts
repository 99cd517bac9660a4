import { execFile, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { explainSpawn } from './embedded-binaries.ts'
import { readText, SERVER_CWD, SERVER_ENV, type Cluster } from './embedded-cluster.ts'

/** Just above PostgreSQL's own 5432 in looks, far from it in use. */
const PORT_BASE = 54_320
/** How many ports above the first are tried. */
const PORTS_MAX = 200
/** The server's log starts over above this many bytes; one older file is kept. */
const LOG_BYTES_MAX = 16 * 1024 * 1024
/** A server is ready within tens of milliseconds, so look often. */
const POLL_MS = 10

/** First a clean shutdown, then one without a checkpoint (recovered at next start), then force. */
const STOP_STEPS = [
  { signal: 'SIGINT', mode: 'fast', waitMs: 30_000 },
  { signal: 'SIGQUIT', mode: 'immediate', waitMs: 5_000 },
  { signal: 'SIGKILL', mode: 'immediate', waitMs: 5_000 },
] as const

/**
 * Given as flags at every start, so that a new release can change them and no edit of the cluster's
 * own file can weaken durability.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  // A payment answered is on disk. These three are PostgreSQL's defaults, stated so as to hold.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Plain fsync leaves the data in the drive's own cache on macOS and, by default, on Windows.
  ...(process.platform === 'darwin' && { wal_sync_method: 'fsync_writethrough' }),
  ...(process.platform === 'win32' && { wal_sync_method: 'fsync' }),
  // Only this machine, only with the password; sockets in a folder have path limits and owners.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // Room for two busy instances with pools of 20, the tests and a person's session.
  max_connections: '100',
  // POSIX shared memory is deleted by systemd when its user logs out, and is 64 MB in Docker.
  dynamic_shared_memory_type: 'mmap',
  // Holds the hot part of some million payments, and leaves a machine of 1 GB enough.
  shared_buffers: '256MB',
  // Rare checkpoints: each makes the next write of every page a full page in the WAL.
  checkpoint_timeout: '15min',
  max_wal_size: '4GB',
  // Reuse this much WAL rather than create files under load.
  min_wal_size: '512MB',
  // One segment: the most that is useful; the default of 1/32 of shared_buffers is 8 MB.
  wal_buffers: '16MB',
  // Full pages shrink to a third. pglz, because these builds have no lz4.
  wal_compression: 'on',
  // Queue tables die and are reborn all day: look six times as often as by default.
  autovacuum_naptime: '10s',
  // Our statements are short; compiling them costs more than it brings.
  jit: 'off',
  // SSD: a random page costs hardly more than the next one.
  random_page_cost: '1.1',
  // Expected refusals (unique keys) reach their caller and need not fill the log with people's
  // data.
  log_min_messages: 'log',
  log_checkpoints: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** A running server. */
interface Running {
  readonly pid: number
  readonly port: number
}

/** A server process we have just started. `failure` is null as long as it may become ready. */
export interface Launch {
  /** The server's process id; null on Windows, where another program starts it. */
  readonly pid: number | null
  failure: string | Error | null
}

/**
 * Start a server process on `cluster` and return at once; whether it became ready is for the caller
 * to find out. It outlives us.
 */
export async function launchServer(
  cluster: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<Launch> {
  const all = { ...SETTINGS, port: String(port), ...settings }
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  await rotateLog(cluster.logFile)
  const file = await fs.open(cluster.logFile, 'a', 0o600)
  const windows = process.platform === 'win32'
  const { pgCtl, postgres } = cluster.binaries
  // On Windows pg_ctl drops the administrator's rights, which the server refuses to have.
  const options = flags.map((flag) => (flag.startsWith('-c') ? flag : `"${flag}"`)).join(' ')
  const child = spawn(
    windows ? pgCtl : postgres,
    windows ? ['start', '-W', '-D', cluster.dir, '-o', options] : ['-D', cluster.dir, ...flags],
    {
      cwd: SERVER_CWD,
      ...(SERVER_ENV && { env: SERVER_ENV }),
      ...(cluster.user && { uid: cluster.user.uid, gid: cluster.user.gid }),
      // Its own session: Ctrl-C in our terminal is for us, who stop the server when we are done.
      detached: true,
      windowsHide: true,
      // A file, so that the server can go on writing when we are gone.
      stdio: ['ignore', file.fd, file.fd],
    },
  )
  const launch: Launch = { pid: windows ? null : (child.pid ?? null), failure: null }
  child.once('error', (error) => (launch.failure = explainSpawn(error)))
  child.once('exit', (code, signal) => {
    if (!windows || code !== 0) launch.failure ??= `it ended with ${signal ?? `code ${code}`}`
  })
  child.unref()
  await file.close()
  return launch
}

async function rotateLog(path: string): Promise<void> {
  const size = (await fs.stat(path).catch(() => null))?.size ?? 0
  if (size > LOG_BYTES_MAX) await fs.rename(path, `${path}.old`)
}

/**
 * What the server wrote into its lock file: process id on line 1, port on line 4. Never written by
 * us.
 */
export async function readPostmaster(
  cluster: Cluster,
): Promise<{ pid: number; port: number | null } | null> {
  const lines = (await readText(`${cluster.dir}/postmaster.pid`))?.split('\n')
  const pid = Number(lines?.[0])
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  const port = Number(lines?.[3])
  return { pid, port: Number.isSafeInteger(port) && port > 0 ? port : null }
}

/** EPERM is a live process of another account, and our server runs under no other account. */
export function processMayBeOurs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The port of the last start, so that addresses in other windows stay right; else the base. */
export function rememberedPort(cluster: Cluster): number {
  try {
    const port = Number(readFileSync(cluster.portFile, 'utf8'))
    return Number.isSafeInteger(port) && port > 0 && port < 65_536 ? port : PORT_BASE
  } catch {
    return PORT_BASE
  }
}

/** The first port from `first` on that is free right now. Throws if none of the next 200 is. */
export async function freePort(first: number): Promise<number> {
  for (let port = first; port < Math.min(first + PORTS_MAX, 65_536); port += 1) {
    if (await portFree(port)) return port
  }
  throw new Error(`No free port for PostgreSQL on 127.0.0.1 from ${first} on.`)
}

/** Whether a server could listen on 127.0.0.1:`port` right now. */
export async function portFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () =>
      server.close(() => resolve(true)),
    )
  })
}

/**
 * Shut the server on `cluster` down; returns when it is gone. Up to 40 s: first a clean shutdown,
 * then without a last checkpoint, then by force; the next start recovers from all three.
 */
export async function shutDown(cluster: Cluster, server: Running): Promise<void> {
  const { pid } = server
  for (const { signal, mode, waitMs } of STOP_STEPS) {
    if (!(await stillRuns(cluster, server))) return
    if (process.platform === 'win32' && signal !== 'SIGKILL') {
      const { pgCtl } = cluster.binaries
      execFile(pgCtl, ['stop', '-W', '-m', mode, '-D', cluster.dir], () => undefined)
    } else if (signal === 'SIGKILL') killTree(pid)
    else signalServer(pid, signal)
    const deadlineMs = performance.now() + waitMs
    while (performance.now() < deadlineMs && (await stillRuns(cluster, server)))
      await delay(POLL_MS)
  }
}

function signalServer(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone since we looked.
  }
}

/**
 * Of a server that ended, a zombie may remain, but neither lock file nor port. The port tells for a
 * server whose folder was deleted: it still runs and still has to be stopped.
 */
async function stillRuns(cluster: Cluster, { pid, port }: Running): Promise<boolean> {
  if (!processMayBeOurs(pid)) return false
  return (await readPostmaster(cluster))?.pid === pid || !(await portFree(port))
}

/** SIGKILL a server and its children at once. Nothing happens if it is gone or unknown (null). */
export function killTree(pid: number | null): void {
  if (pid === null) return
  if (process.platform === 'win32') {
    spawnSync('taskkill', ['/pid', String(pid), '/t', '/f'])
    return
  }
  try {
    // Stopped first, so that it starts no child after we have listed them.
    process.kill(pid, 'SIGSTOP')
    for (const child of [...childProcessesOf(pid), pid]) process.kill(child, 'SIGKILL')
  } catch {
    // Already gone; its children follow by themselves.
  }
}

/**
 * The server's children each lead their own process group, so a signal to its group misses them.
 */
export function childProcessesOf(pid: number): number[] {
  if (process.platform === 'linux') {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number)
  }
  const table = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).stdout ?? ''
  const rows = table.trim().split('\n')
  const pairs = rows.map((row) => row.trim().split(/\s+/).map(Number))
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child ?? pid)
}
