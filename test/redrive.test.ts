import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Command } from 'commander'
import { redriveCommand } from '../src/runs/command.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { cancel, plan, start, startRedriver, step } from '../src/runs/run.ts'
import {
  advanceRun,
  beginStep,
  putOff,
  readRun,
  type Step,
  type StepCounts,
} from '../src/runs/store.ts'
import type { RedriveFilter } from '../src/dead-letters/store.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import {
  accepted,
  assertBooks,
  declined,
  exhaust,
  JANE,
  letters,
  lost,
  openLetter,
  server,
} from './operators.ts'

const ALL: RedriveFilter = {
  class: null,
  error: null,
  type: null,
  userId: null,
  createdBefore: null,
  createdAfter: null,
}

async function redriveOf(world: TestWorld, paymentId: bigint) {
  const letterId = await openLetter(world, paymentId)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert(answer !== undefined)
  return answer
}

/** The payment that repeats another. */
async function repeatOf(world: TestWorld, paymentId: bigint): Promise<bigint> {
  const answer = await redriveOf(world, paymentId)
  assert(answer.kind === 'redriven' && answer.newPaymentId !== null)
  return answer.newPaymentId
}

test('a payment of unknown outcome is looked up before anything is sent', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.calls.length = 0
  world.gateway.lookups = null

  const answer = await redriveOf(world, id)
  assert.deepEqual(answer, { kind: 'redriven', letterId: 1n, paymentId: id, newPaymentId: null })
  assert.equal((await world.view(id)).status, 'new')
  await assertBooks(world)
  await world.work()

  assert.deepEqual(
    world.gateway.calls.map(({ kind }) => kind),
    ['lookup'],
  )
  assert.equal((await world.view(id)).status, 'success')
  assert.equal((await letters(world, id))[0]?.state, 'redriven')
  assert.equal((await assertBooks(world))['gateway'], 5_000n)
})

test('a payment that the gateway does not know is sent again under its own key only', async (t) => {
  const world = await testWorld(t, { script: ['in_doubt'] })
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 3)
  const key = world.gateway.calls[0]?.key
  world.gateway.calls.length = 0
  world.gateway.script = ['success']

  await redriveOf(world, id)
  await world.work()

  assert.deepEqual(
    world.gateway.calls.map((call) => [call.kind, call.key]),
    [
      ['lookup', key],
      ['charge', key],
    ],
  )
  assert.equal((await world.view(id)).status, 'success')
  assert.equal(world.gateway.charged.size, 1)
  await assertBooks(world)
})

test('a redriven payment that stays unknown gets a new letter, and all its attempts', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  await redriveOf(world, id)
  await exhaust(world, 3)

  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts], ['unknown', 6])
  const states = (await letters(world, id)).map(({ state }) => state)
  assert.deepEqual(states, ['redriven', 'open'])
  await assertBooks(world)
})

test('a payment that left the queue returns in doubt, with a fence above all its claims', async (t) => {
  const world = await testWorld(t, {
    script: ['lost_reply'],
    profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'none' },
  })
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 6)
  assert.deepEqual(await world.sql('select payment_id from payment_tasks'), [])

  await redriveOf(world, id)
  const [task] = await world.sql<Record<string, unknown>>('select * from payment_tasks')
  assert.deepEqual([task?.['attempts'], task?.['tries']], [3, 0])
  assert.notEqual(task?.['first_sent_at'], null)
  assert.notEqual(task?.['doubt_at'], null)
  assert(Number(task?.['fence']) > 1_000)

  world.gateway.script = ['success']
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  assert.deepEqual([...world.gateway.charged.values()], [[5_000n]])
  await assertBooks(world)
})

test('a payment that may not be sent again is not, however often it is redriven', async (t) => {
  const world = await testWorld(t, {
    script: ['lost_reply'],
    profile: { repeats: 'may_execute_again', keyLifeMs: 3_600_000, lookup: 'none' },
  })
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 6)
  for (let round = 0; round < 3; round += 1) {
    const refusal = { code: 'redrive_impossible', paymentId: id }
    assert.deepEqual(await redriveOf(world, id), { kind: 'refused', refusal })
    await exhaust(world, 6)
    assert.equal((await world.view(id)).status, 'unknown')
    assert.equal((await letters(world, id)).length, 1)
  }
  assert.equal(world.gateway.calls.filter(({ kind }) => kind === 'charge').length, 1)
  await assertBooks(world)
})

