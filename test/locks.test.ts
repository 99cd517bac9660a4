import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { plan } from '../src/runs/letters.ts'
import { start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import type { RedriveFilter } from '../src/dead-letters/store.ts'
import type { Answer } from '../src/domain/acceptance.ts'
import { type Accept } from '../src/payments/accept.ts'
import { acceptingInShard } from '../src/payments/accepting.ts'
import { withShards } from '../src/each-shard.ts'
import { books, testWorld, type TestWorld, acceptAll } from './harness.ts'
import { assertBooks, JANE, lost, openLetter, somebodyElse } from './operators.ts'
import { withdraw, deposit, users } from './locks-kit.ts'

/** Accepting as an API process does it. Its clock stands still, so nobody is ever late. */
function acceptingOf(world: TestWorld, accept: Accept = world.accept) {
  const limits = { sizeMax: 500, waitingMax: 1_000, sideBySide: 2, lockMsMax: 3_000 }
  return acceptingInShard(accept, world.clock, limits)
}

const idOf = (answer: Answer): bigint => {
  assert.ok(answer.kind === 'accepted', JSON.stringify(answer.kind))
  return answer.payment.id
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
    assert.deepEqual([passing?.state, passing?.position, passing?.carriedOut], ['running', 2, 2])
    world.clock.advance(1_000)
    assert.equal(await step(world.world, run.id), 0)

    await other.release()
    world.clock.advance(1_000)
    assert.equal(await step(world.world, run.id), 1)
    const ended = await readRun(world.db.global, run.id)
    assert.deepEqual([ended?.state, ended?.position, ended?.carriedOut], ['done', 3, 3])
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
