import * as fs from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { prepareCluster, readText, type Cluster } from './embedded-cluster.ts'
import {
  freePort,
  killTree,
  launchServer,
  portFree,
  processMayBeOurs,
  readPostmaster,
  rememberedPort,
  shutDown,
  type Launch,
} from './embedded-server.ts'

/** A PostgreSQL server on this machine that this process uses, alone or together with others. */
export interface EmbeddedPostgres {
  /**
   * `postgresql://payments:<password>@127.0.0.1:<port>/payments`; that role may create databases.
   */
  readonly url: string
  readonly dataDir: string
  readonly port: number
  /** The process id of the server that runs, or ran last; null if it is not known. */
  readonly pid: number | null
  /** True if the server was already running: another process uses it, or left it when it died. */
  readonly attached: boolean
  /**
   * Leave the server, and shut it down if no other process uses it; idempotent. Returns when it is
   * down, which takes up to 40 s on a disk that is slow to take the last checkpoint.
   */
  stop(): Promise<void>
  /**
   * SIGKILL the server and its children at once, as a power cut would, and leave it dead. For fault
   * tests.
   */
  kill(): void
}

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
}

/** Crash recovery replays up to max_wal_size: a minute or more on a slow disk. */
const START_MS_MAX = 180_000
/** How long a live process of the recorded id may stay silent before PostgreSQL itself decides. */
const SILENCE_MS_MAX = 1_000
/** A server on this machine that takes connections takes them at once, unless it is very busy. */
const CONNECT_MS_MAX = 2_000
/** A server is ready within tens of milliseconds, so look often. */
const POLL_MS = 10
/**
 * A server that cannot start is tried this often: what is left of a killed one vanishes shortly.
 */
const LAUNCHES_MAX = 5
const LAUNCH_RETRY_MS = 100
/** How many last lines of the server's log an error shows. */
const LOG_LINES_SHOWN = 10
/**
 * Key of the session lock that says "in use", in database `postgres`. Never change: releases mix.
 */
const LOCK_IN_USE = 7_233_001
/** Key of the session lock under which role and database are created. */
const LOCK_SETUP = 7_233_002

/** A server that dies more often than this within a minute is given up. */
const REVIVALS_MAX = 5
const REVIVALS_MS = 60_000
/** How long to wait before a server that died is started again, doubled each time. */
const REVIVE_MS = 100

/** A server that answered, proved to serve our cluster, and counts us among its users. */
interface Session {
  readonly client: Client
  readonly port: number
  /** Resolves when the connection has ended, also for whoever asks afterwards. */
  readonly ended: Promise<void>
}

/**
 * Start the embedded PostgreSQL of `dataDir`, or attach to the one already running on it. The
 * server is ready and holds role and database `payments` when this returns. First start about 1.5
 * s.
 *
 * A server that dies while it is used is started again, on the same port, by whoever uses it.
 *
 * The server outlives a killed process of ours. "In use" is a session lock inside the server, which
 * vanishes with the process that holds it: whoever stops last shuts the server down, and nobody
 * has to interpret process ids of the dead.
 *
 * Throws one readable message if this machine has no embedded server or if it does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => undefined)
  const cluster = await prepareCluster(options.dataDir, log)
  const { session, attached } = await attachOrLaunch(cluster, options, log)
  await createDatabase(session.client, cluster.servicePassword)
  await agreeOnPassword(session, cluster.servicePassword)

  const { port } = session
  const use = await supervise(cluster, session, { ...options, port })
  let stopping: Promise<void> | null = null
  return {
    url: `postgresql://payments:${cluster.servicePassword}@127.0.0.1:${port}/payments`,
    dataDir: cluster.dataDir,
    port,
    get pid() {
      return use.pid()
    },
    attached,
    stop: () => (stopping ??= use.end().then((last) => leave(cluster, last, use.pid()))),
    kill() {
      void use.end()
      killTree(use.pid())
    },
  }
}

/** Our use of a server that is watched. */
interface Use {
  pid(): number | null
  /** Watch it no longer. Resolves to the session that counts us among its users. */
  end(): Promise<Session>
}

/**
 * Watch the server through the session that says "in use": when it ends, the server crashed, and
 * recovers by itself or is gone. Both are the same here: attach to what runs, or launch it again.
 * The port stays, because everybody who uses the server knows it.
 */
