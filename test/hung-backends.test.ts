import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import pg from 'pg'
import { countHung } from '../src/adapters/hung-backends.ts'

const connectionString = process.env.TEST_DATABASE_URL

/** Nobody: PostgreSQL numbers its backends by processes, and there are not so many. */
const GONE = 2_000_000_000

const backend = (processID: number) => ({ processID }) as unknown as pg.PoolClient

/** A pool of five connections that says when its size is set. */
function sizedPool() {
  let max = 5
  let told: (size: number) => void = () => undefined
  const options = {
    get max() {
      return max
    },
    set max(size: number) {
      max = size
      told(size)
    },
  }
  const resized = () => new Promise<number>((done) => (told = done))
  return { pool: { options } as unknown as pg.Pool, resized }
}

test('a backend that hangs while the server is asked about others goes on counting', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const client = new pg.Client({ connectionString })
  await client.connect()
  t.after(() => client.end())
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const { pool, resized } = sizedPool()
  const hung = countHung(pool, 5, { connectionString })
  t.after(() => hung.stop())

  hung.add(backend(GONE))
  assert.equal(pool.options.max, 4)
  t.mock.timers.tick(1_000)
  // The server is being asked about the first one.
  hung.add(backend(rows[0]?.pid ?? 0))
  assert.equal(pool.options.max, 3)
  assert.equal(await resized(), 4)
})

/** A way to the server that counts who takes it. */
function countedWay() {
  let taken = 0
  const stream = () => {
    taken += 1
    return new Socket()
  }
  return { config: { connectionString, stream }, taken: () => taken }
}

async function ownPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}

/** Wait until a backend has ended, which it does some time after its connection. */
async function ended(pid: number): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  const alive = 'select 1 from pg_stat_activity where pid = $1'
  while ((await client.query(alive, [pid])).rowCount !== 0);
  await client.end()
}

test('the server is asked every second until it has let go of all, and the pool is as large as before', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const client = new pg.Client({ connectionString })
  await client.connect()
  const pid = await ownPid(client)
  const { pool, resized } = sizedPool()
  const { config, taken } = countedWay()
  const hung = countHung(pool, 5, config)
  t.after(() => hung.stop())

  hung.add(backend(pid))
  // The second one does not put the question off, nor asks one of its own.
  t.mock.timers.tick(500)
  hung.add(backend(GONE))
  assert.equal(pool.options.max, 3)
  t.mock.timers.tick(499)
  assert.equal(taken(), 0)
  t.mock.timers.tick(1)
  assert.equal(await resized(), 4, 'the one that is gone')
  t.mock.timers.tick(1_000)
  assert.equal(await resized(), 4, 'the other is still there')
  assert.equal(taken(), 2)
  await client.end()
  await ended(pid)
  t.mock.timers.tick(1_000)
  assert.equal(await resized(), 5)
  // Nothing is left to ask about.
  t.mock.timers.tick(60_000)
  assert.equal(taken(), 3)
  hung.add(backend(GONE))
  t.mock.timers.tick(1_000)
  assert.equal(await resized(), 5, 'it begins anew')
})

test('a pool shrinks to nothing at worst, and a connection without a backend counts for nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { pool } = sizedPool()
  const { config, taken } = countedWay()
  const hung = countHung(pool, 5, config)
  hung.add({} as pg.PoolClient)
  hung.add({ processID: null } as unknown as pg.PoolClient)
  assert.equal(pool.options.max, 5)
  t.mock.timers.tick(5_000)
  assert.equal(taken(), 0)
  for (const more of [0, 1, 2, 3, 4, 5, 6]) hung.add(backend(GONE + more))
  hung.add(backend(GONE))
  assert.equal(pool.options.max, 0)
  hung.stop()
  t.mock.timers.tick(5_000)
  assert.equal(taken(), 0, 'whoever stops asks no more')
})

test('whoever stops while the server is being asked does not ask again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const client = new pg.Client({ connectionString })
  await client.connect()
  t.after(() => client.end())
  const { pool, resized } = sizedPool()
  const { config, taken } = countedWay()
  const hung = countHung(pool, 5, config)
  hung.add(backend(await ownPid(client)))
  t.mock.timers.tick(1_000)
  hung.stop()
  await resized()
  t.mock.timers.tick(5_000)
  assert.equal(taken(), 1)
})

test('a server that cannot be asked has let go of all, and nothing is kept running for it', async (t) => {
  const { pool, resized } = sizedPool()
  const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const away = { connectionString: 'postgresql://u:p@127.0.0.1:9/payments' }
  const hung = countHung(pool, 5, away)
  t.after(() => hung.stop())
  hung.add(backend(GONE))
  const after = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  assert.equal(after, before, 'its timer keeps no process alive')
  hung.stop()

  t.mock.timers.enable({ apis: ['setTimeout'] })
  const again = countHung(pool, 5, away)
  again.add(backend(GONE))
  t.mock.timers.tick(1_000)
  assert.equal(await resized(), 5)
})
