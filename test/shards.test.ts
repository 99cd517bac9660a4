import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { seededRandom } from '../src/domain/random.ts'
import { shardOf } from '../src/domain/shard.ts'
import { claim } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { pageOfViews } from '../src/payments/read.ts'
import { sessions } from '../src/adapters/shard-session.ts'
import { Unavailable, type Db, type Shard } from '../src/ports.ts'
import { eachInTurn, eachPart, eachShard, whole, withShards } from '../src/each-shard.ts'
import { ANY, books, testWorld, type TestWorld } from './harness.ts'

const SHARDS = 4

const draft = (
  type: PaymentDraft['type'],
  userId: bigint,
  idempotencyKey: string | null = null,
): PaymentDraft => ({
  type,
  userId,
  amount: 1_000n,
  idempotencyKey,
})

/** A world of four shards with two users in each. */
async function sharded(...args: Parameters<typeof testWorld>) {
  const [t, options] = args
  const world = await testWorld(t, { ...options, shards: SHARDS })
  const users: bigint[] = []
  for (let index = 0; index < 2 * SHARDS; index += 1) users.push(await world.user(100_000n))
  return { world, users }
}

async function accept(world: TestWorld, drafts: readonly PaymentDraft[]): Promise<bigint[]> {
  const answers = await world.accept(drafts)
  return answers.map((answer) => {
    assert.ok(answer.kind === 'accepted', 'answer.kind === accepted')
    return answer.payment.id
  })
}

const IDS: readonly (readonly [id: bigint, shards: number, shard: number])[] = [
  [1n, 1, 0],
  [9_223_372_036_854_775_807n, 1, 0],
  [4n, 4, 0],
  [7n, 4, 3],
  [9_007_199_254_740_993n, 4, 1],
  [9_223_372_036_854_775_807n, 128, 127],
  // None has such an id, and somebody may ask for it.
  [-1n, 4, 3],
]

for (const [id, shards, shard] of IDS) {
  test(`of ${shards} shards, id ${id} tells shard ${shard}`, () => {
    assert.equal(shardOf(id, shards), shard)
  })
}

/** A database of four shards that nobody is to ask anything. */
function untouched(): Db {
  const no = () => Promise.reject(new Error('nobody asks'))
  return sessions({ run: no, transaction: no }, { currency: 'USD', shards: SHARDS })
}

test('items are grouped by shard in the order in which they came', async () => {
  const work = (shard: Shard, own: bigint[]) => Promise.resolve([shard.number, own] as const)
  const groups = await eachPart(untouched(), [5n, 2n, 1n, 6n, 9n], (id) => id, work)
  assert.deepEqual(whole(groups), [
    [1, [5n, 1n, 9n]],
    [2, [2n, 6n]],
  ])
})

for (const [name, each] of [
  ['side by side', eachShard],
  ['in turn', eachInTurn],
] as const) {
  test(`a shard that fails takes no other's result along, ${name}`, async () => {
    const error = new Error('this shard is ill')
    const { shards } = untouched()
    const { done, failed } = await each(shards, async ({ number }) => {
      if (number === 1) throw error
      return Promise.resolve(number * 10)
    })
    assert.deepEqual(
      done.map(({ shard, value }) => [shard.number, value]),
      [
        [0, 0],
        [2, 20],
        [3, 30],
      ],
    )
    assert.deepEqual(failed, [{ shard: shards[1], error }])
    // What is no answer unless it is whole is none.
    assert.throws(() => whole({ done, failed }), error)
  })
}

test('users spread over the shards, and a payment id tells the shard of its user', async (t) => {
  const { world, users } = await sharded(t)
  assert.deepEqual(new Set(users.map((id) => shardOf(id, SHARDS))), new Set([0, 1, 2, 3]))
  const ids = await accept(
    world,
    users.map((user) => draft('deposit', user)),
  )
  assert.equal(new Set(ids).size, users.length)
  ids.forEach((id, index) => {
    assert.equal(shardOf(id, SHARDS), shardOf(users[index] ?? -1n, SHARDS))
  })
})

test('a batch over all shards is answered in order, each user and key by its own', async (t) => {
  const { world, users } = await sharded(t)
  const drafts = [...users, ...users].map((user) => draft('withdraw', user, 'key'))
  const answers = await world.accept([...drafts, draft('deposit', 999n)])
  answers.slice(0, -1).forEach((answer, index) => {
    assert.ok(answer.kind === 'accepted', 'answer.kind === accepted')
    assert.equal(answer.payment.userId, drafts[index]?.userId)
    assert.equal(answer.replayed, index >= users.length)
  })
  assert.equal(answers.at(-1)?.kind, 'refused')
})

/** Every row with a shard: the shard it says, and the one its user or payment belongs to. */
const CROSSING = `
  select * from (
    select 'users' as name, shard, id as owner, id as id from users
    union all select 'payments', shard, user_id, id from payments
    union all select 'payment_tasks', shard, payment_id, payment_id from payment_tasks
    union all select 'payment_attempts', shard, payment_id, payment_id from payment_attempts
    union all select 'postings', shard, user_id, user_id from postings
    union all select 'dead_letters', shard, user_id, id from dead_letters
    union all select 'dead_letters', shard, payment_id, id from dead_letters
  ) row
  where shard <> owner % ${SHARDS} or shard <> id % ${SHARDS}`

