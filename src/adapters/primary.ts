import pg from 'pg'
import { reasonOf } from '../domain/error-reason.ts'
import { serverUrls } from '../domain/server-urls.ts'
import { ReadOnly, Unavailable, type Unsharded } from '../ports.ts'
import { isReadOnly } from './database-errors.ts'
import { query } from './transactions.ts'

/** Whether the server takes writes: neither a standby nor told to refuse them. */
const PROBE: Unsharded<{ writable: boolean }> = {
  name: 'postgres_probe',
  sharded: false,
  text: `
  select
    not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable`,
}

/**
 * How long nobody connects after a server turned out to be read-only, in milliseconds: every
 * request would open a connection of its own to hear the same.
 */
const READ_ONLY_MS = 500

/** Connections of a pool to a server that takes writes. */
interface Primary {
  /** Throws `ReadOnly` while no server takes writes, `Unavailable` with the reason. */
  connect(): Promise<pg.PoolClient>
  /**
   * Whether a failure says that the server takes no writes any more; then all connections are old.
   */
  demoted(client: pg.PoolClient, error: unknown): boolean
  /** The same, as somebody who asked has seen it. */
  turnedReadOnly(): ReadOnly
}

/**
 * Hand out only connections that were opened since the server was last seen to take no writes.
 * Behind one address the primary server changes: a connection to the old one would answer reads
 * from the past for good. New connections are asked (`verify` of the pool) before anybody has them.
 *
 * Where `url` names several servers and the one in use cannot be reached or takes no writes, all
 * are asked, and the pool goes to the one that does. `moved` is told.
 */
export function primaryOf(pool: pg.Pool, url: string, moved: () => void): Primary {
  const openedAt = new WeakMap<pg.PoolClient, number>()
  const urls = serverUrls(url) ?? [url]
  let generation = 0
  let readOnlyUntilMs = Number.NEGATIVE_INFINITY
  pool.options.connectionString = urls[0]
  pool.on('connect', (client) => void openedAt.set(client, generation))

  const turnedReadOnly = (cause?: unknown): ReadOnly => {
    generation += 1
    readOnlyUntilMs = performance.now() + READ_ONLY_MS
    return new ReadOnly('the database is read-only', { cause })
  }

  const seek = seeker(pool, urls, () => {
    generation += 1
    moved()
  })

  /** A connection of the pool, after a look at the other servers where there are others. */
  const take = (): Promise<pg.PoolClient> =>
    pool.connect().catch(async (error: unknown) => {
      if (urls.length > 1 && (await seek())) return pool.connect()
      throw error
    })

  return {
    turnedReadOnly,
    demoted(client, error) {
      if (!isReadOnly(error)) return false
      if (openedAt.get(client) === generation) turnedReadOnly(error)
      return true
    },
    async connect() {
      // Ends: every turn takes an old connection out of the pool.
      for (;;) {
        if (performance.now() < readOnlyUntilMs) throw new ReadOnly('the database is read-only')
        const client = await take().catch((error: unknown) => {
          if (error instanceof ReadOnly) throw turnedReadOnly(error)
          throw new Unavailable(`the database cannot be reached: ${reasonOf(error)}`, {
            cause: error,
          })
        })
        if (openedAt.get(client) === generation) return client
        client.release(true)
      }
    },
  }
}

/**
 * Look among the servers for one that takes writes, and let the pool go there. Gives whether there
 * is one; everybody who asks meanwhile waits for the same look.
 */
function seeker(pool: pg.Pool, urls: readonly string[], moved: () => void) {
  let seeking: Promise<boolean> | null = null
  // The one in use comes first: that the pool is full says nothing against it.
  const find = () =>
    writableOf([pool.options.connectionString ?? ''], pool.options).catch(() =>
      writableOf(urls, pool.options),
    )
  const look = async (): Promise<boolean> => {
    const { url, client } = await find()
    await client.end()
    if (pool.options.connectionString === url) return true
    pool.options.connectionString = url
    moved()
    return true
  }
  return (): Promise<boolean> => {
    seeking ??= look()
      .catch(() => false)
      .finally(() => (seeking = null))
    return seeking
  }
}

/** Ask a new connection whether its server takes writes, before anybody has it. */
export function verifyWritable(client: pg.ClientBase, done: (error?: Error) => void): void {
  demandWritable(client).then(() => done(), done)
}

/** Connect to the server of a URL; of several, to the first one found that takes writes. */
export async function connectToPrimary(config: pg.ClientConfig, url: string): Promise<pg.Client> {
  const urls = serverUrls(url) ?? [url]
  const [only = url] = urls
  if (urls.length > 1) return (await writableOf(urls, config)).client
  return connectTo(config, only)
}

/** The first of the servers that is found to take writes. Throws what the last one said. */
async function writableOf(
  urls: readonly string[],
  config: pg.ClientConfig,
): Promise<{ readonly url: string; readonly client: pg.Client }> {
  let found: string | null = null
  const asked = urls.map(async (url) => {
    const client = await connectTo(config, url)
    try {
      await demandWritable(client)
      if (found !== null) throw new Error('another server was quicker')
      found = url
      return { url, client }
    } catch (error) {
      await client.end()
      throw error
    }
  })
  try {
    return await Promise.any(asked)
  } catch (error) {
    throw reasonAmong(error)
  }
}

/** Of the servers' answers the one that helps most: that of a server which can be reached. */
function reasonAmong(error: unknown): unknown {
  if (!(error instanceof AggregateError)) return error
  const errors = error.errors as unknown[]
  return errors.find((each) => each instanceof ReadOnly) ?? errors.at(-1) ?? error
}

async function connectTo(config: pg.ClientConfig, url: string): Promise<pg.Client> {
  const client = new pg.Client({ ...config, connectionString: url })
  // A lost connection also rejects the query in flight; without a listener it would end the
  // process.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    client.end().catch(() => undefined)
    throw error
  }
  return client
}

async function demandWritable(client: pg.ClientBase): Promise<void> {
  if (!(await isWritable(client))) throw new ReadOnly('the server is read-only')
}

/** Whether the server of a connection takes writes. */
export async function isWritable(client: pg.ClientBase): Promise<boolean> {
  const [row] = await query(client, { prepared: false }, PROBE, [])
  return row?.writable === true
}
