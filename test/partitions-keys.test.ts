import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { lookAtPayments } from '../src/payments/list-store.ts'
import type { Db } from '../src/ports.ts'
import { ID_MAX } from '../src/domain/shard.ts'
import { verify } from '../src/verify/verify.ts'
import { acceptAll, ANY, openDb, testWorld, type TestWorld } from './harness.ts'
import { cut, SIZE } from './ranges-kit.ts'
import { refund, refundOf } from './refunds-kit.ts'
import { statements } from './statements.ts'
import { violated } from './verify-history.ts'

const draft = (userId: bigint, idempotencyKey: string | null, amount = 1_000n): PaymentDraft => ({
  type: 'deposit',
  userId,
  amount,
  idempotencyKey,
})

/** Ask for a payment: which it is, or why there is none. */
async function ask(db: Db, one: PaymentDraft): Promise<bigint | string> {
  const [answer] = await acceptAll(db, { bps: 200, min: 0n })([one])
  if (answer?.kind === 'accepted') return answer.payment.id
  return answer?.kind === 'refused' ? answer.refusal.code : 'nothing'
}

/** Use up ids, so that the next payments are behind the first range. */
async function behindTheFirst(world: TestWorld): Promise<void> {
  await world.sql(`select setval('payment_ids', ${SIZE})`)
}

test('a key makes one payment, whichever ranges the requests are in and whoever takes them', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const early = await ask(world.db, draft(user, 'early'))
  const ranges = await cut(world)
  const knows = openDb(t, world.url, { clock: world.clock, ranges })
  // It has not looked yet which ranges there are, as a process of the version before never does.
  const unaware = openDb(t, world.url, { clock: world.clock })
  await behindTheFirst(world)
  const made = {
    early,
    late: await ask(knows, draft(user, 'late')),
    later: await ask(unaware, draft(user, 'later')),
  }
  assert.ok(typeof made.late === 'bigint' && made.late >= SIZE)
  assert.ok(typeof made.later === 'bigint' && made.later >= SIZE)
  for (const db of [knows, unaware]) {
    for (const [key, id] of Object.entries(made)) {
      assert.equal(await ask(db, draft(user, key)), id, key)
      assert.equal(await ask(db, draft(user, key, 5n)), 'idempotency_key_reuse', key)
    }
  }
  const other = await world.user(0n)
  const others = await ask(knows, draft(other, 'late'))
  assert.ok(typeof others === 'bigint' && others !== made.late, 'a key belongs to its user')
  const rows = await world.sql(
    'select key, payment_id as id from payment_keys where user_id = $1',
    [user],
  )
  assert.deepEqual(
    new Set(rows),
    new Set([
      { key: 'late', id: made.late },
      { key: 'later', id: made.later },
    ]),
    'those behind the first range',
  )
  assert.deepEqual(violated(await verify({ db: world.db, clock: world.clock })), [])
})

test('one batch may repeat keys of all ranges beside new ones', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const early = await ask(world.db, draft(user, 'early'))
  const db = openDb(t, world.url, { clock: world.clock, ranges: await cut(world) })
  await behindTheFirst(world)
  const late = await ask(db, draft(user, 'late'))
  const keys = ['early', 'new', 'late', 'new', null]
  const answers = await acceptAll(db, { bps: 200, min: 0n })(keys.map((key) => draft(user, key)))
  const ids = answers.map((one) => (one.kind === 'accepted' ? one.payment.id : one.kind))
  assert.deepEqual([ids[0], ids[2]], [early, late])
  assert.equal(ids[1], ids[3])
  assert.equal(new Set(ids).size, 4)
})

test('a refund under a key is made once, whichever range its payment is in', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const parents = [await ask(world.db, draft(user, 'paid'))]
  await world.work()
  const db = openDb(t, world.url, { clock: world.clock, ranges: await cut(world) })
  await behindTheFirst(world)
  parents.push(await ask(db, draft(user, 'paid later')))
  await world.work()
  for (const [index, parent] of parents.entries()) {
    assert.ok(typeof parent === 'bigint')
    const asked = refundOf(parent, '1.00', `back ${index}`)
    const [first] = await refund(db, [asked])
    assert.ok(first?.kind === 'accepted')
    const [again] = await refund(db, [asked])
    assert.ok(again?.kind === 'accepted')
    assert.equal(again.payment.id, first.payment.id)
    const [taken] = await refund(db, [refundOf(parent, '1.00', 'paid later')])
    assert.ok(taken?.kind === 'refused')
    assert.equal(taken.refusal.code, 'idempotency_key_reuse', 'the key of a payment')
  }
  assert.deepEqual(violated(await verify({ db: world.db, clock: world.clock })), [])
})

test('the database refuses a second payment under a key in later ranges', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  await cut(world)
  await behindTheFirst(world)
  const id = await ask(world.db, draft(user, 'k'))
  await assert.rejects(
    world.sql(`insert into payments select * from jsonb_populate_record(
      (select p from payments p where id = ${id}), '{"id": ${String(id).replace(/.$/, '9')}}')`),
    /payment_keys_pkey/,
  )
})

test('the payment under a key is found in whichever range it is', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const early = await ask(world.db, draft(user, 'early'))
  const ranges = await cut(world)
  await behindTheFirst(world)
  const late = await ask(world.db, draft(user, 'late'))
  for (const db of [world.db, openDb(t, world.url, { clock: world.clock, ranges })]) {
    const find = async (key: string, before = ID_MAX) => {
      const filter = { ...ANY, userId: user, idempotencyKey: key }
      const { payments } = await lookAtPayments(db.of(user), filter, before, 10)
      return payments.map(({ id }) => id)
    }
    assert.deepEqual(await find('early'), [early])
    assert.deepEqual(await find('late'), [late])
    assert.deepEqual(await find('late', SIZE), [], 'it is behind the page')
    assert.deepEqual(await find('none'), [])
  }
})

test('a key that was not kept apart is reported', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  await ask(world.db, draft(user, 'early'))
  await cut(world)
  await world.sql('drop trigger payment_keys on payments')
  await ask(world.db, draft(user, 'still the first range'))
  await behindTheFirst(world)
  await ask(world.db, draft(user, 'late'))
  const report = await verify({ db: world.db, clock: world.clock })
  assert.deepEqual(violated(report), ['key_unkept'])
  assert.equal(report.violations, 1)
})

test('no later range has an index of the keys, and no statement inserts into a range by its name', async (t) => {
  const world = await testWorld(t)
  await cut(world)
  const indexes = await world.sql<{ table: string }>(`
    select tablename as table from pg_indexes where indexdef like '%idempotency_key)%'`)
  assert.deepEqual(indexes, [{ table: 'payments_p0' }])
  const columns = await world.sql<{ table: string; count: bigint }>(`
    select tablename as table, count(*) as count
    from pg_indexes
    where tablename like 'payment_attempts_p%' or tablename like 'postings_p%'
    group by 1`)
  const counts = new Map(columns.map(({ table, count }) => [table, count]))
  for (const table of ['payment_attempts', 'postings']) {
    assert.equal(counts.get(`${table}_p1`), counts.get(`${table}_p0`), table)
  }
  const named = (await statements()).filter(({ ranged }) => ranged !== undefined)
  assert.ok(named.length >= 5)
  for (const { name, text, ranged } of named) {
    assert.doesNotMatch(text, new RegExp(`into\\s+${ranged}\\b`), name)
  }
})
