import type { Client } from 'pg'
import type { BackedTable, BackupPart, BackupDraft } from './backup-files.ts'
import { copyOut } from './copy-stream.ts'
import { connectToPrimary } from './primary.ts'

const CONNECT_MS_MAX = 10_000

/** What texts of dates and numbers look like hangs on no setting of the server or the role. */
const OPEN = `
  begin isolation level repeatable read read only;
  set local statement_timeout = 0;
  set local idle_in_transaction_session_timeout = 0;
  set local timezone = 'UTC';
  set local datestyle = 'ISO';
  set local intervalstyle = 'postgres';
  set local extra_float_digits = 3`

/** The first statement: the snapshot is of this moment. */
const MOMENT = 'select clock_timestamp() as moment'

/**
 * Every table of the schema, whoever added it, but for the list of migrations, which a restore
 * writes by migrating. What is computed from other columns is not copied.
 */
export const BACKUP_TABLES = `
  select
    c.relname as name, greatest(c.reltuples, 0)::float8 as about,
    array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '') as columns
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = current_schema()::regnamespace
    and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname not like 'schema\\_migration%'
  group by c.relname, c.reltuples
  order by c.relname`

/** Read behind the rows: whatever number a row has was given before. Null: none was given. */
const SEQUENCES = `
  select sequencename as name, coalesce(last_value, start_value)::text as last
  from pg_sequences
  where schemaname = current_schema()
  order by sequencename`

const APPLIED = 'select name, checksum from schema_migrations order by version'

const FACTS = `
  select name, value
  from settings
  where name in ('cluster', 'cluster_map', 'shards', 'currency')`

/** A table as the catalog has it; `about`: how many rows it may have. */
export interface FoundTable {
  readonly name: string
  readonly about: number
  readonly columns: readonly string[]
}

/** One server at one moment, for as long as it is open. */
export interface Snapshot {
  readonly moment: string
  readonly migrations: readonly { readonly name: string; readonly checksum: string }[]
  /** Facts of the database by their names. */
  readonly facts: ReadonlyMap<string, string>
  readonly tables: readonly FoundTable[]
  /** Write everything into files of a draft. */
  copy(name: string, draft: BackupDraft, onRow: () => void): Promise<BackupPart>
  close(): Promise<void>
}

/**
 * Hold one moment of a server. Nothing waits for it, but vacuum keeps for it what goes away
 * meanwhile.
 */
export async function openSnapshot(url: string): Promise<Snapshot> {
  const options = {
    application_name: 'payments backup',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
  }
  const client = await connectToPrimary(options, url)
  const read = async <Row extends object>(text: string) => (await client.query<Row>(text)).rows
  try {
    await client.query(OPEN)
    const [first] = await read<{ moment: Date }>(MOMENT)
    const migrations = await read<{ name: string; checksum: string }>(APPLIED)
    const facts = await read<{ name: string; value: string }>(FACTS)
    const tables = await read<FoundTable>(BACKUP_TABLES)
    return {
      moment: first?.moment.toISOString() ?? '',
      migrations,
      facts: new Map(facts.map(({ name, value }) => [name, value])),
      tables,
      copy: async (name, draft, onRow) => {
        const copied: BackedTable[] = []
        for (const table of tables) {
          copied.push(await copyTable({ client, draft, onRow }, fileOf(name, table.name), table))
        }
        const sequences = await read<{ name: string; last: string }>(SEQUENCES)
        return { name, moment: first?.moment.toISOString() ?? '', tables: copied, sequences }
      },
      close: () => client.end(),
    }
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

/** The file of a table: whatever a table is called, it is one in the folder of its server. */
function fileOf(part: string, table: string): string {
  return `${part}/${encodeURIComponent(table)}.copy.gz`
}

interface Copying {
  readonly client: Client
  readonly draft: BackupDraft
  readonly onRow: () => void
}

async function copyTable(
  { client, draft, onRow }: Copying,
  file: string,
  { name, columns }: FoundTable,
): Promise<BackedTable> {
  let rows = 0
  const text = `copy (select ${columnList(columns)} from ${quoted(name)}) to stdout`
  const read = copyOut(client, text, () => {
    rows += 1
    onRow()
  })
  return { name, columns, ...(await draft.write(file, read)), rows, file }
}

/** Columns as a text of SQL names them. */
export function columnList(columns: readonly string[]): string {
  return columns.map(quoted).join(', ')
}

/** A name as a text of SQL has it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
