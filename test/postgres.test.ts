import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { postgres } from '../src/adapters/postgres.ts'
import {
  Busy,
  CommitUnknown,
  isLocked,
  ReadOnly,
  Unavailable,
  type Unsharded,
} from '../src/ports.ts'
import { cloneDatabase, endSessions } from './databases.ts'
import { openDb, raw } from './harness.ts'

const LOCK: Unsharded<{ id: bigint }> = {
  name: 'test_lock',
  sharded: false,
  text: 'select id from users where id = $1 for update',
}
const ONE: Unsharded<{ one: number }> = {
  name: 'test_one',
  sharded: false,
  text: 'select 1 as one',
}
const INSERT: Unsharded<never> = {
  name: 'test_insert',
  sharded: false,
  text: 'insert into users (shard, id, available, held, created_at) values (0, $1, 0, 0, now())',
}

interface More {
  readonly poolMax?: number
  readonly plansMsMax?: number
  readonly onError?: (error: Error) => void
}

function impatient(url: string, more: More = {}) {
  return postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 2,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 5_000,
    lockTimeoutMs: 100,
    idleTransactionTimeoutMs: 5_000,
    name: 'impatient',
    ...more,
  })
}

test('the first statement that failed is the reason, not those that it took along', async (t) => {
  const url = await cloneDatabase(t)
  const patient = openDb(t, url)
  await patient.global.run(INSERT, [1])
  const db = impatient(url)
  t.after(() => db.close())
  await patient.of(0n).transaction(async (tx) => {
    await tx.run(LOCK, [1])
    // The second statement is on its way when the first gives up waiting, and fails for it.
    const blocked = db
      .of(0n)
      .transaction((other) =>
        Promise.all([other.run(LOCK, [1]), other.run(ONE, []), other.run(ONE, [])]),
      )
    await assert.rejects(blocked, isLocked)
  })
  // The connection is whole again.
  await db.of(0n).transaction(async (tx) => assert.equal((await tx.run(LOCK, [1])).length, 1))
})

test('a write that fails rolls the transaction back, and is the reason', async (t) => {
  const db = openDb(t, await cloneDatabase(t))
  await db.global.run(INSERT, [1])
  const work = db.of(0n).transaction(async (tx) => {
    tx.write(INSERT, [2])
    tx.write(INSERT, [1])
    tx.write(INSERT, [3])
    return Promise.resolve()
  })
  await assert.rejects(work, (error: { code?: string }) => error.code === '23505')
  const users = await db.global.run(raw<{ id: bigint }>('select id from users'), [])
  assert.deepEqual(users, [{ id: 1n }])
})

test('a bug in the work rolls the transaction back and stays what it is', async (t) => {
  const db = openDb(t, await cloneDatabase(t))
  const bug = new TypeError('a bug')
  const work = db.of(0n).transaction(async (tx) => {
    tx.write(INSERT, [1])
    await tx.run(ONE, [])
    throw bug
  })
  await assert.rejects(work, (error) => error === bug)
  const users = await db.global.run(raw('select id from users'), [])
  assert.deepEqual(users, [])
})

const BY_ID: Unsharded<{ id: bigint }> = {
  name: 'test_by_id',
  sharded: false,
  text: 'select id from plans where id = any ($1::bigint[])',
}

/** How a connection that has known a table empty reads it when it has grown. */
async function planOf(url: string, plansMsMax: number): Promise<string> {
  const db = impatient(url, { poolMax: 1, plansMsMax })
  const sql = (text: string) => db.global.run(raw<Record<string, string>>(text), [])
  await sql('drop table if exists plans')
  await sql('create table plans (id bigint primary key) with (autovacuum_enabled = false)')
  await sql('vacuum analyze plans')
  await sql('set plan_cache_mode = force_generic_plan')
  await db.global.run(BY_ID, ['{1}'])
  await sql('insert into plans select generate_series(1, 50000)')
  // Whoever is used rarely keeps them for longer.
  for (let use = 0; use < 60; use += 1) await db.global.run(BY_ID, ['{1}'])
  const [row] = await sql(`explain execute test_by_id ('{1}')`)
  await db.close()
  return row?.['QUERY PLAN'] ?? ''
}

test('a plan that was made for an empty table does not outlive its time', async (t) => {
  const url = await cloneDatabase(t)
  assert.match(await planOf(url, 60_000), /^Seq Scan/)
  assert.doesNotMatch(await planOf(url, -1), /^Seq Scan/)
})

