import type { Client } from 'pg'
import { writeJson } from '../domain/exact-json.ts'
import { shardsText, UNFINISHED, type Grown } from '../domain/shard.ts'
import type { Server } from '../ports.ts'
import { columnList, quoted, BACKUP_TABLES, type FoundTable } from './backup.ts'
import { copyIn, copyOut } from './copy-stream.ts'
import type { ReshardSource } from './reshard-source.ts'
import { HOME, OF_SHARDS, SHARDED, type Moved, type Part } from './reshard-tables.ts'

/** Rows of one transaction, about: what is copied again at most when it is cut short. */
const ROWS_MAX = 20_000

/** How far a server is; the chunk and this are one transaction. */
const PROGRESS = `
  insert into settings (name, value)
  values ('reshard', $1)
  on conflict (name) do update
  set value = excluded.value`

const PUT = `
  insert into settings (name, value)
  values ($1, $2)
  on conflict (name) do update
  set value = excluded.value`

const READ = 'select value from settings where name = $1'

/** A server that is filled. */
export interface ReshardTarget {
  readonly client: Client
  /** The shards that it is to hold; null: it is the home side alone. */
  readonly server: Server | null
  readonly isHome: boolean
}

interface Progress {
  /** What the source was like. */
  readonly source: string
  /** The step that comes next, by its place among the steps of this server. */
  readonly step: number
  /** Up to which key it is done already. */
  readonly after: string | null
}

/** Who is told how far it is. */
type OnRows = (table: string, rows: number) => void

/** One table of one old shard. */
interface Step {
  readonly moved: Moved
  readonly at: number
}

/**
 * Let no process use a database while it is filled. Throws a sentence where it was begun with
 * another source, or with this one as it was before.
 */
export async function beginFilling(
  { client, isHome }: ReshardTarget,
  source: ReshardSource,
): Promise<void> {
  const progress = await progressOf(client)
  if (progress !== null) {
    if (progress.source === source.fingerprint) return
    throw new Error(
      'This was begun with another database, or --from has changed since: empty the target ' +
        'database, and begin anew.',
    )
  }
  await client.query('begin')
  if (isHome) await client.query(PUT, ['shards', UNFINISHED])
  await client.query(PROGRESS, [progressText({ source: source.fingerprint, step: 0, after: null })])
  await client.query('commit')
}

/** A table that has rows where nothing is to be; null: there is none, or it is being filled. */
export async function notEmpty({ client }: ReshardTarget): Promise<string | null> {
  const tables = (await client.query<FoundTable>(BACKUP_TABLES)).rows.map(({ name }) => name)
  if (tables.includes('settings') && (await progressOf(client)) !== null) return null
  for (const name of tables) {
    // Servers that belong together know it already.
    if (name === 'settings') continue
    const { rowCount } = await client.query(`select from ${quoted(name)} limit 1`)
    if (rowCount !== 0) return name
  }
  return null
}

/**
 * Copy into a server what it is to have, from where it was left. Each chunk is a transaction with
 * the progress that it is: cut short, what is missing is copied by the next run, and nothing twice.
 */
export async function fill(
  target: ReshardTarget,
  source: ReshardSource,
  onRows: OnRows,
): Promise<void> {
  const steps = stepsOf(target, source)
  const begun = await progressOf(target.client)
  let after = begun?.after ?? null
  for (let step = begun?.step ?? 0; step < steps.length; step += 1) {
    // There is one at each place.
    const current = steps[step] as Step
    for (let from: string | null = after; ; from = after) {
      const upTo = await source.upTo(current.moved, current.at, from, ROWS_MAX)
      after = upTo
      const next = upTo === null ? { step: step + 1, after: null } : { step, after: upTo }
      const part = { at: current.at, after: from, upTo }
      const rows = await copyPart({ target, source }, current.moved, part, next)
      onRows(current.moved.table, rows)
      if (upTo === null) break
    }
  }
}

function stepsOf({ server, isHome }: ReshardTarget, { division }: ReshardSource): Step[] {
  const steps: Step[] = isHome ? HOME.map((moved) => ({ moved, at: 0 })) : []
  if (server === null) return steps
  for (const moved of SHARDED) {
    for (let at = 0; at < division.from; at += 1) steps.push({ moved, at })
  }
  return steps
}

/** A part in whose range the keys are texts, as they are kept. */
interface Cut {
  readonly at: number
  readonly after: string | null
  readonly upTo: string | null
}

