import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgres } from '../src/adapters/postgres.ts'
import { CommitUnknown, ReadOnly, type Unsharded } from '../src/ports.ts'
import { cloneDatabase, endSessions, query } from './databases.ts'
import { raw } from './harness.ts'
import { ownServer } from './own-server.ts'
import { FAST, range, until } from './process-kit.ts'
import { serve } from './serve.ts'
import { steadyLoad } from './steady-load.ts'

test('a server that turns read-only and back under load costs time, and nothing else', async (t) => {
  const { url, readOnly } = await ownServer(t)
  const timing = { GATEWAY_TIMEOUT_SECONDS: '1', WORKER_PROCESSING_TIMEOUT_SECONDS: '5' }
  const service = await serve(t, { ...FAST, ...timing }, { database: url })
  const ready = async () => (await fetch(`${service.url}/readyz`)).json() as Promise<object>
  const load = await steadyLoad(service, 8)
  await load.more(100)
  await readOnly(true)
  await until('it is not ready, and says why', async () => {
    const { status } = (await ready()) as { status?: string }
    return status === 'database_read_only'
  })
  await until('payments are refused', () => load.refusals.has('503 database_unavailable'))
  const { body: health } = await service.call('GET', '/health')
  assert.deepEqual([health['status'], health['database']], ['degraded', 'read_only'])
  assert.equal((await fetch(`${service.url}/livez`)).status, 200)

  await readOnly(false)
  await until('it is ready again', async () => (await fetch(`${service.url}/readyz`)).ok)
  await load.more(100)
  await load.settle(url)
  await service.stop()
})

const INSERT: Unsharded<never> = {
  name: 'failover_insert',
  sharded: false,
  text: 'insert into users (shard, id, available, held, created_at) values (0, $1, 0, 0, now())',
}

test('connections to a demoted server are dropped, and those to its successor are used', async (t) => {
  const url = await cloneDatabase(t)
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 2,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 10_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'failover',
  })
  t.after(() => db.close())
  // Behind one address: these two lead to the server that is not the primary any more.
  const sql = (text: string) => db.global.run(raw<{ pid: number }>(text), [])
  const demote = `select pg_backend_pid() as pid, set_config('default_transaction_read_only', 'on', false)`
  const old = (await Promise.all([sql(demote), sql(demote)])).flat().map(({ pid }) => pid)
  assert.equal(new Set(old).size, 2)

  await assert.rejects(db.global.run(INSERT, [1]), ReadOnly)
  // Nobody reads from the past, although one of the two was not in use.
  const read = await until('something can be read', () =>
    sql('select pg_backend_pid() as pid').catch(() => null),
  )
  assert.ok(!old.includes(read[0]?.pid ?? 0))
  await until('the successor takes the write', () =>
    db.global.run(INSERT, [1]).then(
      () => true,
      (error: unknown) => {
        assert.ok(error instanceof ReadOnly)
        return false
      },
    ),
  )
  await Promise.all(range(8).map((id) => db.global.run(INSERT, [id + 1])))
  const pids = (await Promise.all(range(4).map(() => sql('select pg_backend_pid() as pid')))).flat()
  for (const { pid } of pids) assert.ok(!old.includes(pid))
})

test('who only reads leaves a demoted server as soon as somebody asks about it', async (t) => {
  const url = await cloneDatabase(t)
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 10_000,
    idleTransactionTimeoutMs: 20_000,
    name: 'reading',
  })
  t.after(() => db.close())
  const sql = (text: string) => db.global.run(raw<{ pid: number }>(text), [])
  const demote = `select pg_backend_pid() as pid, set_config('default_transaction_read_only', 'on', false)`
  const old = (await Promise.all([sql(demote), sql(demote)])).flat().map(({ pid }) => pid)
  await assert.rejects(db.probe(), ReadOnly)
  const own = 'select pg_backend_pid() as pid'
  const [read] = await until('something can be read', () => sql(own).catch(() => null))
  assert.ok(!old.includes(read?.pid ?? 0), 'not from the past')
})

test('commits that wait for a standby that is lost take no more connections than the pool has', async (t) => {
  const { url, waitForNobody, backends, waiting } = await ownServer(t)
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 3,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 100,
    lockTimeoutMs: 100,
    idleTransactionTimeoutMs: 20_000,
    name: 'patient',
  })
  const insert = (id: number) =>
    db
      .of(0n)
      .transaction((tx) => tx.run(INSERT, [id]))
      .then(() => 'done')
  const name = (error: unknown) => (error instanceof Error ? error.name : String(error))
  await until('the server is there', () => insert(1).catch(() => null))
  await waitForNobody(true)
  const ends: string[] = []
  // As requests that go on coming; one after the other gives up.
  for (const id of range(6)) {
    const [end = ''] = await Promise.all([
      insert(100 + id).catch(name),
      db.global.run(INSERT, [200 + id]).catch(name),
    ])
    ends.push(end)
    assert.ok((await backends('patient')) <= 4, 'three, and one that looks after them')
  }
  // Each was told to end, so that the pool is whole although the standby stays away.
  await until('none waits for the standby', async () => (await waiting()) === 0)
  assert.ok(ends.includes('CommitUnknown') && ends.includes('Unavailable'), ends.join())

  await waitForNobody(false)
  await until('the server has let go', () => insert(2).catch(() => null))
  const rows = await query(url, 'select from users where id in (1, 2)')
  assert.equal(rows.length, 2)
  await db.close()
})

test('who asks about a demoted server finds its successor, although nobody writes', async (t) => {
  const url = await cloneDatabase(t)
  const service = await serve(
    t,
    {},
    { database: url, roles: { api: true, worker: false, mockGateway: false } },
  )
  await until('it is ready', async () => (await fetch(`${service.url}/readyz`)).ok)
  const { pathname } = new URL(url)
  const name = pathname.slice(1)
  await query(url, `alter database ${name} set default_transaction_read_only = on`)
  await endSessions(url, name)
  await until('it is not ready', async () => (await fetch(`${service.url}/readyz`)).status === 503)
  const admin = process.env.TEST_DATABASE_URL ?? ''
  await query(admin, `alter database ${name} reset default_transaction_read_only`)
  await until('it is ready again', async () => (await fetch(`${service.url}/readyz`)).ok)
})

test('a COMMIT that was told to wait for no standby any more is no promise', async (t) => {
  const { url, waitForNobody, admin } = await ownServer(t)
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 2,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 60_000,
    lockTimeoutMs: 60_000,
    idleTransactionTimeoutMs: 60_000,
    name: 'canceled',
  })
  t.after(() => db.close())
  const insert = (id: number) => db.of(0n).transaction((tx) => tx.run(INSERT, [id]))
  await insert(1)
  await waitForNobody(true)
  // Those that commit before the server has heard of it are as certain as ever.
  const firstFailure = async (first: number, one: (id: number) => Promise<unknown>) => {
    for (let id = first; ; id += 1) {
      try {
        await one(id)
      } catch (error) {
        return error
      }
    }
  }
  const doubtful = firstFailure(2, insert)
  const cancel = `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`
  await until('it was cancelled', async () => ((await admin.query(cancel)).rowCount ?? 0) > 0)
  assert.ok((await doubtful) instanceof CommitUnknown)
  const single = firstFailure(100_000, (id) => db.global.run(INSERT, [id]))
  await until(
    'the other was cancelled',
    async () => ((await admin.query(cancel)).rowCount ?? 0) > 0,
  )
  assert.ok((await single) instanceof CommitUnknown)
  await waitForNobody(false)
  await until('the next one is certain', () => insert(0).then(() => true))
})
