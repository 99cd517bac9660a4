import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { cloneDatabase } from './databases.ts'
import { parseTrees, readCatalogue } from './parse-tree.ts'
import { readAfterWrite, refused } from './pushed-down.ts'
import { statements } from './statements.ts'
import { migrations, tablesOf } from './tidy/tables.ts'

const SHARDED = new Set(
  [...tablesOf(migrations())].filter(([, sharded]) => sharded).map(([table]) => table),
)

/** They set the transaction that they are sent in, or lock a table: no query is in them. */
const NO_QUERY = /_one_snapshot$|^event_wants_lock$/

/** Texts that pass, and texts that have to be seen. */
const CHANGING: readonly (readonly [sql: string, wrong: RegExp | null])[] = [
  ['update users set held = held + 1 where shard = $1', null],
  ["update payment_tasks set run_at = now() + interval '1 s' where shard = $1", null],
  [
    `update payment_tasks task set run_at = clock.soon
     from (select now() + interval '1 s' as soon) clock where shard = $1`,
    null,
  ],
  [
    `with clock as materialized (select now() as time), lease as materialized (
       select time + interval '1 s' as until from clock
     )
     update payment_tasks set run_at = lease.until from lease where shard = $1`,
    null,
  ],
  [
    `with clock as materialized (select now() as time)
     update payment_tasks set run_at = lease.until
     from (select time + interval '1 s' as until from clock) lease where shard = $1`,
    /^set of payment_tasks: timestamptz_pl_interval$/,
  ],
  [
    `with clock as materialized (select now() as time)
     update payment_tasks set run_at = lease.until
     from (select time + interval '1 s' as until from clock offset 0) lease where shard = $1`,
    null,
  ],
  [
    `with clock as materialized (select clock_timestamp() as time)
     update payment_tasks set run_at = (select time from clock) where shard = $1`,
    null,
  ],
  [
    `update payment_tasks
     set run_at = (run_at at time zone 'UTC' + interval '1 s') at time zone 'UTC'
     where shard = $1`,
    null,
  ],
  ["update redrives set next_at = next_at + interval '1 s'", null],
  ["select run_at + interval '1 s' from payment_tasks where shard = $1", null],
  ['update payment_tasks set run_at = clock_timestamp() where shard = $1', /^set .* clock_t/],
  [
    "update payment_tasks set run_at = run_at + interval '1 s' where shard = $1",
    /^set of payment_tasks: timestamptz_pl_interval$/,
  ],
  [
    "with old as (select $1::int) update payment_tasks set run_at = run_at - interval '1 s'",
    /^set of payment_tasks: timestamptz_mi_interval$/,
  ],
  [
    `with gone as (
       delete from payment_tasks where run_at < clock_timestamp() returning payment_id
     )
     select * from gone`,
    /^where of payment_tasks: clock_timestamp$/,
  ],
  [
    "delete from payment_tasks where run_at::date = '2030-01-01'",
    /^where .*: (?:date|timestamptz)/,
  ],
  ['update payment_tasks set last_error = run_at::text', /^set of payment_tasks: timestamptz_out$/],
  ['update payment_tasks set run_at = coalesce(run_at, now())', /^set of payment_tasks: now$/],
  ['update payment_tasks set run_at = case when leased then now() end', /^set .*: now$/],
  [
    'update payment_tasks set leased = true returning run_at::text',
    /^returning .*: timestamptz_out/,
  ],
  [
    `insert into payment_tasks (shard, payment_id, run_at)
     select $1::int, coalesce((select max(id) from payments where shard = $1), 0), now()`,
    /^values of payment_tasks: a query$/,
  ],
  [
    `insert into payment_tasks (shard, payment_id, run_at)
     select $1::int, id, now() from (select max(id) as id from payments where shard = $1) newest`,
    null,
  ],
  [
    `insert into payment_tasks (shard, payment_id, run_at) values ($1::int, 1, now())
     on conflict (shard, payment_id) do update set run_at = now()`,
    /^on conflict of payment_tasks: now$/,
  ],
  [
    `insert into payment_tasks as own (shard, payment_id, run_at) values ($1::int, 1, now())
     on conflict (shard, payment_id) do update set leased = false
     where own.run_at + interval '1 s' < excluded.run_at`,
    /^on conflict of payment_tasks: timestamptz_pl_interval$/,
  ],
]

async function connect(t: TestContext) {
  const client = new pg.Client({ connectionString: await cloneDatabase(t) })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  return { client, catalogue: await readCatalogue(client) }
}

test('the rule of what an UPDATE may call reads a text as PostgreSQL does', async (t) => {
  const { client, catalogue } = await connect(t)
  const trees = await parseTrees(
    client,
    CHANGING.map(([sql]) => sql),
  )
  for (const [index, [sql, wrong]] of CHANGING.entries()) {
    const said = refused(trees[index] ?? null, SHARDED, catalogue).join()
    if (wrong === null) assert.equal(said, '', sql)
    else assert.match(said, wrong, sql)
  }
})

/**
 * Parts that read a table which a part before them writes, and why it is the same whether or not
 * they see it.
 */
const SEEN: Readonly<Record<string, string>> = {
  watches_claim: 'rows that are deleted and rows that are claimed are never the same',
  deliveries_settle: 'what is woken is no delivery that ends, and arrivals say nothing of order',
}

test('no statement about a shard has in an UPDATE what Citus cannot send to its server', async (t) => {
  const { client, catalogue } = await connect(t)
  const wrong: string[] = []
  const seen: string[] = []
  const all = (await statements()).filter(({ name }) => !NO_QUERY.test(name))
  const trees = await parseTrees(
    client,
    all.map(({ text }) => text),
  )
  for (const [index, { name, sharded }] of all.entries()) {
    const tree = trees[index] ?? null
    wrong.push(...refused(tree, SHARDED, catalogue).map((what) => `${name}: ${what}`))
    const after = sharded ? readAfterWrite(tree, catalogue) : []
    if (after.length > 0 && !(name in SEEN)) wrong.push(`${name}: ${after.join()}`)
    if (after.length > 0) seen.push(name)
  }
  assert.deepEqual(wrong, [])
  assert.deepEqual(seen.toSorted(), Object.keys(SEEN).toSorted(), 'reasons that nothing needs')
})
