import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import pg from 'pg'

/** A database of the test server. */
interface Made {
  readonly url: string
  drop(): Promise<void>
}

/** How often is looked whether ended sessions are gone, before the drop waits for them. */
const LOOKS_MAX = 200

/** How often a drop is tried while an autovacuum passes, which takes it a second or two. */
const DROPS_MAX = 20_000

/** Clone the migrated template; dropped when the test ends. */
export async function cloneDatabase(t: TestContext): Promise<string> {
  const { url, drop } = await makeDatabase('cloned')
  t.after(drop)
  return url
}

/** An empty database; dropped when the test ends. */
export async function emptyDatabase(t: TestContext): Promise<string> {
  const { url, drop } = await makeDatabase('empty')
  t.after(drop)
  return url
}

export async function makeDatabase(how: 'cloned' | 'empty'): Promise<Made> {
  const { TEST_DATABASE_URL: admin, TEST_TEMPLATE: template = 'payments_template' } = process.env
  if (admin === undefined) throw new Error('run the tests with `npm test`: it brings a database')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const from = how === 'cloned' ? ` template ${template} strategy file_copy` : ''
  await query(admin, `create database ${name}${from}`)
  const url = Object.assign(new URL(admin), { pathname: `/${name}` }).href
  return { url, drop: () => dropDatabase(admin, name) }
}

/**
 * Drop a database that connections may still use. They are ended before, and seen to be gone: a
 * drop that has to end them itself sleeps for a tenth of a second. A passing autovacuum belongs to
 * a superuser, whom nobody else may disconnect; it is gone soon.
 */
async function dropDatabase(admin: string, name: string): Promise<void> {
  await connected(admin, async (client) => {
    for (let look = 0, sessions = 1; sessions > 0 && look < LOOKS_MAX; look += 1) {
      const ended = await client.query(endOf(name))
      sessions = ended.rowCount ?? 0
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.query(`drop database if exists ${name} with (force)`)
        return
      } catch (error) {
        const denied = error instanceof Error && 'code' in error && error.code === '42501'
        if (!denied || attempt === DROPS_MAX) throw error
      }
    }
  })
}

/**
 * End every session of clients on a database, as a server that is demoted does. A passing
 * autovacuum is left alone: it belongs to a superuser, whom nobody else may disconnect.
 */
export function endSessions(url: string, database: string): Promise<object[]> {
  return query(url, endOf(database))
}

function endOf(database: string): string {
  return `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = '${database}' and backend_type = 'client backend' and pid <> pg_backend_pid()`
}

/** Run any SQL on a connection of its own. */
export function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  return connected(url, async (client) => (await client.query<Row>(text)).rows)
}

export async function connected<Value>(
  url: string,
  work: (client: pg.Client) => Promise<Value>,
): Promise<Value> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
