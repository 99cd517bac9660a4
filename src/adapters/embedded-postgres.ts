import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { prepareCluster, type Cluster } from './embedded-cluster.ts'
import { killTree, portFree, processMayBeOurs, readPostmaster } from './embedded-server.ts'
import {
  attachOrLaunch,
  CONNECT_MS_MAX,
  describeFailure,
  keepsProcessAlive,
  LAUNCHES_MAX,
  leaveServer,
  type EmbeddedOptions,
  type EmbeddedSession,
} from './embedded-session.ts'

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

/** Half a minute: a program that took the port by chance, as clients do, leaves it soon. */
const PORT_WAITS_MS = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800]

/** Key of the session lock under which role and database are created. */
const LOCK_SETUP = 7_233_002

/** A server that dies more often than this within a minute is given up. */
const REVIVALS_MAX = 5
const REVIVALS_MS = 60_000
/** How long to wait before a server that died is started again, doubled each time. */
const REVIVE_MS = 100

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
    stop: () => (stopping ??= use.end().then((last) => leaveServer(cluster, last, use.pid()))),
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
  end(): Promise<EmbeddedSession>
}

/**
 * Watch the server through the session that says "in use": when it ends, the server crashed, and
 * recovers by itself or is gone. Both are the same here: attach to what runs, or launch it again.
 * The port stays, because everybody who uses the server knows it.
 */
async function supervise(
  cluster: Cluster,
  first: EmbeddedSession,
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
    const again = await backOnPort(cluster, options, () => ended)
    if (ended && again === null) return
    if (again === null) {
      throw await givenUp(
        `another program has its port ${options.port}; end that program, then start this one again`,
      )
    }
    watch(again)
    pid = await pidOf(pid)
    log('The PostgreSQL server is back')
  }
  const watch = (watched: EmbeddedSession): void => {
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

/**
 * Attach to what runs, or launch it again, on the port that everybody knows. Null: another program
 * kept the port, or took it again and again while the server was started.
 */
async function backOnPort(
  cluster: Cluster,
  options: EmbeddedOptions & { readonly port: number },
  ended: () => boolean,
): Promise<EmbeddedSession | null> {
  const log = options.log ?? (() => undefined)
  for (let launches = 0; launches < LAUNCHES_MAX; launches += 1) {
    if (!(await regainPort(cluster, options, ended)) || ended()) return null
    const { session } = await attachOrLaunch(cluster, options, log)
    if (session.port === options.port) return session
    await leaveServer(cluster, session, null)
  }
  return null
}

/**
 * Wait until the port of a server that died is free, or a server of the cluster has it. Says who is
 * waited for. False: another program kept it.
 */
async function regainPort(
  cluster: Cluster,
  { port, portWaitsMs = PORT_WAITS_MS, log }: EmbeddedOptions & { readonly port: number },
  ended: () => boolean,
): Promise<boolean> {
  for (const [index, waitMs] of [...portWaitsMs, 0].entries()) {
    const running = await readPostmaster(cluster)
    const ours = running !== null && running.port === port && processMayBeOurs(running.pid)
    if (ours || ended() || (await portFree(port))) return true
    if (index === 0)
      log?.(`Another program has port ${port} of PostgreSQL: waiting for it to leave`)
    await delay(waitMs)
  }
  return false
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
async function agreeOnPassword({ client, port }: EmbeddedSession, password: string): Promise<void> {
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
