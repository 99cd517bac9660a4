import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { migrate } from '../src/adapters/migrate.ts'
import { emptyDatabase, query } from './databases.ts'
import { ROOT } from './sources.ts'

const MIGRATIONS = join(ROOT, 'migrations')
const NAME = '0012_money'
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** A database as the version before left it, with payments of every kind that it had. */
async function before(t: TestContext) {
  const url = await emptyDatabase(t)
  const dir = await fs.mkdtemp(join(TEMPORARY, 'payments-money-'))
  t.after(() => fs.rm(dir, { recursive: true }))
  for (const file of await fs.readdir(MIGRATIONS)) {
    if (file < NAME) await fs.copyFile(join(MIGRATIONS, file), join(dir, file))
  }
  await migrate(url, { dir })
  for (const sql of ROWS) await query(url, sql)
  return { url, dir }
}

/** How many payments there are: several batches, and not a round number of them. */
const PAYMENTS = 21_234

/** Every hundredth was refused, every other a withdrawal; ids are given a little ahead of time. */
const ROWS = [
  `insert into users
   select shard, number * 2 + shard, 100000000, 0, now()
   from generate_series(1, 20) number, generate_series(0, 1) shard`,
  `insert into payments
     (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at,
      last_error, refused_for)
   select
     number % 2, number, 2 + number % 40, 
      case when number % 3 = 0 then 'deposit' else 'withdraw' end,
     case when number % 100 < 2 then 'failed' else 'success' end, 1000, 20, 200,
     timestamptz '2026-11-01' + (number / 10) * interval '10 s' - (number % 7) * interval '1 s',
     now(), case number % 100 when 0 then 'refused:insufficient_funds' when 1 then 'declined' end,
     case number % 100 when 0 then 'insufficient_funds' end
   from generate_series(1, ${PAYMENTS}) number`,
  `insert into postings
   select shard, user_id, id, 'settle', 980, 0, -1000, 20, 0, created_at
   from payments
   where status = 'success'`,
]

/** What the version before still writes while it is replaced. */
const OLD_WRITES = [
  `insert into payments
     (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at,
      last_error, refused_for)
   values (0, 90000, 4, 'withdraw', 'failed', 5, 0, 0, now(), now(), 'refused:insufficient_funds',
     'insufficient_funds')`,
  `insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
   values (0, 90002, 4, 'withdraw', 'new', 1000, 20, 200, now())`,
  'insert into payment_tasks (shard, payment_id, run_at) values (0, 90002, now())',
  `insert into postings
     (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
      created_at)
   values (0, 4, 90002, 'hold', -1020, 1020, 0, 0, 0, now())`,
  `update payments set status = 'success', finished_at = now(), gateway_ref = 'gw_1'
   where shard = 0 and id = 90002`,
]

test('a payment that is there stays as it was, and what is new of it is empty', async (t) => {
  const { url, dir } = await before(t)
  const row = 'md5(string_agg(row::text, chr(10) order by id)) as hash from payments row'
  const old = (columns: string) => `
    select md5(string_agg(row::text, chr(10) order by id)) as hash
    from (select ${columns} from payments) row`
  const names = await query<{ name: string }>(
    url,
    `select attname as name from pg_attribute
     where attrelid = 'payments'::regclass and attnum > 0 and not attisdropped
     order by attnum`,
  )
  const columns = names.map(({ name }) => name).join(', ')
  const first = await query(url, old(columns))
  assert.deepEqual((await migrate(url)).applied[0], NAME)
  assert.deepEqual(await query(url, old(columns)), first)
  const filled = await query(
    url,
    `select count(*)::int as filled from payments
     where coalesce(parent_id, fee_returned, refund_reserved, fee_reserved, refunded, returned,
       returned_fee) is not null or coalesce(gateway, return_kind) is not null`,
  )
  assert.deepEqual(filled, [{ filled: 0 }])
  const [hash] = await query(url, `select ${row}`)
  assert.deepEqual((await migrate(url)).applied, [])
  assert.deepEqual(await query(url, `select ${row}`), [hash])
  await assert.rejects(migrate(url, { dir }), /0012_money, which this build does not know/)
})

test('each minute knows the range of ids that holds its payments', async (t) => {
  const { url } = await before(t)
  await migrate(url)
  const wrong = await query(
    url,
    `with truth as (
       select shard, date_trunc('minute', created_at, 'UTC') as minute, min(id) as id_min,
         max(id) as id_max
       from payments
       group by 1, 2
     )
     select truth.minute, minutes.minute as kept
     from truth
     full join payment_minutes minutes using (shard, minute, id_min, id_max)
     where truth.id_min is null or minutes.shard is null`,
  )
  assert.deepEqual(wrong, [])
  const [{ minutes } = { minutes: 0 }] = await query<{ minutes: number }>(
    url,
    'select count(*)::int as minutes from payment_minutes',
  )
  assert.ok(minutes > 600, String(minutes))
})

test('no constraint is left unvalidated, and the version before goes on writing', async (t) => {
  const { url } = await before(t)
  await migrate(url)
  const open = `
    select conname from pg_constraint
    where not convalidated and connamespace = 'public'::regnamespace`
  assert.deepEqual(await query(url, open), [])
  for (const sql of OLD_WRITES) await query(url, sql)
  const sums = await query(
    url,
    `select payment_id::int, sum(amount)::int from ledger_entries
     where payment_id = 90002 group by 1`,
  )
  assert.deepEqual(sums, [{ payment_id: 90_002, sum: 0 }])
})

test('finishing a payment touches no index, as before', async (t) => {
  const { url } = await before(t)
  await migrate(url)
  const indexed = await query<{ column: string }>(
    url,
    `select distinct attribute.attname::text as column
     from pg_index index
     join pg_attribute attribute
       on attribute.attrelid = index.indrelid and attribute.attnum = any (index.indkey)
     where index.indrelid = 'payments'::regclass
     order by 1`,
  )
  assert.deepEqual(
    indexed.map(({ column }) => column),
    ['id', 'idempotency_key', 'redrive_of', 'shard', 'user_id'],
  )
})
