import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrate } from '../src/adapters/migrate.ts'
import { query } from './databases.ts'
import { CALM, FAST, temporaryFolder, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'
import { ROOT } from './sources.ts'

/** An empty database of a coordinator of Citus with two nodes that hold shards. */
const { CITUS_MOVES_URL: url = '' } = process.env
const skip =
  url === '' ? 'CITUS_MOVES_URL names no empty database of Citus with two workers' : false

const SHARDS = 64
const USERS = 16
const env = { DATABASE_URL: url, SHARDS: `${SHARDS}`, CITUS: 'true' }

interface Place {
  readonly bucket: string
  readonly host: string
  readonly port: number
}

/** Where shards are, as Citus tells. */
function places(shards: readonly number[]): Promise<Place[]> {
  return query<Place>(
    url,
    `select distinct shardid::text as bucket, nodename as host, nodeport as port
     from unnest('{${shards.join()}}'::int[]) number
     join pg_dist_placement on shardid = get_shard_id_for_distribution_column('users', number)
     join pg_dist_node using (groupid)
     where noderole = 'primary'
     order by bucket`,
  )
}

test('shards are moved under load without a payment lost or made twice', { skip }, async (t) => {
  const distributed = await run(t, ['distribute'], env)
  assert.equal(distributed.code, 0, distributed.stderr)
  const service = await serve(t, { ...env, ...FAST }, { database: url })
  await service.call('PUT', '/mock-gateway/faults', CALM)
  const users: number[] = []
  while (users.length < USERS) {
    users.push(Number((await service.call('POST', '/users/', { balance: 1_000 })).body['id']))
  }
  const taken = new Map<string, number>()
  let moving = true
  const buy = async (user: number) => {
    for (let turn = 0; moving || turn < 3; turn += 1) {
      const key = `${user}-${turn}`
      // What is in doubt, or refused while a part is moved, is asked again.
      await until(`${key} is taken`, async () => {
        const order = { user_id: user, amount: 1 }
        const headers = { 'idempotency-key': key }
        const answer = await service.call('POST', '/payments/withdraw', order, headers)
        assert.ok([202, 503].includes(answer.status), answer.text)
        if (answer.status === 202) taken.set(key, Number(answer.body['payment_id']))
        return answer.status === 202
      })
    }
  }
  const load = Promise.all(users.map(buy))
  const before = await places(users.map((user) => user % SHARDS))
  const names = [...new Set(before.map(({ host, port }) => `${host}:${port}`))]
  assert.equal(names.length, 2, 'two nodes hold shards')
  const moved = before.slice(0, 4)
  for (const { bucket, host, port } of moved) {
    const [other = ''] = names.filter((name) => name !== `${host}:${port}`)
    const [toHost = '', toPort = ''] = other.split(':')
    await query(
      url,
      `select citus_move_shard_placement(
         ${bucket}, '${host}', ${port}, '${toHost}', ${toPort}, 'block_writes')`,
    )
  }
  moving = false
  await load
  const after = await places(users.map((user) => user % SHARDS))
  const changed = after.filter(({ port }, index) => port !== before[index]?.port)
  assert.equal(changed.length, moved.length)
  await until('all have ended', async () => {
    for (const id of taken.values()) {
      const { body } = await service.call('GET', `/payments/${id}`)
      if (body['status'] !== 'success') return false
    }
    return true
  })
  const [made] = await query<{ count: number }>(url, 'select count(*)::int as count from payments')
  assert.equal(made?.count, taken.size)
  assert.equal(new Set(taken.values()).size, taken.size)
  t.diagnostic(`${taken.size} payments while ${moved.length} parts of Citus were moved`)
  await service.stop()
  const report = await run(t, ['verify', '--json'], env)
  assert.equal(report.code, 0, report.stdout + report.stderr)
})

test(
  'a migration works on a distributed database, and distribute takes in its tables',
  { skip },
  async (t) => {
    const dir = await temporaryFolder(t)
    await fs.cp(join(ROOT, 'migrations'), dir, { recursive: true })
    await fs.writeFile(
      join(dir, '9001_later.sql'),
      `create table later (shard int, id bigint, primary key (shard, id));
     alter table payments add column later text;
     create index payments_later on payments (shard, later) where later is not null;`,
    )
    assert.deepEqual((await migrate(url, { dir })).applied, ['9001_later'])
    const columns = await query(
      url,
      `select from run_command_on_shards('payments', 'select max(later) from %s') where not success`,
    )
    assert.deepEqual(columns, [])
    await query(url, 'delete from schema_migrations where version = 9001')
    const { code, stdout, stderr } = await run(t, ['distribute'], env)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^Distributed later\.$/m)
  },
)
