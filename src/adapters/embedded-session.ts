import * as fs from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { readText, type Cluster } from './embedded-cluster.ts'
import {
  freePort,
  launchServer,
  portFree,
  processMayBeOurs,
  readPostmaster,
  rememberedPort,
  shutDown,
  type Launch,
} from './embedded-server.ts'

export interface EmbeddedOptions {
  /** Created if missing. Any path: spaces, other alphabets, below a private folder. */
  readonly dataDir: string
  readonly log?: (line: string) => void
  /**
   * The first port to try; by default the one used last time. A busy port leads to the next one.
   */
  readonly port?: number
  /**
   * Told, with a sentence, when a server that died cannot be kept alive. Then nobody tries again.
   */
  readonly onLost?: (error: Error) => void
  /** PostgreSQL settings that replace ours. */
  readonly settings?: Readonly<Record<string, string>>
  /**
   * How long to wait, each time, while another program has the port of a server that died, in
   * milliseconds; after the last time it is given up.
   */
  readonly portWaitsMs?: readonly number[]
}

/** Crash recovery replays up to max_wal_size: a minute or more on a slow disk. */
const START_MS_MAX = 180_000
/** How long a live process of the recorded id may stay silent before PostgreSQL itself decides. */
const SILENCE_MS_MAX = 1_000
/** A server on this machine that takes connections takes them at once, unless it is very busy. */
export const CONNECT_MS_MAX = 2_000
/** A server is ready within tens of milliseconds, so look often. */
const POLL_MS = 10
/**
 * A server that cannot start is tried this often: what is left of a killed one vanishes shortly.
 */
export const LAUNCHES_MAX = 5
const LAUNCH_RETRY_MS = 100
/** How long what is left of a killed server may take to vanish on a busy machine. */
const LEFT_MS_MAX = 30_000
/** How many last lines of the server's log an error shows. */
const LOG_LINES_SHOWN = 10
/**
 * Key of the session lock that says "in use", in database `postgres`. Never change: releases mix.
 */
const LOCK_IN_USE = 7_233_001

/** A server that answered, proved to serve our cluster, and counts us among its users. */
export interface EmbeddedSession {
  readonly client: Client
  readonly port: number
  /** Resolves when the connection has ended, also for whoever asks afterwards. */
  readonly ended: Promise<void>
}

export async function attachOrLaunch(
  cluster: Cluster,
  options: EmbeddedOptions,
  log: (line: string) => void,
): Promise<{ session: EmbeddedSession; attached: boolean }> {
  const deadlineMs = performance.now() + START_MS_MAX
  const leftUntilMs = performance.now() + LEFT_MS_MAX
  let firstPort = options.port ?? rememberedPort(cluster)
  for (let launches = 0; ;) {
    const running = await attach(cluster, deadlineMs, log)
    if (running !== null) return { session: running, attached: true }

    const port = await freePort(firstPort)
    const launch = await launchServer(cluster, port, options.settings ?? {})
    const session = await untilReady(cluster, port, launch, deadlineMs)
    if (session !== null) {
      await fs.writeFile(cluster.portFile, `${port}\n`)
      // Of two that start at once, one finds itself connected to the other's server.
      const winner = (await readPostmaster(cluster))?.pid
      return { session, attached: launch.pid !== null && launch.pid !== winner }
    }
    if (launch.failure instanceof Error) throw launch.failure
    if (performance.now() > leftUntilMs || !(await isSomethingLeft(cluster))) launches += 1
    // Someone took the port between our look and the server's; or another process started first.
    if (!(await portFree(port))) firstPort = port + 1
    if (launches === LAUNCHES_MAX || performance.now() > deadlineMs) {
      throw new Error(await describeFailure(cluster, 'did not start', launch.failure))
    }
    await delay(LAUNCH_RETRY_MS * Math.max(1, launches))
  }
}

/**
 * Join the server that runs on our cluster; null if there is none, or none that PostgreSQL knows.
 */
async function attach(
  cluster: Cluster,
  deadlineMs: number,
  log: (line: string) => void,
): Promise<EmbeddedSession | null> {
  let silentUntilMs = performance.now() + SILENCE_MS_MAX
  let told = false
  while (performance.now() < deadlineMs) {
    const running = await readPostmaster(cluster)
    if (running === null || !processMayBeOurs(running.pid)) return null
    const answer = running.port === null ? 'silent' : await join(cluster, running.port)
    if (typeof answer === 'object') return answer
    if (answer === 'busy') {
      if (!told) log('Waiting for the PostgreSQL server, which is starting, recovering or stopping')
      told = true
      silentUntilMs = performance.now() + SILENCE_MS_MAX
    }
    // A live process of this id proves nothing: ids are reused. PostgreSQL adjudicates its lock.
    if (performance.now() > silentUntilMs) return null
    await delay(POLL_MS)
  }
  return null
}

