import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

/** A server of the test's own, with its superuser: to turn it read-only takes one. */
export async function ownServer(t: TestContext) {
  // No hook deletes it, as that would come before the server is stopped: the test script does.
  const dataDir = await fs.mkdtemp(join(await fs.realpath(TEMPORARY), 'payments-failover-'))
  await fs.chmod(dataDir, 0o711)
  const server = await startEmbeddedPostgres({ dataDir })
  await migrate(server.url)
  const password = await fs.readFile(join(dataDir, 'pg18.password'), 'utf8')
  const admin = new pg.Client({
    connectionString: `postgresql://postgres:${password}@127.0.0.1:${server.port}/payments`,
  })
  await admin.connect()
  t.after(async () => {
    await admin.end()
    await server.stop()
  })
  // As a switch to another server does it: everybody is told, nobody is asked.
  const readOnly = async (on: boolean) => {
    await admin.query(`alter system set default_transaction_read_only = ${on ? 'on' : 'off'}`)
    await admin.query('select pg_reload_conf()')
  }
  /** Let COMMITs wait for a synchronous standby that is not there, or for none. */
  const waitForNobody = async (on: boolean) => {
    await admin.query(`alter system set synchronous_standby_names = '${on ? 'nobody' : ''}'`)
    await admin.query('select pg_reload_conf()')
  }
  const backends = async (name: string) => {
    const text = 'select pid from pg_stat_activity where application_name = $1'
    return (await admin.query(text, [name])).rowCount ?? 0
  }
  /** Backends that wait for a standby. */
  const waiting = async () => {
    const text = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
    return (await admin.query(text)).rowCount ?? 0
  }
  return { url: server.url, readOnly, waitForNobody, backends, waiting, admin }
}
