import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { cloneDatabase, emptyDatabase, query } from './databases.ts'
import { API, CALM as PROMPT, FAST, range, until } from './process-kit.ts'
import { run, start } from './programs.ts'
import { serve, type Reply, type Served } from './serve.ts'

type Body = Record<string, unknown>

/** From which database to which, and how many shards that is to have. */
interface Way {
  readonly from: string
  readonly to: string
  readonly shards: number
}

/** The gateway goes on while the service changes its database. */
const GATEWAY = { api: false, worker: false, mockGateway: true }
const SERVICE = { api: true, worker: true, mockGateway: false }

/** It takes everything at once. */
const CALM = { ...PROMPT, decline: 0 }

/** Run `payments reshard` to its end. */
function reshard(t: TestContext, { from, to, shards }: Way, more: readonly string[] = []) {
  const env = { DATABASE_URL: to, SHARDS: String(shards) }
  return run(t, ['reshard', '--from', from, ...more], env)
}

async function done(t: TestContext, way: Way): Promise<void> {
  const { code, stderr } = await reshard(t, way)
  assert.equal(code, 0, stderr)
}

function ok({ status, text, body }: Reply, wanted: number): Body {
  assert.equal(status, wanted, text)
  return body
}

const list = (body: Body) => body['data'] as Body[]

const USERS = range(16)
const EACH = range(40)

/** What somebody remembers of a database. */
interface Remembered {
  readonly users: readonly number[]
  readonly ids: readonly number[]
  readonly payments: ReadonlyMap<number, Body>
  readonly cursor: string
}

const opening = (number: number) =>
  [
    { balance: 100, external_id: `customer-${number}` },
    { 'idempotency-key': `open-${number}` },
  ] as const

const open = ({ call }: Served, number: number) => call('POST', '/users', ...opening(number))

const pay = ({ call }: Served, user: number, number: number) =>
  call(
    'POST',
    '/payments/deposit',
    { user_id: user, deposit: 1 },
    { 'idempotency-key': `pay-${number}` },
  )

async function untilFinal({ database }: Served): Promise<void> {
  await until('all are final', async () => (await count(database, 'payment_tasks')) === 0)
}

/** Read payments, some at a time. */
async function readAll({ call }: Served, ids: readonly number[]): Promise<Body[]> {
  const bodies: Body[] = []
  for (let from = 0; from < ids.length; from += 50) {
    const part = ids.slice(from, from + 50)
    const replies = await Promise.all(part.map((id) => call('GET', `/payments/${id}`)))
    bodies.push(...replies.map((reply) => ok(reply, 200)))
  }
  return bodies
}

/** Use a service: users with keys and names, hundreds of payments, some failed, one refunded. */
async function fillByUse(service: Served, gateway: Served): Promise<Remembered> {
  const { call } = service
  await gateway.call('PUT', '/mock-gateway/faults', CALM)
  ok(await call('POST', '/webhook-endpoints', { types: ['payment.*'] }), 201)
  const users: number[] = []
  for (const number of USERS) users.push(Number(ok(await open(service, number), 201)['id']))
  const ids: number[] = []
  for (const number of EACH) {
    if (number === EACH.length) {
      await untilFinal(service)
      await gateway.call('PUT', '/mock-gateway/faults', { ...CALM, decline: 1 })
    }
    const made = await Promise.all(users.map((user) => pay(service, user, number)))
    ids.push(...made.map((reply) => Number(ok(reply, 202)['payment_id'])))
  }
  await untilFinal(service)
  await gateway.call('PUT', '/mock-gateway/faults', CALM)
  const amount = { amount: 0.1, reason: 'a part' }
  ids.push(Number(ok(await call('POST', `/payments/${ids[0]}/refunds`, amount), 202)['payment_id']))
  await untilFinal(service)
  await until('events have their places', async () => {
    const fresh = 'select count(*)::int as count from events where position is null'
    const [row] = await query<{ count: number }>(service.database, fresh)
    return row?.count === 0
  })
  const page = ok(await call('GET', '/events?limit=500'), 200)
  const payments = new Map<number, Body>()
  for (const payment of await readAll(service, ids)) {
    payments.set(Number(payment['payment_id']), payment)
  }
  assert.equal(payments.size, ids.length)
  return { users, ids, payments, cursor: String(page['next_cursor']) }
}

async function count(database: string, table: string): Promise<number> {
  const [row] = await query<{ count: number }>(
    database,
    `select count(*)::int as count from ${table}`,
  )
  return row?.count ?? 0
}

async function eventsBehind({ call }: Served, cursor: string): Promise<string[]> {
  const ids: string[] = []
  for (let after = cursor, more = true; more;) {
    const page = ok(await call('GET', `/events?limit=500&after=${after}`), 200)
    ids.push(...list(page).map(({ id }) => String(id)))
    after = String(page['next_cursor'])
    more = page['more'] === true
  }
  return ids.toSorted()
}

