import assert from 'node:assert/strict'
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
