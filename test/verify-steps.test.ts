import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { postgres } from '../src/adapters/postgres.ts'
import { ID_MAX } from '../src/domain/shard.ts'
import { Busy, type Db } from '../src/ports.ts'
import { checkPayments, checkUsers } from '../src/verify/check-rows.ts'
import { withLedgerRule } from '../src/verify/pass.ts'
import { tally, type Chunk, type Report } from '../src/verify/report.ts'
import {
  ID_BEFORE_ALL,
  inOneSnapshot,
  inSnapshot,
  type IdSpan,
} from '../src/verify/snapshot-store.ts'
import { USERS_IN_LIST } from '../src/verify/users-store.ts'
import { verify } from '../src/verify/verify.ts'
import { recentVerifier } from '../src/verify/verifier.ts'
import { testWorld, type TestWorld, raw } from './harness.ts'
import { MONEY_DAMAGES } from './verify-damage-money.ts'
import { RECORD_DAMAGES } from './verify-damage-records.ts'
import { history } from './verify-books.ts'
import { busyHistory, tryOut, verifyWorld, violated } from './verify-history.ts'

const AT = "'2030-01-01'::timestamptz"

/** One user with so many settled deposits, and one with a single one; written by SQL alone. */
async function large(world: TestWorld, payments: number): Promise<void> {
  const statements = [
    `insert into users select 0, nextval('user_ids'), 0, 0, ${AT} from generate_series(1, 3)`,
    `insert into postings select 0, id, 0, 'opening', 0, 0, 0, 0, 0, ${AT} from users`,
    `insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps, attempts,
       created_at, finished_at, idempotency_key)
     select 0, nextval('payment_ids'), case when n = 1 then 3 else 2 end, 'deposit', 'success', 100,
       2, 200, 1, ${AT}, ${AT}, n::text
     from generate_series(1, ${payments}) n`,
    `insert into postings select 0, user_id, id, 'settle', 98, 0, -100, 2, 0, ${AT} from payments`,
    `insert into payment_attempts select 0, id, 1, 1, 'charge', 'success', null, true, 200, ${AT}, 5
     from payments`,
    `update users set available = sum from (select user_id, sum(user_available) as sum
     from postings group by user_id) posted where user_id = id`,
    'grant update, delete on postings to current_user',
    'vacuum analyze',
  ]
  for (const text of statements) await world.sql(text)
}

/** The database as it is when its statements may take so long only. */
function hurried(t: TestContext, { url, clock }: TestWorld, statementTimeoutMs: number): Db {
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    now: () => clock.now(),
    poolMax: 2,
    connectTimeoutMs: 20_000,
    statementTimeoutMs,
    lockTimeoutMs: 20_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'test',
  })
  t.after(() => db.close())
  return db
}

test('the postings of one user are verified in steps, however many: what is wrong in the middle is found', async (t) => {
  const world = await testWorld(t)
  const payments = Number(process.env.VERIFY_PAYMENTS ?? 150_000)
  await large(world, payments)
  const clock = { ...world.clock, elapsedMs: () => performance.now() }
  const db = hurried(t, world, 500)
  // All of them in one statement are given up.
  const whole = inSnapshot(db.of(0n), USERS_IN_LIST, [1, null, '{2}', 2 * payments])
  await assert.rejects(whole, Busy)

  const clean = await verify({ db, clock })
  assert.deepEqual(violated(clean), [])
  assert.equal(clean.checked.posting, payments + 3)
  t.diagnostic(
    `${payments} postings in ${clean.durationMs} ms, ${clean.statements} statements, ` +
      `a snapshot of ${clean.longestMs} ms at most`,
  )

  const middle = `(select id from payments where user_id = 2 order by id offset ${payments / 2} limit 1)`
  await world.sql(`
    update postings set user_available = user_available + 1, fees = fees - 1
    where user_id = 2 and payment_id = ${middle}`)
  const world2 = { db, clock }
  assert.deepEqual(violated(await verify(world2)), ['balance_available', 'settle_legs'])
  const recent = await recentVerifier({ ...world2, clock: { ...clock, elapsedMs: () => 0 } })()
  assert.deepEqual(violated(recent), ['balance_available'])
})

/** Rows of a step: users and payments; four times the postings, eight times the evidence. */
const LIMIT = 9