async function verified(t: TestContext, database: string, shards: number): Promise<void> {
  const env = { DATABASE_URL: database, SHARDS: String(shards) }
  const { code, stdout, stderr } = await run(t, ['verify'], env)
  assert.equal(code, 0, stdout + stderr)
}

/** Make new payments, and refund and redrive those of before. */
async function goOn(
  after: Served,
  { users, ids }: Pick<Remembered, 'users' | 'ids'>,
): Promise<void> {
  const { call } = after
  const newest = Math.max(...ids)
  const fresh: number[] = []
  for (const user of users) {
    const id = Number(ok(await pay(after, user, 0), 202)['payment_id'])
    assert.ok(id > newest, `${id} is above all ids of before`)
    fresh.push(id)
  }
  assert.equal(new Set(fresh).size, users.length)
  const [old = 0] = ids
  const amount = { amount: 0.2, reason: 'another part' }
  const refund = Number(
    ok(await call('POST', `/payments/${old}/refunds`, amount), 202)['payment_id'],
  )
  const { text } = await call('GET', '/dlq?state=open&limit=100')
  const letters = JSON.parse(text) as Body[]
  assert.equal(letters.length, await count(after.database, `dead_letters where state = 'open'`))
  assert.ok(letters.length >= users.length)
  for (const { id } of letters) {
    ok(await call('GET', `/dlq/${String(id)}`), 200)
    const redriven = await call('POST', `/dlq/${String(id)}/redrive`, { reason: 'again' })
    assert.ok(redriven.status === 200 || redriven.status === 202, redriven.text)
  }
  await untilFinal(after)
  for (const id of [...fresh, refund]) {
    assert.equal(ok(await call('GET', `/payments/${id}`), 200)['status'], 'success')
  }
  ok(await call('GET', `/payments/${old}/timeline`), 200)
  assert.ok(list(ok(await call('GET', `/payments/${old}/events`), 200)).length > 0)
  const children = list(ok(await call('GET', `/payments?parent_id=${old}`), 200))
  assert.equal(children.length, 2, 'the refund of before and that of now')
  const found = ok(await call('GET', `/search?q=${old}`), 200)
  const shown = found['payments'] as { payment: Body }[]
  assert.ok(shown.some(({ payment }) => payment['payment_id'] === old))
}

test('with more shards everything of before is found, and no key makes anything twice', async (t) => {
  const gateway = await serve(t, {}, { roles: GATEWAY })
  const env = { ...FAST, PAYMENT_GATEWAY_URL: `${gateway.url}${API}/mock-gateway` }
  const before = await serve(t, { ...env, SHARDS: '1' }, { roles: SERVICE })
  const { users, ids, payments, cursor } = await fillByUse(before, gateway)
  const unread = await eventsBehind(before, cursor)
  await before.stop()
  const [eight, target] = [await emptyDatabase(t), await emptyDatabase(t)]
  // In two steps, so that some ids are of before the first.
  await done(t, { from: before.database, to: eight, shards: 8 })
  await done(t, { from: eight, to: target, shards: 64 })
  await verified(t, target, 64)

  const after = await serve(t, { ...env, SHARDS: '64' }, { database: target, roles: SERVICE })
  const { call } = after
  assert.deepEqual(await readAll(after, ids), [...payments.values()])
  for (const number of [1, EACH.length]) {
    for (const user of users) {
      const { payment_id: id, ...rest } = (await pay(after, user, number)).body
      assert.ok(payments.has(Number(id)), JSON.stringify(rest))
    }
  }
  assert.equal(await count(target, 'payments'), ids.length, 'no key has made a second payment')
  for (const number of USERS) {
    const again = await open(after, number)
    assert.equal(again.body['id'], users[number - 1], again.text)
    const { status, text } = await call('POST', '/users', opening(number)[0])
    assert.equal(status, 409, text)
    const named = ok(await call('GET', `/users?external_id=customer-${number}`), 200)
    assert.deepEqual(
      list(named).map(({ id }) => id),
      [users[number - 1]],
    )
  }
  assert.equal(await count(target, 'users'), users.length, 'no key has opened a second user')
  assert.deepEqual(await eventsBehind(after, cursor), unread, 'whoever read on goes on')

  await goOn(after, { users, ids })
  await after.stop()
  await verified(t, target, 64)
})

/** A database of two shards with more rows than one chunk has. */
async function large(t: TestContext): Promise<string> {
  const url = await cloneDatabase(t)
  await query(
    url,
    `insert into settings (name, value) values ('shards', '2'), ('currency', 'USD');
    insert into users (shard, id, available, held, created_at)
    select id % 2, id, id, 0, now() from generate_series(1, 90000) id;
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at)
    select
      id % 2, id, id, 'deposit', 'failed', 100, 2, 200, now() - id * interval '1 second', now()
    from generate_series(1, 90000) id;
    select setval('payment_ids', 45000), setval('user_ids', 90000)`,
  )
  return url
}

