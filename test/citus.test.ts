import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { query } from './databases.ts'
import { run } from './programs.ts'
import { statements } from './statements.ts'
import { wholeLife } from './whole-life.ts'

/**
 * An empty database of the coordinator of Citus, or of its only node, in which its extension is.
 * What is left in it is of no use to anybody.
 */
const { CITUS_URL: url = '' } = process.env
const skip = url === '' ? 'CITUS_URL names no empty database that has Citus' : false

const SHARDS = 64
/** Each lives in a shard of its own. */
const USERS = 12
const env = { DATABASE_URL: url, SHARDS: `${SHARDS}`, CITUS: 'true' }

async function distribute(t: TestContext, ...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(t, ['distribute', ...options], env)
  assert.equal(code, 0, stdout + stderr)
  return stdout
}

test(
  'distribute migrates, places every table by its shards, and has nothing to do again',
  { skip },
  async (t) => {
    const few = await run(t, ['distribute'], { ...env, SHARDS: '8' })
    assert.equal(few.code, 2, few.stdout)
    assert.match(few.stderr, /SHARDS must be 64 or more/)
    assert.match(await distribute(t, '--dry-run'), /Would migrate [^]*Nothing was changed\./)
    const [tables] = await query<{ count: number }>(
      url,
      "select count(*)::int as count from pg_class where relname = 'users'",
    )
    assert.equal(tables?.count, 0, 'CITUS_URL must name an empty database')
    assert.match(await distribute(t), /^Distributed users, [^]* of 64 shards: /m)
    const placed = await query<{ name: string; column: string; colocation: number }>(
      url,
      `select table_name::text as name, distribution_column as column, colocation_id as colocation
     from citus_tables`,
    )
    const sharded = await query(
      url,
      `select from pg_attribute join pg_class c on c.oid = attrelid
     where attname = 'shard' and relkind = 'r' and relnamespace = 'public'::regnamespace`,
    )
    assert.ok(placed.length >= 20)
    assert.ok(placed.every(({ column }) => column === 'shard'))
    assert.equal(new Set(placed.map(({ colocation }) => colocation)).size, 1)
    assert.ok(sharded.length >= placed.length)
    assert.match(await distribute(t), /^Nothing to do\.$/m)
    assert.match(await distribute(t, '--dry-run'), /^Nothing to do\.$/m)
  },
)

/** Values that every statement takes, by type: they find nothing. */
const VALUES: Readonly<Record<string, unknown>> = {
  bigint: 0,
  boolean: false,
  bytea: Buffer.alloc(32),
  integer: 0,
  jsonb: '{}',
  smallint: 0,
  text: '',
  'timestamp with time zone': new Date(0),
  uuid: '00000000-0000-0000-0000-000000000000',
}

/** What is wrong with a statement, and not with its values: the class of the error says it. */
const OURS = /^(?:0A|22|42|XX)/

/** Enough for PostgreSQL to keep a plan for any values. */
const TIMES = 7

test('Citus carries out every statement of the service', { skip }, async (t) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.after(() => client.end())
  const failed: string[] = []
  for (const { name, text } of await statements()) {
    try {
      const values = await valuesOf(client, text)
      await client.query('begin')
      for (let time = 0; time < TIMES; time += 1) await client.query({ name, text, values })
    } catch (error) {
      const { code = '', message } = error as Error & { code?: string }
      if (OURS.test(code)) failed.push(`${name}: ${code} ${message}`)
    } finally {
      await client.query('rollback')
      await client.query('deallocate all')
    }
  }
  assert.deepEqual(failed, [])
})

async function valuesOf(client: pg.Client, text: string): Promise<unknown[]> {
  if (!/\$1\b/.test(text)) return []
  await client.query(`prepare asked as ${text}`)
  const { rows } = await client.query<{ types: string }>(
    `select array_to_string(array(
       select format_type(type::oid, null) from unnest(parameter_types) type
     ), ',') as types
     from pg_prepared_statements where name = 'asked'`,
  )
  await client.query('deallocate asked')
  return (rows[0]?.types ?? '')
    .split(',')
    .map((type) => (type.endsWith('[]') ? [] : (VALUES[type] ?? null)))
}

test(
  'a service on Citus accepts, settles, lists, redrives, tells and verifies as on one server',
  { skip },
  async (t) => {
    await wholeLife(t, { database: url, env, shards: SHARDS, users: USERS }, async () => {
      const parts = await query<{ parts: number }>(
        url,
        'select count(distinct shard)::int as parts from payments',
      )
      assert.equal(parts[0]?.parts, USERS)
    })
  },
)