/** Copy a part and say how far that is, in one transaction. Returns how many rows it had. */
async function copyPart(
  { target, source }: { readonly target: ReshardTarget; readonly source: ReshardSource },
  moved: Moved,
  { at, after, upTo }: Cut,
  next: Omit<Progress, 'source'>,
): Promise<number> {
  const { client, server } = target
  const part: Part = {
    at,
    server: server ?? { first: 0, last: 0 },
    after: after === null ? null : BigInt(after),
    upTo: upTo === null ? null : BigInt(upTo),
  }
  const { columns, hasShard } = source.columnsOf(moved.table)
  const into = hasShard ? ['shard', ...columns] : columns
  const text = moved.select(columns.map(quoted), part, source.division)
  await client.query('begin')
  const rows = await copyIn(
    client,
    `copy ${quoted(moved.table)} (${columnList(into)}) from stdin`,
    copyOut(source.client, `copy (${text}) to stdout`, () => undefined),
  )
  await client.query(PROGRESS, [progressText({ source: source.fingerprint, ...next })])
  await client.query('commit')
  return rows
}

async function progressOf(client: Client): Promise<Progress | null> {
  const { rows } = await client.query<{ value: string }>(READ, ['reshard'])
  // Written by `progressText`.
  return rows[0] === undefined ? null : (JSON.parse(rows[0].value) as Progress)
}

function progressText({ source, step, after }: Progress): string {
  return writeJson({ source, step, after })
}

/** Content of a table, without its shards: how many rows, and a sum over a hash of each. */
interface Content {
  readonly rows: bigint
  readonly sum: bigint
}

/**
 * Compare what was copied with the source, row by row by their hashes, wherever the rows are.
 * Throws a sentence on any difference. Returns how many rows each table has.
 */
export async function compare(
  targets: readonly ReshardTarget[],
  source: ReshardSource,
  onTable: (table: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for (const moved of [...SHARDED, ...HOME]) {
    if (moved.compared === null) continue
    onTable(moved.table)
    const only = moved.compared(source.division)
    const text = contentOf(moved.table, source.columnsOf(moved.table).columns)
    const was = await content(source.client, `${text} where ${only}`)
    let rows = 0n
    let sum = 0n
    for (const { client } of targets) {
      const is = await content(client, text)
      rows += is.rows
      sum += is.sum
    }
    counts.set(moved.table, Number(rows))
    if (rows === was.rows && sum === was.sum) continue
    throw new Error(
      `${moved.table} has ${rows} rows and had ${was.rows}, or not the same ones: --from has ` +
        'changed meanwhile, or the target was not empty. Empty the target, and begin anew.',
    )
  }
  return counts
}

function contentOf(table: string, columns: readonly string[]): string {
  const row = columns.map((name) => `t.${quoted(name)}`).join(', ')
  return `
  select
    count(*)::text as rows,
    coalesce(sum(hashtextextended(row(${row})::text, 0)), 0)::text as sum
  from ${quoted(table)} t`
}

async function content(client: Client, text: string): Promise<Content> {
  const { rows } = await client.query<{ rows: string; sum: string }>(text)
  return { rows: BigInt(rows[0]?.rows ?? 0), sum: BigInt(rows[0]?.sum ?? 0) }
}

const SETVAL = `select setval(format('%I', $1::text)::regclass, $2::bigint)`

/**
 * Let numbers go on behind everything that was given: no id of from now on is one of before, and
 * each is above them all.
 */
export async function advance(
  { client }: ReshardTarget,
  { sequences, division }: ReshardSource,
  { below }: Grown,
): Promise<void> {
  for (const { name, last } of sequences) {
    const number = OF_SHARDS.includes(name) ? below / BigInt(division.to) : last
    await client.query(SETVAL, [name, number])
  }
}

/** Forget how far a server was. Of the home side this is the last thing that is done: it opens. */
export async function endFilling(
  { client, isHome }: ReshardTarget,
  { division, currency }: ReshardSource,
  grown: Grown,
): Promise<void> {
  await client.query('analyze')
  await client.query('begin')
  if (isHome) {
    await client.query(PUT, ['currency', currency])
    await client.query(PUT, ['shards', shardsText({ count: division.to, grown })])
  }
  await client.query(`delete from settings where name = 'reshard'`)
  await client.query('commit')
}
