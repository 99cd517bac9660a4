import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { chargeUnlessLocked, claim, type Settlement } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { lockOwned } from '../src/charging/settle-store.ts'
import { openSettler } from '../src/queue/settler.ts'
import { books, LEASE_MS, manualClock, testWorld, type TestWorld } from './harness.ts'
import { somebodyElse } from './operators.ts'
import { withdraw, deposit, users } from './locks-kit.ts'
import { queueOf } from './queue-kit.ts'

const NAPS_MAX = 2_000

/** A settler as a worker has it, and what it gave up. */
function settlerOf(world: TestWorld, batchMax = 500) {
  const givenUp: Settlement[] = []
  let naps = 0
  // A test whose promise is broken would wait for ever.
  const sleep = () =>
    (naps += 1) < NAPS_MAX
      ? Promise.resolve()
      : Promise.reject(new Error('it never comes to an end'))
  const settler = openSettler<Settlement>({
    settle: async (done, patient) => (await settle(world.world, done, patient)).busy,
    clock: { ...world.clock, sleep },
    batchMax,
    keyOf: ({ claim: { payment } }) => payment.userId,
    faultyMsMax: LEASE_MS,
    onError: () => undefined,
    onGivenUp: (done) => givenUp.push(...done),
  })
  return { ...settler, givenUp }
}

/** A payment of each user, charged and not yet settled, by payment id. */
async function charged(world: TestWorld, owners: readonly bigint[]) {
  await world.accept(owners.map((id) => withdraw(id)))
  const settlements = await world.claimAndCharge()
  return settlements.toSorted((one, other) => Number(one.claim.payment.id - other.claim.payment.id))
}

const statusOf = async (world: TestWorld, one: Settlement): Promise<string> =>
  (await world.view(one.claim.payment.id)).status

const LOCKED = [
  ['user', 'users', ({ claim: { payment } }: Settlement) => payment.userId],
  ['task', 'payment_tasks', ({ claim: { payment } }: Settlement) => payment.id],
  ['payment', 'payments', ({ claim: { payment } }: Settlement) => payment.id],
] as const

for (const [name, table, idIn] of LOCKED) {
  test(`while one ${name} is locked, the payments of all others are settled`, async (t) => {
    const world = await testWorld(t)
    const settlements = await charged(world, await users(world, 20))
    const at = 7
    const locked = settlements[at] as Settlement
    const other = await somebodyElse(t, world)
    await other.lock(table, idIn(locked))

    const { submit, aside, waitsFor } = settlerOf(world)
    const done = settlements.map((settlement) => submit(settlement))
    await Promise.all(done.toSpliced(at, 1))
    for (const settlement of settlements.toSpliced(at, 1)) {
      assert.equal(await statusOf(world, settlement), 'success')
    }
    assert.equal(await statusOf(world, locked), 'processing')
    assert.equal(aside(), 1)
    assert.ok(waitsFor(locked.claim.payment.userId), 'it is known who is waited for')

    await other.release()
    await done[at]
    assert.equal(await statusOf(world, locked), 'success')
    assert.equal(aside(), 0)
    assert.equal((await books(world))['held'], 0n)
  })
}

test('a batch of settlements waits once for a locked user, however many there are, and names those alone', async (t) => {
  const world = await testWorld(t)
  const settlements = await charged(world, await users(world, 20))
  const locked = settlements[7] as Settlement
  const other = await somebodyElse(t, world)
  await other.lock('users', locked.claim.payment.userId)

  const { busy, settlements: settled, stale } = await settle(world.world, settlements)
  assert.deepEqual(busy, [locked])
  assert.equal(settled.length, 19)
  assert.equal(stale, 0)
})

test('no further payment of a user who is waited for is charged, and none of its tries is counted', async (t) => {
  const world = await testWorld(t)
  const [owner = 0n] = await users(world, 1)
  const [first] = await charged(world, [owner])
  assert.ok(first, 'first')
  const other = await somebodyElse(t, world)
  await other.lock('users', owner)
  const { submit, waitsFor } = settlerOf(world)
  const waiting = submit(first)
  while (!waitsFor(owner)) await turn()

  // A deposit without a key depends on nothing that is locked, so it is accepted.
  await world.accept([deposit(owner)])
  const handle = chargeUnlessLocked(world.world, waitsFor)
  const [claimed] = await claim(world.world, 10)
  assert.ok(claimed, 'claimed')
  await submit(await handle(claimed))
  assert.equal(world.gateway.charged.size, 1)
  const [task] = await world.sql<{ attempts: number; tries: number; leased: boolean }>(
    'select attempts, tries, leased from payment_tasks where payment_id = $1',
    [claimed.payment.id],
  )
  assert.deepEqual(task, { attempts: 0, tries: 0, leased: false })

  await other.release()
  await waiting
  world.clock.advance(5_000)
  assert.equal((await world.work()).length, 1)
  assert.equal(world.gateway.charged.size, 2)
})

