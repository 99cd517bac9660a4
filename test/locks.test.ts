import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import type { Answer, Draft } from '../src/domain/acceptance.ts'
import { accepting } from '../src/payments/accepting.ts'
import { books, testWorld, type TestWorld } from './harness.ts'

/** Somebody else, such as an operator at a prompt, who locks rows for as long as they like. */
async function somebodyElse(t: TestContext, world: TestWorld) {
  const client = new pg.Client({ connectionString: world.url })
  // The database may be dropped before this ends.
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  return {
    async lock(table: 'users' | 'payments' | 'payment_tasks' | 'dead_letters', id: bigint) {
      const column = table === 'payment_tasks' ? 'payment_id' : 'id'
      await client.query('begin')
      await client.query(`select from ${table} where ${column} = $1 for update`, [id])
    },
    release: () => client.query('commit'),
  }
}

/** Accepting as an API process does it. Its clock stands still, so nobody is ever late. */
function acceptingOf(world: TestWorld) {
  const limits = { sizeMax: 500, waitingMax: 1_000, lanes: 2, lockMsMax: 3_000 }
  const laneOf = ({ userId }: Draft) => Number(userId % 2n)
  return accepting(world.accept, world.clock, { ...limits, laneOf })
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
