import type { Client } from 'pg'
import {
  firstEnd,
  missingRanges,
  RANGED,
  tableOf,
  type IdRange,
  type RangedTable,
} from '../domain/id-ranges.ts'
import { quoted } from './backup.ts'
import { demandUnused } from './id-ranges-given.ts'
import { keepKeys } from './id-ranges-keys.ts'
import { RANGES_READ, rangesOf, type FoundPart, type FoundRange } from './id-ranges-read.ts'

const TABLES = Object.keys(RANGED) as RangedTable[]

/** What is only ever written down: of these tables nobody may change or remove a row. */
const APPEND_ONLY: readonly RangedTable[] = ['payment_attempts', 'postings']

/** It is the lock of migrations: only one process changes tables at a time. */
const LOCK = 'select pg_advisory_xact_lock(7233010)'

/** The ranges of a database, oldest first; null: its tables are not cut into any. */
export async function readRanges(client: Client): Promise<FoundRange[] | null> {
  return rangesOf((await client.query<FoundPart>(RANGES_READ.text)).rows)
}

/** What is there already keeps these names, so its indexes get others first. */
const INDEXES = `
  select i.relname::text as name, x.indisprimary as primary, pg_get_constraintdef(c.oid) as key,
    pg_get_indexdef(i.oid) as text, x.indisunique as unique
  from pg_index x
  join pg_class i on i.oid = x.indexrelid
  left join pg_constraint c on c.conindid = i.oid and c.contype = 'p'
  where x.indrelid = $1::regclass
  order by i.relname`

interface FoundIndex {
  readonly name: string
  readonly primary: boolean
  readonly unique: boolean
  readonly key: string | null
  readonly text: string
}

const VIEW = `select pg_get_viewdef('ledger_entries'::regclass) as text`

/** Who waits this long for a lock gives up: others wait behind it. */
const LIMITS = `
  set local lock_timeout = '5s';
  set local statement_timeout = 0`

/** No process says that it lives until the tables are cut, so none begins unseen. */
const NOBODY = 'lock table processes in share mode'

/**
 * Cut the tables of a database that nobody uses into ranges of `size` ids, with `ahead` of them
 * behind `given`, the largest id that was ever given. What is there becomes the first range: its
 * rows are read once, to see that they are in it, and none is copied. All of it, or nothing.
 */
export async function cutIntoRanges(
  client: Client,
  { given, size, ahead }: { readonly given: bigint; readonly size: bigint; readonly ahead: number },
): Promise<IdRange[]> {
  const first = { number: 0, from: null, to: firstEnd(given, size) }
  const ranges = [first, ...missingRanges([first], given, { size, ahead })]
  await inTransaction(client, async () => {
    await client.query(NOBODY)
    await demandUnused(client)
    const { rows } = await client.query<{ text: string }>(VIEW)
    for (const table of TABLES) await cutTable(client, table, first.to)
    // A view goes on reading the table that it was made for, whatever that is called.
    await client.query(`create or replace view ledger_entries as ${rows[0]?.text ?? ''}`)
    await keepKeys(client, first.to)
    await grantAs(client, tableOf('payments', 0), 'payment_keys')
    for (const range of ranges.slice(1)) await makeTables(client, range)
  })
  return ranges
}

async function inTransaction(client: Client, work: () => Promise<void>): Promise<void> {
  await client.query('begin')
  try {
    await client.query(LIMITS)
    await client.query(LOCK)
    await work()
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

async function cutTable(client: Client, table: RangedTable, to: bigint): Promise<void> {
  const first = tableOf(table, 0)
  const { rows: indexes } = await client.query<FoundIndex>(INDEXES, [table])
  await client.query(`alter table ${table} rename to ${first}`)
  for (const { name } of indexes) {
    await client.query(`alter index ${quoted(name)} rename to ${quoted(`${name}_p0`)}`)
  }
  await client.query(
    `create table ${table} (like ${first} including defaults including constraints)
     partition by range (${RANGED[table]})`,
  )
  await forbidChanges(client, table, table)
  await grantAs(client, first, table)
  for (const { name, primary, unique, key, text } of indexes) {
    if (primary) {
      await client.query(`alter table ${table} add constraint ${quoted(name)} ${key ?? ''}`)
    } else if (!unique) {
      // What is unique without the id cannot be so over ranges: only the first has that index.
      await client.query(text.replace(` ON ${schemaOf(text)}${first} `, ` ON ${table} `))
    }
  }
  await client.query(
    `alter table ${table} attach partition ${first} for values from (minvalue) to (${to})`,
  )
}

function schemaOf(text: string): string {
  return / ON (\S+\.)/.exec(text)?.[1] ?? ''
}

async function grantAs(client: Client, first: string, name: string): Promise<void> {
  const { rows } = await client.query<{ text: string }>(GRANTS, [first, name])
  for (const { text } of rows) await client.query(text)
}

async function forbidChanges(client: Client, table: RangedTable, name: string): Promise<void> {
  if (!APPEND_ONLY.includes(table)) return
  await client.query(`revoke update, delete, truncate on ${name} from current_user`)
}

/** How a table is kept: what was said of the first range. */
const OPTIONS =
  'select array_to_string(reloptions, $2) as text from pg_class where oid = $1::regclass'

/** Who else has which rights on a table, as the first range has them. */
const GRANTS = `
  select format('grant %s on %I to %I', privilege_type, $2::text, grantee.rolname) as text
  from pg_class c
  cross join lateral aclexplode(c.relacl) acl
  join pg_roles grantee on grantee.oid = acl.grantee
  where c.oid = $1::regclass and acl.grantee <> c.relowner`

/**
 * Make a range beside traffic, which it does not hinder: its tables are made beside the others, and
 * then attached. What is there already is left as it is.
 */
export async function makeRange(client: Client, range: IdRange): Promise<void> {
  await inTransaction(client, () => makeTables(client, range))
}

async function makeTables(client: Client, range: IdRange): Promise<void> {
  for (const table of TABLES) await makeTable(client, table, range)
}

async function makeTable(client: Client, table: RangedTable, range: IdRange): Promise<void> {
  const { number, from, to } = range
  const [name, first] = [tableOf(table, number), tableOf(table, 0)]
  const there = await client.query('select from pg_class where oid = to_regclass($1)', [name])
  if (there.rowCount !== 0) return
  // Its indexes come with those of the partitioned table, so it has none of the keys.
  await client.query(`create table ${name} (like ${first} including all excluding indexes)`)
  const options = await client.query<{ text: string | null }>(OPTIONS, [first, ', '])
  const text = options.rows[0]?.text ?? null
  if (text !== null) await client.query(`alter table ${name} set (${text})`)
  await forbidChanges(client, table, name)
  await grantAs(client, first, name)
  const bounds = `for values from (${from ?? 'minvalue'}) to (${to})`
  await client.query(`alter table ${table} attach partition ${name} ${bounds}`)
}
