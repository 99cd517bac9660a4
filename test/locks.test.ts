import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { plan, start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/store.ts'
import type { RedriveFilter } from '../src/dead-letters/store.ts'
import type { Answer, Draft } from '../src/domain/acceptance.ts'
import { chargeUnlessLocked, claim, type Settlement } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { openSettler } from '../src/queue/settler.ts'
import { type Accept } from '../src/payments/accept.ts'
import { accepting } from '../src/payments/accepting.ts'
import { withShards } from '../src/shards.ts'
import { books, LEASE_MS, testWorld, type TestWorld, acceptAll } from './harness.ts'
import { assertBooks, JANE, lost, openLetter, somebodyElse } from './operators.ts'

/** Accepting as an API process does it. Its clock stands still, so nobody is ever late. */
function acceptingOf(world: TestWorld, accept: Accept = world.accept) {
  const limits = { sizeMax: 500, waitingMax: 1_000, lanes: 2, lockMsMax: 3_000 }
  const laneOf = ({ userId }: Draft) => Number(userId % 2n)
  return accepting(accept, world.clock, { ...limits, laneOf })
}

const withdraw = (userId: bigint, idempotencyKey: string | null = null): Draft => {
  return { type: 'withdraw', userId, amount: 100n, idempotencyKey }
}
const deposit = (userId: bigint, idempotencyKey: string | null = null): Draft => {
  return { type: 'deposit', userId, amount: 100n, idempotencyKey }
}

const idOf = (answer: Answer): bigint => {
  assert.ok(answer.kind === 'accepted', JSON.stringify(answer.kind))
  return answer.payment.id
}

async function users(world: TestWorld, count: number): Promise<bigint[]> {
  const opened: bigint[] = []
  for (let index = 0; index < count; index += 1) opened.push(await world.user(100_000n))
  return opened
}

test('while one user is locked, the payments of all others are accepted', async (t) => {
  const world = await testWorld(t)
  const [locked = 0n, ...others] = await users(world, 21)
  const { submit, idle } = acceptingOf(world)
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)

  const waiting = [submit(withdraw(locked)), submit(deposit(locked, 'key'))]
  let ended = 0
  for (const each of waiting) void each.then(() => (ended += 1))
  // In its batch, behind it, and long after it.
  for (let round = 0; round < 3; round += 1) {
    const drafts = others.flatMap((id) => [withdraw(id), deposit(id), deposit(id, `${round}`)])
    for (const answer of await Promise.all(drafts.map(submit))) idOf(answer)
    waiting.push(submit(withdraw(locked, `${round}`)))
  }
  assert.equal(ended, 0)

  await other.release()
  for (const answer of await Promise.all(waiting)) idOf(answer)
  await idle()
  const { held } = await books(world)
  assert.equal(held, 64n * 102n)
})

test('the payments of a user who was locked keep their order', async (t) => {
  const world = await testWorld(t)
  const [locked = 0n, free = 0n] = await users(world, 2)
  const { submit } = acceptingOf(world)
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)

  const answers: Promise<Answer>[] = []
  for (let round = 0; round < 4; round += 1) {
    answers.push(
      submit(withdraw(locked)),
      submit(deposit(locked)),
      submit(withdraw(locked, `${round}`)),
    )
    idOf(await submit(withdraw(free)))
  }
  await other.release()
  answers.push(submit(deposit(locked)), submit(withdraw(locked)))
  const ids = (await Promise.all(answers)).map(idOf)
  assert.deepEqual(
    ids,
    ids.toSorted((one, two) => Number(one - two)),
  )
})

test('who stays locked is answered busy in the end, and nothing was done', async (t) => {
  const world = await testWorld(t)
  const [locked = 0n, free = 0n] = await users(world, 2)
  const { submit } = acceptingOf(world)
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)

  const first = submit(withdraw(locked, 'key'))
  idOf(await submit(withdraw(free)))
  world.clock.advance(3_000)
  const answer = await first
  assert.ok(answer.kind === 'refused', 'answer.kind === refused')
  assert.equal(answer.refusal.code, 'busy')
  const [row] = await world.sql<{ count: bigint }>('select count(*) from payments')
  assert.equal(row?.count, 1n)

  // The same request goes through as soon as the lock is gone.
  await other.release()
  idOf(await submit(withdraw(locked, 'key')))
})

