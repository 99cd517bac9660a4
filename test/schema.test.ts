import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { cloneDatabase } from './databases.ts'
import { declaredFields } from './row-types.ts'
import { statements, type Found } from './statements.ts'

async function open(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  return client
}

const USER = `insert into users values (0, 1, 100, 50, now())`
const PAYMENT = `
  insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
  values (0, 1, 1, 'withdraw', 'new', 100, 2, 200, now())`
const POSTING = `
  insert into postings values (0, 1, 1, 'settle', 0, -102, 100, 2, 0, now())`
const REFUND = `
  insert into payments
    (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, parent_id,
     fee_returned)
  values (0, 2, 1, 'refund', 'new', 100, 0, 0, now(), 1, 100)`
const REFERENCE = `insert into payment_references values (0, 1, 'A-1', 1)`
const RETURN = (id: number) => `insert into payment_children values (0, 1, ${id}, 're_1')`
const LETTER = `
  insert into dead_letters
    (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
     created_at)
  values (0, 1, 1, 1, 'withdraw', 100, 2, 'failed', 'x', 1, now())`

const payment = (column: string, value: string) =>
  `${PAYMENT}; update payments set ${column} = ${value}`

const UNIQUE = '23505'
const CHECK = '23514'
const MISSING = '23502'

const REFUSED: readonly (readonly [name: string, sql: string, code: string])[] = [
  ['a negative balance', `${USER}; update users set available = -1`, CHECK],
  ['a negative hold', `${USER}; update users set held = -1`, CHECK],
  ['a second user with an id', `${USER}; ${USER}`, UNIQUE],
  ['an amount of nothing', payment('amount', '0'), CHECK],
  ['an amount below nothing', payment('amount', '-1'), CHECK],
  ['a commission below nothing', payment('commission', '-1'), CHECK],
  ['a deposit that costs more than it is', payment('type', "'deposit', commission = 101"), CHECK],
  ['a status that does not exist', payment('status', "'processing'"), CHECK],
  ['a type that does not exist', payment('type', "'gift'"), CHECK],
  ['a refund of nothing', payment('type', "'refund'"), CHECK],
  ['a return of no kind', payment('type', "'return', parent_id = 9"), CHECK],
  ['a deposit that came back from nowhere', payment('return_kind', "'charged_back'"), CHECK],
  ['a payment of a payment', payment('parent_id', '9'), CHECK],
  [
    'a refund that returns more than it is',
    `${REFUND}; update payments set fee_returned = 101`,
    CHECK,
  ],
  ['a withdrawal that returns a commission', payment('fee_returned', '1'), CHECK],
  ['more refunds than the payment', payment('refund_reserved', '101'), CHECK],
  ['refunds below nothing', payment('refund_reserved', '-1'), CHECK],
  ['a refund that was never reserved', payment('refunded', '1'), CHECK],
  ['more returns than the payment', payment('returned', '101'), CHECK],
  ['returns below nothing', payment('returned', '-1'), CHECK],
  [
    'more returned of a commission than it is',
    payment('fee_reserved', '2, returned_fee = 1'),
    CHECK,
  ],
  ['a refusal of a payment that is open', payment('refused_for', "'insufficient_funds'"), CHECK],
  ['a currency in small letters', `${USER}; update users set currency = 'usd'`, CHECK],
  ['an entry that leaves a loss out', POSTING.replace('now()', 'now(), -1'), CHECK],
  ['one reference for two payments of a user', `${REFERENCE}; ${REFERENCE}`, UNIQUE],
  ['one return under a reference twice', `${RETURN(5)}; ${RETURN(6)}`, UNIQUE],
  ['a final status without its time', payment('status', "'success'"), CHECK],
  ['a time of the end while it is open', payment('finished_at', 'now()'), CHECK],
  ['an empty key', payment('idempotency_key', "''"), CHECK],
  ['a key of 256 characters', payment('idempotency_key', "repeat('k', 256)"), CHECK],
  ['a payment without a key for the gateway', payment('gateway_key', 'null'), MISSING],
  [
    'one key for two payments of a user',
    `${payment('idempotency_key', "'k'")}; insert into payments select * from
      jsonb_populate_record((select payments from payments), '{"id": 2}')`,
    UNIQUE,
  ],
  ['an entry that does not sum to zero', POSTING.replace('-102', '-101'), CHECK],
  ['an entry of a kind that does not exist', POSTING.replace('settle', 'gift'), CHECK],
  ['a second settlement of a payment', `${POSTING}; ${POSTING}`, UNIQUE],
  ['a second open letter of a payment', `${LETTER}; ${LETTER.replace('(0, 1,', '(0, 2,')}`, UNIQUE],
  [
    'a second task of a payment',
    'insert into payment_tasks select 0, 1, now() from generate_series(1, 2)',
    UNIQUE,
  ],
]

