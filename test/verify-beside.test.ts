import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import { feed } from '../src/events/feed.ts'
import { closing } from '../src/process/closing.ts'
import { verifyBeside } from '../src/process/verify-beside.ts'
import { keepRecent, newestRuns } from '../src/verify/runs-store.ts'
import { polled, want } from './events-kit.ts'
import { raw, testWorld } from './harness.ts'
import { until } from './process-kit.ts'

/** As often as a worker looks. */
const MINUTE_MS = 60_000

/** Workers of one service, each of which has just started; minutes pass when a test says so. */
async function workers(t: TestContext) {
  const world = await testWorld(t)
  const { clock, db } = world
  const newest = async () => {
    const runs = await newestRuns(db.global)
    return runs.find(({ scope }) => scope === 'recent')
  }
  /** A worker: its turn comes when it is called, and it returns what it found, null: it left it. */
  const worker = async () => {
    let asleep: (() => void) | null = null
    const sleep = (_: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        asleep = resolve
        signal?.addEventListener('abort', () => resolve())
      })
    const found: number[] = []
    const metrics = {
      violations: ({ rules }: { rules: readonly { violations: number }[] }) =>
        void found.push(rules.reduce((sum, { violations }) => sum + violations, 0)),
    }
    const stops = closing()
    t.after(() => stops.close())
    const parts = { db, metrics, log: pino({ level: 'silent' }), stops }
    verifyBeside(parts, { ...clock, sleep })
    const resting = () => until('its turn is over', () => asleep)
    await resting()
    return async (): Promise<number | null> => {
      const before = found.length
      const wake = await resting()
      asleep = null
      wake()
      await resting()
      if (found.length === before) return null
      await until('what it found is kept', async () => {
        return (await newest())?.startedAt.getTime() === clock.now().getTime()
      })
      return found.at(-1) ?? null
    }
  }
  const told = async () => {
    await feed(world.db)
    return (await polled(world)).length
  }
  const damage = (by: number) => world.sql('update users set available = available + $1', [by])
  return { world, clock, worker, damage, told }
}

test('one process checks the books for all, minute by minute', async (t) => {
  const { clock, worker } = await workers(t)
  const [one, other] = [await worker(), await worker()]
  for (let minute = 0; minute < 3; minute += 1) {
    assert.deepEqual([await one(), await other()], [0, null])
    clock.advance(MINUTE_MS)
  }
})

test('when the process that checks the books has gone, another one does, and stays at it', async (t) => {
  const { clock, worker } = await workers(t)
  const [one, other] = [await worker(), await worker()]
  assert.equal(await one(), 0)
  clock.advance(89_999)
  assert.equal(await other(), null, 'the first one may only be late')
  clock.advance(1)
  assert.equal(await other(), 0)
  clock.advance(1)
  assert.equal(await one(), null, 'it was only held up')
  clock.advance(MINUTE_MS)
  assert.deepEqual([await other(), await one()], [0, null])
})

test('what went wrong while another process checked the books is found by who comes after it', async (t) => {
  const { world, clock, worker } = await workers(t)
  const userId = await world.user(0n)
  const [one, other] = [await worker(), await worker()]
  assert.equal(await other(), 0)
  const draft = { type: 'deposit', userId, amount: 100n, idempotencyKey: null } as const
  const [answer] = await world.accept([draft])
  assert(answer?.kind === 'accepted')
  clock.advance(2 * MINUTE_MS)
  assert.deepEqual([await one(), await other()], [0, null])
  await world.work()
  await world.sql('update payments set attempts = 99 where id = $1', [answer.payment.id])
  clock.advance(2 * MINUTE_MS)
  assert.equal(await other(), 1)
})

const RESULT = { violations: 0, duration_ms: 1, rules: [] }

test('a check that did not see all books, or not now, or was not that of a worker, counts for nobody else', async (t) => {
  const { world, clock, worker } = await workers(t)
  const { global } = world.db
  const one = await worker()
  await keepRecent(global, clock.now(), { ...RESULT, complete: false })
  clock.advance(1)
  assert.equal(await one(), 0, 'a part of the books was not looked at')
  const ahead = new Date(clock.now().getTime() + 2 * MINUTE_MS)
  await keepRecent(global, ahead, { ...RESULT, complete: true })
  assert.equal(await one(), 0, 'the clock of another machine is no proof')
  await global.run(raw('delete from verifications'), [])
  await global.run(
    raw(`insert into verifications
      (scope, state, started_at, started_by, seen_at, ended_at, report)
      values ('full', 'done', $1, 'jane', $1, $1, '{"complete": true}')`),
    [new Date(clock.now().getTime() - 1)],
  )
  assert.equal(await one(), 0, 'what somebody asked for is another check')
})

test('who found something looks at it each minute until it is mended, whatever others check', async (t) => {
  const { world, clock, worker, damage, told } = await workers(t)
  await want(world, ['books.*'])
  await world.user(100n)
  const one = await worker()
  await damage(1)
  assert.equal(await one(), 1)
  for (const mended of [0, -1]) {
    await damage(mended)
    clock.advance(MINUTE_MS)
    await keepRecent(world.db.global, clock.now(), { ...RESULT, complete: true })
    clock.advance(1)
    assert.equal(await one(), 1 + mended)
  }
  clock.advance(MINUTE_MS)
  await keepRecent(world.db.global, clock.now(), { ...RESULT, complete: true })
  clock.advance(1)
  assert.equal(await one(), null)
  assert.equal(await told(), 1, 'it was the same all the time')
})

test('what another process told of the books is not told again by who comes after it', async (t) => {
  const { world, clock, worker, damage, told } = await workers(t)
  await want(world, ['books.*'])
  await world.user(100n)
  const [one, other] = [await worker(), await worker()]
  assert.equal(await other(), 0)
  clock.advance(2 * MINUTE_MS)
  await damage(1)
  assert.deepEqual([await one(), await other()], [1, null])
  assert.equal(await told(), 1)
  clock.advance(2 * MINUTE_MS)
  assert.equal(await other(), 1)
  assert.equal(await told(), 1)
  await world.sql('update users set held = held + 1')
  clock.advance(MINUTE_MS)
  assert.ok((await other()) !== null)
  assert.equal(await told(), 2, 'something else is broken')
})
