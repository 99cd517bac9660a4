import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { lookAtGateways } from '../src/charging/gateway-look.ts'
import { series } from '../src/metrics/series.ts'
import { withShards } from '../src/each-shard.ts'
import { settleApart } from '../src/charging/settle-apart.ts'
import { shardOf } from '../src/domain/shard.ts'
import { groupLetters, listLetters } from '../src/dead-letters/list.ts'
import { databaseGauges } from '../src/metrics/database-gauges.ts'
import { overview } from '../src/overview/overview.ts'
import { admission } from '../src/payments/admission.ts'
import { pageOfViews } from '../src/payments/read.ts'
import {
  Busy,
  Overloaded,
  Unavailable,
  type Db,
  type GatewayCharge,
  type ListCharges,
} from '../src/ports.ts'
import { reportJson } from '../src/verify/report.ts'
import { recentVerifier } from '../src/verify/verifier.ts'
import { verify } from '../src/verify/verify.ts'
import { runVerify } from '../src/verify/command.ts'
import { somebodyElse } from './operators.ts'
import { ANY, testWorld, type TestWorld } from './harness.ts'

const SHARDS = 4
const ILL = 2
const TOP = 2n ** 62n

/** The same database, some of whose shards cannot be asked while `ill` has their numbers. */
function falling(db: Db, ill: ReadonlySet<number>, error: Error = new Unavailable('away')): Db {
  return withShards(db, (shard) => {
    const isIll = () => ill.has(shard.number)
    /** A statement about several shards of a server begins with the first and the last of them. */
    const reachesIll = (statement: object, [first, last]: readonly unknown[]) =>
      'sharded' in statement && [...ill].some((one) => Number(first) <= one && one <= Number(last))
    return {
      ...shard,
      run: (statement, values) =>
        isIll() || reachesIll(statement, values)
          ? Promise.reject(error)
          : shard.run(statement, values),
      transaction: (...how) => (isIll() ? Promise.reject(error) : shard.transaction(...how)),
    }
  })
}

/** A world of four shards, with a user and a deposit in each. */
async function sharded(t: Parameters<typeof testWorld>[0], script: 'success' | 'declined') {
  const world = await testWorld(t, { shards: SHARDS, script: [script] })
  const users: bigint[] = []
  for (let index = 0; index < SHARDS; index += 1) users.push(await world.user(100_000n))
  const answers = await world.accept(
    users.map((userId) => ({ type: 'deposit', userId, amount: 1_000n, idempotencyKey: null })),
  )
  const ids = answers.map((answer) => {
    assert.ok(answer.kind === 'accepted')
    return answer.payment.id
  })
  const ill = new Set<number>()
  return { world, ids, ill, db: falling(world.db, ill) }
}

const well = (ids: readonly bigint[]) => ids.filter((id) => shardOf(id, SHARDS) !== ILL)

test('lists and the overview leave out the shard that cannot be asked, and say which it is', async (t) => {
  const { world, ids, ill, db } = await sharded(t, 'declined')
  await world.work()
  ill.add(ILL)
  const payments = await pageOfViews(db, ANY, TOP, 50)
  assert.deepEqual(payments.missing, [ILL])
  assert.deepEqual(
    payments.views.map(({ payment }) => payment.id),
    well(ids).toSorted((one, other) => (one < other ? 1 : -1)),
  )
  const letters = await listLetters(db, { class: null, state: null, error: null }, 50, 0)
  assert.deepEqual([letters.known.length, letters.missing], [SHARDS - 1, [ILL]])
  const groups = await groupLetters(db)
  assert.deepEqual([groups.known[0]?.count, groups.missing], [SHARDS - 1, [ILL]])
  const seen = await overview({ db, clock: world.clock, routes: () => [], workerAlive: () => true })
  assert.deepEqual([seen.letters.failed.count, seen.missing], [SHARDS - 1, [ILL]])
  assert.deepEqual([seen.accepted, seen.lately.failed], [SHARDS - 1, SHARDS - 1])
  // Charts are read once for all shards of a server, and without those alone that cannot be read.
  const counted = await series({ db, clock: world.clock }, '15m')
  const accepted = counted.accepted.reduce((sum, one) => sum + one, 0)
  assert.deepEqual([accepted, counted.missing], [SHARDS - 1, [ILL]])
  const bank = { name: 'http', driver: 'http', profile: world.gateway.profile, rules: [] }
  assert.deepEqual((await lookAtGateways(db, [bank])).missing, [ILL])
  ill.clear()
  assert.deepEqual((await pageOfViews(db, ANY, TOP, 50)).missing, [])
})

