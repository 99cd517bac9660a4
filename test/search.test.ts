import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readShare } from '../src/adapters/read-share.ts'
import { groupLetters } from '../src/dead-letters/list.ts'
import { EXPONENTS } from '../src/domain/currency.ts'
import { formatMoney } from '../src/domain/money.ts'
import { readSought } from '../src/domain/search.ts'
import type { Shard } from '../src/ports.ts'
import { search } from '../src/search/search.ts'
import { COMPARED_MAX } from '../src/search/store.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, lost } from './operators.ts'
import { serve } from './serve.ts'

async function find(world: TestWorld, typed: string) {
  const sought = readSought(typed)
  assert(sought !== null)
  const found = await search(world.db, sought)
  return {
    payments: found.payments.map(({ view, by }) => [view.payment.id, by.toSorted()] as const),
    users: found.users.map(({ user, by }) => [user.id, by] as const),
    letters: found.letters.map(({ id }) => id),
  }
}

test('what is typed is read in every form that it may be', () => {
  const amounts = (typed: string) => [...(readSought(typed)?.amounts ?? [])]
  assert.deepEqual(readSought('  #17 '), { text: '#17', id: 17n, amounts: new Map() })
  assert.equal(readSought('17')?.id, 17n)
  assert.deepEqual(
    amounts('17'),
    EXPONENTS.map((exponent) => [exponent, 17n * 10n ** BigInt(exponent)]),
  )
  assert.deepEqual(amounts('12.50'), [
    [2, 1_250n],
    [3, 12_500n],
    [4, 125_000n],
  ])
  assert.deepEqual(amounts('-1'), [])
  for (const none of ['', '   ', 'a\u0000b', '\ud800', 'x'.repeat(256), 'a\nb']) {
    assert.equal(readSought(none), null, JSON.stringify(none))
  }
  for (const text of ['0', '017', '1'.repeat(16), '1e3', 'order-4711', '№ 5', '#x']) {
    assert.equal(readSought(text)?.id, null, text)
    assert.equal(readSought(text)?.text, text)
  }
})

test('an amount is found however its decimals are written, in each currency that has them', () => {
  const minor = fc.bigInt(1n, 10n ** 12n)
  fc.assert(
    fc.property(minor, fc.constantFrom(...EXPONENTS), (amount, exponent) => {
      const text = formatMoney(amount, exponent)
      if (text.length > 40 || amount >= 10n ** 10n * 10n ** BigInt(exponent)) return
      assert.equal(readSought(text)?.amounts.get(exponent), amount)
    }),
  )
})

for (const shards of [1, 3]) {
  test(`payments are found by whatever names them, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const users = [await world.user(0n), await world.user(0n), await world.user(0n)]
    const ids: bigint[] = []
    for (const [index, userId] of users.entries()) {
      const [answer] = await world.accept([
        {
          type: 'deposit',
          userId,
          amount: 12_345n + BigInt(index),
          idempotencyKey: `key-${index}`,
        },
      ])
      assert(answer?.kind === 'accepted')
      ids.push(answer.payment.id)
    }
    await world.work()
    await world.sql(
      `insert into payment_details (shard, payment_id, reference, sent)
       select shard, id, 'order-' || id, '{}' from payments`,
    )
    const [first = 0n, second = 0n] = ids
    const nothing = { users: [], letters: [] }
    const only = (id: bigint, by: string) => ({ payments: [[id, [by]]], ...nothing })
    assert.deepEqual(await find(world, 'key-1'), only(second, 'idempotency_key'))
    assert.deepEqual(await find(world, `order-${first}`), only(first, 'reference'))
    assert.deepEqual(await find(world, `gw-${second}`), only(second, 'gateway_ref'))
    assert.deepEqual(await find(world, '123.46'), only(second, 'amount'))
    assert.deepEqual(await find(world, '123.460'), only(second, 'amount'))
    assert.deepEqual((await find(world, `#${first}`)).payments, [[first, ['payment_id']]])
    for (const none of ['key', 'key-1 x', 'KEY-1', '123.461', 'order-', '%', '_', '12345']) {
      assert.deepEqual((await find(world, none)).payments, [], none)
    }
  })
}

test('an amount is that of the payment’s own currency', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  for (const amount of [5_000n, 50n]) {
    await world.accept([{ type: 'deposit', userId, amount, idempotencyKey: null }])
  }
  await world.sql(`update payments set currency = 'JPY' where amount = 50`)
  const amounts = async (typed: string) => (await find(world, typed)).payments.length
  // 50 yen, and 50.00 dollars.
  assert.equal(await amounts('50'), 2)
  assert.equal(await amounts('50.00'), 2)
  assert.equal(await amounts('0.50'), 0)
  assert.equal(await amounts('5000'), 0)
})

test('users are found by id and by external id, and letters by id', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  await world.sql(
    `insert into user_details (shard, user_id, external_id) values (0, $1, 'jane@x')`,
    [userId],
  )
  assert.deepEqual((await find(world, 'jane@x')).users, [[userId, ['external_id']]])
  assert.deepEqual((await find(world, String(userId))).users, [[userId, ['user_id']]])
  const paymentId = await lost(world, 'deposit')
  const [letter] = await world.sql<{ id: bigint }>('select id from dead_letters')
  const found = await find(world, String(letter?.id))
  assert.deepEqual(found.letters, [letter?.id])
  assert.ok(paymentId > 0n)
})

