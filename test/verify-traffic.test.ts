import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Logger } from 'pino'
import { createMetrics } from '../src/adapters/metrics.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { seededRandom } from '../src/domain/random.ts'
import { ID_MAX } from '../src/domain/shard.ts'
import { tellOfBooks } from '../src/process/verify-beside.ts'
import { PAYMENTS_IN_LIST, PAYMENTS_IN_RANGE } from '../src/verify/payments-store.ts'
import type { Report } from '../src/verify/report.ts'
import { ID_BEFORE_ALL, inSnapshot, spanValues } from '../src/verify/snapshot-store.ts'
import { USERS_IN_LIST, USERS_IN_RANGE } from '../src/verify/users-store.ts'
import { verify } from '../src/verify/verify.ts'
import { recentVerifier, startVerifier } from '../src/verify/verifier.ts'
import { testWorld, type TestWorld, openDb, raw } from './harness.ts'
import { busyHistory, randomDrafts, verifyWorld, violated } from './verify-history.ts'

const BY = { actor: 'jane', reason: 'test', requestId: 'r', redriveId: null }

/** Accept, charge and settle as fast as it goes, until so many batches are accepted. */
async function traffic(world: TestWorld, users: readonly bigint[], batches: number): Promise<void> {
  const random = seededRandom(7)
  let accepted = 0
  const accept = async () => {
    while (accepted < batches) {
      accepted += 1
      await world.accept(randomDrafts(random, users, 10))
    }
  }
  const work = async () => {
    const kinds = ['success', 'success', 'declined', 'lost_reply', 'in_doubt'] as const
    while (accepted < batches) {
      world.gateway.script = Array.from({ length: 50 }, () => {
        return kinds[Math.floor(random() * kinds.length)] ?? 'success'
      })
      world.gateway.lookups = random() < 0.5 ? { kind: 'no_answer', reason: 'timeout' } : null
      await world.work()
      world.clock.advance(2_000)
    }
  }
  await Promise.all([accept(), accept(), work(), work()])
}

test('traffic causes no false alarm, in a full pass and in a recent one', async (t) => {
  const world = await testWorld(t)
  const users = await busyHistory(world, 1)
  const recent = recentVerifier({ db: world.db, clock: world.clock })
  const reports: Report[] = []
  let ended = false
  const passes = async () => {
    while (!ended) reports.push(await verifyWorld(world), await recent())
  }
  const passing = passes()
  await traffic(world, users, 150)
  ended = true
  await passing
  t.diagnostic(`${reports.length} passes`)
  assert.ok(reports.length >= 4, 'there were passes beside the traffic')
  assert.ok((reports.at(-1)?.checked.payment ?? 0) > 2 * (reports[0]?.checked.payment ?? 0))
  for (const report of reports) assert.deepEqual(violated(report), [])
})

test('books that operators worked on are clean', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 2)
  const act = { ...world.world, shards: 1 }
  const letters = await world.sql<{ id: bigint; class: string }>(
    "select id, class from dead_letters where state = 'open' order by id",
  )
  const third = (rest: number) => letters.filter((_, index) => index % 3 === rest)
  const requests = third(0).map(({ id }) => ({ letterId: id, delayMs: 0 }))
  await redrive(act, BY, requests)
  for (const [rest, outcome] of [
    [1, 'success'],
    [2, 'failed'],
  ] as const) {
    const asked = third(rest).map(({ id }) => ({ letterId: id, outcome, gatewayRef: null }))
    await resolve(act, BY, asked)
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])
  for (let step = 0; step < 8; step += 1) {
    await world.work()
    world.clock.advance(40_000)
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])

  const [first] = await world.sql<{ id: bigint }>(
    'select redrive_of as id from payments where redrive_of is not null order by id limit 1',
  )
  await world.sql(
    `update payments again set redrive_of = $1 from payments first
     where first.id = $1 and again.id = (select max(id) from payments
       where redrive_of is null and id > $1 and type = first.type)`,
    [first?.id],
  )
  assert.ok(violated(await verifyWorld(world)).includes('repeat_twice'))
})

test('a yes to a payment that has failed since is an alarm, unless a letter says so', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined'] })
  const user = await world.user(0n)
  await world.accept([{ type: 'deposit', userId: user, amount: 100n, idempotencyKey: null }])
  const lost = await world.claimAndCharge()
  world.clock.advance(20_000)
  world.gateway.lookups = { kind: 'declined', reason: 'http_402' }
  await world.work()
  await world.settle(lost)
  const letters = await world.sql("select from dead_letters where error = 'charged_after_failed'")
  assert.equal(letters.length, 1)
  assert.deepEqual(violated(await verifyWorld(world)), [])
  await world.sql("update dead_letters set error = 'http_402', class = 'failed'")
  assert.deepEqual(violated(await verifyWorld(world)), ['failed_but_charged'])
})

