import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstEnd, missingRanges, rangeOf } from '../src/domain/id-ranges.ts'
import { sessions } from '../src/adapters/shard-session.ts'
import { finishPayments, readPayments } from '../src/payments/store.ts'
import { chargedPayments } from '../src/queue/store.ts'
import type { Statement } from '../src/ports.ts'
import { verify } from '../src/verify/verify.ts'
import { charge, claim } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { viewPayments } from '../src/payments/read.ts'
import { acceptAll, books, openDb, testWorld } from './harness.ts'
import { pay } from './charge-kit.ts'
import { cut, SIZE } from './ranges-kit.ts'

test('ranges are made one behind the other, so that no id is in none or in two', () => {
  const first = { number: 0, from: null, to: firstEnd(23n, SIZE) }
  assert.equal(first.to, 30n)
  assert.equal(firstEnd(30n, SIZE), 40n)
  const next = missingRanges([first], 23n, { size: SIZE, ahead: 2 })
  assert.deepEqual(next, [
    { number: 1, from: 30n, to: 40n },
    { number: 2, from: 40n, to: 50n },
  ])
  const all = [first, ...next]
  assert.deepEqual(missingRanges(all, 29n, { size: SIZE, ahead: 2 }), [])
  assert.equal(missingRanges(all, 30n, { size: SIZE, ahead: 2 }).length, 1)
  assert.equal(rangeOf(all, [0n, 29n])?.number, 0)
  assert.equal(rangeOf(all, [30n, 39n])?.number, 1)
  assert.equal(rangeOf(all, [29n, 30n]), null, 'of two ranges')
  assert.equal(rangeOf(all, [50n]), null, 'of none')
})

test('what is there becomes the first range, and nothing of it is copied or lost', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(1_000_000n)
  for (let count = 0; count < 4; count += 1) await pay(world, 'withdraw', user)
  await world.work()
  const file = `select pg_relation_filenode('payments_p0'::regclass) as file`
  const was = await world.sql<{ file: number }>(file.replace('_p0', ''))
  const before = await books(world)
  const ranges = await cut(world)
  assert.deepEqual(await world.sql(file), was, 'the same file')
  assert.deepEqual(await books(world), before)
  assert.deepEqual(
    ranges.map(({ number, from, to, tables }) => [number, from, to, tables.length]),
    [
      [0, null, 10n, 3],
      [1, 10n, 20n, 3],
      [2, 20n, 30n, 3],
    ],
  )
})

test('a statement about payments of one range names it, and no other statement does', async () => {
  const sent: string[] = []
  const tables = new Set<string>()
  const run = <Row>({ name, text }: Statement<Row>): Promise<Row[]> => {
    sent.push(name)
    for (const [table] of text.matchAll(/\b(?:payments|payment_attempts)(?:_p\d+)?\b/g)) {
      tables.add(table)
    }
    return Promise.resolve([])
  }
  const tx = { run, write: (statement: Statement<unknown>) => void run(statement) }
  const driver = { run, transaction: <T>(work: (given: typeof tx) => Promise<T>) => work(tx) }
  const ranges = [
    { number: 0, from: null, to: 30n },
    { number: 1, from: 30n, to: 40n },
  ]
  const known = { shards: 1, currency: 'USD', ranges: () => ranges }
  const [shard] = sessions(driver, known).shards
  assert.ok(shard)
  await readPayments(shard, [31n, 39n])
  await chargedPayments(shard, [1n])
  assert.deepEqual([...tables], ['payments_p1', 'payment_attempts_p0'])
  await readPayments(shard, [29n, 30n])
  await readPayments(shard, [40n])
  assert.deepEqual(sent, [
    'payments_read_p1',
    'attempts_charged_p0',
    'payments_read',
    'payments_read',
  ])
  sent.length = 0
  const finish = { status: 'success', attempts: 1, error: null, gatewayRef: null } as const
  await shard.transaction(async (one) => finishPayments(one, [{ ...finish, id: 31n }]))
  const [whole] = sessions(driver, { ...known, ranges: () => null }).shards
  assert.ok(whole)
  await readPayments(whole, [31n])
  assert.deepEqual(sent, ['payments_finish_p1', 'payments_read'])
})

test('payments are accepted, charged and settled over the end of a range', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(1_000_000n)
  await pay(world, 'withdraw', user)
  const db = openDb(t, world.url, { clock: world.clock, ranges: await cut(world) })
  const accept = acceptAll(db, { bps: 200, min: 0n })
  const draft = { type: 'withdraw', userId: user, amount: 1_000n, idempotencyKey: null } as const
  const answers = await accept(Array.from({ length: 14 }, () => draft))
  const ids = answers.map((answer) => {
    assert.ok(answer.kind === 'accepted')
    return answer.payment.id
  })
  assert.ok(ids.some((id) => id < 10n) && ids.some((id) => id >= 10n), 'on both sides')
  for (const limit of [3, 6, 1_000]) {
    const claims = await claim({ ...world.world, db }, limit)
    const charged = await Promise.all(claims.map((one) => charge({ ...world.world, db }, one)))
    await settle({ ...world.world, db }, charged)
  }
  for (const id of ids) {
    const [view] = await viewPayments(db, [id])
    assert.equal(view?.status, 'success')
  }
  for (const view of await viewPayments(db, ids)) assert.equal(view?.status, 'success')
  const rows = await world.sql<{ count: bigint }>('select count(*) from payments_p1')
  assert.ok((rows[0]?.count ?? 0n) > 0n, 'some are in the second range')
  const report = await verify({ db: world.db, clock: world.clock })
  assert.equal(report.violations, 0, JSON.stringify(report.rules))
})

test('what is only written down stays so in every range', async (t) => {
  const world = await testWorld(t)
  await pay(world, 'withdraw')
  await cut(world)
  await pay(world, 'withdraw')
  await world.work()
  for (const table of ['postings', 'payment_attempts']) {
    for (const name of [table, `${table}_p0`, `${table}_p1`, `${table}_p2`]) {
      for (const text of [`delete from ${name}`, `truncate ${name}`]) {
        await assert.rejects(world.sql(text), /permission denied/, text)
      }
    }
  }
})