test('a database that is not there is unavailable, in time', async (t) => {
  const db = impatient('postgresql://payments:x@127.0.0.1:9/payments')
  t.after(() => db.close())
  await assert.rejects(db.global.run(ONE, []), Unavailable)
  await assert.rejects(
    db.of(0n).transaction((tx) => tx.run(ONE, [])),
    Unavailable,
  )
})

/** A statement that fails with such a code of PostgreSQL. */
const failing = (code: string) =>
  raw<never>(`do $$ begin raise exception 'made to fail' using errcode = '${code}'; end $$`)

const PID = raw<{ pid: number }>('select pg_backend_pid() as pid')

/** Whether an error is what callers are told of a code. */
type Told = (error: unknown) => boolean
const locked: Told = (error) => error instanceof Busy && error.why === 'locked'
const slow: Told = (error) => error instanceof Busy && error.why === 'slow'
const away: Told = (error) => error instanceof Unavailable && !(error instanceof ReadOnly)
const itself =
  (code: string): Told =>
  (error) =>
    error instanceof Error && 'code' in error && error.code === code

/** What is told of each code, and whether its connection is kept. */
const CODES: readonly (readonly [code: string, told: Told, kept: boolean])[] = [
  ['55P03', locked, true],
  ['40001', locked, true],
  ['40P01', locked, true],
  ['57014', slow, true],
  ['53300', away, true],
  ['53100', away, true],
  ['25P03', away, true],
  ['XX000', away, true],
  ['58030', away, true],
  ['57P01', away, false],
  ['57P03', away, false],
  ['08006', away, false],
  ['23505', itself('23505'), true],
  ['22012', itself('22012'), true],
  ['25000', itself('25000'), true],
  ['58000', itself('58000'), true],
]

test('what went wrong is told by its kind, and only a connection that is lost is given up', async (t) => {
  const db = impatient(await cloneDatabase(t), { poolMax: 1 })
  t.after(() => db.close())
  const pid = async () => (await db.global.run(PID, []))[0]?.pid
  for (const [code, told, kept] of CODES) {
    const ways = {
      alone: () => db.global.run(failing(code), []),
      'in a transaction': () => db.of(0n).transaction((tx) => tx.run(failing(code), [])),
      'with its end': () =>
        db.of(0n).transaction((tx) => Promise.resolve(tx.write(failing(code), []))),
    }
    for (const [way, work] of Object.entries(ways)) {
      const before = await pid()
      const lostReply = way === 'with its end' && !kept
      await assert.rejects(work, lostReply ? { name: 'CommitUnknown' } : told, `${code} ${way}`)
      assert.equal((await pid()) === before, kept, `${code} ${way}: its connection`)
    }
  }
  assert.deepEqual(db.pool(), { total: 1, idle: 1, waiting: 0 })
})

/** The database through a socket file; `hangUp` closes the far ends without a word. */
async function throughFile(t: TestContext, url: string) {
  const folder = await mkdtemp(join(tmpdir(), 'payments-pipe-'))
  const { hostname, port, username, password, pathname } = new URL(url)
  const links: Socket[] = []
  const server = createServer((link) => {
    const onward = connect(Number(port), hostname)
    for (const socket of [link, onward]) socket.on('error', () => undefined)
    link.pipe(onward).pipe(link)
    links.push(link)
  })
  await new Promise<void>((resolve) => server.listen(join(folder, '.s.PGSQL.5432'), resolve))
  const hangUp = () => {
    for (const link of links.splice(0)) link.destroy()
  }
  t.after(async () => {
    hangUp()
    server.close()
    await rm(folder, { recursive: true })
  })
  const query = `host=${encodeURIComponent(folder)}&port=5432`
  return { hangUp, url: `postgresql://${username}:${password}@${pathname}?${query}` }
}

