import { resolve } from 'node:path'
import { systemClock } from '../adapters/clock.ts'
import { hasCluster } from '../adapters/embedded-cluster.ts'
import { startEmbeddedPostgres } from '../adapters/embedded-postgres.ts'
import { demandSchema, migrate } from '../adapters/migrate.ts'
import type { ConnectionFault, PostgresDb } from '../adapters/postgres.ts'
import type { Closing } from './closing.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import { ReadOnly, type Clock } from '../ports.ts'
import { rangeText } from '../domain/server-map.ts'
import { reasonOf } from '../domain/error-reason.ts'
import { serverUrls } from '../domain/server-urls.ts'
import { causeOf, codeOf, LOOK_MS, mayPass, whileItComes } from './away.ts'
import { connectOne } from './shared.ts'

/** What somebody who opens a database asks for. */
export interface DatabaseOptions {
  /** Closes what is opened here. */
  readonly stops: Closing
  /** Tells the person at the terminal what is being done or waited for. */
  readonly say: (line: string) => void
  /** Bring the newest schema, demand it, or take what is there. */
  readonly schema: 'bring' | 'demand' | 'any'
  /** Without DATABASE_URL: make an embedded database, or use only one that is there. */
  readonly embedded: 'made' | 'found'
  /** Told when the embedded server cannot be kept alive. */
  readonly onLost?: (error: Error) => void
}

/**
 * Open the database of a process and return its URL: the one of DATABASE_URL, waited for, or the
 * embedded one of DATA_DIR. Throws a sentence that names the setting and the remedy.
 */
export async function openDatabase(config: Config, options: DatabaseOptions): Promise<string> {
  const url = config.databaseUrl ?? (await openEmbedded(config, options))
  const untilMs = systemClock.elapsedMs() + config.databaseWaitMs
  const waiting = { untilMs, waitMs: config.databaseWaitMs, say: options.say, clock: systemClock }
  for (const server of serversOf(config, url)) {
    await whileItComes(untilMs, async () => {
      await proveDatabase(config, server, waiting)
      await bringSchema(server.url, options.schema)
    })
  }
  return url
}

/** A server's URL, and the setting that names it. */
interface NamedServer {
  readonly url: string
  readonly setting: 'DATABASE_URL' | 'SHARD_DATABASES'
}

/** The servers of a database whose home side is at `url`, each once, and that one first. */
export function serversOf({ shardDatabases }: Config, url: string): readonly NamedServer[] {
  const others = (shardDatabases ?? []).filter((server) => server.url !== url)
  return [
    { url, setting: 'DATABASE_URL' },
    ...others.map((server) => ({ url: server.url, setting: 'SHARD_DATABASES' as const })),
  ]
}

/**
 * The servers of a database, by the names that backups have for them. Of two URLs that lead to one
 * server the settings know nothing, and `payments distribute` refuses them.
 */
export function partsOf(
  config: Config,
  home: string,
): readonly { readonly name: string; readonly url: string }[] {
  const others = (config.shardDatabases ?? []).filter(({ url }) => url !== home)
  return [
    { name: 'home', url: home },
    ...others.map((server) => ({ name: `shards-${rangeText(server)}`, url: server.url })),
  ]
}

/** Wait for a server, and see that connections to it are what they have to be. */
async function proveDatabase(config: Config, server: NamedServer, waiting: Waiting): Promise<void> {
  const db = connectOne(config, server.url, 'payments start')
  try {
    await awaitDatabase(db, server, waiting)
    await demandConnections(db)
  } finally {
    await db.close()
  }
}

/** What to do about a pooler in between that makes connections less than they have to be. */
const POOLERS: Readonly<Record<ConnectionFault, string>> = {
  limits:
    'DATABASE_POOLER must be `transaction`: a pooler in front of the database drops the time ' +
    'limits that connections ask for',
  prepared:
    'DATABASE_PREPARED_STATEMENTS must be `false`: the pooler in front of the database does not ' +
    'keep prepared statements (PgBouncer 1.21 and newer do, with max_prepared_statements=1000)',
  transactions:
    'DATABASE_URL must lead to a pooler that allows transactions: let it run with ' +
    'pool_mode=transaction',
}

