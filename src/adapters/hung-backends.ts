import pg from 'pg'

/** How often the server is asked whether it has let go, in milliseconds. */
const LOOK_MS = 1_000
/** The longest wait for that answer, in milliseconds. */
const ANSWER_MS_MAX = 2_000

/**
 * Those of some backends that are still there. One that is still at work is told to end: it went
 * past every limit that it has, unlike a backend that has got its number meanwhile. It is never
 * cancelled, as a COMMIT that is cancelled while it waits for a standby says that it succeeded, and
 * is lost with the server.
 */
const ALIVE = `
  select
    pid,
    case
      when state = 'active'
        and clock_timestamp() - state_change > current_setting('statement_timeout')::interval
      then pg_terminate_backend(pid)
    end
  from pg_stat_activity
  where pid = any ($1::int[]) and application_name = current_setting('application_name')`

/** Backends of a pool's server that went on when their connection was given up. */
interface HungBackends {
  /** A connection was given up while its backend was at work. */
  add(client: pg.PoolClient): void
  /** The pool goes to another server, whose backends these are not. */
  forget(): void
  stop(): void
}

/**
 * Count backends that outlive their connection as connections of the pool. A COMMIT that waits for
 * a synchronous standby that is lost heeds no timeout, and its backend does not notice that we hung
 * up: if each were replaced, they would soon be all that the server has. So the pool shrinks by
 * each, to nothing at worst, until the server has let go of it, or cannot be reached. They are told
 * to end, so that a standby that stays away does not take the connections for good.
 */
export function countHung(pool: pg.Pool, poolMax: number, config: pg.ClientConfig): HungBackends {
  const hung = new Set<number>()
  let timer: NodeJS.Timeout | null = null

  const resize = (): void => {
    pool.options.max = Math.max(0, poolMax - hung.size)
  }
  const look = async (): Promise<void> => {
    // Others may be added meanwhile, and the answer says nothing about them.
    const asked = [...hung]
    const { connectionString = config.connectionString } = pool.options
    const alive = await stillThere(asked, { ...config, connectionString })
    for (const pid of asked) if (!alive.includes(pid)) hung.delete(pid)
    resize()
    timer = hung.size === 0 ? null : later()
  }
  const later = () => setTimeout(() => void look(), LOOK_MS).unref()

  return {
    add(client) {
      // Set when the connection was made; missing in the driver's types.
      const { processID: pid } = client as { processID?: number | null }
      if (typeof pid !== 'number') return
      hung.add(pid)
      resize()
      timer ??= later()
    },
    forget() {
      hung.clear()
      resize()
    },
    stop() {
      if (timer !== null) clearTimeout(timer)
      hung.clear()
    },
  }
}

/** None, when the server cannot be reached: whatever it still has is out of our hands. */
async function stillThere(
  pids: readonly number[],
  config: pg.ClientConfig,
): Promise<readonly number[]> {
  const client = new pg.Client({
    ...config,
    connectionTimeoutMillis: ANSWER_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ pid: number }>(ALIVE, [pids])
    return rows.map(({ pid }) => pid)
  } catch {
    return []
  } finally {
    client.end().catch(() => undefined)
  }
}
