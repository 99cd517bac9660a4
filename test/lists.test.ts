import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { readShare } from '../src/adapters/read-share.ts'
import { sessions } from '../src/adapters/shard-session.ts'
import { listLetters } from '../src/dead-letters/list.ts'
import { pageOfViews } from '../src/payments/read.ts'
import type { PaymentFilter } from '../src/payments/filter-store.ts'
import { Overloaded } from '../src/ports.ts'
import { ANY, testWorld, type TestWorld } from './harness.ts'
import { explaining, type Plan } from './plans-kit.ts'

const PAYMENTS = 60_000
const TOP = 2n ** 62n

/**
 * A long history without any index of its own: all succeeded but the oldest ten, which are in
 * doubt, and the next ten, which failed. Every payment has a letter that was closed, the twenty an
 * open one.
 */
async function history(t: TestContext, shards = 1): Promise<TestWorld> {
  const world = await testWorld(t, { shards })
  await world.sql(`
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at)
    select
      n % ${shards}, n, n % ${shards} + ${shards}, 'deposit',
      case when n <= 10 then 'unknown' when n <= 20 then 'failed' else 'success' end, 100, 2, 200,
      now(), case when n <= 10 then null else now() end
    from generate_series(1, ${PAYMENTS}) as n`)
  await world.sql(`
    insert into dead_letters
      (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
       state, created_at)
    select
      n % ${shards}, n, n, n % ${shards} + ${shards}, 'deposit', 100, 2,
      case when n <= 10 then 'unknown' else 'failed' end, 'http_502', 3,
      case when n <= 20 then 'open' else 'resolved' end, now()
    from generate_series(1, ${PAYMENTS}) as n`)
  await world.sql(`
    insert into payment_tasks (shard, payment_id, run_at, lookups)
    select n % ${shards}, n, now(), 1 from generate_series(1, 5) as n`)
  await world.sql('analyze payments, dead_letters, payment_tasks')
  return world
}

async function allPages(world: TestWorld, filter: PaymentFilter, limit: number) {
  const ids: bigint[] = []
  let pages = 0
  for (let before: bigint | null = TOP; before !== null; pages += 1) {
    const { views, next } = await pageOfViews(world.db, filter, before, limit)
    assert.ok(views.length <= limit)
    assert.ok(next === null || next < before, 'it goes on')
    ids.push(...views.map(({ payment }) => payment.id))
    before = next
  }
  return { ids, pages }
}

const upTo = (last: bigint, first = 1n) =>
  Array.from({ length: Number(last - first) + 1 }, (_, index) => last - BigInt(index))

for (const shards of [1, 3]) {
  test(`pages of a filtered list hold everything that matches, once, newest first: ${shards} shards`, async (t) => {
    const world = await history(t, shards)
    const doubtful = await allPages(world, { ...ANY, status: 'unknown' }, 4)
    assert.deepEqual(doubtful.ids, upTo(10n))
    // What is open is on the first pages, whatever is newer.
    assert.equal(doubtful.pages, 3)
    assert.deepEqual((await allPages(world, { ...ANY, status: 'failed' }, 4)).ids, upTo(20n, 11n))
    assert.deepEqual((await allPages(world, { ...ANY, type: 'withdraw' }, 4)).ids, [])
    const mine = { ...ANY, userId: BigInt(shards), status: 'failed' as const }
    const expected = upTo(20n, 11n).filter((id) => id % BigInt(shards) === 0n)
    assert.deepEqual((await allPages(world, mine, 2)).ids, expected)
    const everything = await allPages(world, { ...ANY, status: 'success' }, 500)
    assert.deepEqual(everything.ids, upTo(BigInt(PAYMENTS), 21n))
  })
}

test('pages hold everything that matches, once, newest first, however unlike the shards are', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  // Of the even ids only the lowest match, behind more than a page looks at; of the odd ones all
  // do.
  await world.sql(`
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at)
    select
      n % 2, n, n % 2 + 2, 'deposit', case when n <= 20 then 'failed' else 'success' end, 100, 2,
      200, now(), now()
    from generate_series(1, 30000) as n
    where n <= 20 or n % 2 = 0`)
  for (const limit of [4, 50]) {
    const { ids } = await allPages(world, { ...ANY, status: 'failed' }, limit)
    assert.deepEqual(ids, upTo(20n), `${limit} a page`)
  }
})

/** Rows that a plan read from tables and indexes, those it threw away included. */
function rowsRead(plan: Plan): number {
  const rows = (plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)
  const leaf = plan['Relation Name'] === undefined ? 0 : rows * (plan['Actual Loops'] ?? 0)
  return leaf + (plan.Plans ?? []).reduce((sum, child) => sum + rowsRead(child), 0)
}