test('behind more than a batch of results that stay locked, one that is free has its turn', async () => {
  const locked = new Set(['a', 'b', 'c'])
  const { submit, aside } = openSettler<string>({
    settle: (done) => Promise.resolve(done.filter((one) => locked.has(one))),
    clock: { ...manualClock(), sleep: async () => void (await turn()) },
    batchMax: 2,
    keyOf: (done) => done,
    faultyMsMax: LEASE_MS,
    onError: () => undefined,
    onGivenUp: () => undefined,
  })
  const [first, second, last] = [submit('a'), submit('b'), submit('c')]
  while (aside() < 3) await turn()
  locked.delete('c')
  let written = false
  void last.then(() => (written = true))
  for (let turns = 0; turns < 20 && !written; turns += 1) await turn()
  const inTurn = written
  locked.clear()
  await Promise.all([first, second, last])
  assert.ok(inTurn)
})

test('what is locked holds up nothing that is settled after it', async (t) => {
  const world = await testWorld(t)
  const [locked, ...others] = await charged(world, await users(world, 12))
  assert.ok(locked, 'locked')
  const other = await somebodyElse(t, world)
  await other.lock('users', locked.claim.payment.userId)
  const { submit } = settlerOf(world, 1)

  const last = submit(locked)
  for (const settlement of others) await submit(settlement)
  assert.equal(await statusOf(world, locked), 'processing')
  await other.release()
  await last
  assert.equal(await statusOf(world, locked), 'success')
})

test('a settlement that cannot be written takes no neighbour along, and has a last word', async (t) => {
  const world = await testWorld(t)
  const settlements = await charged(world, await users(world, 9))
  const [bad] = settlements
  assert.ok(bad, 'bad')
  const { id, userId } = bad.claim.payment
  // Its posting is there already, so the primary key refuses another.
  const columns = 'user_available, user_held, gateway, fees, opening, created_at'
  await world.sql(
    `insert into postings (shard, user_id, payment_id, kind, ${columns})
     values (0, $1, $2, 'settle', 0, 0, 0, 0, 0, now())`,
    [userId, id],
  )
  const { submit, givenUp } = settlerOf(world)
  const done = settlements.map((settlement) => submit(settlement))
  await Promise.all(done.slice(1))
  for (const settlement of settlements.slice(1)) {
    assert.equal(await statusOf(world, settlement), 'success')
  }
  assert.deepEqual(givenUp, [])
  world.clock.advance(LEASE_MS)
  await done[0]
  assert.deepEqual(givenUp, [bad])
})

test('a lost claim’s yes stops its successor’s no, also when both are settled together', async (t) => {
  const world = await testWorld(t)
  const [owner = 0n] = await users(world, 1)
  const late = await charged(world, [owner])
  world.clock.advance(LEASE_MS)
  world.gateway.lookups = { kind: 'declined', reason: 'http_402' }
  const successor = await world.claimAndCharge()
  const decisions = [...late, ...successor].map(({ decision }) => decision.step)
  assert.deepEqual(decisions, ['succeed', 'fail'])

  await world.settle([...late, ...successor])
  assert.notEqual(await statusOf(world, late[0] as Settlement), 'failed')
  assert.equal((await books(world))['user'], 100_000n - 102n)
})

test('settlements lock their tasks in the order of the ids, so that two never wait for each other', async (t) => {
  const { shard, put } = await queueOf(t)
  const ids = [3n, 1n, 2n]
  for (const id of ids) await put({ payment_id: Number(id), leased: true, fence: 1 })
  const claims = ids.map((paymentId) => ({ paymentId, fence: 1, yes: false }))
  const { owned, attempts } = await shard.transaction((tx) => lockOwned(tx, claims))
  assert.deepEqual([...attempts.keys()], [1n, 2n, 3n])
  assert.equal(owned.size, 3)
})

test('a claim that saw a yes has its task locked, whoever holds it now, and owns it no more', async (t) => {
  const { shard, put } = await queueOf(t)
  await put(
    { payment_id: 1, leased: true, fence: 2, attempts: 5 },
    { payment_id: 2, leased: true, fence: 2 },
    { payment_id: 3, fence: 1 },
  )
  const claims = [true, false, false].map((yes, at) => ({
    paymentId: BigInt(at + 1),
    fence: 1,
    yes,
  }))
  const { owned, attempts } = await shard.transaction((tx) => lockOwned(tx, claims))
  assert.deepEqual([...owned], [])
  assert.deepEqual([...attempts], [[1n, 5]])
})
