import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../src/ports.ts'
import { idsOfTime, noteMinutes } from '../src/payments/time-index-store.ts'
import { startMinutes } from '../src/payments/time-index.ts'
import { pageOfViews } from '../src/payments/read.ts'
import type { PaymentFilter } from '../src/payments/filter-store.ts'
import { ANY, testWorld, type TestWorld } from './harness.ts'
import { accepted, JANE, openLetter } from './operators.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { done, refunded } from './refunds-kit.ts'
import { serve } from './serve.ts'

const MINUTE_MS = 60_000

async function idsOf(world: TestWorld, filter: Partial<PaymentFilter>): Promise<bigint[]> {
  const ids: bigint[] = []
  for (let before: bigint | null = 2n ** 62n; before !== null;) {
    const { views, next } = await pageOfViews(world.db, { ...ANY, ...filter }, before, 2)
    ids.push(...views.map(({ payment }) => payment.id))
    before = next
  }
  return ids
}

test('what finds one payment is not asked for beside the payment that others are of', async (t) => {
  const { call } = await serve(t)
  for (const filter of ['reference=order-7', 'idempotency_key=k&user_id=1']) {
    const { status, body } = await call('GET', `/payments?parent_id=1&${filter}`)
    assert.equal(status, 400)
    assert.equal(body['code'], 'query_invalid')
    const [{ pointer, code } = { pointer: '', code: '' }] = body['errors'] as {
      pointer: string
      code: string
    }[]
    assert.equal(code, 'without_parent_id')
    assert.match(pointer, /reference|idempotency_key/)
  }
})

test('what is new, in hand and pending is stored alike, and listed apart', async (t) => {
  const world = await testWorld(t)
  const userId = Number(await world.user(0n))
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, {}, { database: world.url, roles })
  const made: unknown[] = []
  for (let count = 1; count <= 3; count += 1) {
    const { body } = await call('POST', '/payments/deposit', { user_id: userId, deposit: 10 })
    made.push(body['payment_id'])
  }
  const [, inHand, waiting] = made
  await world.sql(`update payment_tasks
    set leased = payment_id = ${String(inHand)}, run_at = now() + interval '1 hour',
      pendings = (payment_id = ${String(waiting)})::int
    where payment_id in (${String(inHand)}, ${String(waiting)})`)
  for (const [at, status] of ['new', 'processing', 'pending'].entries()) {
    const { body } = await call('GET', `/payments?status=${status}`)
    const listed = body['data'] as { payment_id: number; status: string }[]
    assert.deepEqual(
      listed.map((one) => [one.payment_id, one.status]),
      [[made[at], status]],
    )
  }
})

test('a list is filtered by reference, key, gateway reference and all of them together', async (t) => {
  const world = await testWorld(t)
  const userId = Number(await world.user(100_000n))
  const other = Number(await world.user(0n))
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, {}, { database: world.url, roles })
  const deposit = async (more: object, user = userId, headers = {}) => {
    const body = { user_id: user, deposit: 10, ...more }
    return BigInt(
      Number((await call('POST', '/payments/deposit', body, headers)).body['payment_id']),
    )
  }
  const list = async (query: string) => {
    const { status, body, text } = await call('GET', `/payments?${query}`)
    assert.equal(status, 200, text)
    return (body['data'] as { payment_id: number }[]).map(({ payment_id: id }) => BigInt(id))
  }
  world.gateway.script = ['declined']
  const failed = await deposit({ reference: 'a' })
  await world.work()
  const letterId = await openLetter(world, failed)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert.ok(answer?.kind === 'redriven' && answer.newPaymentId !== null)
  const again = answer.newPaymentId
  world.gateway.script = ['success']
  await world.work()
  const theirs = await deposit({ reference: 'a' }, other)
  const keyed = await deposit({}, userId, { 'idempotency-key': 'k' })
  await deposit({}, other, { 'idempotency-key': 'k' })

  assert.deepEqual(await list('reference=a'), [theirs, again, failed])
  assert.deepEqual(await list(`reference=a&user_id=${userId}`), [again, failed])
  assert.deepEqual(await list('reference=a&status=failed'), [failed])
  assert.deepEqual(await list('reference=b'), [])
  assert.deepEqual(await list(`idempotency_key=k&user_id=${userId}`), [keyed])
  assert.deepEqual(await list(`idempotency_key=%22k%22&user_id=${userId}`), [keyed])
  assert.deepEqual(await list(`idempotency_key=k&user_id=${userId}&type=withdraw`), [])
  assert.deepEqual(await list(`gateway_ref=gw-${again}`), [again])
  assert.deepEqual(await list(`gateway_ref=gw-${again}&user_id=${other}`), [])

  const refused = async (query: string, pointer: string) => {
    const { body } = await call('GET', `/payments?${query}`)
    assert.equal(body['code'], 'query_invalid', query)
    const [error] = body['errors'] as { pointer: string }[]
    assert.equal(error?.pointer, pointer, query)
  }
  await refused('idempotency_key=k', '/user_id')
  await refused(`idempotency_key=%22&user_id=1`, '/idempotency_key')
  await refused('reference=a%20b', '/reference')
  await refused('from=yesterday', '/from')
  await refused('to=2030-01-01', '/to')
  // A leap second is a time by RFC 3339, and none that PostgreSQL is told.
  await refused('from=2016-12-31T23:59:60Z', '/from')
  await refused('to=2016-06-30T16:59:60-07:00', '/to')
})