test('the schema refuses what must never be true, whatever the code does', async (t) => {
  const client = await open(t, await cloneDatabase(t))
  for (const [name, sql, code] of REFUSED) {
    await t.test(name, async () => {
      await client.query('begin')
      await assert.rejects(client.query(sql), { code })
      await client.query('rollback')
    })
  }
})

test('the schema allows what the refused statements were made from', async (t) => {
  const client = await open(t, await cloneDatabase(t))
  for (const sql of [USER, PAYMENT, POSTING, LETTER, REFUND, REFERENCE, RETURN(5)]) {
    await client.query(sql)
  }
  await client.query("update dead_letters set state = 'redriven'")
  await client.query(LETTER.replace('(0, 1,', '(0, 2,'))
})

const UNTOUCHABLE = [
  'update postings set fees = fees',
  'delete from postings',
  'truncate postings',
  'update payment_attempts set reason = reason',
  'delete from payment_attempts',
  'truncate payment_attempts',
]

test('not even the owner of the tables can change or delete what was posted or seen', async (t) => {
  const client = await open(t, await cloneDatabase(t))
  const { rows } = await client.query<{ superuser: boolean }>(
    'select rolsuper as superuser from pg_roles where rolname = current_user',
  )
  if (rows[0]?.superuser) {
    return t.skip('rights do not bind a superuser: give the tests, and the service, another role')
  }
  await client.query(POSTING)
  for (const sql of UNTOUCHABLE) {
    await assert.rejects(client.query(sql), { code: '42501' }, sql)
  }
  assert.equal((await client.query('select * from postings')).rowCount, 1)
})

test('the entries of the ledger read as one row an account sum to zero', async (t) => {
  const client = await open(t, await cloneDatabase(t))
  await client.query(POSTING)
  const { rows } = await client.query<{ account: string; amount: string }>(
    'select account, amount from ledger_entries order by account',
  )
  assert.deepEqual(rows, [
    { account: 'fees', amount: '2' },
    { account: 'gateway', amount: '100' },
    { account: 'user_held', amount: '-102' },
  ])
})

interface Field {
  readonly name: string
  readonly dataTypeID: number
}

/** Have PostgreSQL parse a statement and tell its columns, without running it. */
function describe(client: pg.Client, { name, text }: Found): Promise<readonly Field[]> {
  return new Promise((resolve, reject) => {
    let fields: readonly Field[] = []
    // The driver's own way to hand it a protocol exchange; the types do not know it.
    client.query({
      submit(connection: Record<'parse' | 'describe' | 'sync', (message?: object) => void>) {
        connection.parse({ name, text, types: [] })
        connection.describe({ type: 'S', name })
        connection.sync()
      },
      handleRowDescription: (message: { fields: readonly Field[] }) => (fields = message.fields),
      handleReadyForQuery: () => resolve(fields),
      handleError: (error: Error) => reject(new Error(`${name}: ${error.message}`)),
    } as unknown as pg.Submittable)
  })
}

/** What a column of PostgreSQL becomes in JavaScript, by the number of its type. */
const JAVASCRIPT: Readonly<Record<number, string>> = {
  16: 'boolean',
  20: 'bigint',
  21: 'number',
  23: 'number',
  701: 'number',
  25: 'string',
  2950: 'string',
  1184: 'Date',
  19: 'string',
  1009: 'string[]',
  1016: 'string[]',
  17: 'Buffer',
  1700: 'string',
  3802: 'object',
}

test('every statement prepares against the schema and returns the columns it declares', async (t) => {
  const client = await open(t, await cloneDatabase(t))
  const found = await statements()
  assert.ok(found.length >= 30, `${found.length} statements`)
  for (const statement of found) {
    await t.test(`${statement.file}: ${statement.name}`, async () => {
      const fields = await describe(client, statement)
      const returned = fields.map(({ name, dataTypeID }) => [name, JAVASCRIPT[dataTypeID]])
      // `unknown`: nobody reads its row.
      if (statement.row === 'unknown') return
      assert.deepEqual(Object.fromEntries(returned), declaredFields(statement.row, statement.file))
      assert.equal(returned.length, new Set(fields.map(({ name }) => name)).size)
    })
  }
})

test('the name of a statement is used once, and belongs to its text', async () => {
  const names = (await statements()).map(({ name }) => name)
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  )
})

/** What means another moment in another time zone of the session: its days, and times as texts. */
const OF_SESSION =
  /\bdate_trunc\((?!.*, 'UTC'\))|::(?:date|timestamp|time)\b|\b(?:current_date|localtime\w*)\b|\bto_char\((?!.* at time zone 'UTC')/

test('no statement means something else in another time zone of its session', async () => {
  for (const wrong of ["date_trunc('day', x)", 'x::date', 'current_date', "to_char(x, 'DD')"]) {
    assert.match(wrong, OF_SESSION)
  }
  for (const { name, text } of await statements()) assert.doesNotMatch(text, OF_SESSION, name)
})