test('a failed payment is repeated by a new one with its own hold and key', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  world.gateway.script = ['success']

  const repeat = await repeatOf(world, id)
  assert.equal((await assertBooks(world))['held'], 5_100n)
  await world.work()

  const [old, fresh] = [await world.view(id), await world.view(repeat)]
  assert.deepEqual([old.status, fresh.status], ['failed', 'success'])
  assert.notEqual(old.payment.gatewayKey, fresh.payment.gatewayKey)
  const { userId, type, amount, commission, feeBps } = old.payment
  assert.deepEqual({ ...fresh.payment, userId, type, amount, commission, feeBps }, fresh.payment)
  const links = await world.sql('select redrive_of from payments order by id')
  assert.deepEqual(links, [{ redrive_of: null }, { redrive_of: id }])
  assert.equal((await assertBooks(world))['gateway'], 5_000n)
})

test('a repeat that fails too gets a letter of its own', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'deposit')
  const second = await repeatOf(world, id)
  await world.work()
  world.gateway.script = ['success']
  const third = await repeatOf(world, second)
  await world.work()
  assert.equal((await world.view(third)).status, 'success')
  assert.equal((await letters(world, second))[0]?.state, 'redriven')
  await assertBooks(world)
})

test('a repeat that cannot be paid for is refused, and its letter stays open', async (t) => {
  const world = await testWorld(t)
  const ids = await declined(world, 'withdraw', 3)
  // The user spends the money of one of them elsewhere.
  const [row] = await world.sql<{ user_id: bigint }>('select user_id from payments limit 1')
  const draft = { type: 'withdraw', userId: row?.user_id ?? 0n, amount: 4_000n } as const
  await world.accept([{ ...draft, idempotencyKey: null }])
  const requests = await Promise.all(
    ids.map(async (id) => ({ letterId: await openLetter(world, id), delayMs: 0 })),
  )

  const answers = await redrive(world.world, JANE, requests)

  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['redriven', 'redriven', 'refused'],
  )
  assert.deepEqual(answers[2], {
    kind: 'refused',
    refusal: { code: 'insufficient_funds', required: 5_100n },
  })
  assert.equal((await letters(world, ids[2] ?? 0n))[0]?.state, 'open')
  await assertBooks(world)
})

test('a letter is redriven once, whoever asks at the same time', async (t) => {
  const world = await testWorld(t)
  const [failed = 0n] = await declined(world, 'withdraw')
  const unknown = await lost(world, 'withdraw')
  for (const id of [failed, unknown]) {
    const letterId = await openLetter(world, id)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => redrive(world.world, JANE, [{ letterId, delayMs: 0 }])),
    )
    const refused = answers.flat().filter((answer) => answer.kind === 'refused')
    assert.equal(refused.length, 19)
    assert(refused.every(({ refusal }) => refusal.code === 'letter_not_open'))
  }
  assert.equal((await world.sql('select id from payments')).length, 3)
  assert.equal((await world.sql('select id from operator_acts')).length, 2)
  await assertBooks(world)
})

test('an operator, another and a worker that race leave one outcome, and a yes settles', async (t) => {
  const world = await testWorld(t)
  for (let round = 0; round < 15; round += 1) {
    const id = await lost(world, 'withdraw')
    const letterId = await openLetter(world, id)
    world.gateway.lookups = null
    world.clock.advance(10_000)
    const settlements = await world.claimAndCharge()
    const word = { letterId, outcome: 'success', gatewayRef: null } as const

    const [redriven, resolved, settled] = await Promise.all([
      redrive(world.world, JANE, [{ letterId, delayMs: 0 }]),
      resolve(world.world, JANE, [word]),
      world.settle(settlements),
    ])

    const won = {
      redriven: redriven[0]?.kind === 'redriven',
      resolved: resolved[0]?.kind === 'resolved',
      settled: settled.settlements.length === 1,
    }
    // The gateway's yes settles what a redrive has opened again, and nothing that is final.
    assert.equal(won.settled, !won.resolved)
    assert.ok(!(won.redriven && won.resolved))
    await world.work()
    assert.equal((await world.view(id)).status, 'success')
  }
  assert.equal((await assertBooks(world))['gateway'], 15n * 5_000n)
  assert.equal(world.gateway.charged.size, 15)
})

