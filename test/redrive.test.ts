import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { plan } from '../src/runs/letters.ts'
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
} from './operators.ts'
import { ALL } from './redrive-kit.ts'

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
    refusal: { code: 'insufficient_funds', required: 5_100n, exponent: 2 },
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
    // On a slow machine somebody waits too long for the locks of the others.
    const codes = new Set(refused.map(({ refusal }) => refusal.code))
    assert.deepEqual(
      [...codes].filter((code) => code !== 'busy'),
      ['letter_not_open'],
    )
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
