import type { AsJson } from '../adapters/command-options.ts'
import { print } from '../adapters/commands.ts'
import { cutIntoRanges, makeRange, readRanges } from '../adapters/id-ranges.ts'
import type { FoundRange } from '../adapters/id-ranges-read.ts'
import { givenNumber } from '../adapters/id-ranges-given.ts'
import { connectToPrimary } from '../adapters/primary.ts'
import { countText } from '../adapters/terminal.ts'
import { loadConfig, readEnvironment, type Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import {
  firstEnd,
  givenUpTo,
  missingRanges,
  sizeOf,
  tooManyRanges,
  type IdRange,
} from '../domain/id-ranges.ts'
import { writeJson } from '../domain/exact-json.ts'
import { refuseCitus } from './check-servers.ts'
import { closing } from './closing.ts'
import { openDatabase } from './database.ts'

/** The options of `payments partitions`. */
export interface PartitionsOptions extends AsJson {
  readonly enable?: boolean
  readonly size?: string
  readonly ahead: string
  readonly dryRun?: boolean
}

/** Payments of a range. */
const SIZE = 20_000_000n
const CONNECT_MS_MAX = 10_000

type Client = Awaited<ReturnType<typeof connectToPrimary>>

/** The ranges of a database, and which of them were made or would be. */
interface Result {
  readonly ranges: readonly FoundRange[] | null
  readonly made: readonly IdRange[]
}

/**
 * `payments partitions`: list the ranges of payments, and make those that are missing. With
 * `--enable`, cut a database that nobody uses into ranges first.
 */
export async function runPartitions(options: PartitionsOptions): Promise<void> {
  const config = loadConfig(readEnvironment(process.cwd()))
  refuseCitus(config)
  refuseSeveralServers(config)
  const plan = planOf(options, config)
  const stops = closing()
  try {
    const say = (line: string) => void process.stderr.write(`${line}\n`)
    const url = await openDatabase(config, { stops, say, schema: 'demand', embedded: 'found' })
    const connecting = { application_name: 'payments partitions' }
    const client = await connectToPrimary(
      { ...connecting, connectionTimeoutMillis: CONNECT_MS_MAX },
      url,
    )
    stops.push(() => client.end())
    const given = givenUpTo(await givenNumber(client), config.shards)
    report(await bring(client, given, plan), plan)
  } finally {
    await stops.close()
  }
}

function refuseSeveralServers({ shardDatabases }: Config): void {
  if (shardDatabases === null) return
  throw new ConfigError([
    'SHARD_DATABASES must not be set: payments of several servers cannot be in ranges yet',
  ])
}

interface Plan {
  /** How many ids a range has. */
  readonly size: bigint
  readonly sizeGiven: boolean
  readonly ahead: number
  readonly enable: boolean
  readonly dryRun: boolean
  readonly json: boolean
}

function planOf(options: PartitionsOptions, { shards }: Pick<Config, 'shards'>): Plan {
  const { size = null, ahead, enable = false, dryRun = false, json = false } = options
  const problems: string[] = []
  if (size !== null && !/^[1-9]\d{0,11}$/.test(size)) {
    problems.push(`--size ${size} must be a number of payments`)
  }
  if (!/^[1-9]\d?$/.test(ahead)) problems.push(`--ahead ${ahead} must be a number from 1 to 99`)
  if (problems.length > 0) throw new ConfigError(problems)
  // Of as many ids as there are shards, one is given.
  const ids = (size === null ? SIZE : BigInt(size)) * BigInt(shards)
  return { size: ids, sizeGiven: size !== null, ahead: Number(ahead), enable, dryRun, json }
}

async function bring(client: Client, given: bigint, plan: Plan): Promise<Result> {
  const { ahead, enable, dryRun } = plan
  const before = await readRanges(client)
  if (before === null && !enable) return { ranges: null, made: [] }
  const size = (plan.sizeGiven ? null : sizeOf(before ?? [])) ?? plan.size
  const first = before ?? [{ number: 0, from: null, to: firstEnd(given, size) }]
  const missing = missingRanges(first, given, { size, ahead })
  const problem = tooManyRanges(first.length + missing.length)
  if (problem !== null) throw new Error(problem)
  const made = before === null ? [...first, ...missing] : missing
  if (dryRun) return { ranges: before, made }
  if (before === null) await cutIntoRanges(client, { given, size, ahead })
  else for (const range of missing) await makeRange(client, range)
  return { ranges: await readRanges(client), made }
}

function report({ ranges, made }: Result, { json, dryRun }: Plan): void {
  if (json) {
    const found = (ranges ?? []).map(({ tables, ...range }) => ({ ...plain(range), tables }))
    return print(writeJson({ enabled: ranges !== null, ranges: found, made: made.map(plain) }))
  }
  if (ranges === null) print('Payments are in no ranges: --enable cuts them into some.')
  for (const { number, from, to, tables } of ranges ?? []) {
    const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
    const rows = tables.map(({ table, about }) => `${countText(about)} ${table}`).join(', ')
    print(`${number}: ${from ?? 'first'} to ${to}, ${rows}, ${countText(bytes)} bytes`)
  }
  for (const { number, from, to } of made) {
    print(`${dryRun ? 'would make' : 'made'} ${number}: ${from ?? 'first'} to ${to}`)
  }
}

/** Ids are below 2^53. */
function plain({ number, from, to }: IdRange): object {
  return { number, from: from === null ? null : Number(from), to: Number(to) }
}
