import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import { mapProblems, OF_CITUS } from '../domain/server-map.ts'
import type { Db } from '../ports.ts'
import { readPlace, readPlaces } from './database-store.ts'

/**
 * Compare SHARD_DATABASES with what every server has stored of its place. Throws `ConfigError` with
 * sentences on any difference: a shard that is looked for on another server would seem empty.
 */
export async function checkServers(
  db: Db,
  { citus, shardDatabases }: Pick<Config, 'citus' | 'shardDatabases'>,
): Promise<void> {
  if (citus) return demandCitus(db)
  if (shardDatabases === null) return demandAlone(db)
  const { home, places } = await readPlaces(db)
  const problems = mapProblems(shardDatabases, home, places)
  if (problems.length > 0) throw new ConfigError(problems)
}

/** Throws a sentence where a command that copies whole databases is to copy one of Citus. */
export function refuseCitus({ citus }: Pick<Config, 'citus'>): void {
  if (!citus) return
  throw new ConfigError([
    'CITUS must be false: backups of a Citus database, and copies into one, are made by its own ' +
      'tools, of all nodes together',
  ])
}

async function demandCitus(db: Db): Promise<void> {
  const { map } = await readPlace(db.global)
  if (map === OF_CITUS) return
  throw new ConfigError([
    'CITUS is true, and the tables of the database of DATABASE_URL are not distributed: run ' +
      '`payments distribute` first, or correct DATABASE_URL',
  ])
}

/** One of several servers must not be used by itself: the others' shards would be made anew. */
async function demandAlone(db: Db): Promise<void> {
  const { cluster, map, range } = await readPlace(db.global)
  if (map === OF_CITUS) {
    throw new ConfigError([
      'CITUS must be true: the shards of the database of DATABASE_URL are on nodes of Citus',
    ])
  }
  if (cluster === null) return
  const what = map === null ? `holds the shards ${range}` : `is the home side of the shards ${map}`
  throw new ConfigError([
    `SHARD_DATABASES must be set: the database of DATABASE_URL ${what}, one of several servers`,
  ])
}
