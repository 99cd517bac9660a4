import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { childProcessesOf } from '../src/adapters/embedded-server.ts'
import { CALM, FAST, until } from './process-kit.ts'
import type { Server } from './faults/stack.ts'
import { serve } from './serve.ts'
import { distribute, SHARDS, twoServers } from './two-servers.ts'

const LIMITS = {
  DATABASE_CONNECT_TIMEOUT_SECONDS: '10',
  DATABASE_STATEMENT_TIMEOUT_SECONDS: '10',
}

/**
 * Stop a server where it stands: its connections stay, and nothing answers. Gives what undoes it.
 */
function freeze(t: TestContext, server: Server): () => void {
  const pid = server.pid()
  process.kill(pid, 'SIGSTOP')
  let frozen = [pid]
  for (const child of childProcessesOf(pid)) {
    process.kill(child, 'SIGSTOP')
    frozen.push(child)
  }
  const thaw = () => {
    for (const each of frozen) process.kill(each, 'SIGCONT')
    frozen = []
  }
  t.after(thaw)
  return thaw
}

test('a server that is frozen keeps the others at work, and is used again when it is not', async (t) => {
  const servers = await twoServers(t)
  await distribute(t, servers.env)
  const settings = { ...servers.env, ...FAST, ...LIMITS }
  const { call } = await serve(t, settings, { database: servers.homeUrl })
  await call('PUT', '/mock-gateway/faults', CALM)
  const users: number[] = []
  while (users.length < 2 * SHARDS) {
    const { status, body } = await call('POST', '/users/', { balance: 1_000 })
    // A machine that is busy with other things may let it wait too long.
    if (status === 201) users.push(Number(body['id']))
  }
  const pay = (user: number) => call('POST', '/payments/deposit', { user_id: user, deposit: 10 })
  const isDone = async (id: unknown) =>
    (await call('GET', `/payments/${Number(id)}`)).body['status'] === 'success'
  const isFrozen = (user: number) => user % SHARDS >= SHARDS / 2
  const [lost = 0] = users.filter(isFrozen)
  const others = users.filter((user) => !isFrozen(user))
  const health = async () => {
    const { body } = await call('GET', '/health')
    return [body['status'], body['database'], body['servers']].join(' ')
  }

  const thaw = freeze(t, servers.other)
  await until('its users are refused', async () => (await pay(lost)).status === 503)
  await until('it is known', async () => (await health()) === 'degraded ok some')
  const taken: unknown[] = []
  for (const user of [...others, ...others]) {
    const { status, body, text } = await pay(user)
    assert.equal(status, 202, text)
    taken.push(body['payment_id'])
    assert.equal((await pay(lost)).status, 503)
    await until('it is done', () => isDone(body['payment_id']))
  }
  const list = await call('GET', '/payments?limit=100')
  assert.deepEqual(list.body['missing_shards'], [4, 5, 6, 7], list.text)

  thaw()
  for (const user of users) {
    let id: unknown = null
    await until('it is back', async () => {
      const { status, body } = await pay(user)
      id = body['payment_id']
      return status === 202
    })
    await until('it is done', () => isDone(id))
  }
  await until('it is known', async () => (await health()) === 'ok ok all')
})
