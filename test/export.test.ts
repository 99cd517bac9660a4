import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import { exponentOf } from '../src/domain/currency.ts'
import { fromWire } from '../src/domain/money.ts'
import { openSpool } from '../src/adapters/spool.ts'
import { exportHledger } from '../src/export/hledger.ts'
import type { Db } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { busyHistory } from './verify-history.ts'
import { moneyGoesBack } from './verify-money-back.ts'

const hledger = (journal: string, ...args: readonly string[]) =>
  spawnSync('hledger', ['-f', '-', ...args], { input: journal, encoding: 'utf8' })

const MISSING =
  spawnSync('hledger', ['--version']).status === 0
    ? false
    : 'hledger is not installed: apt-get install hledger'

/** Books with every kind of entry, of users in three currencies. */
async function booksOf(t: TestContext): Promise<TestWorld> {
  const world = await testWorld(t, { shards: 2 })
  await busyHistory(world, 1)
  await moneyGoesBack(world)
  await world.sql("update users set currency = 'JPY' where id = 3")
  await world.sql("update users set currency = 'KWD' where id in (2, 5)")
  return world
}

async function journalOf({ db }: { readonly db: Db }, pageMax?: number): Promise<string> {
  let journal = ''
  const write = (text: string) => {
    journal += text
    return Promise.resolve()
  }
  await exportHledger({ db, spool: openSpool }, write, pageMax)
  return journal
}

test(
  'hledger finds every entry balanced and every balance as it is stored',
  { skip: MISSING },
  async (t) => {
    const journal = await journalOf(await booksOf(t))
    const { status, stderr } = hledger(journal, 'check')
    assert.deepEqual([status, stderr], [0, ''])
    // One cent in one entry, and one in one stored balance.
    const [entry = ''] = /^ {4}fees {2}.+ USD$/m.exec(journal) ?? []
    const wrong = hledger(journal.replace(entry, '    fees  987654.32 USD'), 'check')
    assert.match(wrong.stderr, /could not balance/)
    const stored = hledger(journal.replace(/(0\.00 USD = -?)\d/, '$19'), 'check')
    assert.match(stored.stderr, /balance assertion/i)
  },
)

test(
  'the balances of hledger are ours, to the last minor unit of each currency',
  { skip: MISSING },
  async (t) => {
    const world = await booksOf(t)
    const args = [
      'balance',
      '--depth',
      '1',
      '--no-total',
      '--empty',
      '-O',
      'csv',
      '--layout',
      'bare',
    ]
    const { stdout, stderr } = hledger(await journalOf(world), ...args)
    assert.equal(stderr, '')
    const [, ...lines] = stdout.trim().split('\n')
    const theirs = lines.map((text) => {
      const [account = '', currency = '', amount = ''] = JSON.parse(`[${text}]`) as string[]
      const minor = fromWire(amount.replace(/\.$/, ''), exponentOf(currency) ?? 2)
      return `${account} ${currency} ${minor}`
    })
    const ours = await world.sql<{ line: string }>(`
    select concat_ws(' ', account, currency, sum(amount)) as line
    from (
      select account, coalesce(currency, 'USD') as currency, amount
      from postings
      join users on users.shard = postings.shard and users.id = postings.user_id
      cross join lateral (values
        ('user', user_available), ('user_held', user_held), ('gateway', gateway), ('fees', fees),
        ('opening', opening), ('losses', losses)
      ) leg (account, amount)
    ) legs
    group by account, currency
    having sum(amount) <> 0`)
    const nothing = theirs.filter((text) => !text.endsWith(' 0'))
    assert.deepEqual(nothing.toSorted(), ours.map(({ line }) => line).toSorted())
    assert.ok(['USD', 'JPY', 'KWD'].every((code) => ours.some(({ line }) => line.includes(code))))
  },
)

test('a journal in small pages is the journal in one', async (t) => {
  const world = await booksOf(t)
  const whole = await journalOf(world)
  for (const pageMax of [1, 7]) assert.equal(await journalOf(world, pageMax), whole)
  const [{ entries, users } = { entries: 0, users: 0 }] = await world.sql<{
    entries: number
    users: number
  }>('select count(*)::int as entries, count(distinct user_id)::int as users from postings')
  assert.equal(whole.match(/ ; at:/g)?.length, entries)
  assert.equal(whole.match(/ balances of user /g)?.length, users)
})

test('balances are asserted on the day of the last entry of their user, whichever entry that is', async (t) => {
  const world = await testWorld(t, { script: ['lost_reply', 'success', 'success'] })
  const userId = await world.user(0n)
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const deposit = { type: 'deposit', userId, amount: 10_000n, idempotencyKey: null } as const
  await world.accept([deposit])
  await world.work()
  await world.accept([deposit])
  await world.work()
  world.clock.advance(24 * 3_600_000)
  await world.accept([deposit])
  await world.work()
  // The oldest payment is settled days later.
  world.gateway.lookups = null
  world.clock.advance(2 * 24 * 3_600_000)
  await world.work()

  const journal = await journalOf(world)
  const days = [...journal.matchAll(/^(\S+) (.*?)user 1\b/gm)].map(([, day, what]) => [what, day])
  assert.deepEqual(days, [
    ['opening of ', '2030-01-01'],
    ['(1) settle of ', '2030-01-04'],
    ['(2) settle of ', '2030-01-01'],
    ['(3) settle of ', '2030-01-02'],
    ['balances of ', '2030-01-04'],
  ])
  if (MISSING === false) assert.equal(hledger(journal, 'check').stderr, '')
})

test('nothing is open in the database while somebody reads the journal', async (t) => {
  const world = await booksOf(t)
  let inHand = 0
  const write = async () => {
    inHand += 1
    const [{ open } = { open: -1 }] = await world.sql<{ open: number }>(`
      select count(*)::int as open from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null`)
    assert.deepEqual([inHand, open], [1, 0])
    inHand -= 1
  }
  await exportHledger({ db: world.db, spool: openSpool }, write, 5)
})

test('what happens while the journal of a shard is read is not in it', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 1)
  const before = await journalOf(world)
  let [journal, parts] = ['', 0]
  const write = async (text: string) => {
    journal += text
    parts += 1
    // The first part is the header, before which nothing was read.
    if (parts > 1) await world.sql('update users set available = available + 1')
  }
  await exportHledger({ db: world.db, spool: openSpool }, write, 5)
  assert.equal(journal, before)
  assert.ok(parts > 1)
})

test('a shard that is read again is in the journal once', async (t) => {
  const world = await booksOf(t)
  const again = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      await shard.transaction(work, lockMs)
      return shard.transaction(work, lockMs)
    },
  }))
  assert.equal(await journalOf({ db: again }), await journalOf(world))
})

test('an export ends, and asks no shard any more, when it cannot be written', async (t) => {
  const world = await booksOf(t)
  let [parts, transactions] = [0, 0]
  const counted = withShards(world.db, (shard) => ({
    ...shard,
    transaction(work, lockMs) {
      transactions += 1
      return shard.transaction(work, lockMs)
    },
  }))
  const write = async () => {
    parts += 1
    if (parts > 1) throw new Error('the disk is full')
  }
  await assert.rejects(exportHledger({ db: counted, spool: openSpool }, write), /the disk is full/)
  assert.deepEqual([parts, transactions], [2, 1])
})
