import { serverUrls } from '../domain/server-urls.ts'
import { shardByShard, type CitusDrivers } from './citus-driver.ts'
import { citusPlaces, type CitusPlace } from './citus-places.ts'
import { idBlocks } from './id-blocks.ts'
import {
  postgresServer,
  type PostgresDb,
  type PostgresServer,
  type ServerOptions,
} from './postgres.ts'
import { paced } from './server-pace.ts'
import { closeAll, plus, probeAll } from './servers.ts'
import { placed, type Driver, type SessionOptions } from './shard-session.ts'

/** Each part has plans of its own, so a connection has many, and making them anew costs more. */
const PLANS_MS_MAX = 60_000

interface CitusOptions extends SessionOptions, ServerOptions {
  readonly elapsedMs: () => number
}

/**
 * Connections of a pool. A node has as many pools as that gives: each is asked for some of its
 * parts, so a connection has plans for few of them.
 */
const POOL_MAX = 5

/** Some connections to a node that is asked itself. */
interface Node {
  readonly server: PostgresServer
  readonly drivers: CitusDrivers
}

/**
 * The database on the nodes of Citus. `url` leads to the coordinator, which has what belongs to no
 * shard and gives the numbers of ids. What is about a shard goes straight to the node that holds
 * it, by the same URL with that node's host and port: the coordinator has no part in it. Each node
 * has pools of its own, and each of them a pace.
 */
export function citusNodes(options: CitusOptions): PostgresDb {
  const { url, shards, elapsedMs } = options
  const home = paced(postgresServer(options), elapsedMs)
  const places = citusPlaces({ coordinator: home, shards, elapsedMs })
  const numbers = idBlocks({ home, elapsedMs })
  const opened = new Map<string, Node>()
  const pools = Math.max(1, Math.floor(options.poolMax / POOL_MAX))
  const poolMax = Math.floor(options.poolMax / pools)
  const nodeAt = (place: CitusPlace): Node => {
    const at = nodeUrl(url, place)
    const key = `${Number(place.part?.bucket ?? 0) % pools} ${at}`
    const known = opened.get(key)
    if (known !== undefined) return known
    const limits = { plansMsMax: PLANS_MS_MAX, ...options, url: at, poolMax }
    const server = paced(postgresServer(limits), elapsedMs)
    const node = { server, drivers: shardByShard(server, home, places.doubt) }
    opened.set(key, node)
    return node
  }
  /** Nodes with shards; those that have none any more are kept, as they may get some again. */
  const holding = () => [...new Set(places.known().map(nodeAt))].map(({ server }) => server)
  const all = () => [home, ...[...opened.values()].map(({ server }) => server)]
  const driverOf = (number: number): Driver => {
    const ask = async <Value>(work: (driver: Driver) => Promise<Value>): Promise<Value> => {
      const place = await places.of(number)
      const { anywhere, in: inPart } = nodeAt(place).drivers
      const driver = place.part === null ? anywhere : inPart(place.part)
      try {
        return await work(driver)
      } catch (error) {
        places.doubt()
        throw error
      }
    }
    return {
      run: (statement, values) => ask((driver) => driver.run(statement, values)),
      transaction: (work, lockMs) => ask((driver) => driver.transaction(work, lockMs)),
    }
  }
  // Nothing can be asked of several shards at once.
  const servers = Array.from({ length: shards }, (_, number) => {
    return { first: number, last: number, driver: driverOf(number) }
  })
  return {
    ...placed({ home, servers, numbers }, options),
    oneTable: true,
    async prepare() {
      await places.read()
      await numbers.fill()
    },
    async check() {
      for (const server of all()) {
        const fault = await server.check()
        if (fault !== null) return fault
      }
      return null
    },
    probe: () => probeAll(home, holding()),
    pool: () =>
      all()
        .map((server) => server.pool())
        .reduce(plus),
    close: () => closeAll(all()),
  }
}

/** The URL of a node: that of the coordinator, or the same with another host and port. */
function nodeUrl(url: string, { node }: CitusPlace): string {
  if (node === null) return url
  const { host, port } = node
  const [first = url] = serverUrls(url) ?? []
  const name = host.includes(':') ? `[${host}]` : host
  // `URL` changes no host of a scheme that it does not know, where there is none yet.
  return first.replace(/^(postgresql:\/\/(?:[^/?#@]*@)?)[^/?#@]*/, `$1${name}:${port}`)
}
