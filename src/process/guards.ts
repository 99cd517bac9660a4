import { systemClock } from '../adapters/clock.ts'
import { openFilesMax } from '../adapters/open-files.ts'
import type { Config } from '../config/config.ts'
import { openGuards, type Guards } from '../http/auth.ts'
import type { ConnectionOptions } from '../http/connections.ts'
import { isLoopback } from '../http/host-and-origin.ts'
import { keyChecker, sessionChecker } from '../keys/check.ts'
import { usesDatabase, type Process, type Roles } from './shared.ts'

/** Keys are asked for as soon as anyone but this machine can connect, and always in production. */
export function guardsOf({ config, db }: Process, roles: Roles): Guards {
  const loopback = isLoopback(config.host) ? config.host : null
  const open = loopback !== null && !config.production
  // The mock gateway alone has no database and charges nobody.
  const unguarded = open || !usesDatabase(roles)
  const world = { db: db.global, clock: systemClock }
  // Where one server holds everything, a key that cannot be looked up leads nowhere.
  const outageMs = config.shardDatabases === null && !config.citus ? 0 : config.keysOutageMs
  return openGuards(systemClock, {
    keys: unguarded ? null : keyChecker({ ...world, outageMs }),
    sessions: unguarded || !roles.api ? null : sessionChecker(world),
    perSecondMax: config.rateLimit,
    loopback,
    trustedProxies: config.trustedProxies ?? [],
  })
}

/** Connections that a process takes by itself; many idle ones cost some 20 KB each. */
const CONNECTIONS_MAX = 2_000
const CONNECTIONS_MIN = 16
/** Open files of the runtime itself, of the log, of an embedded database's start. */
const FILES_RESERVED = 100

/**
 * How many connections may be open at a time: what the limit of open files leaves when the database
 * and the gateways have theirs. At that limit the system would refuse everybody, without a word.
 */
export function connectionsMax(config: Config, filesMax: number | null): number {
  if (config.httpConnectionsMax !== null) return config.httpConnectionsMax
  if (filesMax === null) return CONNECTIONS_MAX
  const calls = config.gateways.reduce((sum, { concurrency }) => sum + concurrency, 0)
  const pools = 1 + (config.shardDatabases?.length ?? 0)
  const left = filesMax - FILES_RESERVED - config.databasePool * pools - calls
  return Math.max(CONNECTIONS_MIN, Math.min(CONNECTIONS_MAX, left))
}

/** The bounds of a process's connections; says so in the log when they are reached. */
export function connectionOptions({ config, log }: Process): ConnectionOptions {
  return {
    max: connectionsMax(config, openFilesMax()),
    elapsedMs: systemClock.elapsedMs,
    onFull: ({ open, max }, cut) =>
      log.warn(
        { open, max, cut },
        'the maximum of connections is reached; idle ones make room: see HTTP_CONNECTIONS_MAX',
      ),
  }
}