/** Every row of a database, as one text for each table. */
async function contentOf(url: string): Promise<Map<string, string>> {
  const tables = await query<{ name: string }>(
    url,
    `select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE'
      and table_name not like 'schema_migration%'`,
  )
  const content = new Map<string, string>()
  for (const { name } of tables) {
    const rows = `select md5(string_agg(t::text, ',' order by t::text)) as sum from ${name} t`
    content.set(name, (await query<{ sum: string | null }>(url, rows))[0]?.sum ?? '')
  }
  return content
}

test('a database whose filling was killed is used by nobody, and goes on to be equal to one that was not', async (t) => {
  const from = await large(t)
  const was = await contentOf(from)
  const [cut, whole] = [await emptyDatabase(t), await emptyDatabase(t)]
  const env = { DATABASE_URL: cut, SHARDS: '8' }
  const { child, ended } = await start(t, ['reshard', '--from', from], env)
  await until('a part is there', async () => {
    const [row] = await query<{ some: boolean }>(
      cut,
      `select to_regclass('payments') is not null as "some"`,
    )
    return row?.some === true && (await count(cut, 'payments')) > 0
  })
  child.kill('SIGKILL')
  assert.equal((await ended).signal, 'SIGKILL', 'it was not done before')
  const part = await count(cut, 'payments')
  const use = await run(t, ['verify'], env)
  assert.match(use.stderr, /being filled by `payments reshard`/)
  await query(from, `insert into settings (name, value) values ('another', 'fact')`)
  await query(from, `delete from settings where name = 'another'`)
  await done(t, { from, to: cut, shards: 8 })
  await done(t, { from, to: whole, shards: 8 })
  assert.ok(part < 90_000)
  assert.deepEqual(await contentOf(cut), await contentOf(whole))
  assert.deepEqual(await contentOf(from), was, 'the source is as it was')
})

const REFUSED: readonly (readonly [what: string, sql: string, shards: number, says: RegExp])[] = [
  [
    'a process that lives',
    `insert into processes (id, role, version, host, pid, started_at, seen_at)
    values ('a', 'all', '1', 'here', 1, now(), now())`,
    4,
    /1 processes use --from: stop them/,
  ],
  [
    'a redrive that runs',
    `insert into redrives (id, state, filter, letter_ids, amount, created_at, created_by)
    values (1, 'running', '{}', '{}', 0, now(), 'me')`,
    4,
    /redrives or replays of --from are not done/,
  ],
  ['shards that are no multiple', 'select 1', 3, /SHARDS=3 must be a multiple of 2/],
  ['as many shards', 'select 1', 2, /SHARDS=2 must be a multiple of 2/],
  [
    'an unrecovered restore',
    `insert into restores (backup_id, backup_at, restored_at, restored_by)
    values (gen_random_uuid(), now(), now(), 'me')`,
    4,
    /run `payments recover` there first/,
  ],
  [
    'another currency',
    `update settings set value = 'EUR' where name = 'currency'`,
    4,
    /CURRENCY=USD must be that of --from: EUR/,
  ],
]

for (const [what, sql, shards, says] of REFUSED) {
  test(`a database is not divided with ${what}`, async (t) => {
    const from = await cloneDatabase(t)
    await query(from, `insert into settings values ('shards', '2'), ('currency', 'USD')`)
    await query(from, sql)
    const to = await emptyDatabase(t)
    const { code, stderr } = await reshard(t, { from, to, shards })
    assert.notEqual(code, 0)
    assert.match(stderr, says)
    const [row] = await query<{ used: boolean }>(
      to,
      `select to_regclass('users') is not null as used`,
    )
    assert.equal(row?.used, false, 'nothing was changed')
  })
}

test('nothing is divided into a database that has something, and a dry run changes nothing', async (t) => {
  const from = await large(t)
  const [used, empty] = [await cloneDatabase(t), await emptyDatabase(t)]
  await query(used, `insert into users values (0, 1, 0, 0, now())`)
  const { code, stderr } = await reshard(t, { from, to: used, shards: 4 })
  assert.notEqual(code, 0)
  assert.match(stderr, /is not empty \(users has rows\)/)
  const dry = await reshard(t, { from, to: empty, shards: 4 }, ['--dry-run', '--json'])
  assert.equal(dry.code, 0, dry.stderr)
  const { from: had, shards, below } = JSON.parse(dry.stdout) as Body
  assert.deepEqual([had, shards], [2, 4])
  assert.ok(Number(below) > 90_000)
  const [row] = await query<{ used: boolean }>(
    empty,
    `select to_regclass('users') is not null as used`,
  )
  assert.equal(row?.used, false)
})

test('a filling that was begun from another database, or before it was used, does not go on', async (t) => {
  const from = await large(t)
  const to = await emptyDatabase(t)
  await done(t, { from, to, shards: 4 })
  await query(to, `insert into settings values ('reshard', '{"source":"x","step":0,"after":null}')`)
  const { code, stderr } = await reshard(t, { from, to, shards: 4 })
  assert.notEqual(code, 0)
  assert.match(stderr, /begun with another database, or --from has changed/)
})
