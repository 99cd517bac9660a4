import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, PaymentDraft } from '../src/domain/acceptance.ts'
import { withShards } from '../src/each-shard.ts'
import { verify } from '../src/verify/verify.ts'
import { books, testWorld, type TestWorld, acceptAll } from './harness.ts'

const draft = (
  type: PaymentDraft['type'],
  userId: bigint,
  amount: bigint,
  idempotencyKey: string | null = null,
): PaymentDraft => ({ type, userId, amount, idempotencyKey })

function accepted(answer: Answer | undefined) {
  assert.ok(answer?.kind === 'accepted', JSON.stringify(answer, String))
  return answer.payment
}

function refusal(answer: Answer | undefined) {
  assert.ok(answer?.kind === 'refused', JSON.stringify(answer, String))
  return answer.refusal
}

async function balance(world: TestWorld, id: bigint): Promise<readonly (bigint | undefined)[]> {
  const [user] = await world.sql<{ available: bigint; held: bigint }>(
    'select available, held from users where id = $1',
    [id],
  )
  return [user?.available, user?.held]
}

async function count(world: TestWorld, table: string): Promise<bigint | undefined> {
  const [row] = await world.sql<{ count: bigint }>(`select count(*) from ${table}`)
  return row?.count
}

test('an accepted deposit is stored with its commission, is in the queue, and moves no money yet', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const payment = accepted((await world.accept([draft('deposit', user, 20_000n)]))[0])

  const view = await world.view(payment.id)
  assert.equal(view.status, 'new')
  assert.equal(view.transactionStatus, 'processing')
  assert.deepEqual(view.nextAt, world.clock.now())
  assert.deepEqual(
    [view.payment.amount, view.payment.commission, view.payment.feeBps, view.payment.attempts],
    [20_000n, 400n, 200, 0],
  )
  assert.deepEqual(await balance(world, user), [100_000n, 0n])
  assert.equal(await count(world, 'payment_tasks'), 1n)
})

test('an accepted withdrawal holds its amount and commission at once', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  accepted((await world.accept([draft('withdraw', user, 5_000n)]))[0])

  assert.deepEqual(await balance(world, user), [94_900n, 5_100n])
  const sums = await books(world)
  assert.deepEqual([sums['user'], sums['held']], [94_900n, 5_100n])
})

test('a withdrawal that the balance does not cover is refused and leaves nothing behind', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(5_099n)
  const answer = refusal((await world.accept([draft('withdraw', user, 5_000n)]))[0])

  assert.deepEqual(answer, { code: 'insufficient_funds', required: 5_100n, exponent: 2 })
  assert.deepEqual(await balance(world, user), [5_099n, 0n])
  assert.equal(await count(world, 'payments'), 0n)
  assert.equal(await count(world, 'payment_tasks'), 0n)
})

test('a refusal under a key is a failed payment that is never worked on, and is replayed for ever', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const asked = draft('withdraw', user, 5_000n, 'key')
  const first = refusal((await world.accept([asked]))[0])
  const id = first.paymentId ?? 0n

  const view = await world.view(id)
  assert.deepEqual([view.status, view.lastError], ['failed', 'refused:insufficient_funds'])
  assert.equal(await count(world, 'payment_tasks'), 0n)

  // There is money by now, and the answer stays what the caller acted on.
  accepted((await world.accept([draft('deposit', user, 100_000n)]))[0])
  await world.work()
  const [again] = await world.accept([asked])
  assert.deepEqual(refusal(again), first)
  assert.equal(again?.replayed, true)
  assert.deepEqual(await balance(world, user), [98_000n, 0n])
})

test('a refusal that the version before wrote is one here, and nothing is wrong with it', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const asked = draft('withdraw', user, 5_000n, 'key')
  const first = refusal((await world.accept([asked]))[0])
  // It goes on writing while it is replaced, after old rows were filled.
  await world.sql('update payments set refused_for = null')
  const view = await world.view(first.paymentId ?? 0n)
  assert.equal(view.payment.refusedFor, 'insufficient_funds')
  assert.deepEqual(refusal((await world.accept([asked]))[0]), first)
  const { db, clock } = world
  assert.equal((await verify({ db, clock })).violations, 0)
})

test('a replay answers as the first request did, in every state of its payment', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt', 'declined'] })
  const user = await world.user(100_000n)
  const asked = draft('withdraw', user, 5_000n, 'key')
  const first = accepted((await world.accept([asked]))[0])
  for (const wait of [0, 2_000, 5_000]) {
    world.clock.advance(wait)
    await world.work()
    const [again] = await world.accept([asked])
    assert.deepEqual(accepted(again), first)
    assert.equal(again?.replayed, true)
  }
  assert.equal((await world.view(first.id)).status, 'failed')
  assert.equal(await count(world, 'payments'), 1n)
})

test('a replay after a change of the rate shows the commission of the first request', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const asked = draft('deposit', user, 10_000n, 'key')
  await world.accept([asked])
  const dearer = acceptAll(world.db, { bps: 500, min: 0n })
  assert.equal(accepted((await dearer([asked]))[0]).commission, 200n)
  assert.equal(accepted((await dearer([draft('deposit', user, 10_000n)]))[0]).commission, 500n)
})

