import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../src/config/config.ts'
import { SETTINGS } from '../src/config/settings.ts'
import { beat, leave, listProcesses } from '../src/presence/store.ts'
import { cloneDatabase } from './databases.ts'
import { manualClock, openDb } from './harness.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'

const own = (id: string) => ({ id, role: 'worker', version: '1.0.0', host: 'here', pid: 7 })

test('a process that says so lives, one that was killed does not, and after a day it is forgotten', async (t) => {
  const clock = manualClock()
  const { global: db } = openDb(t, await cloneDatabase(t), { clock })
  const alive = async () =>
    Object.fromEntries((await listProcesses(db)).map((one) => [one.id, one.alive]))
  await beat(db, own('one'))
  await beat(db, own('two'))
  clock.advance(20_000)
  await beat(db, own('one'))
  clock.advance(10_000)
  assert.deepEqual(await alive(), { one: true, two: false })
  const [first] = await listProcesses(db)
  assert.deepEqual(first?.startedAt, new Date('2030-01-01T00:00:00Z'))
  clock.advance(86_380_000)
  await beat(db, own('one'))
  clock.advance(20_000)
  await beat(db, own('three'))
  // However long ago it began, one that says so is not forgotten.
  assert.deepEqual(await alive(), { one: true, three: true })
  await leave(db, 'one')
  await leave(db, 'three')
  assert.deepEqual(await alive(), {})
})

test('a service lists its processes, which leave when they stop', async (t) => {
  const service = await serve(t)
  const other = await serve(t, {}, { database: service.database, roles: WORKER })
  const roles = async () => {
    const { body } = await service.call('GET', '/processes')
    return (body['data'] as { role: string; alive: boolean }[])
      .filter(({ alive }) => alive)
      .map(({ role }) => role)
      .toSorted()
  }
  await until('both are listed', async () => (await roles()).join() === 'all,worker')
  await other.stop()
  assert.deepEqual(await roles(), ['all'])
})

const WORKER = { api: false, worker: true, mockGateway: true }

test('settings are shown as they are in force, and no secret is', () => {
  const secrets = {
    DATABASE_URL: 'postgresql://jane:hunter2@db.internal/payments',
    GATEWAY_AUTHORIZATION: 'Bearer hunter2',
    GATEWAY_HEADERS: '{"x-key": "hunter2"}',
    WEBHOOK_SECRETS_KEY: 'MzIgYnl0ZXMgb2YgYW4gZXhhbXBsZSwgbm8ga2V5ISE=',
  }
  const { shown } = loadConfig({
    ...secrets,
    PORT: '9000',
  })
  assert.equal(shown.length, Object.keys(SETTINGS).length)
  const text = JSON.stringify(shown)
  for (const secret of ['hunter2', 'MzIg']) assert.ok(!text.includes(secret), secret)
  const one = (name: string) => shown.find((setting) => setting.name === name)
  for (const name of Object.keys(secrets)) {
    assert.deepEqual(
      [one(name)?.value, one(name)?.set, one(name)?.secret],
      [null, true, true],
      name,
    )
  }
  assert.deepEqual([one('PORT')?.value, one('PORT')?.set], ['9000', true])
  assert.deepEqual([one('HOST')?.value, one('HOST')?.set], ['127.0.0.1', false])
  assert.equal(one('DEBUG')?.value, 'true')
})

test('the configuration is read by the API', async (t) => {
  const { call } = await serve(t, { TRANSACTION_FEE: '3' })
  const { status, body } = await call('GET', '/configuration')
  assert.equal(status, 200)
  const data = body['data'] as { name: string; value: string; set: boolean }[]
  assert.deepEqual(
    data.filter(({ name }) => name === 'TRANSACTION_FEE').map(({ value, set }) => [value, set]),
    [['3', true]],
  )
})
