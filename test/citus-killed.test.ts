import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { query } from './databases.ts'
import { payers } from './payers.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'

/**
 * An empty database of a coordinator of Citus with two nodes that hold shards, and a program that
 * is called with `kill` or `start` and the port of a node.
 */
const { CITUS_KILLED_URL: url = '', CITUS_CONTROL: control = '' } = process.env
const skip =
  url === '' || control === ''
    ? 'CITUS_KILLED_URL and CITUS_CONTROL name no empty database of Citus whose nodes can be killed'
    : false

const SHARDS = 64
const USERS = 16
const TURNS = [1, 2, 3]
const env = { DATABASE_URL: url, SHARDS: `${SHARDS}`, CITUS: 'true' }
const LIMITS = {
  DATABASE_CONNECT_TIMEOUT_SECONDS: '5',
  DATABASE_STATEMENT_TIMEOUT_SECONDS: '20',
}

const order = async (what: 'kill' | 'start', port: number) => {
  await promisify(execFile)(control, [what, `${port}`])
}

/** The port of the node of each shard. */
async function ports(): Promise<Map<number, number>> {
  const rows = await query<{ number: number; port: number }>(
    url,
    `select number, nodeport as port
     from generate_series(0, ${SHARDS - 1}) number
     join pg_dist_placement on shardid = get_shard_id_for_distribution_column('users', number)
     join pg_dist_node using (groupid)
     where noderole = 'primary'`,
  )
  return new Map(rows.map(({ number, port }) => [number, port]))
}

/** A service with users on both nodes. */
async function shop(t: TestContext) {
  const distributed = await run(t, ['distribute'], env)
  assert.equal(distributed.code, 0, distributed.stderr)
  const service = await serve(t, { ...env, ...FAST, ...LIMITS }, { database: url })
  const { call } = service
  await call('PUT', '/mock-gateway/faults', CALM)
  const users: number[] = []
  while (users.length < USERS) {
    users.push(Number((await call('POST', '/users/', { balance: 1_000 })).body['id']))
  }
  const places = await ports()
  const portOf = (user: number) => places.get(user % SHARDS) ?? 0
  const { taken, pay, allDone } = payers(call)
  return { service, call, users, portOf, taken, pay, allDone }
}

type Shop = Awaited<ReturnType<typeof shop>>

/** Everybody pays; who lives on the node that is away is refused, and all others are served. */
async function payments({ users, portOf, pay, allDone }: Shop, round: string, away: number) {
  const meanwhile: number[] = []
  for (const turn of TURNS) {
    for (const user of users) {
      const { status, body, text } = await pay(user, `${round}-${turn}-${user}`)
      assert.equal(status, portOf(user) === away ? 503 : 202, text)
      if (status === 202) meanwhile.push(Number(body['payment_id']))
    }
  }
  // Not only accepted: a worker claims, charges and settles them, and they are read.
  await until('those of the others are done', () => allDone(meanwhile))
}

/** Whoever was refused asks again; in the end each has what was asked for, and no more. */
async function whenBack({ users, taken, pay, allDone }: Shop, round: string) {
  for (const user of users) {
    for (const turn of TURNS) {
      const key = `${round}-${turn}-${user}`
      await until('it is back', async () => (await pay(user, key)).status === 202)
    }
  }
  await until('all are done', () => allDone(taken.values()))
}

async function nothingLost(t: TestContext, { service, call, taken }: Shop) {
  const [made] = await query<{ count: number }>(url, 'select count(*)::int as count from payments')
  assert.equal(made?.count, taken.size)
  assert.equal(new Set(taken.values()).size, taken.size)
  const { body: audit } = await call('GET', '/mock-gateway/audit')
  assert.deepEqual([audit['charged_twice_count'], audit['conflicts']], [0, 0])
  const gateway = { PAYMENT_GATEWAY_URL: `${service.url}/api/v1/mock-gateway` }
  const report = await run(t, ['verify', '--gateway', '--json'], { ...env, ...gateway })
  assert.equal(report.code, 0, report.stdout + report.stderr)
}

test(
  'a node that is killed takes its own shards along, and payments of the others end',
  { skip },
  async (t) => {
    const own = await shop(t)
    const { users, portOf, pay, allDone, taken } = own
    const [node = 0, other] = [...new Set(users.map(portOf))]
    assert.ok(other, 'two nodes hold shards')
    t.after(() => order('start', node))
    await payments(own, 'first', 0)
    // What the node has begun when it is killed ends when it is back.
    const gone = users.filter((user) => portOf(user) === node)
    for (const user of gone) assert.equal((await pay(user, `begun-${user}`)).status, 202)
    await order('kill', node)
    await until('its users are refused', async () => {
      return (await pay(gone[0] ?? 0, `away-1-${gone[0]}`)).status === 503
    })
    await payments(own, 'away', node)
    await order('start', node)
    await whenBack(own, 'away')
    await until('what was begun is done', () => allDone(taken.values()))

    // While the coordinator is away, numbers come from a reserve.
    const coordinator = Number(new URL(url).port)
    t.after(() => order('start', coordinator))
    await order('kill', coordinator)
    await payments(own, 'alone', coordinator)
    await order('start', coordinator)
    await until('users can be made again', async () => {
      return (await own.call('POST', '/users/', { balance: 1 })).status === 201
    })
    await payments(own, 'again', 0)
    await until('all are done', () => allDone(taken.values()))
    await nothingLost(t, own)
  },
)
