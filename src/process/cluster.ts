import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import { mapProblems } from '../domain/cluster.ts'
import type { Db } from '../ports.ts'
import { readPlace, readPlaces } from './database-store.ts'

/**
 * Compare SHARD_DATABASES with what every server has stored of its place. Throws `ConfigError` with
 * sentences on any difference: a shard that is looked for on another server would seem empty.
 */
export async function checkServers(
  db: Db,
  { shardDatabases }: Pick<Config, 'shardDatabases'>,
): Promise<void> {
  if (shardDatabases === null) return demandAlone(db)
  const { home, places } = await readPlaces(db)
  const problems = mapProblems(shardDatabases, home, places)
  if (problems.length > 0) throw new ConfigError(problems)
}

/** One of several servers must not be used by itself: the others' shards would be made anew. */
async function demandAlone(db: Db): Promise<void> {
  const { cluster, map, range } = await readPlace(db.global)
  if (cluster === null) return
  const what = map === null ? `holds the shards ${range}` : `is the home side of the shards ${map}`
  throw new ConfigError([
    `SHARD_DATABASES must be set: the database of DATABASE_URL ${what}, one of several servers`,
  ])
}
