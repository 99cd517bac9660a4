import type { Server } from '../ports.ts'
import { idBlocks } from './id-blocks.ts'
import {
  postgresServer,
  type PoolCounts,
  type PostgresDb,
  type PostgresServer,
  type ServerOptions,
} from './postgres.ts'
import { paced } from './server-pace.ts'
import { placed, type SessionOptions } from './shard-session.ts'

/** The shards of one server, and where it is. */
interface ShardServer extends Server {
  readonly url: string
}

interface ServersOptions extends SessionOptions, ServerOptions {
  /** `url` is the home side. These hold the shards, each one in one of them, in order. */
  readonly servers: readonly ShardServer[]
  readonly elapsedMs: () => number
}

/**
 * The database on several servers: each range of shards has a pool of its own, and the home side
 * another one, also where it is the server of a range: whoever holds a connection to a shard may
 * wait for one to the home side, and must not wait for itself. A server that does not answer has a
 * pace of its own, whoever asks it.
 */
export function postgresServers(options: ServersOptions): PostgresDb {
  const { servers, elapsedMs } = options
  const home = paced(postgresServer(options), elapsedMs)
  const holding = servers.map(({ url }) => paced(postgresServer({ ...options, url }), elapsedMs))
  const all = [home, ...holding]
  const numbers = idBlocks({ home, elapsedMs })
  // There is one for each.
  const places = servers.map(({ first, last }, index) => {
    return { first, last, driver: holding[index] as PostgresServer }
  })
  return {
    ...placed({ home, servers: places, numbers }, options),
    prepare: () => numbers.fill(),
    async check() {
      for (const server of all) {
        const fault = await server.check()
        if (fault !== null) return fault
      }
      return null
    },
    probe: () => probeAll(home, holding),
    pool: () => all.map((server) => server.pool()).reduce(plus),
    close: () => closeAll(all),
  }
}

/** Close all; one that cannot be closed is told of when all others are closed. */
export async function closeAll(servers: readonly PostgresServer[]): Promise<void> {
  const ends = await Promise.allSettled(servers.map(async (server) => server.close()))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** Which of the servers take writes. Throws what one of them said where no shard can be used. */
export async function probeAll(
  home: PostgresServer,
  holding: readonly PostgresServer[],
): Promise<'all' | 'some'> {
  const [ofHome, ...ends] = await Promise.allSettled(
    [home, ...holding].map((server) => server.probe()),
  )
  const [first] = ends
  if (first !== undefined && ends.every(({ status }) => status === 'rejected')) {
    throw (first as PromiseRejectedResult).reason
  }
  const well = [ofHome, ...ends].every((end) => end?.status === 'fulfilled')
  return well ? 'all' : 'some'
}

/** The connections of two pools. */
export function plus(one: PoolCounts, other: PoolCounts): PoolCounts {
  return {
    total: one.total + other.total,
    idle: one.idle + other.idle,
    waiting: one.waiting + other.waiting,
  }
}