test('a list that asks for more than its share, or none of whose shards answers, is none', async (t) => {
  const { world } = await sharded(t, 'success')
  const crowded = falling(world.db, new Set([ILL]), new Overloaded())
  await assert.rejects(pageOfViews(crowded, ANY, TOP, 50), Overloaded)
  const away = falling(world.db, new Set([0, 1, 2, 3]))
  await assert.rejects(pageOfViews(away, ANY, TOP, 50), Unavailable)
  await assert.rejects(
    listLetters(away, { class: null, state: null, error: null }, 50, 0),
    Unavailable,
  )
})

test('the books are verified without the shard that is away, which the report names', async (t) => {
  const { world, ill, db } = await sharded(t, 'success')
  await world.work()
  const whole = await verify({ db, clock: world.clock })
  ill.add(ILL)
  for (const check of [
    () => verify({ db, clock: world.clock }),
    recentVerifier({ db, clock: world.clock }),
  ]) {
    const report = await check()
    assert.deepEqual([report.complete, report.missing, report.violations], [false, [ILL], 0])
    assert.deepEqual(reportJson(report), { ...reportJson(report), missing_shards: [ILL] })
  }
  assert.equal((await verify({ db, clock: world.clock })).checked['payment'], SHARDS - 1)
  assert.deepEqual([whole.complete, whole.missing, whole.checked['payment']], [true, [], SHARDS])
  const told: string[] = []
  const stream = { write: (text: string) => told.push(text), columns: 500, isTTY: false }
  const code = await runVerify(
    { db, clock: world.clock, gateways: [] } as unknown as Parameters<typeof runVerify>[0],
    {},
    { out: stream, err: stream } as unknown as Parameters<typeof runVerify>[2],
  )
  assert.equal(code, 2)
  assert.match(told.join(''), /shard 2 of the database is away/)
  ill.add(0).add(1).add(3)
  await assert.rejects(verify({ db, clock: world.clock }), Unavailable)
})

test('books and gateway are compared without the shards that are away, before it, in it or for a while', async (t) => {
  const { world, ill, db } = await sharded(t, 'success')
  await world.work()
  world.clock.advance(1_000)
  const rows = await world.sql<{ id: bigint; key: string; type: string }>(
    'select id, gateway_key::text as key, type from payments order by id',
  )
  const charges = rows.map(({ id, ...rest }): GatewayCharge => {
    return { ...rest, paymentId: id, amount: 10, currency: null, ref: null }
  })
  /** Compare with a list of two pages. */
  const compare = (onPage: (after: number) => void, listed = charges) => {
    const list: ListCharges = (after) => {
      onPage(after)
      const [here, next] = after === 0 ? [listed.slice(0, 2), 2] : [listed.slice(2), null]
      return Promise.resolve({ charges: here, next })
    }
    return verify({ db, clock: world.clock }, { gateways: [{ gateway: 'http', list }] })
  }
  const whole = await compare(() => undefined)
  assert.deepEqual([whole.complete, whole.violations, whole.checked.charge], [true, 0, SHARDS])
  const others = charges.filter(({ paymentId }) => well([paymentId]).length > 0)
  for (const number of [0, ILL]) {
    const fall = () => void ill.add(number)
    fall()
    const before = await compare(() => undefined)
    assert.deepEqual([before.missing, before.violations], [[number], 0])
    assert.equal(before.checked.charge, SHARDS - 1)
    ill.clear()
    const meanwhile = await compare(fall)
    assert.deepEqual([meanwhile.missing, meanwhile.violations], [[number], 0])
    assert.equal(meanwhile.complete, false)
    ill.clear()
    // The others are still compared with the list.
    const gone = await compare(fall, others.slice(0, 2))
    assert.ok(gone.violations > 0, 'what the list lacks is missing there')
    ill.clear()
  }
  // Its charges were passed over, so its successes are no violation once it is back.
  const own = charges.filter((charge) => !others.includes(charge))
  const sorted = [...own, ...others]
  const back = await compare((after) => {
    if (after === 0) ill.add(ILL)
    else ill.clear()
  }, sorted)
  assert.deepEqual([back.missing, back.violations], [[ILL], 0])
  await assert.rejects(
    compare(() => void [0, 1, 2, 3].forEach((number) => ill.add(number))),
    Unavailable,
  )
})