test('what a worker learns while an operator redrives is kept as late', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.clock.advance(10_000)
  const settlements = await world.claimAndCharge()
  await redriveOf(world, id)

  assert.equal((await world.settle(settlements)).stale, 1)

  assert.equal((await world.sql('select call from payment_attempts where late')).length, 1)
  world.gateway.lookups = null
  await world.work()
  assert.equal((await world.view(id)).status, 'success')
  await assertBooks(world)
})

test('a failed payment that turns out to be charged is never repeated', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'withdraw')
  // Two workers charge it and stall; a third is told by a gateway that contradicts itself:
  // declined.
  const first = await world.claimAndCharge()
  world.clock.advance(LEASE_MS + 1)
  const second = await world.claimAndCharge()
  world.clock.advance(LEASE_MS + 1)
  world.gateway.lookups = { kind: 'declined', reason: 'http_402' }
  await world.work()
  const letterId = await openLetter(world, id)
  assert.equal((await letters(world, id))[0]?.class, 'failed')

  assert.equal((await world.settle([...first, ...second])).stale, 2)

  const [letter, ...others] = await letters(world, id)
  assert.deepEqual([letter?.id, letter?.state, letter?.class], [letterId, 'open', 'unknown'])
  assert.equal(letter?.error, 'charged_after_failed')
  assert.deepEqual(others, [])
  assert.deepEqual(await redriveOf(world, id), {
    kind: 'refused',
    refusal: { code: 'payment_final' },
  })
  assert.equal((await plan(world.world, ALL, 'jane')).run.total, 0)
  await assertBooks(world)
})

/** Ten declined deposits and one unknown withdrawal. */
async function badNight(world: TestWorld) {
  const failed = await declined(world, 'deposit', 10)
  world.clock.advance(60_000)
  const unknown = await lost(world, 'withdraw')
  return { failed, unknown }
}

const BY = { actor: 'jane', reason: 'back', requestId: 'r2' }

test('a dry run changes nothing and says exactly what would be redriven', async (t) => {
  const world = await testWorld(t)
  const { unknown } = await badNight(world)
  const tables = ['payments', 'payment_tasks', 'dead_letters', 'postings', 'operator_acts']
  const dump = () => Promise.all(tables.map((table) => world.sql(`select * from ${table}`)))
  const before = await dump()

  const all = await plan(world.world, ALL, 'jane')
  assert.deepEqual([all.run.total, all.run.amount, all.matching], [11, 55_000n, 11])
  assert.deepEqual(all.byClass, [
    { class: 'failed', count: 10, amount: 50_000n },
    { class: 'unknown', count: 1, amount: 5_000n },
  ])
  assert.equal(all.sample.length, 10)
  const [{ userId = null } = {}] = await world.sql<{ userId: bigint }>(
    'select user_id as "userId" from payments where id = $1',
    [unknown],
  )
  const [{ at = null } = {}] = await world.sql<{ at: Date }>(
    'select max(created_at) as at from dead_letters',
  )
  const counts = await Promise.all(
    [
      { class: 'unknown' as const },
      { error: 'http_402' },
      { error: 'nothing' },
      { type: 'withdraw' as const },
      { userId },
      { createdBefore: at },
      { createdAfter: at },
      { class: 'failed' as const, createdAfter: at },
    ].map(async (part) => (await plan(world.world, { ...ALL, ...part }, 'jane')).run.total),
  )
  assert.deepEqual(counts, [1, 10, 0, 1, 1, 10, 1, 0])
  assert.deepEqual(await dump(), before)
})