/** Check everything in steps of a few rows: no user with all postings fits into one. */
async function inSmallSteps(world: TestWorld, db: Db): Promise<Report> {
  const sum = tally(10)
  const scope = { shard: db.of(0n), count: 1, books: 'USD', grown: null, keyedFrom: null }
  const all = async (check: (span: IdSpan) => Promise<Chunk | null>) => {
    for (let after: bigint | null = ID_BEFORE_ALL; after !== null;) {
      const chunk: Chunk | null = await check({ after, to: ID_MAX, limit: LIMIT })
      assert.ok(chunk)
      sum.add(withLedgerRule(chunk), 0)
      after = chunk.next
    }
  }
  await all((span) => checkUsers(scope, span))
  await all((span) => checkPayments(scope, [{ currency: 'USD', minor: 0n }], span))
  const startedAt = world.clock.now()
  return sum.report({ scope: 'full', complete: true, startedAt, durationMs: 0 })
}

test('steps of a few rows see what one large step sees, in healthy and in damaged books', async (t) => {
  const world = await testWorld(t)
  await history(world, 1)
  const [most] = await world.sql<{ count: number }>(
    'select count(*)::int from postings group by user_id order by 1 desc limit 1',
  )
  assert.ok((most?.count ?? 0) > 2 * 4 * LIMIT, 'postings of a user for several steps')
  // Evidence of lookups that came to nothing, more than one step reads: claims of three calls each,
  // so that steps end in the middle of one.
  const added = await world.sql<{ paymentId: bigint }>(`
    insert into payment_attempts
    select shard, id, 1000 + n, call, 'lookup', 'pending', null, true, 200, created_at, 1
    from payments, generate_series(1, 70) n, generate_series(1, 3) call
    where status = 'success' and id > 40 and id % 40 = 0
    returning payment_id as "paymentId"`)
  assert.ok(
    new Set(added.map(({ paymentId }) => paymentId)).size >= 3,
    'payments with much evidence',
  )
  const clean = await inSmallSteps(world, world.db)
  const whole = await verifyWorld(world)
  assert.deepEqual(violated(clean), [])
  for (const subject of ['user', 'posting', 'payment', 'task', 'letter', 'attempt']) {
    assert.equal(clean.checked[subject], whole.checked[subject], subject)
  }
  assert.deepEqual(clean.accounts, whole.accounts)

  // What is checked elsewhere.
  const elsewhere = ['gateway_key_repeated', 'row_outside_shards', 'sequence_behind']
  for (const { name, sql, rules } of [...MONEY_DAMAGES, ...RECORD_DAMAGES]) {
    if (rules.some((rule) => elsewhere.includes(rule))) continue
    await t.test(name, async () => {
      const report = await tryOut(world, sql, (db) => inSmallSteps(world, db))
      // Entries that make up for each other do so only where one step sees both.
      const own = (codes: readonly string[]) => codes.filter((code) => code !== 'ledger_unbalanced')
      assert.deepEqual(own(violated(report)), own(rules).toSorted())
    })
  }
})

test('verifying waits for nobody, and nobody waits for it', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 2)
  // Every row is locked by somebody who takes their time, and it does not matter.
  await world.db.of(0n).transaction(async (tx) => {
    const tables = ['users', 'payments', 'payment_tasks', 'dead_letters']
    for (const table of tables) {
      await tx.run(raw(`select from ${table} for update`), [])
    }
    assert.deepEqual(violated(await inSmallSteps(world, hurried(t, world, 5_000))), [])
    assert.deepEqual(violated(await verifyWorld(world)), [])
  })
  // In the middle of a walk, everything can be written.
  await inOneSnapshot(world.db.of(0n), async (tx) => {
    const count = raw<{ count: number }>('select count(*)::int from postings')
    const [before] = await tx.run(count, [])
    for (const table of ['users', 'payments', 'payment_tasks', 'dead_letters']) {
      await world.sql(`update ${table} set shard = shard`)
    }
    await world.user(100n)
    assert.deepEqual(await tx.run(count, []), [before])
    const locks = raw(`
      select relation::regclass::text as name, mode from pg_locks
      where pid = pg_backend_pid()
        and relation::regclass::text in ('users', 'payments', 'postings', 'payment_tasks')
        and mode not in ('AccessShareLock', 'RowExclusiveLock')`)
    assert.deepEqual(await tx.run(locks, []), [])
  })
})
