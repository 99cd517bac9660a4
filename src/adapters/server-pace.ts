import { Unavailable } from '../ports.ts'
import { isFull, isSilent } from './database-errors.ts'
import type { Driver } from './shard-session.ts'

/** Between two looks at a server that does not answer, in milliseconds; it doubles. */
const PAUSE_MS = { min: 250, max: 2_000 }

/** A server that can be asked for anything. */
type Asked = Driver & { probe(): Promise<void> }

/**
 * A server that keeps nobody waiting again and again. Once somebody has waited for it in vain until
 * the end of a time limit, everybody is refused at once, and one look at a time, for which nobody
 * waits, finds out whether it answers. So whoever goes through shards one after the other loses one
 * time limit to such a server, and then nothing. Looks come at once and then after pauses that
 * double, when somebody asks. A server that refuses connections costs no time, and is no such
 * server.
 */
export function paced<Server extends Asked>(server: Server, elapsedMs: () => number): Server {
  /** Why it is not asked; null: it answers. */
  let silence: { readonly cause: unknown } | null = null
  let looking = false
  let pauseMs = 0
  let nextMs = 0

  const look = (): void => {
    looking = true
    server
      .probe()
      .then(
        () => (silence = null),
        (error: unknown) => {
          // Its pool is full of those who wait for it.
          if (!isSilent(error) && !isFull(error)) silence = null
        },
      )
      .finally(() => {
        looking = false
        pauseMs = Math.min(PAUSE_MS.max, Math.max(PAUSE_MS.min, pauseMs * 2))
        nextMs = elapsedMs() + pauseMs
      })
  }

  const ask = async <Value>(work: () => Promise<Value>): Promise<Value> => {
    if (silence !== null) {
      if (!looking && elapsedMs() >= nextMs) look()
      throw new Unavailable('a server of the database does not answer', silence)
    }
    try {
      return await work()
    } catch (error) {
      if (isSilent(error) && silence === null) {
        silence = { cause: error instanceof Error ? (error.cause ?? error) : error }
        pauseMs = 0
        if (!looking) look()
      }
      throw error
    }
  }

  const asked: Asked = {
    run: (statement, values) => ask(() => server.run(statement, values)),
    transaction: (work, lockMs) => ask(() => server.transaction(work, lockMs)),
    probe: () => ask(() => server.probe()),
  }
  return { ...server, ...asked }
}
