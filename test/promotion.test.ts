import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { turnGateway } from '../tools/client.ts'
import { query } from './databases.ts'
import { CALM, FAST, MOCK, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve, untilShown, type Served } from './serve.ts'
import { steadyLoad } from './steady-load.ts'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** Wait until a server knows so many standbys in a state. */
function untilStandbys(admin: pg.Client, what: string, where: string, count = 1): Promise<true> {
  return until(what, async () => {
    const { rowCount } = await admin.query(`select from pg_stat_replication where ${where}`)
    return rowCount === count
  })
}

/**
 * A primary server and its standby, which has everything that was acknowledged where it is
 * synchronous, and may lack the last of it where it is not.
 */
async function pair(t: TestContext, kind: 'synchronous' | 'asynchronous') {
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
  await fs.appendFile(
    join(second, 'pg18', 'postgresql.auto.conf'),
    `primary_conninfo = '${source}'\n`,
  )
  const standby = await startEmbeddedPostgres({ dataDir: second })
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
  await untilStandbys(admin, 'the standby follows', `state = 'streaming'`)
  if (kind === 'synchronous') {
    await admin.query(`alter system set synchronous_standby_names = '*'`)
    await admin.query('select pg_reload_conf()')
    await untilStandbys(admin, 'commits wait for the standby', `sync_state = 'sync'`)
  }
  return {
    primary,
    /** Both, the standby first, as a client is told of them. */
    url: primary.url.replace(
      `@127.0.0.1:${primary.port}/`,
      `@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/`,
    ),
    standbyUrl: standby.url,
    /** From now on nothing arrives at the standby. */
    sever: async () => {
      const client = await connect(standby.port)
      await client.query(`alter system set primary_conninfo = ''`)
      await client.query('select pg_reload_conf()')
      await untilStandbys(admin, 'the standby is cut off', 'true', 0)
    },
    promote: async () => {
      const client = await connect(standby.port)
      await client.query('select pg_promote()')
    },
  }
}

test('of two servers the standby takes over: nothing acknowledged is lost, nothing is doubled', async (t) => {
  const { primary, url, standbyUrl, promote } = await pair(t, 'synchronous')
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

/** Make so many payments, and wait until all have succeeded. */
async function paid(service: Served, user: unknown, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let made = 0; made < count; made += 1) {
    const body = { user_id: user, deposit: 1 }
    const { body: answer, text } = await service.call('POST', '/payments/deposit', body)
    assert.ok(answer['payment_id'], text)
    ids.push(String(answer['payment_id']))
  }
  for (const id of ids) {
    await untilShown(service, Number(id), ({ status }) => status === 'success')
  }
  return ids
}

interface Report {
  readonly rules: readonly {
    readonly rule: string
    readonly violations: number
    readonly examples: readonly { readonly payment_id: string }[]
  }[]
}

test('an asynchronous standby lacks the last payments, and each that was charged is listed', async (t) => {
  const { primary, url, standbyUrl, sever, promote } = await pair(t, 'asynchronous')
  const service = await serve(t, FAST, { database: url })
  await turnGateway(service.url + MOCK, CALM)
  const user = (await service.call('POST', '/users', { balance: 0 })).body['id']
  const kept = await paid(service, user, 5)
  const count = `select count(*)::int as count from payments where status = 'success'`
  await until('they are on the standby', async () => {
    const [row] = await query<{ count: number }>(standbyUrl, count)
    return row?.count === kept.length
  })
  await sever()
  const lost = await paid(service, user, 8)
  primary.kill()
  await promote()
  await until('it is ready again', async () => (await fetch(`${service.url}/readyz`)).ok)

  const gateway = ['--gateway', service.url + MOCK]
  const env = { DATABASE_URL: standbyUrl }
  const compared = await run(t, ['verify', ...gateway, '--json'], env)
  const { rules } = JSON.parse(compared.stdout) as Report
  const wrong = rules.filter(({ violations }) => violations > 0)
  assert.deepEqual(
    wrong.map(({ rule, examples }) => [rule, examples.map((one) => one.payment_id).toSorted()]),
    [['gateway_missing_here', lost.toSorted()]],
  )
  // What is left is whole, and goes on.
  await paid(service, user, 3)
  assert.equal((await run(t, ['verify'], env)).code, 0)
  await service.stop()
})