test('a pipe that breaks is a lost connection, although EPIPE is as long as an SQLSTATE', async (t) => {
  if (process.platform === 'win32') return t.skip('there are no socket files on Windows')
  const { hangUp, url } = await throughFile(t, await cloneDatabase(t))
  const db = impatient(url, { poolMax: 1 })
  t.after(() => db.close())
  const broken = (error: unknown) =>
    away(error) && error instanceof Error && itself('EPIPE')(error.cause)

  await db.global.run(ONE, [])
  // Nothing is read before the statement is written, so the system says it there and then.
  hangUp()
  await assert.rejects(db.global.run(ONE, []), broken)

  await db.global.run(ONE, [])
  hangUp()
  await assert.rejects(
    db.of(0n).transaction((tx) => tx.run(ONE, [])),
    broken,
  )

  // A change that may have arrived, or the end of a transaction: nobody knows.
  const unknown = (error: unknown) => error instanceof CommitUnknown && itself('EPIPE')(error.cause)
  await db.global.run(ONE, [])
  hangUp()
  await assert.rejects(db.global.run(INSERT, [8]), unknown)
  const ended = db.of(0n).transaction(async (tx) => {
    await tx.run(ONE, [])
    hangUp()
  })
  await assert.rejects(ended, unknown)
  assert.equal((await db.global.run(ONE, [])).length, 1)
})

test('a server that turned read-only is asked by nobody for a moment, on no connection of before', async (t) => {
  const db = impatient(await cloneDatabase(t), { poolMax: 1 })
  t.after(() => db.close())
  await db.global.run(ONE, [])
  await assert.rejects(db.global.run(failing('25006'), []), ReadOnly)
  assert.equal(db.pool().total, 0, 'the connection is closed')
  await assert.rejects(db.global.run(ONE, []), ReadOnly)
  await assert.rejects(
    db.of(0n).transaction((tx) => tx.run(ONE, [])),
    ReadOnly,
  )
})

test('a transaction that could not be serialized is run again, five times in all', async (t) => {
  const db = impatient(await cloneDatabase(t), { poolMax: 1 })
  t.after(() => db.close())
  for (const code of ['40001', '40P01']) {
    let runs = 0
    const hopeless = db.of(0n).transaction(async (tx) => {
      runs += 1
      await tx.run(failing(code), [])
    })
    await assert.rejects(hopeless, isLocked)
    assert.equal(runs, 5)
    runs = 0
    const lucky = await db.of(0n).transaction(async (tx) => {
      runs += 1
      if (runs < 5) tx.write(failing(code), [])
      return Promise.resolve(runs)
    })
    assert.equal(lucky, 5)
  }
  // A lock that was not had is somebody else's: waiting again is up to the caller.
  let runs = 0
  const blocked = db.of(0n).transaction(async (tx) => {
    runs += 1
    await tx.run(failing('55P03'), [])
  })
  await assert.rejects(blocked, isLocked)
  assert.equal(runs, 1)
})

test('a transaction waits for a lock as long as it says, and the next one as long as the pool', async (t) => {
  const db = impatient(await cloneDatabase(t), { poolMax: 1 })
  t.after(() => db.close())
  const limit = async (lockMs?: number) => {
    const shown = raw<{ lock_timeout: string }>('show lock_timeout')
    const [row] = await db.of(0n).transaction((tx) => tx.run(shown, []), lockMs)
    return row?.lock_timeout
  }
  assert.equal(await limit(70.4), '70ms')
  assert.equal(await limit(), '100ms')
  // 0 would be no limit at all.
  assert.equal(await limit(0), '1ms')
  assert.equal(await limit(-5), '1ms')
})

test('work that overlooks a failure has not committed, and is not told that it has', async (t) => {
  const db = impatient(await cloneDatabase(t), { poolMax: 1 })
  t.after(() => db.close())
  const careless = db.of(0n).transaction(async (tx) => {
    await tx.run(INSERT, [7])
    await tx.run(failing('22012'), []).catch(() => undefined)
    return 'done'
  })
  await assert.rejects(careless)
  assert.deepEqual(await db.global.run(raw('select id from users'), []), [])
})

test('what is told of a lost connection has nothing of the driver: no key that cancels its statements', async (t) => {
  const url = await cloneDatabase(t)
  let tell: (error: Error) => void = () => undefined
  const told = new Promise<Error>((resolve) => (tell = resolve))
  const db = impatient(url, { poolMax: 1, onError: (error) => tell(error) })
  t.after(() => db.close())
  await db.global.run(ONE, [])
  await endSessions(url, new URL(url).pathname.slice(1))
  // The connection is idle: nothing but this tells that it is lost.
  const error = await told
  assert.equal(itself('57P01')(error), true)
  assert.equal('client' in error, false)
})