test('gauges of a shard that cannot be asked stay as they were', async (t) => {
  const { ill, db } = await sharded(t, 'success')
  const read = databaseGauges(db)
  const before = await read()
  assert.equal(before.queueTasks.due, SHARDS)
  ill.add(ILL)
  assert.deepEqual((await read()).queueTasks, before.queueTasks)
  // Half of the truth is none.
  await assert.rejects(databaseGauges(db)(), Unavailable)
  ill.add(0).add(1).add(3)
  await assert.rejects(read(), Unavailable)
})

test('what waits is seen in the other shards while one cannot be asked', async (t) => {
  const { world, ill, db } = await sharded(t, 'success')
  ill.add(ILL)
  const policy = { ageMsMax: 60_000, outageMsMax: 60_000, outageTasksMax: 100 }
  const gate = admission({ db, clock: world.clock, gateways: ['http'], policy })
  const route = { gateway: 'http', operation: 'charge' } as const
  await gate.look()
  world.clock.advance(200_000)
  await gate.look()
  assert.equal(gate.refusal(route), 'overloaded')
})

async function claimed(world: TestWorld) {
  const done = await world.claimAndCharge()
  assert.equal(done.length, SHARDS)
  return done
}

test('once a shard takes no settlements, nobody waits for it but its own', async (t) => {
  const { world, ids, ill, db } = await sharded(t, 'success')
  const told: number[] = []
  const settle = settleApart({ db, clock: world.clock }, ({ number }) => told.push(number))
  const done = await claimed(world)
  const own = done.filter(({ claim }) => shardOf(claim.payment.id, SHARDS) === ILL)
  const others = done.filter((one) => !own.includes(one))
  ill.add(ILL)
  // Alone in its batch it is no sign that the database is away.
  assert.deepEqual((await settle(own, true)).left, own)
  const asked: number[] = []
  const watched = withShards(db, (shard) => ({
    ...shard,
    transaction: (...how) => {
      asked.push(shard.number)
      return shard.transaction(...how)
    },
  }))
  const apart = settleApart({ db: watched, clock: world.clock }, () => undefined)
  await apart(own, true)
  assert.deepEqual((await apart([...own, ...others.slice(0, 1)], true)).left, own)
  assert.equal(asked.filter((number) => number === ILL).length, 1)
  assert.equal((await settle(others.slice(1), true)).settlements.length, SHARDS - 2)
  assert.deepEqual((await settle(own, false)).left, own)
  assert.deepEqual(told, [ILL])
  ill.clear()
  assert.equal((await settle(own, false)).settlements.length, 1)
  assert.deepEqual((await settle(own, true)).left, [])
  for (const id of ids) assert.equal((await world.view(id)).status, 'success')
})

test('one locked result of a shard takes no neighbour along, and makes nobody ill', async (t) => {
  const { world, ids, db } = await sharded(t, 'success')
  const own = ids.find((id) => shardOf(id, SHARDS) === ILL) ?? 0n
  const [user] = await world.sql<{ id: bigint }>(
    'select user_id as id from payments where id = $1',
    [own],
  )
  const draft = { type: 'deposit', userId: user?.id ?? 0n, amount: 1_000n } as const
  await world.accept([1, 2, 3, 4].map(() => ({ ...draft, idempotencyKey: null })))
  const done = await world.claimAndCharge()
  assert.equal(done.length, SHARDS + 4)
  const other = await somebodyElse(t, world)
  await other.lock('payments', own)
  const told: number[] = []
  const settle = settleApart({ db, clock: world.clock }, ({ number }) => told.push(number))
  const { left, settlements } = await settle(done, true)
  assert.deepEqual(
    left.map(({ claim }) => claim.payment.id),
    [own],
  )
  assert.equal(settlements.length, SHARDS + 3)
  assert.deepEqual(told, [])
  // By itself it is told to whoever looks for what is at fault.
  await assert.rejects(settle(left, true), Busy)
  await other.release()
  assert.equal((await settle(left, true)).settlements.length, 1)
})

