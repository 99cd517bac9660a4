import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grantTo } from '../src/adapters/app-role.ts'
import { query } from './databases.ts'
import { ownServer } from './own-server.ts'
import { FAST } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'
import { steadyLoad } from './steady-load.ts'

test('a role that owns nothing runs the service, and cannot change what was written down', async (t) => {
  const { url, admin } = await ownServer(t)
  await admin.query(`create role "service's own" login password 'secret'`)
  const through = new URL(url)
  through.username = encodeURIComponent("service's own")
  through.password = 'secret'
  const app = through.href
  // What somebody granted before, because it worked.
  await admin.query(`grant all on all tables in schema public to "service's own"`)

  const migrated = await run(t, ['migrate', '--app-role', "service's own"], { DATABASE_URL: url })
  assert.equal(migrated.code, 0, migrated.stderr)
  assert.match(migrated.stdout, /Granted to service's own what the service needs\./)

  const env = { ...FAST, AUTO_CREATE_TABLES: 'false' }
  const service = await serve(t, env, { database: app })
  const load = await steadyLoad(service, 2)
  await load.more(20)
  await load.settle(url)
  const [id] = [...load.accepted]
  const refund = await service.call('POST', `/payments/${String(id)}/refunds`, {
    reason: 'returned',
  })
  assert.equal(refund.status, 202, refund.text)
  await service.stop()

  for (const text of [
    'delete from postings',
    'update postings set payment_id = 0',
    'truncate payment_attempts',
    'update operator_acts set id = 0',
    'delete from schema_migrations',
    'create table own (id int)',
    'drop table users',
  ]) {
    await assert.rejects(query(app, text), { code: '42501' }, text)
  }
})

test('a role that is not there is refused with a sentence', async (t) => {
  const { url } = await ownServer(t)
  await assert.rejects(grantTo(url, 'nobody'), /There is no role nobody: create it first/)
})