test('a run redrives exactly its snapshot, at its rate, and counts what became of it', async (t) => {
  const world = await testWorld(t)
  await badNight(world)
  const { run } = await plan(world.world, { ...ALL, class: 'failed' }, 'jane')
  // The first is resolved and another letter opened between the dry run and the start.
  await resolve(world.world, JANE, [{ letterId: 1n, outcome: 'failed', gatewayRef: null }])
  const [later = 0n] = await declined(world, 'deposit')

  const started = await start(world.world, run.id, { ...BY, ratePerSecond: 4 })
  assert(started.kind === 'run' && started.run.state === 'running')
  assert.equal(await step(world.world, null), 4)
  assert.equal(await step(world.world, null), null)
  const delays = await world.sql<{ ms: number }>(
    `select extract(epoch from run_at - $1::timestamptz)::float8 * 1000 as ms
     from payment_tasks where attempts = 0 order by run_at`,
    [world.clock.now()],
  )
  // The first of the four was skipped.
  assert.deepEqual(
    delays.map(({ ms }) => Math.round(ms)),
    [250, 500, 750],
  )
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), 4)
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), 2)
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), null)

  const { state, position, redriven, skipped, refused } =
    (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, position, redriven, skipped, refused], ['done', 10, 9, 1, 0])
  assert.equal((await letters(world, later))[0]?.state, 'open')
  const acts = await world.sql('select id from operator_acts where redrive_id = $1', [run.id])
  assert.equal(acts.length, 9)
  world.gateway.script = ['success']
  await world.work()
  assert.equal((await assertBooks(world))['gateway'], -9n * 5_000n)
})

test('a step that a dead process began is done by another and counts the same', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 3)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 10 })
  // A process redrives the letters and dies before it records the step.
  await world.sql(`update redrives set next_at = next_at + interval '30 seconds'`)
  const by = { ...BY, redriveId: run.id }
  await redrive(
    world.world,
    by,
    [1n, 2n, 3n].map((letterId) => ({ letterId, delayMs: 0 })),
  )
  assert.equal(await step(world.world, null), null)

  world.clock.advance(30_000)
  assert.equal(await step(world.world, null), 3)

  const { state, redriven, skipped } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, redriven, skipped], ['done', 3, 0])
  assert.equal((await world.sql('select id from payments')).length, 6)
})

const NO_COUNTS: StepCounts = { redriven: 0, skipped: 0, refused: 0, refusals: {} }

/** How the second of two processes records a step, all of which the first has put off. */
const SECOND_RECORDS = {
  'has done it': (world: TestWorld, begun: Step) => {
    const counts = { ...NO_COUNTS, redriven: 2 }
    return advanceRun(world.db.global, begun, counts)
  },
  'puts off a part of it': (world: TestWorld, begun: Step) =>
    putOff(
      world.db.global,
      begun,
      { ...NO_COUNTS, redriven: 1 },
      new Set(begun.letterIds.slice(1)),
    ),
}

for (const [name, record] of Object.entries(SECOND_RECORDS)) {
  test(`no letter of a run is lost when one process puts a step off and another ${name}`, async (t) => {
    const world = await testWorld(t)
    await declined(world, 'deposit', 5)
    const { run } = await plan(world.world, ALL, 'jane')
    await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
    const begin = async (): Promise<Step> => {
      const begun = await beginStep(world.db.global, run.id, 30_000)
      assert(begun !== null)
      return begun
    }
    // The first takes longer than its lease, so a second one does the same step.
    const first = await begin()
    world.clock.advance(30_000)
    const second = await begin()
    assert.deepEqual(second.letterIds, first.letterIds)
    await putOff(world.db.global, first, NO_COUNTS, new Set(first.letterIds))
    await record(world, second)

    for (let round = 0; round < 5; round += 1) {
      world.clock.advance(30_000)
      await step(world.world, run.id)
    }
    const { state, redriven, position } = (await readRun(world.db.global, run.id)) ?? run
    assert.deepEqual([state, redriven, position], ['done', 5, 5])
    const open = await world.sql(`select id from dead_letters where state = 'open'`)
    assert.deepEqual(open, [])
  })
}

test('a canceled run leaves the rest open', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 5)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
  await step(world.world, null)

  const canceled = await cancel(world.world, run.id, 'joe')
  assert(canceled.kind === 'run' && canceled.run.canceledBy === 'joe')
  world.clock.advance(5_000)

  assert.equal(await step(world.world, null), null)
  const open = await world.sql(`select id from dead_letters where state = 'open'`)
  assert.equal(open.length, 3)
  const again = await cancel(world.world, run.id, 'joe')
  assert.deepEqual(again, { kind: 'refused', refusal: { code: 'redrive_not_running' } })
})

