import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { cloneDatabase, query } from './databases.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'
import { distribute, mapOf, SHARDS } from './two-servers.ts'

/** Move the rows of these shards by hand, as docs/servers.md says. */
async function move(from: string, to: string, shards: string): Promise<void> {
  const target = new pg.Client({ connectionString: to })
  await target.connect()
  const tables = await query<{ name: string }>(
    from,
    `select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'shard'`,
  )
  for (const { name } of tables) {
    const [found] = await query<{ rows: object[] | null }>(
      from,
      `select json_agg(one) as rows from ${name} one where shard in (${shards})`,
    )
    if (found?.rows == null) continue
    const text = `insert into ${name} select * from json_populate_recordset(null::${name}, $1)`
    await target.query(text, [JSON.stringify(found.rows)])
    // What only a superuser may delete is the owner's to grant.
    await query(from, `grant delete on ${name} to current_user`)
    await query(from, `delete from ${name} where shard in (${shards})`)
    if (name === 'postings') await query(from, 'revoke delete on postings from current_user')
  }
  const [last] = await query<{ value: string }>(from, 'select last_value as value from event_ids')
  await target.query("select setval('event_ids', $1::bigint)", [last?.value])
  await target.end()
}

test('a range that was moved to another server by hand goes on there, and the books are right', async (t) => {
  const [home, other, third] = [
    await cloneDatabase(t),
    await cloneDatabase(t),
    await cloneDatabase(t),
  ]
  const before = mapOf(home, other)
  await distribute(t, before)
  const first = await serve(t, { ...before, ...FAST }, { database: home })
  await first.call('PUT', '/mock-gateway/faults', CALM)
  await first.call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  const users: number[] = []
  while (users.length < SHARDS) {
    users.push(Number((await first.call('POST', '/users/', { balance: 100 })).body['id']))
  }
  const pay = async ({ call }: typeof first) => {
    const ids: number[] = []
    for (const user of users) {
      const { body, text } = await call('POST', '/payments/withdraw', { user_id: user, amount: 1 })
      assert.ok(body['payment_id'], text)
      ids.push(Number(body['payment_id']))
    }
    await until('all are done', async () => {
      for (const id of ids) {
        if ((await call('GET', `/payments/${id}`)).body['status'] !== 'success') return false
      }
      return true
    })
    return ids
  }
  const paid = await pay(first)
  await first.stop()

  const after = { ...before, SHARD_DATABASES: `0-3=${home},4-5=${other},6-7=${third}` }
  await assert.rejects(distribute(t, after), /holds rows of shards that .* elsewhere/)
  await move(other, third, '6, 7')
  assert.match(await distribute(t, after), /The servers hold 0-3,4-5,6-7 \(version 2 of the map\)/)
  const fourth = await cloneDatabase(t)
  const lost = { ...after, SHARD_DATABASES: `0-3=${home},4-5=${other},6-7=${fourth}` }
  await assert.rejects(distribute(t, lost), /holds nothing of the shards 6-7, .* copy their rows/)
  const accepted = await run(t, ['distribute', '--empty', '--dry-run'], lost)
  assert.match(accepted.stdout, /^Would give 6-7 to .*\nNothing was changed\.$/m, accepted.stderr)
  const second = await serve(t, { ...after, ...FAST }, { database: home })
  await second.call('PUT', '/mock-gateway/faults', CALM)
  for (const id of paid) assert.equal((await second.call('GET', `/payments/${id}`)).status, 200)
  const more = await pay(second)
  assert.equal(new Set([...paid, ...more]).size, 2 * SHARDS)
  const rows = await query<{ shard: number }>(third, 'select distinct shard from events order by 1')
  assert.deepEqual(rows, [{ shard: 6 }, { shard: 7 }])
  const report = await run(t, ['verify', '--json'], after)
  assert.equal(report.code, 0, report.stdout + report.stderr)
})

test('the server that a range has left is refused with the old map, though all ranges are as they were', async (t) => {
  const [home, other, third] = [
    await cloneDatabase(t),
    await cloneDatabase(t),
    await cloneDatabase(t),
  ]
  const [before, after] = [mapOf(home, other), mapOf(home, third)]
  assert.match(await distribute(t, before), /\(version 1 of the map\)/)
  assert.match(await distribute(t, after), /The servers hold 0-3,4-7 \(version 2 of the map\)/)
  await assert.rejects(
    serve(t, before, { database: home }),
    /has for 4-7 has version 1 of the map and the home side 2/,
  )
  assert.equal((await run(t, ['verify'], after)).code, 0)
  assert.match(await distribute(t, after), /^Nothing to do: the servers hold 0-3,4-7\.$/m)
})

test('a move that was cut short lets no process start, by the old map or the new one, until it goes on', async (t) => {
  const [home, other, third, fourth] = [
    await cloneDatabase(t),
    await cloneDatabase(t),
    await cloneDatabase(t),
    await cloneDatabase(t),
  ]
  // The home side holds nothing, so each server has its own step.
  const mapped = (high: string) => ({
    ...mapOf(home, high),
    SHARD_DATABASES: `0-3=${fourth},4-7=${high}`,
  })
  const [before, after] = [mapped(other), mapped(third)]
  await distribute(t, before)
  // What `fourth` is given is what is not taken: that of the home side was before.
  await query(
    fourth,
    `create function refuse() returns trigger language plpgsql
      as $$ begin raise exception 'the server is away'; end $$`,
  )
  await query(
    fourth,
    'create trigger refuse before update on settings for each row execute function refuse()',
  )
  await assert.rejects(distribute(t, after), /the server is away/)
  const refused = await run(t, ['verify'], before)
  assert.match(refused.stderr, /has version 1 of the map and the home side 2/)
  assert.match((await run(t, ['verify'], after)).stderr, /belongs to no servers yet/)
  await query(fourth, 'drop trigger refuse on settings')
  await distribute(t, after)
  assert.equal((await run(t, ['verify'], after)).code, 0)
  assert.equal((await run(t, ['verify'], before)).code, 2)
})