test('a key that was used for another request is refused, and the first payment is named', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const { id } = accepted((await world.accept([draft('deposit', user, 500n, 'key')]))[0])
  const [amount, type] = await world.accept([
    draft('deposit', user, 501n, 'key'),
    draft('withdraw', user, 500n, 'key'),
  ])
  assert.deepEqual(refusal(amount), {
    code: 'idempotency_key_reuse',
    faults: [{ field: 'amount', code: 'differs' }],
    paymentId: id,
  })
  assert.deepEqual(refusal(type).faults, [{ field: 'type', code: 'differs' }])
  assert.deepEqual(await balance(world, user), [100_000n, 0n])
})

test('in a batch every item has its own answer, in order, and no refusal harms a neighbour', async (t) => {
  const world = await testWorld(t)
  const [rich, poor] = [await world.user(100_000n), await world.user(0n)]
  const answers = await world.accept([
    draft('withdraw', poor, 100n, 'a'),
    draft('deposit', rich, 100n, 'a'),
    draft('deposit', 999n, 100n, 'a'),
    draft('deposit', rich, 100n, 'a'),
    draft('withdraw', rich, 50_000n),
    draft('withdraw', rich, 50_000n),
    draft('withdraw', rich, 40_000n),
    draft('deposit', rich, 101n, 'a'),
  ])
  const words = answers.map((answer) =>
    answer.kind === 'refused' ? answer.refusal.code : answer.replayed ? 'replayed' : 'accepted',
  )
  assert.deepEqual(words, [
    'insufficient_funds',
    'accepted',
    'user_not_found',
    'replayed',
    'accepted',
    'insufficient_funds',
    'accepted',
    'idempotency_key_reuse',
  ])
  assert.deepEqual(await balance(world, rich), [8_200n, 91_800n])
  assert.equal(await count(world, 'payment_tasks'), 3n)
})

test('one draft that is handed in twice is two drafts', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const same = draft('deposit', user, 100n)
  const ids = (await world.accept([same, same])).map((answer) => accepted(answer).id)
  assert.equal(new Set(ids).size, 2)
  const keyed = draft('deposit', user, 100n, 'key')
  const replays = (await world.accept([keyed, keyed])).map(({ replayed }) => replayed)
  assert.deepEqual(replays, [false, true])
})

test('ids are counted from 1, and neither replays nor refusals leave gaps', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const ids: bigint[] = []
  for (const key of ['a', 'a', 'b', null, 'a', null]) {
    const [answer] = await world.accept([draft('deposit', user, 100n, key)])
    ids.push(accepted(answer).id)
    await world.accept([draft('withdraw', user, 100n), draft('deposit', 999n, 100n)])
  }
  assert.deepEqual(ids, [1n, 1n, 2n, 3n, 1n, 4n])
})

test('a thousand drafts are one transaction of a fixed number of statements', async (t) => {
  const world = await testWorld(t)
  const users = [await world.user(10_000_000n), await world.user(10_000_000n)]
  const statements = async (drafts: readonly PaymentDraft[]) => {
    let calls = 0
    const db = withShards(world.db, (shard) => ({
      ...shard,
      transaction: (work) =>
        shard.transaction((tx) =>
          work({
            run: (...args) => ((calls += 1), tx.run(...args)),
            write: (...args) => ((calls += 1), tx.write(...args)),
            ids: (...args) => ((calls += 1), tx.ids(...args)),
          }),
        ),
    }))
    const accept = acceptAll(db, { bps: 200, min: 0n })
    for (const answer of await accept(drafts)) accepted(answer)
    return calls
  }
  const many = (size: number, prefix: string) =>
    Array.from({ length: size }, (_, index) =>
      draft(
        index % 2 === 0 ? 'deposit' : 'withdraw',
        users[index % 2] ?? 0n,
        100n,
        `${prefix}${index}`,
      ),
    )
  assert.equal(await statements(many(1_000, 'many')), await statements(many(2, 'two')))
})

test('the longest key there can be, and keys that look alike, are kept apart', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(0n)
  const keys = ['k'.repeat(255), 'k'.repeat(254), 'K'.repeat(255), "'", '"', '\\', '{', ',', 'null']
  const drafts = keys.map((key) => draft('deposit', user, 100n, key))
  const first = (await world.accept(drafts)).map((answer) => accepted(answer).id)
  const again = (await world.accept(drafts)).map((answer) => accepted(answer).id)
  assert.equal(new Set(first).size, keys.length)
  assert.deepEqual(again, first)
})

test('the largest amount can be held, paid out and booked', async (t) => {
  const world = await testWorld(t)
  const largest = 999_999_999_999n
  const user = await world.user(largest)
  const [deposit] = await world.accept([draft('deposit', user, largest)])
  await world.work()
  const [withdrawal] = await world.accept([draft('withdraw', user, largest)])
  await world.work()
  assert.equal((await world.view(accepted(deposit).id)).status, 'success')
  assert.equal((await world.view(accepted(withdrawal).id)).status, 'success')
  const fees = 20_000_000_000n
  assert.deepEqual(await balance(world, user), [largest - 2n * fees, 0n])
})