test('who is left out of a batch stays so when the batch is repeated: nothing is accepted twice', async (t) => {
  const world = await testWorld(t)
  const [locked = 0n, free = 0n] = await users(world, 2)
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)
  let repeated = false
  const db = withShards(world.db, (shard) => ({
    ...shard,
    transaction: (work, lockMs) =>
      shard.transaction(async (tx) => {
        const result = await work(tx)
        if (lockMs !== undefined || repeated) return result
        // Free by the time that the transaction is run again, as after a deadlock.
        repeated = true
        await other.release()
        throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
      }, lockMs),
  }))
  const { submit, idle } = acceptingOf(world, acceptAll(db, { bps: 200, min: 0n }))
  const answers = await Promise.all([submit(deposit(free)), submit(withdraw(locked))])
  for (const answer of answers) idOf(answer)
  await idle()
  assert.ok(repeated)
  const rows = await world.sql<{ id: bigint }>('select id from payments order by id')
  assert.deepEqual(
    rows.map(({ id }) => id),
    answers.map(idOf),
  )
  assert.equal((await books(world))['held'], 102n)
})

test('accepting is idle only when those who wait for a lock are answered as well', async (t) => {
  const world = await testWorld(t)
  const [locked = 0n, free = 0n] = await users(world, 2)
  const { submit, idle } = acceptingOf(world)
  const other = await somebodyElse(t, world)
  await other.lock('users', locked)

  const ends: string[] = []
  const waiting = submit(withdraw(locked)).then((answer) => ends.push(answer.kind))
  const batch = submit(withdraw(free))
  const ending = idle().then(() => ends.push('idle'))
  idOf(await batch)
  for (let round = 0; round < 10; round += 1) await turn()
  assert.deepEqual(ends, [])
  await other.release()
  await Promise.all([waiting, ending])
  assert.deepEqual(ends, ['accepted', 'idle'])
})

test('however many users are locked, two connections are enough for everybody else', async (t) => {
  const world = await testWorld(t)
  const all = await users(world, 40)
  const locked = all.slice(0, 30)
  const { submit } = acceptingOf(world)
  const others = await Promise.all(locked.map(() => somebodyElse(t, world)))
  for (const [index, other] of others.entries()) await other.lock('users', locked[index] ?? 0n)

  const waiting = locked.map((id) => submit(withdraw(id)))
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all(all.slice(30).map((id) => submit(withdraw(id))))
    for (const answer of answers) idOf(answer)
    assert.ok(world.db.pool().total <= 3, `${world.db.pool().total} connections`)
  }
  for (const other of others) await other.release()
  for (const answer of await Promise.all(waiting)) idOf(answer)
})

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

const EVERYTHING: RedriveFilter = {
  class: null,
  error: null,
  type: null,
  userId: null,
  createdBefore: null,
  createdAfter: null,
}

/** What an act on a dead letter depends on, and the id there. */
const ACT_ON = [
  ['users', 'user_id'],
  ['payment_tasks', 'payment_id'],
  ['dead_letters', 'id'],
  ['payments', 'payment_id'],
] as const

for (const [table, column] of ACT_ON) {
  test(`a redrive passes by a locked row of ${table}, and comes back to it`, async (t) => {
    const world = await testWorld(t)
    for (let count = 0; count < 3; count += 1) await lost(world, 'withdraw')
    const found = await world.sql<Record<string, bigint>>('select * from dead_letters order by id')
    const other = await somebodyElse(t, world)
    await other.lock(table, found[1]?.[column] ?? 0n)

    const { run } = await plan(world.world, EVERYTHING, 'jane')
    const by = { actor: 'jane', reason: 'the gateway is back', requestId: 'r', ratePerSecond: 10 }
    await start(world.world, run.id, by)
    assert.equal(await step(world.world, run.id), 2)
    const passing = await readRun(world.db.global, run.id)
    assert.deepEqual([passing?.state, passing?.position, passing?.redriven], ['running', 2, 2])
    world.clock.advance(1_000)
    assert.equal(await step(world.world, run.id), 0)

    await other.release()
    world.clock.advance(1_000)
    assert.equal(await step(world.world, run.id), 1)
    const ended = await readRun(world.db.global, run.id)
    assert.deepEqual([ended?.state, ended?.position, ended?.redriven], ['done', 3, 3])
    await assertBooks(world)
  })
}

test('an operator’s word on what somebody else has locked is answered busy, and changes nothing', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const letterId = await openLetter(world, id)
  const other = await somebodyElse(t, world)
  await other.lock('payment_tasks', id)

  const word = [{ letterId, outcome: 'success', gatewayRef: null }] as const
  const busy = { kind: 'refused', refusal: { code: 'busy' } }
  assert.deepEqual(await resolve(world.world, JANE, word), [busy])
  assert.deepEqual(await redrive(world.world, JANE, [{ letterId, delayMs: 0 }]), [busy])
  assert.equal((await world.view(id)).status, 'unknown')

  await other.release()
  const resolved = { kind: 'resolved', letterId, paymentId: id }
  assert.deepEqual(await resolve(world.world, JANE, word), [resolved])
})
