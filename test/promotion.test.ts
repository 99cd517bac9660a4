import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { FAST, until } from './process-kit.ts'
import { serve } from './serve.ts'
import { steadyLoad } from './steady-load.ts'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** A primary server and its standby, which has everything that was acknowledged. */
async function pair(t: TestContext) {
  // No hook deletes it, as that would come before the servers are stopped: the test script does.
  const folder = await fs.mkdtemp(join(await fs.realpath(TEMPORARY), 'payments-promotion-'))
  await fs.chmod(folder, 0o711)
  const [first, second] = [join(folder, 'first'), join(folder, 'second')] as const
  const made = await startEmbeddedPostgres({ dataDir: first })
  await migrate(made.url)
  await made.stop()
  execFileSync('cp', ['-a', first, second])
  execFileSync('cp', [
    '-a',
    join(second, 'pg18', 'PG_VERSION'),
    join(second, 'pg18', 'standby.signal'),
  ])
  const password = await fs.readFile(join(first, 'pg18.password'), 'utf8')

  const primary = await startEmbeddedPostgres({ dataDir: first })
  const source = `host=127.0.0.1 port=${primary.port} user=postgres password=${password.trim()}`
  const standby = await startEmbeddedPostgres({
    dataDir: second,
    settings: { primary_conninfo: source },
  })
  t.after(() => standby.stop())
  t.after(() => primary.stop())
  const connect = async (port: number) => {
    const client = new pg.Client({
      connectionString: `postgresql://postgres:${password.trim()}@127.0.0.1:${port}/payments`,
    })
    client.on('error', () => undefined)
    await client.connect()
    t.after(() => client.end())
    return client
  }
  const admin = await connect(primary.port)
  await until('the standby follows', async () => {
    const { rowCount } = await admin.query(
      `select from pg_stat_replication where state = 'streaming'`,
    )
    return rowCount === 1
  })
  await admin.query(`alter system set synchronous_standby_names = '*'`)
  await admin.query('select pg_reload_conf()')
  await until('commits wait for the standby', async () => {
    const { rowCount } = await admin.query(
      `select from pg_stat_replication where sync_state = 'sync'`,
    )
    return rowCount === 1
  })
  return {
    primary,
    /** Both, the standby first, as a client is told of them. */
    url: primary.url.replace(
      `@127.0.0.1:${primary.port}/`,
      `@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/`,
    ),
    standbyUrl: standby.url,
    promote: async () => {
      const client = await connect(standby.port)
      await client.query('select pg_promote()')
    },
  }
}

test('of two servers the standby takes over: nothing acknowledged is lost, nothing is doubled', async (t) => {
  const { primary, url, standbyUrl, promote } = await pair(t)
  const timing = { GATEWAY_TIMEOUT_SECONDS: '1', WORKER_PROCESSING_TIMEOUT_SECONDS: '5' }
  const service = await serve(t, { ...FAST, ...timing }, { database: url })
  const ready = async () => (await fetch(`${service.url}/readyz`)).ok
  const load = await steadyLoad(service, 4)
  await load.more(100)
  primary.kill()
  await until('it is not ready', async () => !(await ready()))
  await promote()
  await until('it is ready again', ready)
  await load.more(100)
  assert.ok(load.refusals.size > 0)
  await load.settle(standbyUrl)
  await service.stop()
})
