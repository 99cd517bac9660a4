import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { shardByShard } from '../src/adapters/citus-driver.ts'
import { citusPlaces } from '../src/adapters/citus-places.ts'
import type { Driver } from '../src/adapters/shard-session.ts'
import type { Statement } from '../src/ports.ts'
import { connected, query } from './databases.ts'
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
/** A node calls what another one says of values by a class of its own. */
const OF_VALUES = /violates check constraint|^division by zero$/

const isOurs = (code: string, message: string) => OURS.test(code) && !OF_VALUES.test(message)

/** Enough for PostgreSQL to keep a plan for any values. */
const TIMES = 7

/** A node of Citus, and a shard that it holds; null: none, so any will do. */
interface Asked {
  readonly url: string
  readonly shard: number | null
}

/** The coordinator, and every node that holds shards. */
async function nodes(): Promise<Asked[]> {
  const rows = await query<{ host: string; port: number; shard: number }>(
    url,
    `select nodename as host, nodeport as port, min(number) as shard
     from generate_series(0, ${SHARDS - 1}) number
     join pg_dist_placement on shardid = get_shard_id_for_distribution_column('users', number)
     join pg_dist_node using (groupid)
     where noderole = 'primary'
     group by nodename, nodeport`,
  )
  const holding = rows.map(({ host, port, shard }) => {
    return { url: Object.assign(new URL(url), { hostname: host, port: `${port}` }).href, shard }
  })
  const single = holding.find((node) => node.url === new URL(url).href)
  return single === undefined ? [{ url, shard: null }, ...holding] : holding
}

/** How statements are said on a node of the part that it holds, with those that come before. */
async function saidInPart({ shard }: Asked): Promise<{ name: string; text: string }[]> {
  if (shard === null) return []
  const coordinator = {
    run: (({ text }, values) =>
      connected(
        url,
        async (client) => (await client.query(text, [...values])).rows,
      )) as Driver['run'],
  }
  const places = citusPlaces({ coordinator, shards: SHARDS, elapsedMs: () => 0 })
  const { part } = await places.of(shard)
  assert.ok(part, 'every node knows where shards are')
  const texts: { name: string; text: string }[] = []
  const noted: Driver['run'] = ({ name, text }) => {
    texts.push({ name, text })
    return Promise.resolve([])
  }
  const tx = { run: noted, write: (...one: Parameters<typeof noted>) => void noted(...one) }
  const driver = shardByShard({ run: noted, transaction: (work) => work(tx) }, { run: noted })
  const all = (await statements()).filter(({ sharded }) => sharded)
  await driver.in(part).transaction(async (held) => {
    for (const { name, text, clock } of all) {
      await held.run({ name, text, ...(clock ? { clock } : {}) }, [])
    }
  })
  // The lock and the look are there before, with the number of the part instead of that of a shard.
  return texts.slice(2)
}

/** The texts as the driver sends them, and whether it asks the coordinator for them. */
async function sent(): Promise<{ name: string; text: string; atHome: boolean }[]> {
  const texts: { name: string; text: string; atHome: boolean }[] = []
  const noted = (atHome: boolean): Driver['run'] => {
    return ({ name, text }) => {
      texts.push({ name, text, atHome })
      return Promise.resolve([])
    }
  }
  const node = { run: noted(false), transaction: () => Promise.reject(new Error('none')) }
  const driver = shardByShard(node, { run: noted(true) }).anywhere
  for (const { name, text, sharded, clock } of await statements()) {
    const more = { ...(sharded ? {} : { sharded }), ...(clock ? { clock } : {}) } as const
    await driver.run({ name, text, ...more } as Statement<unknown>, [])
  }
  return texts
}

test(
  'Citus carries out every statement of the service, on every node that is asked',
  { skip },
  async (t) => {
    const failed: string[] = []
    const texts = await sent()
    for (const node of await nodes()) {
      const { url: at, shard } = node
      const inPart = (await saidInPart(node)).map((said) => ({ ...said, atHome: false }))
      const client = new pg.Client({ connectionString: at })
      await client.connect()
      t.after(() => client.end())
      for (const { name, text, atHome } of [...texts, ...inPart]) {
        if (atHome && at !== url) continue
        try {
          const values = await valuesOf(client, text, shard ?? 0)
          await client.query('begin')
          for (let time = 0; time < TIMES; time += 1) await client.query({ name, text, values })
        } catch (error) {
          const { code = '', message } = error as Error & { code?: string }
          if (isOurs(code, message)) failed.push(`${new URL(at).port} ${name}: ${code} ${message}`)
        } finally {
          await client.query('rollback')
          await client.query('deallocate all')
        }
      }
    }
    assert.deepEqual(failed, [])
  },
)

/** The first number is that of a shard, and the rest finds nothing. */
async function valuesOf(client: pg.Client, text: string, shard: number): Promise<unknown[]> {
  if (!/\$1\b/.test(text)) return []
  await client.query(`prepare asked as ${text}`)
  const { rows } = await client.query<{ types: string }>(
    `select array_to_string(array(
       select format_type(type::oid, null) from unnest(parameter_types) type
     ), ',') as types
     from pg_prepared_statements where name = 'asked'`,
  )
  await client.query('deallocate asked')
  return (rows[0]?.types ?? '').split(',').map((type, index) => {
    if (index < 3 && type === 'integer') return shard
    return type.endsWith('[]') ? [] : (VALUES[type] ?? null)
  })
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
