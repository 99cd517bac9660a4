import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { systemClock } from '../src/adapters/clock.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { postgres } from '../src/adapters/postgres.ts'
import { verify } from '../src/verify/verify.ts'
import { emptyDatabase, query } from './databases.ts'
import { ROOT } from './sources.ts'
import { violated } from './verify-history.ts'

/** The first migration that the version before does not know. */
const FIRST_NEW = '0012_money'
/** Payments that are there. `MIGRATED_PAYMENTS` asks for more. */
const PAYMENTS = Number(process.env['MIGRATED_PAYMENTS'] ?? 20_000)
const WRITERS = 6
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** Books of the version before: two deposits and a withdrawal in turn, of a thousand users. */
const BOOKS = [
  `insert into users (shard, id, available, held, created_at)
   select 0, number, 0, 0, now() from generate_series(1, 1000) number`,
  `select setval('user_ids', 1000), setval('payment_ids', ${PAYMENTS})`,
  `insert into payments
     (shard, id, user_id, type, status, amount, commission, fee_bps, attempts, created_at,
      finished_at)
   select
     0, number, 1 + number % 1000, case when number % 3 = 0 then 'withdraw' else 'deposit' end,
     'success', 1000, 20, 200, 1, started, started
   from generate_series(1, ${PAYMENTS}) number,
     lateral (select now() - interval '29 days' + number * interval '2 seconds') time (started)`,
  `insert into payment_attempts
     (shard, payment_id, fence, call, kind, outcome, sent, http_status, started_at, took_ms)
   select 0, id, 1, 1, 'charge', 'success', true, 200, created_at, 5 from payments`,
  `insert into postings
     (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
      created_at)
   select 0, id, 0, 'opening', 1000000, 0, 0, 0, -1000000, created_at from users
   union all
   select 0, user_id, id, 'settle', 980, 0, -1000, 20, 0, created_at
   from payments where type = 'deposit'
   union all
   select 0, user_id, id, 'hold', -1020, 1020, 0, 0, 0, created_at
   from payments where type = 'withdraw'
   union all
   select 0, user_id, id, 'settle', 0, -1020, 1000, 20, 0, created_at
   from payments where type = 'withdraw'`,
  `update users set available = (
     select sum(user_available) from postings where shard = 0 and user_id = users.id
   )`,
  `insert into payment_counts (shard, slot, enqueued, started, succeeded)
   values (0, 0, ${PAYMENTS}, ${PAYMENTS}, ${PAYMENTS})`,
  'analyze',
]

/** How the version before accepts a withdrawal of user `$2` as payment `$1`. */
const ACCEPT = [
  `insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
   values (0, $1, $2, 'withdraw', 'new', 500, 10, 200, now())`,
  `insert into payment_tasks (shard, payment_id, run_at, gateway, operation)
   select 0, $1, now(), 'http', 'payout' where $2::bigint > 0`,
  `insert into postings
     (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
      created_at)
   values (0, $2, $1, 'hold', -510, 510, 0, 0, 0, now())`,
  `update users set available = available - 510, held = held + 510
   where shard = 0 and id = $2 and $1::bigint > 0`,
  `insert into payment_counts (shard, enqueued) select 0, 1 where $1::bigint + $2 > 0`,
]

/** How it claims it, and settles it. */
const CLAIM = [
  `update payment_tasks set fence = fence + 1, leased = true, run_at = now() + interval '5 s'
   where shard = 0 and payment_id = $1 and $2::bigint > 0`,
  `insert into payment_counts (shard, started) select 0, 1 where $1::bigint + $2 > 0`,
]
const SETTLE = [
  `update payments set status = 'success', attempts = 1, finished_at = now()
   where shard = 0 and id = $1 and user_id = $2`,
  `delete from payment_tasks where shard = 0 and payment_id = $1 and $2::bigint > 0`,
  `insert into payment_attempts
     (shard, payment_id, fence, call, kind, outcome, sent, http_status, started_at, took_ms)
   select 0, $1, 1, 1, 'charge', 'success', true, 200, now(), 5 where $2::bigint > 0`,
  `insert into postings
     (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
      created_at)
   values (0, $2, $1, 'settle', 0, -510, 500, 10, 0, now())`,
  `update users set held = held - 510 where shard = 0 and id = $2 and $1::bigint > 0`,
  `insert into payment_counts (shard, succeeded) select 0, 1 where $1::bigint + $2 > 0`,
]

test('six writers of the version before go on while it is migrated, and the books are right', async (t) => {
  const url = await booksOfBefore(t)
  const state = { over: false, written: 0 }
  const writers = Array.from({ length: WRITERS }, (_, index) => write(url, index, state))
  while (state.written < WRITERS) await query(url, 'select 1')
  const before = state.written
  const { applied } = await migrate(url)
  const meanwhile = state.written - before
  state.over = true
  // An error of any of them fails the test.
  await Promise.all(writers)
  t.diagnostic(`${meanwhile} payments were written during ${applied.length} migrations`)
  assert.equal(applied[0], FIRST_NEW)
  assert.ok(meanwhile > 0, 'somebody wrote meanwhile')
  assert.deepEqual(await verified(url), [])
  const [{ count } = { count: 0 }] = await query<{ count: number }>(
    url,
    'select count(*)::int as count from payments',
  )
  assert.equal(count, PAYMENTS + state.written)
})

async function booksOfBefore(t: TestContext): Promise<string> {
  const url = await emptyDatabase(t)
  const dir = await fs.mkdtemp(join(TEMPORARY, 'payments-before-'))
  t.after(() => fs.rm(dir, { recursive: true }))
  const all = join(ROOT, 'migrations')
  for (const file of await fs.readdir(all)) {
    if (file < FIRST_NEW) await fs.copyFile(join(all, file), join(dir, file))
  }
  await migrate(url, { dir })
  for (const sql of BOOKS) await query(url, sql)
  return url
}

/** Make payments, each in three transactions, until told to stop. */
async function write(url: string, index: number, state: { over: boolean; written: number }) {
  // As long as the service waits.
  const client = new pg.Client({ connectionString: url, lock_timeout: 5_000 })
  await client.connect()
  try {
    for (let round = 0; !state.over; round += 1) {
      const ids = await client.query<{ id: string }>(`select nextval('payment_ids') as id`)
      const values = [ids.rows[0]?.id, 1 + ((index * 100 + round) % 1_000)]
      for (const transaction of [ACCEPT, CLAIM, SETTLE]) {
        await client.query('begin')
        for (const sql of transaction) await client.query(sql, values)
        await client.query('commit')
      }
      state.written += 1
    }
  } finally {
    await client.end()
  }
}

async function verified(url: string): Promise<string[]> {
  const timeouts = { connectTimeoutMs: 60_000, statementTimeoutMs: 60_000, lockTimeoutMs: 60_000 }
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 2,
    ...timeouts,
    idleTransactionTimeoutMs: 60_000,
    name: 'verify',
  })
  try {
    return violated(await verify({ db, clock: systemClock }, {}))
  } finally {
    await db.close()
  }
}