test('ids in another shard than theirs are found', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await busyHistory(world, 1)
  await world.sql('update payment_tasks set shard = 1 - shard')
  await world.sql('update dead_letters set shard = 1 - shard')
  const moved = await verifyWorld(world, { examplesMax: 1_000 })
  assert.ok(violated(moved).includes('id_in_wrong_shard'))
  const rule = moved.rules.find(({ rule: code }) => code === 'id_in_wrong_shard')
  const subjects = new Set(rule?.examples.map(({ subject }) => subject))
  assert.deepEqual([...subjects].toSorted(), ['letter', 'task'])

  // The same books read as if there were twice as many shards.
  const { clock } = world
  const db = openDb(t, world.url, { shards: 4, clock })
  const report = await verify({ db, clock }, { examplesMax: 1_000 })
  const wrong = report.rules.find(({ rule: code }) => code === 'id_in_wrong_shard')
  const found = new Set(wrong?.examples.map(({ subject }) => subject))
  assert.deepEqual([...found].toSorted(), ['letter', 'payment', 'posting', 'task', 'user'])
})

test('a recent pass finds what changed, keeps alarming until it is mended, and is bounded', async (t) => {
  const world = await testWorld(t)
  const users = await busyHistory(world, 3)
  const recent = recentVerifier({ db: world.db, clock: world.clock })
  assert.deepEqual(violated(await recent()), [])
  await world.accept(randomDrafts(seededRandom(1), users, 20))
  assert.deepEqual(violated(await recent()), [])
  await world.work()
  await world.sql(
    "update payments set attempts = 99 where id = (select max(id) from payments where status = 'success')",
  )
  await world.sql('update users set available = available + 1 where id = 4')
  const expected = ['attempts_without_evidence', 'balance_available']
  const report = await recent()
  assert.deepEqual(violated(report), expected)
  assert.equal(report.scope, 'recent')
  assert.equal(report.complete, true)
  // Far behind all windows, what was found wrong is still looked at.
  for (let step = 0; step < 60; step += 1) {
    await world.accept(randomDrafts(seededRandom(step), [users[0] ?? 1n], 50))
    await world.work()
  }
  assert.deepEqual(violated(await recent()), expected)
  await world.sql('update users set available = available - 1 where id = 4')
  assert.deepEqual(violated(await recent()), ['attempts_without_evidence'])
})

