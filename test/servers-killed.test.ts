import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Server } from './faults/stack.ts'
import { payers } from './payers.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'
import { distribute, SHARDS, twoServers } from './two-servers.ts'

const LIMITS = {
  DATABASE_CONNECT_TIMEOUT_SECONDS: '2',
  DATABASE_STATEMENT_TIMEOUT_SECONDS: '10',
}
/** Payments of each user while a server is away. */
const TURNS = [1, 2, 3, 4, 5]

/** A service on two servers, with two users in each shard. */
async function shop(t: TestContext) {
  const servers = await twoServers(t)
  await distribute(t, servers.env)
  const settings = { ...servers.env, ...FAST, ...LIMITS }
  const service = await serve(t, settings, { database: servers.homeUrl })
  const { call } = service
  await call('PUT', '/mock-gateway/faults', CALM)
  const users: number[] = []
  while (users.length < 2 * SHARDS) {
    const { status, body } = await call('POST', '/users/', { balance: 1_000 })
    assert.equal(status, 201)
    users.push(Number(body['id']))
  }
  const { taken, pay, allDone } = payers(call)
  const health = async () => {
    const { body } = await call('GET', '/health')
    const ready = await fetch(`${service.url}/readyz`)
    return [body['status'], body['database'], body['servers'], ready.status].join(' ')
  }
  return { servers, service, call, users, taken, pay, allDone, health }
}

type Shop = Awaited<ReturnType<typeof shop>>

/** Ask for payments of everybody while a server is away: only its users are refused. */
async function whileAway(
  { call, users, pay, allDone, health }: Shop,
  round: string,
  isAway: (user: number) => boolean,
): Promise<void> {
  const [lost = 0] = users.filter(isAway)
  await until(
    'its users are refused',
    async () => (await pay(lost, `${round}-gone`)).status === 503,
  )
  await until('it is known', async () => (await health()) === 'degraded ok some 200')
  const meanwhile: number[] = []
  for (const turn of TURNS) {
    for (const user of users) {
      const { status, body, text } = await pay(user, `${round}-${turn}-${user}`)
      assert.equal(status, isAway(user) ? 503 : 202, text)
      if (isAway(user)) assert.match(text, /"code":"(?:database_unavailable|outcome_unknown)"/)
      else meanwhile.push(Number(body['payment_id']))
    }
  }
  // Not only accepted: a worker charges and settles them, and they are read and listed.
  await until('those of the others are done', () => allDone(meanwhile))
  const list = await call('GET', '/payments?limit=100')
  const missing = new Set(users.filter(isAway).map((user) => user % SHARDS))
  assert.deepEqual(
    list.body['missing_shards'],
    [...missing].toSorted((one, another) => one - another),
  )
  // What is to be known of every shard, or belongs to none, cannot be changed.
  const made = await call('POST', '/webhook-endpoints', { types: ['payment.failed'] })
  assert.equal(made.status, 503, made.text)
}

/** Ask again for what was refused, until everything is done. */
async function whenBack({ users, taken, pay, allDone, health }: Shop, round: string) {
  for (const user of users) {
    await until('it is back', async () => (await pay(user, `${round}-back-${user}`)).status === 202)
    for (const turn of TURNS) {
      assert.equal((await pay(user, `${round}-${turn}-${user}`)).status, 202)
    }
  }
  await until('it is known', async () => (await health()) === 'ok ok all 200')
  await until('all are done', () => allDone(taken.values()))
}

test('a server that is killed takes its own shards along and no others, the home side as well', async (t) => {
  const own = await shop(t)
  const { servers, service, call, users, taken, pay, allDone } = own
  for (const user of users) assert.equal((await pay(user, `first-${user}`)).status, 202)
  await until('all are done', () => allDone(taken.values()))

  const { home, other } = servers
  const rounds: readonly (readonly [server: Server, isAway: (user: number) => boolean])[] = [
    [other, (user) => user % SHARDS >= SHARDS / 2],
    [home, (user) => user % SHARDS < SHARDS / 2],
  ]
  for (const [index, [server, isAway]] of rounds.entries()) {
    server.kill()
    await whileAway(own, `round-${index}`, isAway)
    await server.revive()
    await whenBack(own, `round-${index}`)
  }

  const ids = [...taken.values()]
  assert.equal(new Set(ids).size, taken.size, 'a key has one payment, and a payment one key')
  assert.ok(ids.every((id) => Number.isSafeInteger(id)))
  const { body: audit } = await call('GET', '/mock-gateway/audit')
  // One key was asked for until its server was found to be away, and maybe taken before.
  assert.deepEqual([audit['charged_twice_count'], audit['conflicts']], [0, 0])
  const gateway = { PAYMENT_GATEWAY_URL: `${service.url}/api/v1/mock-gateway` }
  const report = await run(t, ['verify', '--gateway', '--json'], { ...servers.env, ...gateway })
  assert.equal(report.code, 0, report.stdout + report.stderr)
})