async function untilReady(
  cluster: Cluster,
  port: number,
  launch: Launch,
  deadlineMs: number,
): Promise<EmbeddedSession | null> {
  while (launch.failure === null && performance.now() < deadlineMs) {
    const answer = await join(cluster, port)
    if (typeof answer === 'object') return answer
    await delay(POLL_MS)
  }
  return null
}

/**
 * Connect, make sure that the server serves our cluster, and count ourselves in. `busy` is a server
 * that starts, recovers or stops; `silent` is nothing, or somebody else's server.
 */
async function join(cluster: Cluster, port: number): Promise<EmbeddedSession | 'busy' | 'silent'> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'postgres',
    database: 'postgres',
    password: cluster.password,
    application_name: 'payments-in-use',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    ssl: false,
  })
  // Losing this connection is noticed in stop(); without a listener it would end the process.
  client.on('error', () => undefined)
  const ended = new Promise<void>((done) => client.once('end', done))
  try {
    await client.connect()
    const { rows } = await client.query<{ dir: string; joined: boolean }>(
      `select current_setting('data_directory') as dir, pg_try_advisory_lock_shared($1) as joined`,
      [LOCK_IN_USE],
    )
    const [row] = rows
    const ours = row !== undefined && (await samePath(row.dir, cluster.dir))
    if (ours && row.joined) return { client, port, ended }
    await client.end()
    // Not joined: the last user holds the lock alone and is shutting the server down.
    return ours ? 'busy' : 'silent'
  } catch (error) {
    client.end().catch(() => undefined)
    // Errors of the server carry an SQLSTATE: 57P01 to 57P03 are stopping, crashed and starting.
    const code = String((error as { code?: unknown }).code)
    return code.startsWith('57P') ? 'busy' : 'silent'
  }
}

async function samePath(left: string, right: string): Promise<boolean> {
  if (left === right) return true
  const [a, b] = await Promise.all([fs.realpath(left), fs.realpath(right)]).catch(() => ['', '/'])
  return a === b
}

export async function describeFailure(
  cluster: Cluster,
  what: string,
  failure: string | null,
): Promise<string> {
  const text = (await readText(cluster.logFile)) ?? ''
  const lines = text.trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
  const reason = failure ?? `it was not ready within ${START_MS_MAX / 1_000} s`
  return `PostgreSQL ${what}: ${reason}. Its log ${cluster.logFile} ends:\n  ${lines.join('\n  ')}`
}

/** Whether the server was not started because processes of an earlier one still end. */
async function isSomethingLeft(cluster: Cluster): Promise<boolean> {
  const text = (await readText(cluster.logFile)) ?? ''
  const lines = text.trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
  return lines.some((line) => line.includes('pre-existing shared memory block'))
}

/** Give up our use of the server, and shut it down if that was the last use. */
export async function leaveServer(
  cluster: Cluster,
  first: EmbeddedSession,
  known: number | null,
): Promise<void> {
  keepsProcessAlive(first.client, true)
  let { client } = first
  let alone = await holdAlone(client)
  if (alone === null) {
    // Our connection was lost: the server crashed and recovered by itself, or it is gone.
    const again = await join(cluster, first.port)
    if (typeof again !== 'object') return
    client = again.client
    alone = await holdAlone(client)
  }
  const pid = (await readPostmaster(cluster))?.pid ?? known
  if (alone === true && pid !== null) await shutDown(cluster, { pid, port: first.port })
  await client.end().catch(() => undefined)
}

/** An idle connection is no reason for a process to stay; pg has the calls, its types lack them. */
export function keepsProcessAlive(client: Client, yes: boolean): void {
  const socket = client as unknown as { ref(): void; unref(): void }
  if (yes) socket.ref()
  else socket.unref()
}

/** Whether nobody else uses the server, which from then on nobody can join; null if it is gone. */
async function holdAlone(client: Client): Promise<boolean | null> {
  try {
    const { rows } = await client.query<{ alone: boolean }>(
      'select pg_try_advisory_lock($1) as alone',
      [LOCK_IN_USE],
    )
    return rows[0]?.alone ?? false
  } catch {
    return null
  }
}
