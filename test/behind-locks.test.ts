import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelPayments } from '../src/operators/cancel.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { accepted, JANE, somebodyElse } from './operators.ts'
import { until } from './process-kit.ts'
import { balanced, untilFree } from './refunds-kit.ts'

async function waiting(world: TestWorld, count: number): Promise<void> {
  await until(`${count} wait for a lock`, async () => {
    const found = await world.sql(`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`)
    return found.length >= count
  })
}

test('a cancelation that waited for another one reads what that one left', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'withdraw')
  const [payment] = await world.sql<{ userId: bigint }>('select user_id as "userId" from payments')
  const cancel = () => {
    const db = world.connect()
    return untilFree(() => cancelPayments(db, JANE, [id]))
  }
  // The first locks the task and waits for the user; the second waits for the task.
  const other = await somebodyElse(t, world)
  await other.lock('users', payment?.userId ?? 0n)
  const first = cancel()
  await waiting(world, 1)
  const second = cancel()
  await waiting(world, 2)
  await other.release()
  const answers = (await Promise.all([first, second])).flat()
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['canceled', 'canceled'],
  )
  const acts = await world.sql("select from operator_acts where act = 'cancel'")
  assert.equal(acts.length, 1, 'it was canceled once')
  assert.equal((await balanced(world))['held'], 0n)
})
