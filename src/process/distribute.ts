import { randomUUID } from 'node:crypto'
import { print } from '../adapters/commands.ts'
import { migrate } from '../adapters/migrate.ts'
import type { PostgresDb } from '../adapters/postgres.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import {
  mapProblems,
  mapText,
  OF_CITUS,
  rangeText,
  type StoredPlace,
} from '../domain/server-map.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import type { Server } from '../ports.ts'
import { TABLES } from '../verify/report.ts'
import { largestIds, readSequences, rowsOutside } from '../verify/store.ts'
import { closing } from './closing.ts'
import { distributeCitus } from './distribute-citus.ts'
import { agree, agreed, readPlace, writePlace } from './database-store.ts'
import { openDatabase, placeOf, serversOf } from './database.ts'
import { connectOne, wrongCurrency, wrongShards } from './shared.ts'

/** The options of `payments distribute`. */
export interface DistributeOptions {
  readonly dryRun?: boolean
  /** A new server may hold nothing of shards that were elsewhere: there was nothing. */
  readonly empty?: boolean
}

/** A server that is to hold shards; one that is to hold none has no range. */
interface Target {
  readonly url: string
  readonly range: Server | null
  readonly db: PostgresDb
  readonly place: StoredPlace
}

const NOWHERE: StoredPlace = { cluster: null, range: null, map: null, version: null }
/** Before and behind this no shard is. */
const NONE: Server = { first: 1, last: 0 }

/**
 * `payments distribute`: let the servers of SHARD_DATABASES know what they hold, or distribute the
 * tables of a database that has Citus. It is the only thing that does. Between servers it moves no
 * row: one that holds rows of shards which are to be elsewhere is refused. Cut short, it is run
 * again; no process starts before it has come to its end.
 */
export async function runDistribute(options: DistributeOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  const { shardDatabases: ranges } = config
  if (ranges === null && !config.citus) {
    throw new ConfigError([
      'SHARD_DATABASES must be set: it says which servers are to hold which shards. For Citus ' +
        'set CITUS=true',
    ])
  }
  const stops = closing()
  try {
    const say = (line: string) => void process.stderr.write(`${line}\n`)
    const home = await openDatabase(config, { stops, say, schema: 'any', embedded: 'found' })
    if (config.citus) return await distributeCitus(config, home, options.dryRun ?? false)
    if (!(await bringSchemas(config, home, options.dryRun ?? false))) return
    const open = async (url: string, range: Server | null): Promise<Target> => {
      const db = connectOne(config, url, 'payments distribute')
      stops.push(() => db.close())
      return { url, range, db, place: await readPlace(db.global) }
    }
    const holding: Target[] = []
    for (const { url, ...range } of ranges ?? []) holding.push(await open(url, range))
    const held = holding.find(({ url }) => url === home)?.range ?? null
    await distribute(config, await open(home, held), holding, options)
  } finally {
    await stops.close()
  }
}

/** Migrate every server. False: that would be done first, and nothing more can be said. */
async function bringSchemas(config: Config, home: string, dryRun: boolean): Promise<boolean> {
  let current = true
  for (const { url } of serversOf(config, home)) {
    const { applied } = await migrate(url, { dryRun })
    if (applied.length === 0) continue
    if (dryRun) current = false
    print(`${dryRun ? 'Would migrate' : 'Migrated'} ${placeOf(url)} to ${applied.at(-1)}.`)
  }
  if (!current) print('Migrate first (payments migrate): what else is to be done cannot be seen.')
  return current
}