/** Throws a sentence when a pooler in between makes connections less than they have to be. */
async function demandConnections(db: PostgresDb): Promise<void> {
  const fault = await db.check()
  if (fault !== null) throw new ConfigError([POOLERS[fault]])
}

async function bringSchema(url: string, schema: DatabaseOptions['schema']): Promise<void> {
  if (schema === 'bring') await migrate(url)
  if (schema === 'demand') await demandSchema(url)
}

async function openEmbedded(config: Config, options: DatabaseOptions): Promise<string> {
  const { stops, say, embedded, onLost } = options
  const dataDir = resolve(config.dataDir)
  if (embedded === 'found' && !(await hasCluster(dataDir))) {
    throw new ConfigError([
      `DATABASE_URL must be set: it is not, and DATA_DIR ${dataDir} holds no embedded database`,
    ])
  }
  const opening = startEmbeddedPostgres({
    dataDir,
    log: say,
    ...(onLost === undefined ? {} : { onLost }),
  })
  // Owed before it is open: a signal in the middle of the start leaves no server behind.
  stops.push(() =>
    opening.then(
      (server) => server.stop(),
      () => undefined,
    ),
  )
  return (await opening).url
}

interface Waiting {
  /** Until when, in the clock's elapsed milliseconds, and how long that is from the start. */
  readonly untilMs: number
  readonly waitMs: number
  readonly say: (line: string) => void
  readonly clock: Clock
}

/**
 * Wait until the database takes writes. Throws a sentence when it has taken too long, and at once
 * for what no waiting mends, such as a wrong password.
 */
async function awaitDatabase(
  db: Pick<PostgresDb, 'probe'>,
  server: NamedServer,
  { untilMs, waitMs, say, clock }: Waiting,
): Promise<void> {
  for (let told = false; ; told = true) {
    const error = await db.probe().then(
      () => null,
      (failure: unknown) => failure,
    )
    if (error === null) return
    const passes = mayPass(error)
    if (!passes) throw new Error(explain(error, server), { cause: error })
    if (clock.elapsedMs() >= untilMs) {
      const waited = `It was waited for ${waitMs / 1_000} s (DATABASE_WAIT_SECONDS).`
      throw new Error(`${explain(error, server)} ${waited}`, { cause: error })
    }
    if (!told) say(`Waiting up to ${waitMs / 1_000} s for the database: ${explain(error, server)}`)
    await clock.sleep(LOOK_MS)
  }
}

/** What is the matter with the database, and what to do about it. */
function explain(error: unknown, { url, setting }: NamedServer): string {
  const place = placeOf(url)
  const cause = causeOf(error)
  const reason = reasonOf(cause)
  if (error instanceof ReadOnly) {
    return (
      `${place} takes no writes, because it is a standby or read-only: ` +
      `point ${setting} at the primary server.`
    )
  }
  if (mayPass(error)) {
    return `${place} cannot be reached (${reason}): start it, or correct ${setting}.`
  }
  const refused = `${place} refuses the connection (${reason})`
  if (codeOf(cause).startsWith('28')) return `${refused}: correct user and password in ${setting}.`
  if (codeOf(cause) === '3D000') return `${refused}: create the database, or correct ${setting}.`
  if (/startup parameter/.test(reason)) {
    return `${refused}: set DATABASE_POOLER=transaction, as a pooler stands in between.`
  }
  return `${refused}: correct ${setting}.`
}

/** Where a database is, without user and password. */
export function placeOf(url: string): string {
  const places = (serverUrls(url) ?? []).map((each) => new URL(each))
  const hosts = places.map(({ host }) => (host === '' ? 'localhost' : host)).join(' or ')
  return `PostgreSQL at ${hosts}${places[0]?.pathname ?? ''}`
}