test('the refunds and returns of a payment are a list of their own, page by page', async (t) => {
  const world = await testWorld(t)
  const { id: parentId, userId } = await done(world)
  const { id: other } = await done(world)
  const children: bigint[] = []
  for (const amount of ['1', '2', '3', '4', '5']) {
    children.push(await refunded(world, parentId, amount))
  }
  await refunded(world, other, '7')
  assert.deepEqual(await idsOf(world, { parentId }), children.toReversed())
  assert.deepEqual(await idsOf(world, { parentId, userId, type: 'return' }), [])
  assert.deepEqual(await idsOf(world, { parentId, userId: userId + 1n }), [])
  assert.deepEqual(await idsOf(world, { parentId: 999n }), [])
})

test('a cursor belongs to the filters that it was made with', async (t) => {
  const world = await testWorld(t)
  await accepted(world, 'deposit', 3)
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, {}, { database: world.url, roles })
  const from = 'from=2030-01-01T00:00:00Z'
  const { body } = await call('GET', `/payments?limit=2&${from}`)
  const cursor = String(body['next_cursor'])
  const next = await call('GET', `/payments?limit=2&${from}&cursor=${cursor}`)
  assert.equal((next.body['data'] as unknown[]).length, 1)
  const wrong = await call('GET', `/payments?limit=2&cursor=${cursor}`)
  assert.equal(wrong.body['code'], 'cursor_invalid')
})

/** A payment every minute; the minutes are noted, but for those in `lost`. */
async function hours(world: TestWorld, lost: readonly number[]): Promise<bigint[]> {
  const clock: Clock = { ...world.clock, sleep: () => new Promise(() => undefined) }
  const minutes = startMinutes({ db: world.db, clock })
  const ids: bigint[] = []
  for (let minute = 0; minute < 30; minute += 1) {
    const [id = 0n] = await accepted(world, 'deposit')
    ids.push(id)
    if (!lost.includes(minute)) minutes.accepted([{ id }])
    world.clock.advance(MINUTE_MS)
  }
  await minutes.flush()
  return ids
}

for (const lost of [[], [0], [9, 10, 11], [10, 20], Array.from({ length: 30 }, (_, n) => n)]) {
  test(`a list of a time has all of it and nothing else; not noted: ${lost.join() || 'none'}`, async (t) => {
    const world = await testWorld(t)
    const start = world.clock.now().getTime()
    const ids = await hours(world, lost)
    const at = (minute: number) => new Date(start + minute * MINUTE_MS)
    const between = (from: number, to: number) => ids.slice(from, to).toReversed()
    assert.deepEqual(await idsOf(world, { from: at(10), to: at(13) }), between(10, 13))
    assert.deepEqual(await idsOf(world, { from: at(25) }), between(25, 30))
    assert.deepEqual(await idsOf(world, { to: at(3) }), between(0, 3))
    assert.deepEqual(await idsOf(world, { from: at(5), to: at(5) }), [])
    assert.deepEqual(await idsOf(world, { from: at(40) }), [])
    assert.deepEqual(
      await idsOf(world, { from: at(10), to: at(13), status: 'new' }),
      between(10, 13),
    )
    assert.deepEqual(await idsOf(world, { from: at(10), to: at(13), status: 'failed' }), [])
  })
}