async function distribute(
  config: Config,
  home: Target,
  holding: readonly Target[],
  { dryRun = false, empty }: DistributeOptions,
): Promise<void> {
  const ranges = holding.map(({ range }) => range ?? NONE)
  const arriving = empty === true ? [] : await notArrived(home, holding)
  const problems = [...(await problemsOf(config, home, holding)), ...arriving]
  if (problems.length > 0) throw new ConfigError(problems)
  const map = mapText(ranges)
  const cluster = home.place.cluster ?? randomUUID()
  const last = Math.max(...[home, ...holding].map(({ place }) => Number(place.version ?? 0)))
  const done = mapProblems(
    ranges,
    home.place,
    holding.map(({ place }) => place),
  )
  if (done.length === 0) return print(`Nothing to do: the servers hold ${map}.`)
  // Ever a new one, also where a range stays as it is and its server does not: so the server that
  // held it before is refused with whoever has an old map.
  const version = `${last + 1}`
  for (const { url, range } of holding) {
    print(`${dryRun ? 'Would give' : 'Giving'} ${rangeText(range ?? NONE)} to ${placeOf(url)}.`)
  }
  if (dryRun) return print('Nothing was changed.')

  // Its id and version first, so that a second run goes on and no old map is believed any more; its
  // map last. No process starts in between.
  await writePlace(home.db.global, { ...NOWHERE, cluster, version })
  for (const { db } of [home, ...holding]) await agreeOn(config, db)
  for (const { db, range } of holding) {
    await writePlace(db.global, { cluster, version, range: rangeText(range ?? NONE), map: null })
  }
  await writePlace(home.db.global, { ...NOWHERE, map })
  const places: StoredPlace[] = []
  for (const { db } of holding) places.push(await readPlace(db.global))
  const wrong = mapProblems(ranges, await readPlace(home.db.global), places)
  // Two URLs may lead to one database.
  if (wrong.length > 0) throw new ConfigError(wrong)
  print(`The servers hold ${map} (version ${version} of the map).`)
}

async function agreeOn({ shards, currency }: Config, { global }: PostgresDb): Promise<void> {
  await agree(global, 'shards', String(shards))
  await agree(global, 'currency', currency)
}

/** What is in the way: sentences. */
async function problemsOf(
  config: Config,
  home: Target,
  holding: readonly Target[],
): Promise<string[]> {
  const problems: string[] = []
  if (home.place.map === OF_CITUS) return mapProblems([], home.place, [])
  const given = await readSequences(home.db.global)
  for (const target of [home, ...holding]) {
    const { db, place } = target
    const named = placeOf(target.url)
    const shards = await agreed(db.global, 'shards')
    const wrong = shards === null ? null : wrongShards(shards, config.shards)
    if (wrong !== null) problems.push(`${named}: ${wrong}`)
    const currency = await agreed(db.global, 'currency')
    if (currency !== null && currency !== config.currency) {
      problems.push(`${named}: ${wrongCurrency(currency, config.currency)}`)
    }
    if (place.cluster !== null && place.cluster !== home.place.cluster) {
      problems.push(`${named} belongs to other servers: correct SHARD_DATABASES`)
    }
    problems.push(...(await misplaced(target)).map((what) => `${named} ${what}`))
    if (await isAhead(target, BigInt(config.shards), given)) {
      problems.push(
        `${named} has ids that DATABASE_URL has not given: it was used by itself, so it must be ` +
          'emptied, or be the home side',
      )
    }
  }
  return problems
}

/**
 * New servers that are to hold shards which others have held, and have nothing of them: their users
 * would seem never to have been. One that has held shards before is no new one.
 */
async function notArrived(home: Target, holding: readonly Target[]): Promise<string[]> {
  const { users } = await readSequences(home.db.global)
  if (home.place.map === null || users === 0n) return []
  const problems: string[] = []
  for (const { db, url, range, place } of holding) {
    if (place.cluster !== null || range === null) continue
    const largest = whole(
      await eachInTurn(db.shards.slice(range.first, range.last + 1), largestIds),
    )
    if (largest.some((at) => at.users > 0n)) continue
    problems.push(
      `${placeOf(url)} holds nothing of the shards ${rangeText(range)}, which have been on ` +
        'another ' +
        'server: copy their rows first, or say --empty if there were none',
    )
  }
  return problems
}

/** Rows of a server that are not to be there. */
async function misplaced({ db, range }: Target): Promise<string[]> {
  const [session] = db.shards
  if (session === undefined) return []
  const outside = (await rowsOutside(session, range ?? NONE)).filter(({ count }) => count > 0)
  if (outside.length === 0) return []
  const tables = outside.map(({ table }) => TABLES[table]).join(', ')
  return [
    `holds rows of shards that SHARD_DATABASES has elsewhere (${tables}): correct it, or move them`,
  ]
}

/** Whether the ids of a server are above what the home side has given. */
async function isAhead(
  { db, range }: Target,
  count: bigint,
  given: Awaited<ReturnType<typeof readSequences>>,
): Promise<boolean> {
  const { first, last } = range ?? NONE
  const largest = whole(await eachInTurn(db.shards.slice(first, last + 1), largestIds))
  return largest.some(
    (at) =>
      at.users > given.users ||
      at.payments / count > given.payments ||
      at.letters / count > given.letters,
  )
}