test('what no index has is compared with the newest payments alone', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  await world.accept([{ type: 'deposit', userId, amount: 77_777n, idempotencyKey: 'old' }])
  const [old] = await world.sql<{ id: bigint }>('select id from payments')
  const more = (count: number) =>
    world.sql(
      `insert into payments
         (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
       select 0, (select max(id) from payments) + n, $1, 'deposit', 'new', 100, 2, 200, '2030-01-01'
       from generate_series(1, $2::int) n`,
      [userId, count],
    )
  await more(COMPARED_MAX - 1)
  assert.deepEqual((await find(world, 'old')).payments, [[old?.id, ['idempotency_key']]])
  assert.deepEqual((await find(world, '777.77')).payments, [[old?.id, ['amount']]])
  await more(1)
  assert.deepEqual((await find(world, 'old')).payments, [])
  const [first] = (await find(world, String(old?.id))).payments
  assert.deepEqual(first, [old?.id, ['payment_id']])
})

test('of many that have an amount the newest are shown, and behind what is called so', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  for (let count = 0; count < 2; count += 1) {
    const drafts = Array.from({ length: 20 }, (_, at) => ({
      type: 'deposit' as const,
      userId,
      amount: 700n,
      idempotencyKey: count === 0 && at === 0 ? '7' : null,
    }))
    await world.accept(drafts)
  }
  const { payments } = await find(world, '7')
  assert.equal(payments.length, 20)
  assert.deepEqual(payments[0]?.[1], ['payment_id'])
  assert.deepEqual(payments[1]?.[1], ['idempotency_key'])
  const rest = payments.slice(2).map(([id]) => id)
  assert.deepEqual(
    rest,
    rest.toSorted((one, other) => (one < other ? 1 : -1)),
  )
})

for (const shards of [1, 3]) {
  test(`open letters are grouped by cause, over ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await declined(world, 'deposit')
    world.clock.advance(1_000)
    await declined(world, 'deposit')
    await declined(world, 'withdraw')
    await lost(world, 'deposit')
    await world.sql(`update dead_letters set currency = 'EUR' where payment_type = 'withdraw'`)
    const { known: groups } = await groupLetters(world.db)
    assert.deepEqual(
      groups.map((group) => [group.class, group.type, group.currency, group.count, group.amount]),
      [
        ['failed', 'deposit', 'USD', 2, 10_000n],
        ...groups.slice(1).map((group) => [group.class, group.type, group.currency, 1, 5_000n]),
      ],
    )
    assert.equal(groups.length, 3)
    const [first] = groups
    assert.ok(first !== undefined && first.oldestAt < first.newestAt)
    const [sum] = await world.sql<{ count: bigint; amount: bigint }>(
      `select count(*), sum(amount)::bigint as amount from dead_letters where state = 'open'`,
    )
    assert.equal(
      groups.reduce((total, { count }) => total + count, 0),
      Number(sum?.count),
    )
    assert.equal(
      groups.reduce((total, { amount }) => total + amount, 0n),
      sum?.amount,
    )
    await world.sql(`update dead_letters set state = 'resolved' where class = 'failed'`)
    assert.deepEqual(
      (await groupLetters(world.db)).known.map((group) => group.class),
      ['unknown'],
    )
  })
}

test('the one box answers by the API, and what nothing can be called is refused', async (t) => {
  const { call } = await serve(t)
  await call('POST', '/users', { balance: 10, external_id: 'jane' })
  await call('POST', '/payments/deposit', { user_id: 1, deposit: '12.50', reference: 'order-1' })
  const found = async (q: string) => (await call('GET', `/search?q=${encodeURIComponent(q)}`)).body
  const byReference = (await found('order-1'))['payments'] as Shown[]
  assert.deepEqual(
    byReference.map(({ by, payment }) => [by, payment['payment_id'], payment['amount']]),
    [[['reference'], 1, 12.5]],
  )
  const byName = (await found('jane'))['users'] as { user: Record<string, unknown> }[]
  assert.equal(byName[0]?.user['id'], 1)
  assert.deepEqual(await found('nobody'), { payments: [], users: [], dead_letters: [] })
  for (const query of ['', 'q=', `q=${'x'.repeat(256)}`, 'q=%00', 'q=a%0Ab', 'q=a&q=b', 'p=1']) {
    const refused = await call('GET', `/search?${query}`)
    assert.deepEqual([refused.status, refused.body['code']], [400, 'query_invalid'], query)
  }
  const groups = await call('GET', '/dlq/groups')
  assert.deepEqual([groups.status, groups.body], [200, { data: [] }])
})

interface Shown {
  readonly by: readonly string[]
  readonly payment: Record<string, unknown>
}

test('a search over many shards asks few statements at a time', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(100n)
  const shards = Array.from({ length: 64 }, () => world.db.shards[0] as Shard)
  const reads = readShare({ ...world.db, shards }, { runningMax: 1, waitingMax: 3 })
  const sought = readSought(String(userId))
  assert(sought !== null)
  const found = await search(reads, sought)
  assert.deepEqual(
    found.users.map(({ user }) => user.id),
    [userId],
  )
  assert.deepEqual((await groupLetters(reads)).known, [])
})

test('what is called so stands before what only costs as much, also where it costs that itself', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  const ids: bigint[] = []
  for (const [index, amount] of [4_700n, 100n, 4_700n, 4_700n].entries()) {
    const idempotencyKey = index < 2 ? `${47 - index}` : null
    const [answer] = await world.accept([{ type: 'deposit', userId, amount, idempotencyKey }])
    assert(answer?.kind === 'accepted')
    ids.push(answer.payment.id)
  }
  const [both = 0n, , third = 0n, fourth = 0n] = ids
  assert.deepEqual((await find(world, '47')).payments, [
    [both, ['amount', 'idempotency_key']],
    [fourth, ['amount']],
    [third, ['amount']],
  ])
})
