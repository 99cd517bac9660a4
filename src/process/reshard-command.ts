import type { AsJson } from '../adapters/command-options.ts'
import { print } from '../adapters/commands.ts'
import { demandSchema, migrate } from '../adapters/migrate.ts'
import {
  advance,
  beginFilling,
  compare,
  endFilling,
  fill,
  notEmpty,
  type ReshardTarget,
} from '../adapters/reshard.ts'
import { openClient, openSource, type ReshardSource } from '../adapters/reshard-source.ts'
import { progress, countText } from '../adapters/terminal.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { writeJson } from '../domain/exact-json.ts'
import { checkServers, refuseCitus } from './check-servers.ts'
import { closing, type Closing } from './closing.ts'
import { openDatabase, partsOf, placeOf } from './database.ts'
import { connect } from './shared.ts'

/** The options of `payments reshard`. */
export interface ReshardOptions extends AsJson {
  readonly from: string
  readonly dryRun?: boolean
}

/** A server that is filled, and where it is. */
interface Target extends ReshardTarget {
  readonly url: string
}

/**
 * `payments reshard`: copy a database that nobody uses into an empty one with more shards. Cut
 * short, it is run again and goes on; no process uses the new one before it has come to its end.
 * The old one is only read.
 */
export async function runReshard(options: ReshardOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  refuseCitus(config)
  const { dryRun = false, from } = options
  const stops = closing()
  try {
    const say = (line: string) => void process.stderr.write(`${line}\n`)
    await demandSchema(from)
    const { shards: to, currency } = config
    const source = await openSource({ url: from, to, currency })
    stops.push(() => source.close())
    const embedded = dryRun ? 'found' : 'made'
    const home = await openDatabase(config, { stops, say, schema: 'any', embedded })
    const targets = await openTargets(config, home, stops)
    for (const target of targets) await demandEmpty(target)
    if (dryRun) return reportPlan(options, source, targets)
    for (const { url } of targets) await migrate(url)
    await demandMap(config, home)
    reportDone(options, source, await reshard(source, targets))
  } finally {
    await stops.close()
  }
}

/** Copy, compare, and open the new database at last. Returns how many rows each table has. */
async function reshard(
  source: ReshardSource,
  targets: readonly Target[],
): Promise<ReadonlyMap<string, number>> {
  // The home side first: from then on no process uses any of them.
  for (const target of targets) await beginFilling(target, source)
  for (const target of targets) {
    const bar = progress(`Copying to ${placeOf(target.url)}`, rowsOf(source) / targets.length)
    await fill(target, source, (_table, rows) => bar.tick(rows))
    bar.done()
  }
  const bar = progress('Comparing tables', 0)
  const counts = await compare(targets, source, () => bar.tick(1))
  bar.done()
  for (const target of targets) await advance(target, source, source.grown)
  for (const target of targets.toReversed()) await endFilling(target, source, source.grown)
  return counts
}

function rowsOf({ tables }: ReshardSource): number {
  return tables.reduce((sum, { about }) => sum + about, 0)
}

/** Open every server that is to hold something, the home side first. */
async function openTargets(config: Config, home: string, stops: Closing): Promise<Target[]> {
  const ranges = config.shardDatabases ?? [{ first: 0, last: config.shards - 1, url: home }]
  const targets: Target[] = []
  for (const { name, url } of partsOf(config, home)) {
    const client = await openClient(url)
    stops.push(() => client.end())
    const range = ranges.find((one) => one.url === url)
    const server = range === undefined ? null : { first: range.first, last: range.last }
    targets.push({ client, server, isHome: name === 'home', url })
  }
  return targets
}

/** Throws a sentence where a server has anything of its own, and is not being filled. */
async function demandEmpty(target: Target): Promise<void> {
  const name = await notEmpty(target)
  if (name === null) return
  throw new Error(
    `${placeOf(target.url)} is not empty (${name} has rows), and nothing is overwritten: take a ` +
      'new database, and correct DATABASE_URL or SHARD_DATABASES.',
  )
}

/** Several servers have to know their places before anything is in them. */
async function demandMap(config: Config, home: string): Promise<void> {
  const db = connect(config, home, 'payments reshard')
  try {
    await checkServers(db, config)
  } finally {
    await db.close()
  }
}

function reportPlan(
  { json }: ReshardOptions,
  source: ReshardSource,
  targets: readonly Target[],
): void {
  const { division, grown } = source
  const rows = Math.round(rowsOf(source))
  const to = targets.map(({ url }) => placeOf(url))
  if (json === true) {
    const { from, to: shards } = division
    return print(
      writeJson({ dry_run: true, from, shards, below: Number(grown.below), rows, targets: to }),
    )
  }
  print(
    `Would divide ${named(division.from)} into ${division.to} and copy about ` +
      `${countText(rows)} rows to ${to.join(' and ')}. New ids would begin at ` +
      `${grown.below}. Nothing was changed.`,
  )
}

function reportDone(
  { json }: ReshardOptions,
  { division, grown }: ReshardSource,
  counts: ReadonlyMap<string, number>,
): void {
  const { from, to: shards } = division
  if (json === true) {
    const tables = Object.fromEntries(counts)
    return print(writeJson({ dry_run: false, from, shards, below: Number(grown.below), tables }))
  }
  const rows = [...counts.values()].reduce((sum, count) => sum + count, 0)
  print(
    `Divided ${named(from)} into ${shards}: ${countText(rows)} rows, each as it ` +
      `was. Ids below ${grown.below} are of before.\n` +
      'Run `payments verify`, then start the service with these settings. Do not start it on ' +
      '--from again: both would go on from the same payments.',
  )
}

function named(count: number): string {
  return count === 1 ? 'one shard' : `${count} shards`
}
