import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../src/domain/random.ts'
import { accountStatement } from '../src/ledger/statement.ts'
import { ENTRIES_MAX } from '../src/ledger/statement-store.ts'
import { openDb, raw, testWorld } from './harness.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'
import { randomDrafts } from './verify-history.ts'

const DAY_MS = 86_400_000

interface Entry {
  readonly from: Date
  readonly change: bigint
  readonly available: bigint
}

for (const shards of [1, 3]) {
  test(`a statement ends each period with what the journal came to by then, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const random = seededRandom(3)
    const users = [await world.user(500_000n), await world.user(20_000n)]
    for (let step = 0; step < 40; step += 1) {
      world.gateway.script = random() < 0.3 ? ['declined'] : ['success']
      await world.accept(randomDrafts(random, users, 4))
      if (random() < 0.8) await world.work()
      world.clock.advance(Math.floor(random() * 4 * DAY_MS))
    }
    for (const userId of users) {
      for (const by of ['month', 'day'] as const) {
        const { periods, complete } = await accountStatement(world.db, userId, by)
        assert.ok(complete && periods.length > (by === 'day' ? 10 : 1), `${periods.length} ${by}s`)
        const entries = await world.sql<Entry>(
          `select
             date_trunc($2, created_at, 'UTC') as from, user_available + user_held as change,
             user_available as available
           from postings where user_id = $1`,
          [userId, by],
        )
        let opening = 0n
        for (const period of periods.toReversed()) {
          const upTo = entries.filter(({ from }) => from <= period.from)
          const own = entries.filter(({ from }) => Number(from) === Number(period.from))
          const sum = (list: readonly bigint[]) => list.reduce((all, one) => all + one, 0n)
          assert.equal(period.opening, opening)
          assert.equal(period.closing, sum(upTo.map(({ change }) => change)))
          assert.equal(period.available, sum(upTo.map(({ available }) => available)))
          assert.equal(period.opening + period.credited + period.debited, period.closing)
          assert.equal(period.entries, own.length)
          assert.ok(period.credited >= 0n && period.debited <= 0n)
          opening = period.closing
        }
      }
    }
  })
}

test('months and days are those of UTC, whatever the time zone of the database is', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  const times = ['2030-01-31T23:59:59.999Z', '2030-02-01T00:00:00.000Z', '2030-02-28T12:00:00.000Z']
  for (const [index, time] of times.entries()) {
    await world.sql(
      `insert into postings
         (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
          created_at)
       values (0, $1, $2, 'settle', 98, 0, -100, 2, 0, $3)`,
      [userId, index + 1, time],
    )
  }
  const { pathname } = new URL(world.url)
  for (const zone of ['Pacific/Kiritimati', 'America/Los_Angeles', 'Asia/Kathmandu']) {
    await world.sql(`alter database ${pathname.slice(1)} set timezone = '${zone}'`)
    const db = openDb(t, world.url)
    const begun = async (by: 'day' | 'month') =>
      (await accountStatement(db, userId, by)).periods.map(({ from, entries }) => {
        return `${entries} of ${from.toISOString()}`
      })
    const months = ['2 of 2030-02-01T00:00:00.000Z', '2 of 2030-01-01T00:00:00.000Z']
    assert.deepEqual(await begun('month'), months, zone)
    const days = ['02-28', '02-01', '01-31', '01-01']
    const each = days.map((day) => `1 of 2030-${day}T00:00:00.000Z`)
    assert.deepEqual(await begun('day'), each, zone)
  }
})

test('of a user with very many entries the newest payments are added up, and it says so', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  await world.sql(
    `insert into postings
       (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
        created_at)
     select 0, $1, n, 'settle', 98, 0, -100, 2, 0,
       timestamptz '2030-02-01' + n * interval '10 seconds'
     from generate_series(1, $2::int) n`,
    [userId, ENTRIES_MAX],
  )
  await world.sql('update users set available = 98 * $2::bigint where id = $1', [
    userId,
    ENTRIES_MAX,
  ])
  const { periods, complete } = await accountStatement(world.db, userId, 'day')
  assert.equal(complete, false)
  assert.equal(periods[0]?.closing, 98n * BigInt(ENTRIES_MAX))
  assert.equal(
    periods.reduce((sum, { entries }) => sum + entries, 0),
    ENTRIES_MAX,
  )
})

test('a user’s statement is read by the API', async (t) => {
  const { call } = await serve(t)
  await call('POST', '/users', { balance: '10.50' })
  const { body } = await call('GET', '/users/1/statement?by=day')
  const [period] = body['periods'] as Record<string, unknown>[]
  assert.deepEqual([body['currency'], body['by'], body['complete']], ['USD', 'day', true])
  assert.deepEqual(
    { ...period, from: null },
    {
      from: null,
      entries: 1,
      opening: 0,
      credited: 10.5,
      debited: 0,
      commission: 0,
      closing: 10.5,
      available: 10.5,
    },
  )
  assert.equal((await call('GET', '/users/1/statement')).body['by'], 'month')
  assert.equal((await call('GET', '/users/9/statement')).body['code'], 'user_not_found')
  assert.equal((await call('GET', '/users/1/statement?by=year')).body['code'], 'query_invalid')
})

test('a page of transactions goes on behind an entry of any kind', async (t) => {
  const { call, database } = await serve(t)
  await call('POST', '/users', { balance: 10 })
  await openDb(t, database).global.run(
    raw(`insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
      values (0, 1, 7, 'settle_late', 1, 0, -1, 0, 0, now())`),
    [],
  )
  const first = await until('it is read', () => call('GET', '/users/1/transactions?limit=1'))
  const next = first.body['next_cursor'] as string
  const second = await call('GET', `/users/1/transactions?limit=1&cursor=${next}`)
  assert.deepEqual(
    (second.body['data'] as { kind: string }[]).map(({ kind }) => kind),
    ['opening'],
  )
})