test('no list reads more than its bound, whatever it is filtered by', async (t) => {
  const world = await history(t)
  const seen = new Map<string, number>()
  const db = explaining(world.db, 'generic', (name, plan) =>
    seen.set(name, Math.max(seen.get(name) ?? 0, rowsRead(plan))),
  )
  const statuses = [null, 'new', 'success', 'failed', 'unknown'] as const
  for (const status of statuses) {
    for (const type of [null, 'deposit', 'withdraw'] as const) {
      for (const userId of [null, 1n, 99n]) {
        const filter = { ...ANY, userId, status, type }
        const { next } = await pageOfViews(db, filter, TOP, 50)
        if (next !== null) await pageOfViews(db, filter, next, 50)
      }
    }
  }
  // As many of a reference as there are payments, in minutes that overlap.
  await world.sql(`
    insert into payment_details (shard, payment_id, reference, sent)
    select 0, n, 'often', '{}' from generate_series(1, ${PAYMENTS}) as n`)
  await world.sql(`
    insert into payment_minutes
    select 0, now() - n * interval '1 minute', ${PAYMENTS} - n * 10, ${PAYMENTS} - n * 10 + 20
    from generate_series(0, 5000) as n`)
  await world.sql('analyze payment_details, payment_minutes')
  const now = new Date()
  for (const filter of [
    { reference: 'often' },
    { reference: 'never' },
    { userId: 1n, idempotencyKey: 'never' },
    { gatewayRef: 'never' },
    { gatewayRef: 'never', userId: 1n },
    { from: now, to: now },
    { from: new Date(0), to: new Date(1), status: 'unknown' as const },
  ]) {
    const { next } = await pageOfViews(db, { ...ANY, ...filter }, TOP, 50)
    if (next !== null) await pageOfViews(db, { ...ANY, ...filter }, next, 50)
  }
  for (const letters of [null, 'failed', 'unknown'] as const) {
    for (const state of [null, 'open', 'redriven', 'resolved'] as const) {
      await listLetters(db, { class: letters, state, error: null }, 50, 0)
      await listLetters(db, { class: letters, state, error: null }, 500, 1_000)
    }
  }
  assert.ok(seen.size >= 11, [...seen.keys()].join())
  const over = [...seen].filter(([, rows]) => rows > 21_000)
  assert.deepEqual(over, [])
})

test('finishing a payment stays a cheap update: status is in no index, nor in a condition of one', async (t) => {
  const world = await testWorld(t)
  const indexes = await world.sql<{ name: string }>(`
    select indexname as name from pg_indexes
    where tablename = 'payments' and indexdef ~ '\\mstatus\\M'`)
  assert.deepEqual(indexes, [])
})

test('letters are listed newest first whatever they are filtered by', async (t) => {
  const world = await history(t)
  const list = async (filter: { class: 'failed' | 'unknown' | null; state: 'open' | null }) =>
    (await listLetters(world.db, { ...filter, error: null }, 3, 2)).known.map(({ id }) => id)
  const top = BigInt(PAYMENTS)
  assert.deepEqual(await list({ class: null, state: null }), [top - 2n, top - 3n, top - 4n])
  assert.deepEqual(await list({ class: 'unknown', state: null }), [8n, 7n, 6n])
  assert.deepEqual(await list({ class: null, state: 'open' }), [18n, 17n, 16n])
  assert.deepEqual(await list({ class: 'failed', state: 'open' }), [18n, 17n, 16n])
})

test('reads of lists have a share of the connections, in order, and are refused beyond a bound', async () => {
  const running: (() => void)[] = []
  const begun: unknown[] = []
  const db = sessions(
    {
      async run(_statement, [, number]) {
        begun.push(number)
        await new Promise<void>((resolve) => running.push(resolve))
        if (number === 1) throw new Error('a bug')
        return []
      },
      transaction: () => Promise.reject(new Error('not here')),
    },
    { shards: 1, currency: 'USD' },
  )
  const share = readShare(db, { runningMax: 2, waitingMax: 3 }).of(0n)
  const asked = [0, 1, 2, 3, 4, 5].map((number) =>
    share.run({ name: 'any', text: '' }, [number]).then(
      () => 'done',
      (error: Error) => error.constructor.name,
    ),
  )
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(begun, [0, 1])
  for (let turn = 0; turn < 5; turn += 1) {
    assert.ok(running.length <= 2)
    running.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(await Promise.all(asked), [
    'done',
    'Error',
    'done',
    'done',
    'done',
    Overloaded.name,
  ])
  assert.deepEqual(begun, [0, 1, 2, 3, 4])
})