test('a snapshot is started once, and not when it is old', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit')
  const fresh = await plan(world.world, ALL, 'jane')
  const old = await plan(world.world, ALL, 'jane')
  const by = { ...BY, ratePerSecond: 1 }
  const answers = await Promise.all([1, 2, 3].map(() => start(world.world, fresh.run.id, by)))
  assert.equal(answers.filter(({ kind }) => kind === 'run').length, 1)
  assert.deepEqual(await start(world.world, fresh.run.id, by), {
    kind: 'refused',
    refusal: { code: 'redrive_started' },
  })
  world.clock.advance(15 * 60_000 + 1)
  assert.deepEqual(await start(world.world, old.run.id, by), {
    kind: 'refused',
    refusal: { code: 'redrive_expired' },
  })
})

test('several processes carry out a run together, over several shards, each letter once', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  for (let user = 0; user < 6; user += 1) await declined(world, 'withdraw', 20)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 25 })

  for (let second = 0; second < 6; second += 1) {
    await Promise.all([1, 2, 3, 4].map(() => step(world.world, null)))
    world.clock.advance(1_000)
  }

  const { state, position, redriven } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, position, redriven], ['done', 120, 120])
  assert.equal((await world.sql('select id from payments')).length, 240)
  await assertBooks(world)
})

test('a run is at most 5,000 letters, and says how many more match', async (t) => {
  const world = await testWorld(t)
  await world.sql(
    `insert into dead_letters (shard, id, payment_id, user_id, payment_type, amount, commission,
       class, error, attempts, created_at)
     select 0, 100 + n, 100 + n, 1, 'deposit', 100, 2, 'failed', 'x', 1, now()
     from generate_series(1, 5010) n`,
  )
  const { run, matching } = await plan(world.world, ALL, 'jane')
  assert.deepEqual([run.total, run.amount, matching], [5_000, 500_000n, 5_010])
})

test('the background loop carries out what is started', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 3)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 100 })
  // The manual clock does not wait, so the loop yields to the test here.
  const sleep = () => new Promise<void>((done) => setTimeout(done, 5))
  const redriver = startRedriver({ ...world.world, clock: { ...world.clock, sleep } })
  while ((await readRun(world.db.global, run.id))?.state !== 'done') await sleep()
  await redriver.stop()
  await assertBooks(world)
})

/** Run `payments redrive` in this process; what it prints, and its exit code. */
async function command(t: TestContext, world: TestWorld, ...args: string[]) {
  const lines: string[] = []
  const mocks = (['stdout', 'stderr'] as const).map((name) =>
    t.mock.method(process[name], 'write', (text: string | Uint8Array) => {
      if (name === 'stdout') lines.push(String(text))
      return true
    }),
  )
  const program = new Command().exitOverride()
  const clock = {
    ...world.clock,
    sleep: async () => world.clock.advance(100),
  }
  redriveCommand(program, () =>
    Promise.resolve({ ...world.world, clock, close: () => Promise.resolve() }),
  )
  process.exitCode = 0
  try {
    await program.parseAsync(['redrive', ...args], { from: 'user' })
    return { text: lines.join(''), code: process.exitCode }
  } finally {
    process.exitCode = 0
    for (const mock of mocks) mock.mock.restore()
  }
}

test('payments redrive does the same on the database itself', async (t) => {
  const world = await testWorld(t)
  await badNight(world)

  assert.equal((await command(t, world, '--json')).code, 2)
  const dry = await command(t, world, '--dry-run', '--json', '--class', 'failed')
  const { count, amount } = JSON.parse(dry.text) as Record<string, unknown>
  assert.deepEqual([dry.code, count, amount], [0, 10, '500.00'])
  const words = await command(t, world, '--dry-run')
  assert.match(words.text, /^11 dead letters for 550\.00 would be redriven:/)

  const done = await command(t, world, '--yes', '--json', '--reason', 'back', '--rate', '4')
  const run = JSON.parse(done.text) as Record<string, unknown>
  assert.deepEqual(
    [done.code, run['state'], run['done'], run['redriven'], run['refused']],
    [0, 'done', 11, 11, 0],
  )
  assert.match(String(run['started_by']), /^cli:/)
  const none = await command(t, world, '--yes', '--reason', 'back')
  assert.deepEqual([none.code, none.text], [0, 'No open dead letter matches.\n'])
  await assertBooks(world)
})