test('the watch reports every interval, outlives an error, and sets the metric', async (t) => {
  const world = await testWorld(t)
  await world.user(100n)
  const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  assert.doesNotMatch(await metrics.text(), /invariant_violations\{/)
  const errors: unknown[] = []
  let passes = 0
  await new Promise<void>((enough) => {
    const clock = { ...world.clock, sleep: () => new Promise<void>((done) => setImmediate(done)) }
    const watch = startVerifier({
      db: world.db,
      clock,
      everyMs: 60_000,
      onError: (error) => errors.push(error),
      onReport: (report) => {
        metrics.violations(report)
        passes += 1
        if (passes === 1) throw new Error('a bug of the caller')
        if (passes === 3) void watch.stop().then(enough)
      },
    })
  })
  assert.equal(passes, 3)
  assert.equal(errors.length, 1)
  const text = await metrics.text()
  assert.match(text, /payments_invariant_violations\{rule="balance_available"\} 0/)
})

test('a pass that another process has made is left out, and made when that one stops', async (t) => {
  const world = await testWorld(t)
  let [asked, passes] = [0, 0]
  await new Promise<void>((enough) => {
    const clock = { ...world.clock, sleep: () => new Promise<void>((done) => setImmediate(done)) }
    const watch = startVerifier({
      db: world.db,
      clock,
      everyMs: 60_000,
      isDone: () => Promise.resolve((asked += 1) <= 3),
      onReport: () => {
        passes += 1
        void watch.stop().then(enough)
      },
    })
  })
  assert.deepEqual([asked, passes], [4, 1])
})

/** Books of `count` settled deposits and withdrawals of `users` users, written by SQL alone. */
async function bulk(world: TestWorld, count: number, users: number): Promise<void> {
  const at = "'2030-01-01'::timestamptz"
  const statements = [
    `insert into users select 0, nextval('user_ids'), 0, 0, ${at} from generate_series(1, ${users})`,
    `insert into postings select 0, id, 0, 'opening', 1000000, 0, 0, 0, -1000000, ${at} from users`,
    `insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps, attempts,
       created_at, finished_at)
     select 0, nextval('payment_ids'), 1 + n * 7919 % ${users},
       case when n % 2 = 0 then 'deposit' else 'withdraw' end, 'success', 100, 2,
       200, 1, ${at}, ${at}
     from generate_series(1, ${count}) n`,
    `insert into postings select 0, user_id, id, 'hold', -102, 102, 0, 0, 0, ${at}
     from payments where type = 'withdraw'`,
    `insert into postings select 0, user_id, id, 'settle',
       case when type = 'deposit' then 98 else 0 end,
       case when type = 'deposit' then 0 else -102 end,
       case when type = 'deposit' then -100 else 100 end, 2, 0, ${at} from payments`,
    `insert into payment_attempts select 0, id, 1, 1, 'charge', 'success', null, true, 200, ${at}, 5
     from payments`,
    `update users set available = sum from (select user_id, sum(user_available) as sum from postings
     group by user_id) posted where user_id = id`,
    'vacuum analyze',
  ]
  for (const text of statements) await world.sql(text)
}

/** Every node of a plan, from the text of EXPLAIN. */
async function scans(t: TestContext, world: TestWorld): Promise<string[]> {
  const range = spanValues({ after: ID_BEFORE_ALL, to: ID_MAX, limit: 500 }, null)
  const plans = [
    [USERS_IN_RANGE, [0, null, 1, null, ...range]],
    [USERS_IN_LIST, [0, null, 1, null, '{1,2,3}', 100]],
    [PAYMENTS_IN_RANGE, [0, null, 1, null, ...range]],
    [PAYMENTS_IN_LIST, [0, null, 1, null, '{1,2,3}', 100]],
  ] as const
  const lines: string[] = []
  for (const [{ text }, values] of plans) {
    const explain = raw<{ 'QUERY PLAN': string }>(`explain ${text}`)
    const rows = await inSnapshot(world.db.of(0n), explain, values)
    lines.push(...rows.map((row) => row['QUERY PLAN']))
  }
  t.diagnostic(`${lines.length} lines of plans`)
  return lines
}

test('a large history is verified in short snapshots, through indexes alone', async (t) => {
  const count = Number(process.env.VERIFY_PAYMENTS ?? 20_000)
  const world = await testWorld(t)
  await bulk(world, count, Math.max(10, count / 20))
  const lines = await scans(t, world)
  assert.deepEqual(
    lines.filter((line) => /Seq Scan/.test(line)),
    [],
  )
  const startedMs = performance.now()
  const clock = { ...world.clock, elapsedMs: () => performance.now() }
  const report = await verify({ db: world.db, clock })
  const seconds = (performance.now() - startedMs) / 1_000
  assert.deepEqual(violated(report), [])
  assert.equal(report.checked.payment, count)
  t.diagnostic(
    `${count} payments in ${seconds.toFixed(2)} s: ${Math.round(count / seconds)}/s; ` +
      `${report.statements} statements, longest ${report.longestMs} ms; ` +
      report.rules
        .filter(({ rule }) => ['balance_held', 'settle_legs'].includes(rule))
        .map(({ rule, durationMs }) => `${rule} ${durationMs} ms`)
        .join(', '),
  )
  assert.ok(report.statements >= count / 2_000, `${report.statements} statements`)
})

test('a recent pass looks at what finished since the last one, however old it is', async (t) => {
  const world = await testWorld(t)
  const deposit = { type: 'deposit', idempotencyKey: null, amount: 100n } as const
  const old = await world.user(0n)
  await world.accept([{ ...deposit, userId: old }])
  // The newest are far above it.
  await world.sql(`select setval('payment_ids', 1000000)`)
  await world.accept([{ ...deposit, userId: await world.user(0n) }])
  const recent = recentVerifier({ db: world.db, clock: world.clock })
  assert.deepEqual(violated(await recent()), [])

  await world.work()
  await world.sql('update payments set attempts = 99 where user_id = $1', [old])
  assert.deepEqual(violated(await recent()), ['attempts_without_evidence'])
})

test('a recent pass looks at all that was made since the last one, however many', async (t) => {
  const world = await testWorld(t)
  const users = await busyHistory(world, 3)
  const recent = recentVerifier({ db: world.db, clock: world.clock })
  assert.deepEqual(violated(await recent()), [])
  // The first of these is further behind than the payments that a pass looks at in any case.
  for (let step = 0; step < 30; step += 1) {
    await world.accept(randomDrafts(seededRandom(step), users, 50))
    await world.work()
  }
  await world.sql(`
    update payments set attempts = 99
    where id = (
      select max(id) from payments
      where status = 'success' and id < (select max(id) - 1100 from payments)
    )`)
  assert.deepEqual(violated(await recent()), ['attempts_without_evidence'])
})

test('a worker tells that the books are clean, that they are not, and that they are mended', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100n)
  const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  const lines: string[] = []
  const log = { error: (_: object, line: string) => void lines.push(line) } as unknown as Logger
  const recent = recentVerifier({ db: world.db, clock: world.clock })
  for (const more of [0, 1, -1]) {
    await world.sql('update users set available = available + $1', [more])
    tellOfBooks({ metrics, log }, await recent())
    const wrong = Math.max(0, more)
    const sample = new RegExp(`violations\\{rule="balance_available"\\} ${wrong}$`, 'm')
    assert.match(await metrics.text(), sample)
  }
  assert.deepEqual(lines, [`balance_available × 1 (user ${user})`])
})
