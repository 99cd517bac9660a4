import pg from 'pg'

/** How often the server is asked whether it has let go, in milliseconds. */
const LOOK_MS = 1_000
/** The longest wait for that answer, in milliseconds. */
const ANSWER_MS_MAX = 2_000

/** Those of some backends that are still there. */
const ALIVE = 'select pid from pg_stat_activity where pid = any ($1::int[])'

/** Backends of a pool's server that went on when their connection was given up. */
interface HungBackends {
  /** A connection was given up while its backend was at work. */
  add(client: pg.PoolClient): void
  stop(): void
}

/**
 * Count backends that outlive their connection as connections of the pool. A COMMIT that waits for
 * a synchronous standby that is lost heeds no timeout, and its backend does not notice that we hung
 * up: if each were replaced, they would soon be all that the server has. So the pool shrinks by
 * each, to nothing at worst, until the server has let go of it, or cannot be reached.
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
    const alive = await stillThere(asked, config)
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