test('the routes of dead letters', async (t) => {
  const world = await testWorld(t)
  const app = await server(t, world)
  const { failed, unknown } = await badNight(world)
  const get = async (url: string) => (await app.inject(url)).json()
  const post = async (url: string, payload?: object) => {
    const headers = { 'x-actor': 'jane' }
    const reply = await app.inject({ method: 'POST', url, headers, ...(payload && { payload }) })
    return { status: reply.statusCode, body: reply.json(), headers: reply.headers }
  }

  assert.equal((await get('/dlq?class=unknown')).length, 1)
  assert.equal((await get('/dlq?state=open&limit=5')).length, 5)
  assert.equal((await get('/dlq?state=redriven')).length, 0)
  assert.equal((await get('/dlq?state=closed')).code, 'query_invalid')
  const letterId = await openLetter(world, unknown)
  assert.equal((await get(`/dlq/${letterId}`)).payment_id, Number(unknown))
  assert.equal((await get('/dlq/999')).code, 'letter_not_found')
  assert.equal((await get('/dlq/x')).code, 'letter_not_found')

  const one = await post(`/dlq/${letterId}/redrive`, { reason: 'back' })
  assert.deepEqual([one.status, one.body.new_payment_id], [202, null])
  assert.equal(one.headers['location'], `/api/v1/payments/${unknown}`)
  const again = await post(`/dlq/${letterId}/redrive`, { reason: 'back' })
  assert.deepEqual([again.status, again.body.code], [409, 'letter_not_open'])
  const other = await post(`/dlq/${await openLetter(world, failed[0] ?? 0n)}/redrive`, {
    reason: 'back',
  })
  assert.equal(other.headers['location'], `/api/v1/payments/${other.body.new_payment_id}`)

  const planned = await post('/dlq/redrive', { filter: { class: 'failed' }, dry_run: true })
  assert.deepEqual([planned.status, planned.body.count, planned.body.amount], [200, 9, 450])
  const { snapshot } = planned.body
  const wrong = [
    {},
    { filter: {} },
    { filter: {}, dry_run: false },
    { filter: { state: 'open' }, dry_run: true },
    { filter: { created_before: 'yesterday' }, dry_run: true },
    { filter: { created_before: '2030-01-01T23:59:60Z' }, dry_run: true },
    { filter: { created_after: '0000-01-01T00:00:00Z' }, dry_run: true },
    { filter: { error: '\u0000' }, dry_run: true },
    { snapshot },
    { snapshot, reason: 'back', rate_per_second: 0 },
    { snapshot, reason: 'back', rate_per_second: 501 },
    { snapshot: 'one', reason: 'back' },
  ]
  for (const body of wrong) {
    const reply = await post('/dlq/redrive', body)
    assert.deepEqual([reply.status, reply.body.code], [400, 'body_invalid'], JSON.stringify(body))
  }
  assert.equal((await post('/dlq/redrive', { snapshot: 999, reason: 'x' })).status, 404)
  const started = await post('/dlq/redrive', { snapshot, reason: 'back', rate_per_second: 5 })
  assert.deepEqual([started.status, started.body.state], [202, 'running'])
  assert.equal(started.headers['location'], `/api/v1/dlq/redrives/${snapshot}`)
  assert.equal((await post('/dlq/redrive', { snapshot, reason: 'back' })).status, 409)
  await step(world.world, null)
  const half = await get(`/dlq/redrives/${snapshot}`)
  assert.deepEqual([half.done, half.total, half.redriven], [5, 9, 5])
  const canceled = await post(`/dlq/redrives/${snapshot}/cancel`)
  assert.deepEqual([canceled.status, canceled.body.canceled_by], [200, 'jane'])
  assert.equal((await post(`/dlq/redrives/${snapshot}/cancel`)).status, 409)
  assert.equal((await post('/dlq/redrives/999/cancel')).status, 404)
  assert.equal((await get('/dlq/redrives/999')).code, 'redrive_not_found')
  await assertBooks(world)
})