test('what is kept back by a lock on its user is left to be tried again', async (t) => {
  const { world, ids, db } = await sharded(t, 'success')
  const own = ids.find((id) => shardOf(id, SHARDS) === ILL) ?? 0n
  const done = await world.claimAndCharge()
  const user = done.find(({ claim }) => claim.payment.id === own)?.claim.payment.userId
  const other = await somebodyElse(t, world)
  await other.lock('users', user ?? 0n)
  const settle = settleApart({ db, clock: world.clock }, () => undefined)
  const { left, settlements } = await settle(done, true)
  assert.deepEqual(
    [left.map(({ claim }) => claim.payment.id), settlements.length],
    [[own], SHARDS - 1],
  )
  await other.release()
  assert.equal((await settle(left, true)).settlements.length, 1)
  assert.equal((await world.view(own)).status, 'success')
})

for (const seen of [false, true]) {
  test(`a shard that is back, ${seen ? '' : 'not '}seen before, refuses nobody for what waited meanwhile`, async (t) => {
    await backAgain(t, seen)
  })
}

async function backAgain(t: TestContext, seen: boolean): Promise<void> {
  const { world, ill, db } = await sharded(t, 'success')
  const done = await claimed(world)
  const others = done.filter(({ claim }) => shardOf(claim.payment.id, SHARDS) !== ILL)
  await settleApart({ db, clock: world.clock }, () => undefined)(others, true)
  const policy = { ageMsMax: 60_000, outageMsMax: 60_000, outageTasksMax: 100 }
  const gate = admission({ db, clock: world.clock, gateways: ['http'], policy })
  const route = { gateway: 'http', operation: 'charge' } as const
  if (seen) await gate.look()
  ill.add(ILL)
  await gate.look()
  world.clock.advance(300_000)
  await gate.look()
  ill.clear()
  await gate.look()
  assert.equal(gate.refusal(route), null)
  world.clock.advance(60_001)
  await gate.look()
  assert.equal(gate.refusal(route), 'overloaded', 'now it was seen for that long')
}

test('what was wrong in a shard that is away for a while is still known when it is back', async (t) => {
  const { world, ids, ill, db } = await sharded(t, 'success')
  await world.work()
  const own = ids.find((id) => shardOf(id, SHARDS) === ILL) ?? 0n
  await world.sql('update payments set attempts = 99 where id = $1', [own])
  const check = recentVerifier({ db, clock: world.clock })
  assert.equal((await check()).violations, 1)
  // The newest are far above it from now on.
  await world.sql(`select setval('payment_ids', 1000000)`)
  const users = await world.sql<{ id: bigint }>('select id from users')
  await world.accept(
    users.map(({ id }) => ({ type: 'deposit', userId: id, amount: 1_000n, idempotencyKey: null })),
  )
  await world.work()
  assert.equal((await check()).violations, 1)
  ill.add(ILL)
  assert.equal((await check()).violations, 0)
  ill.clear()
  assert.equal((await check()).violations, 1)
})

test('where no shard takes settlements, the database is away', async (t) => {
  const { world, ill, db } = await sharded(t, 'success')
  const settle = settleApart({ db, clock: world.clock }, () => undefined)
  const done = await claimed(world)
  ill.add(0).add(1).add(2).add(3)
  await assert.rejects(settle(done, true), Unavailable)
  await assert.rejects(settle(done, true), Unavailable)
  ill.clear()
  assert.equal((await settle(done, true)).settlements.length, SHARDS)
})