async function supervise(
  cluster: Cluster,
  first: Session,
  options: EmbeddedOptions & { readonly port: number },
): Promise<Use> {
  const log = options.log ?? (() => undefined)
  const pidOf = async (fallback: number | null) => (await readPostmaster(cluster))?.pid ?? fallback
  let session = first
  let pid = await pidOf(null)
  let ended = false
  let reviving = Promise.resolve()
  const revivedMs: number[] = []
  const givenUp = async (why: string) =>
    new Error(await describeFailure(cluster, 'was given up', why))

  const revive = async (): Promise<void> => {
    const nowMs = performance.now()
    revivedMs.push(nowMs)
    const recent = revivedMs.filter((ms) => nowMs - ms < REVIVALS_MS).length
    if (recent > REVIVALS_MAX) throw await givenUp(`it died ${recent} times within a minute`)
    log('The PostgreSQL server is gone: looking after it')
    await delay(REVIVE_MS * 2 ** (recent - 1))
    if (ended) return
    const again = await attachOrLaunch(cluster, options, log)
    if (again.session.port !== options.port) {
      await leave(cluster, again.session, null)
      throw await givenUp(`another program took its port ${options.port}`)
    }
    watch(again.session)
    pid = await pidOf(pid)
    log('The PostgreSQL server is back')
  }
  const watch = (watched: Session): void => {
    session = watched
    keepsProcessAlive(watched.client, false)
    void watched.ended.then(() => {
      if (ended) return
      reviving = revive().catch((error: Error) => {
        ended = true
        options.onLost?.(error)
      })
    })
  }
  watch(first)
  return {
    pid: () => pid,
    async end() {
      ended = true
      await reviving
      return session
    },
  }
}

async function attachOrLaunch(
  cluster: Cluster,
  options: EmbeddedOptions,
  log: (line: string) => void,
): Promise<{ session: Session; attached: boolean }> {
  const deadlineMs = performance.now() + START_MS_MAX
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
    launches += 1
    // Someone took the port between our look and the server's; or another process started first.
    if (!(await portFree(port))) firstPort = port + 1
    if (launches === LAUNCHES_MAX || performance.now() > deadlineMs) {
      throw new Error(await describeFailure(cluster, 'did not start', launch.failure))
    }
    await delay(LAUNCH_RETRY_MS * launches)
  }
}

/**
 * Join the server that runs on our cluster; null if there is none, or none that PostgreSQL knows.
 */
async function attach(
  cluster: Cluster,
  deadlineMs: number,
  log: (line: string) => void,
): Promise<Session | null> {
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
): Promise<Session | null> {
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
async function join(cluster: Cluster, port: number): Promise<Session | 'busy' | 'silent'> {
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

/**
 * The lock makes concurrent starters take turns; asked anew each time, since a first start may die.
 */
async function createDatabase(client: Client, password: string): Promise<void> {
  const known = `select 1 from pg_database where datname = 'payments'`
  if ((await client.query(known)).rowCount === 1) return
  await client.query('select pg_advisory_lock($1)', [LOCK_SETUP])
  const role = await client.query(`select 1 from pg_roles where rolname = 'payments'`)
  if (role.rowCount === 0) {
    // The password is base64url: it needs no escaping. No superuser: SQL must not become a shell.
    await client.query(`create role payments login createdb password '${password}'`)
    await client.query('grant pg_monitor to payments')
  }
  if ((await client.query(known)).rowCount === 0) {
    await client.query('create database payments owner payments')
  }
  await client.query('select pg_advisory_unlock($1)', [LOCK_SETUP])
}

/** Folders of earlier releases have one password for both roles: the service's becomes its own. */
async function agreeOnPassword({ client, port }: Session, password: string): Promise<void> {
  const at = { host: '127.0.0.1', port, ssl: false, connectionTimeoutMillis: CONNECT_MS_MAX }
  const service = new Client({ ...at, user: 'payments', database: 'payments', password })
  service.on('error', () => undefined)
  try {
    await service.connect()
  } catch (error) {
    // Only that the password is wrong is ours to mend.
    if ((error as { code?: unknown }).code !== '28P01') throw error
    await client.query(`alter role payments password '${password}'`)
  } finally {
    await service.end().catch(() => undefined)
  }
}

async function describeFailure(
  cluster: Cluster,
  what: string,
  failure: string | null,
): Promise<string> {
  const text = (await readText(cluster.logFile)) ?? ''
  const lines = text.trimEnd().split('\n').slice(-LOG_LINES_SHOWN)
  const reason = failure ?? `it was not ready within ${START_MS_MAX / 1_000} s`
  return `PostgreSQL ${what}: ${reason}. Its log ${cluster.logFile} ends:\n  ${lines.join('\n  ')}`
}

/** Give up our use of the server, and shut it down if that was the last use. */
async function leave(cluster: Cluster, first: Session, known: number | null): Promise<void> {
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
function keepsProcessAlive(client: Client, yes: boolean): void {
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