test('what cannot be noted now is noted later, and what a process accepted when it stops', async (t) => {
  const world = await testWorld(t)
  const clock: Clock = { ...world.clock, sleep: (_, signal) => sleepUntil(signal) }
  const minutes = startMinutes({ db: world.db, clock })
  await world.sql('alter table payment_minutes rename to away')
  minutes.accepted([{ id: 5n }, { id: 9n }])
  await assert.rejects(minutes.flush())
  await world.sql('alter table away rename to payment_minutes')
  minutes.accepted([{ id: 7n }, { id: 12n }])
  await minutes.stop()
  const rows = await world.sql<{ low: bigint; high: bigint }>(
    'select id_min as low, id_max as high from payment_minutes',
  )
  assert.deepEqual(rows, [{ low: 5n, high: 12n }])
})

test('a batch is noted as a whole, in whichever order its ids are', async (t) => {
  const world = await testWorld(t)
  const clock: Clock = { ...world.clock, sleep: (_, signal) => sleepUntil(signal) }
  const minutes = startMinutes({ db: world.db, clock })
  minutes.accepted([{ id: 5_003n }, { id: 1n }, { id: 5_004n }, { id: 2n }])
  await minutes.stop()
  const rows = await world.sql<{ low: bigint; high: bigint }>(
    'select id_min as low, id_max as high from payment_minutes',
  )
  assert.deepEqual(rows, [{ low: 1n, high: 5_004n }])
})

test('a minute is widened to both sides by whatever processes note it, in whichever order', async (t) => {
  const world = await testWorld(t)
  const clock: Clock = { ...world.clock, sleep: (_, signal) => sleepUntil(signal) }
  for (const ids of [
    [100n, 110n],
    [50n, 60n],
    [70n, 200n],
    [80n, 90n],
  ]) {
    const minutes = startMinutes({ db: world.db, clock })
    minutes.accepted(ids.map((id) => ({ id })))
    await minutes.stop()
  }
  const rows = await world.sql<{ low: bigint; high: bigint }>(
    'select id_min as low, id_max as high from payment_minutes',
  )
  assert.deepEqual(rows, [{ low: 50n, high: 200n }])
})

function sleepUntil(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => signal?.addEventListener('abort', () => resolve()))
}

test('refunds, returns and redriven payments are noted in their minute when they are written', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  world.gateway.script = ['declined']
  const [failed = 0n] = await accepted(world, 'deposit')
  await world.work()
  await world.sql('delete from payment_minutes')
  const noted = async () => {
    const [row] = await world.sql<{ low: bigint; high: bigint; minute: Date }>(
      'select id_min as low, id_max as high, minute from payment_minutes order by minute desc',
    )
    return [row?.low, row?.high, row?.minute.getTime()]
  }
  const minute = () => Math.floor(world.clock.now().getTime() / MINUTE_MS) * MINUTE_MS
  const first = await refunded(world, id, '1')
  assert.deepEqual(await noted(), [first, first, minute()])
  const letterId = await openLetter(world, failed)
  const [again] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert.ok(again?.kind === 'redriven' && again.newPaymentId !== null)
  assert.deepEqual(await noted(), [first, again.newPaymentId, minute()])
  world.clock.advance(2 * MINUTE_MS)
  const draft = { parentId: id, ref: 'rt', kind: 'charged_back', amount: 100n } as const
  const returning = world.world
  const [booked] = await bookReturns(returning, JANE, [draft])
  assert.ok(booked?.kind === 'booked')
  assert.deepEqual(await noted(), [booked.payment.id, booked.payment.id, minute()])
})

test('a time reaches into the neighbouring minutes, because ids are given ahead and clocks disagree', async (t) => {
  const { db } = await testWorld(t)
  const [shard] = db.shards
  assert.ok(shard !== undefined)
  const start = Date.UTC(2030, 0, 1)
  await noteMinutes(
    shard,
    Array.from({ length: 10 }, (_, nth) => ({
      minuteMs: start + nth * MINUTE_MS,
      idMin: BigInt(nth * 100 + 1),
      idMax: BigInt(nth * 100 + 99),
    })),
  )
  const ids = async (from: number | null, to: number | null) => {
    const at = (minute: number | null) =>
      minute === null ? null : new Date(start + minute * MINUTE_MS)
    const { low, high } = await idsOfTime(shard, at(from), at(to))
    return { low: Number(low), high: Number(high) }
  }
  // Two minutes on either side, and what lies between them and the next that are known.
  assert.deepEqual(await ids(5, 6), { low: 299, high: 901 })
  assert.ok((await ids(5, null)).low <= 301)
  assert.ok((await ids(null, 3)).high >= 599)
})