test('payments of every kind go through their whole life, and no row is in another shard', async (t) => {
  const random = seededRandom(3)
  const kinds = ['success', 'declined', 'in_doubt', 'not_executed', 'lost_reply'] as const
  const script = Array.from({ length: 2_000 }, () => kinds[Math.floor(random() * 5)] ?? 'success')
  const { world, users } = await sharded(t, { script })
  const types = ['deposit', 'withdraw'] as const
  const ids = await accept(
    world,
    Array.from({ length: 80 }, (_, index) =>
      draft(types[index % 2] ?? 'deposit', users[index % users.length] ?? 0n),
    ),
  )
  await claim(world.world, 20)
  world.clock.advance(15_000)
  for (let round = 0; round < 3; round += 1) {
    await world.work()
    assert.deepEqual(await world.sql(CROSSING), [])
    world.clock.advance(40_000)
  }
  world.clock.advance(3_600_000)
  for (let round = 0; round < 3; round += 1) await world.work()

  assert.deepEqual(await world.sql(CROSSING), [])
  const statuses = new Set<string>()
  for (const id of ids) statuses.add((await world.view(id)).status)
  assert.deepEqual(statuses, new Set(['success', 'failed']))
  const sums = await books(world)
  assert.equal(sums['user'], sums['available_stored'])
  assert.equal(sums['held'], 0n)
  for (const shard of [0, 1, 2, 3]) {
    const [letters] = await world.sql<{ count: bigint }>(
      'select count(*) from dead_letters where shard = $1',
      [shard],
    )
    assert.ok((letters?.count ?? 0n) > 0n, `no payment of shard ${shard} has failed`)
  }
})

test('a list over all shards is newest first and pages without gaps', async (t) => {
  const { world, users } = await sharded(t)
  const ids = await accept(
    world,
    Array.from({ length: 30 }, (_, index) => draft('deposit', users[index % users.length] ?? 0n)),
  )
  const everything = ANY
  const seen: bigint[] = []
  for (let before: bigint | null = 2n ** 62n; before !== null;) {
    const { views, next } = await pageOfViews(world.db, everything, before, 7)
    seen.push(...views.map(({ payment }) => payment.id))
    before = next
  }
  assert.deepEqual(
    seen,
    ids.toSorted((one, other) => (one < other ? 1 : -1)),
  )
  const { views: own } = await pageOfViews(
    world.db,
    { ...everything, userId: users[3] ?? 0n },
    2n ** 62n,
    99,
  )
  assert.ok(
    own.length > 0 && own.every(({ payment }) => payment.userId === users[3]),
    'own.length > 0 && own.every(({ payment }) => payment.userId === users[3])',
  )
})

test('a shard that always has work does not keep the others waiting', async (t) => {
  const { world, users } = await sharded(t)
  const busy = users.find((user) => shardOf(user, SHARDS) === 0) ?? 0n
  await accept(
    world,
    users.map((user) => draft('deposit', user)),
  )
  const seen = new Set<number>()
  for (let round = 0; round < 10; round += 1) {
    await accept(
      world,
      Array.from({ length: 8 }, () => draft('deposit', busy)),
    )
    world.clock.advance(1)
    for (const { payment } of await claim(world.world, 4)) seen.add(shardOf(payment.id, SHARDS))
  }
  assert.deepEqual(seen, new Set([0, 1, 2, 3]))
})

/** The same database, one of whose shards cannot be asked. */
function without(db: Db, ill: number): Db {
  const away = () => Promise.reject(new Unavailable('this shard is away'))
  return withShards(db, (shard) => {
    return shard.number === ill ? { ...shard, run: away, transaction: away } : shard
  })
}

test('what is claimed in one shard is worked on, although another cannot be asked', async (t) => {
  const { world, users } = await sharded(t)
  await accept(
    world,
    users.map((user) => draft('deposit', user)),
  )
  for (const ill of [0, 3]) {
    const claims = await claim({ ...world.world, db: without(world.db, ill) }, 3)
    assert.equal(claims.length, 3)
    assert.ok(claims.every(({ payment }) => shardOf(payment.id, SHARDS) !== ill))
  }
  const alone = withShards(world.db, (shard) =>
    without(world.db, shard.number).of(BigInt(shard.number)),
  )
  await assert.rejects(claim({ ...world.world, db: alone }, 3), Unavailable)
})

test('what one shard does not take is named, and the settlements of the others are written', async (t) => {
  const { world, users } = await sharded(t)
  const ids = await accept(
    world,
    users.map((user) => draft('withdraw', user)),
  )
  const done = await world.claimAndCharge()
  const { settlements, stale, busy, failed } = await settle(
    { ...world.world, db: without(world.db, 2) },
    done,
  )
  assert.deepEqual([settlements.length, stale, busy], [6, 0, []])
  assert.equal(failed.length, 1)
  assert.ok(failed[0]?.error instanceof Unavailable)
  for (const id of ids) {
    const ill = shardOf(id, SHARDS) === 2
    assert.equal((await world.view(id)).status, ill ? 'processing' : 'success')
  }
  await world.settle(failed[0]?.settlements ?? [])
  for (const id of ids) assert.equal((await world.view(id)).status, 'success')
})
