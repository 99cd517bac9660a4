import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { cloneDatabase, emptyDatabase, query } from './databases.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'
import { distribute, mapOf, SHARDS } from './two-servers.ts'
import { wholeLife } from './whole-life.ts'

/** Two databases that are set up to hold half of the shards each. */
async function spread(t: TestContext) {
  const home = await cloneDatabase(t)
  const other = await cloneDatabase(t)
  const env = mapOf(home, other)
  await distribute(t, env)
  return { home, other, env }
}

test('a service on two servers accepts, settles, lists, redrives, tells and verifies as on one', async (t) => {
  const { home, other, env } = await spread(t)
  await wholeLife(t, { env, database: home, shards: SHARDS, users: 2 * SHARDS }, async () => {
    // Half of it is on each, and none on both.
    for (const [url, from] of [
      [home, 0],
      [other, SHARDS / 2],
    ] as const) {
      const rows = await query<{ shard: number }>(url, 'select distinct shard from payments')
      const shards = rows.map(({ shard }) => shard).toSorted((one, another) => one - another)
      assert.deepEqual(shards, [from, from + 1, from + 2, from + 3])
    }
  })
})

/** Settings under which a start is refused, and what it says of them. */
type Wrong = readonly [env: Readonly<Record<string, string>>, says: RegExp]

test('a map that is not the one of the servers is refused at the start, with the remedy', async (t) => {
  const { home, other, env } = await spread(t)
  const empty = await cloneDatabase(t)
  const more = await spread(t)
  const wrong: readonly Wrong[] = [
    [
      { ...env, SHARD_DATABASES: '' },
      /SHARD_DATABASES must be set: .* home side of the shards 0-3,4-7/,
    ],
    [
      { ...env, DATABASE_URL: other, SHARD_DATABASES: '' },
      /SHARD_DATABASES must be set: .* holds the shards 4-7/,
    ],
    [
      { ...env, SHARD_DATABASES: `0-3=${other},4-7=${home}` },
      /has for 0-3 holds the shards 4-7: correct SHARD_DATABASES/,
    ],
    [
      { ...env, SHARD_DATABASES: `0-4=${home},5-7=${other}` },
      /has the ranges 0-4,5-7, and the servers were set up with 0-3,4-7/,
    ],
    [
      { ...env, SHARD_DATABASES: `0-3=${home},4-7=${empty}` },
      /has for 4-7 belongs to no servers yet: run `payments distribute`/,
    ],
    [
      { ...env, SHARD_DATABASES: `0-3=${home},4-7=${more.other}` },
      /has for 4-7 belongs to other servers than DATABASE_URL/,
    ],
    [{ ...env, DATABASE_URL: empty }, /is not the home side of several servers: run `payments dis/],
    [{ ...env, SHARDS: '16' }, /SHARD_DATABASES must name every shard from 0 to SHARDS - 1/],
  ]
  for (const [settings, says] of wrong) {
    const { DATABASE_URL: database = '' } = settings
    await assert.rejects(serve(t, settings, { database }), (error: Error) => {
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /postgresql:|:[^/ ]*@/, 'no URL is told')
      return true
    })
  }
  // Tools are as careful.
  const { code, stderr } = await run(t, ['verify'], { ...env, SHARD_DATABASES: '' })
  assert.equal(code, 2)
  assert.match(stderr, /SHARD_DATABASES must be set/)
})

test('distribute is cut short without harm, and refuses what it must not join', async (t) => {
  const { home, other, env } = await spread(t)
  assert.match(await distribute(t, env), /^Nothing to do: the servers hold 0-3,4-7\.$/m)
  // Somebody else has begun another map.
  await query(other, "update settings set value = '2' where name = 'cluster_version'")
  const refused = await run(t, ['verify'], env)
  assert.match(refused.stderr, /has version 2 of the map and the home side 1/)
  assert.match(await distribute(t, env), /The servers hold 0-3,4-7 \(version 3 of the map\)/)
  assert.equal((await run(t, ['verify'], env)).code, 0)

  const third = await emptyDatabase(t)
  const grown = { ...env, SHARD_DATABASES: `0-3=${home},4-5=${other},6-7=${third}` }
  const dry = await run(t, ['distribute', '--dry-run'], grown)
  assert.match(dry.stdout, /Would migrate PostgreSQL at /)
  assert.deepEqual(await query(third, "select from pg_tables where tablename = 'users'"), [])
  await run(t, ['migrate'], grown)
  assert.match((await run(t, ['distribute', '--dry-run'], grown)).stdout, /Nothing was changed\./)
  assert.match(await distribute(t, grown), /The servers hold 0-3,4-5,6-7 \(version 4 of the map\)/)
  assert.equal((await run(t, ['verify'], grown)).code, 0)

  await query(
    third,
    'insert into users (shard, id, available, held, created_at) values (1, 1, 0, 0, now())',
  )
  await assert.rejects(distribute(t, grown), /holds rows of shards that .* elsewhere \(users\)/)
  await query(third, 'delete from users')
  await query(
    third,
    'insert into users (shard, id, available, held, created_at) values (6, 70000006, 0, 0, now())',
  )
  await assert.rejects(distribute(t, grown), /has ids that DATABASE_URL has not given/)
})

test('a row of a shard that another server holds is a violation, wherever it is', async (t) => {
  const { home, other, env } = await spread(t)
  await query(
    home,
    'insert into users (shard, id, available, held, created_at) values (5, 5, 0, 0, now())',
  )
  await query(
    other,
    'insert into users (shard, id, available, held, created_at) values (2, 2, 0, 0, now())',
  )
  const { code, stdout } = await run(t, ['verify', '--json'], env)
  assert.equal(code, 1)
  const { rules } = JSON.parse(stdout) as { rules: { rule: string; violations: number }[] }
  const { violations } = rules.find(({ rule }) => rule === 'row_outside_shards') ?? {}
  assert.equal(violations, 2)
})
