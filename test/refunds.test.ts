import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { lettersOfPayment } from '../src/dead-letters/store.ts'
import type { RefundAnswer } from '../src/domain/refund.ts'
import { withShards } from '../src/each-shard.ts'
import { acceptRefunds } from '../src/refunds/refund.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE, somebodyElse } from './operators.ts'
import { until } from './process-kit.ts'
import { balanced, done, givenBack, refund, refunded, refundOf } from './refunds-kit.ts'
import { serve } from './serve.ts'

const acting = ({ world }: TestWorld) => world

async function letterOf(world: TestWorld, id: bigint): Promise<bigint> {
  const letters = await lettersOfPayment(world.db.of(id), id)
  const letter = letters.find(({ state }) => state === 'open')
  assert(letter !== undefined)
  return letter.id
}

test('a refund is a payment of its own: held, given back once, shown on its deposit', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const id = await refunded(world, deposit.id, '40')
  assert.equal((await balanced(world))['held'], 4_000n)
  assert.deepEqual(await givenBack(world, deposit.id), {
    reserved: 4_000n,
    fee: 0n,
    refunded: 0n,
    returned: 0n,
    returnedFee: 0n,
  })
  await world.work()

  const view = await world.view(id)
  assert.equal(view.status, 'success')
  assert.equal(view.payment.type, 'refund')
  assert.equal(view.payment.parentId, deposit.id)
  assert.equal((await world.view(deposit.id)).payment.refunded, 4_000n)
  assert.deepEqual([...world.gateway.charged.values()], [[10_000n], [4_000n]])
  const sums = await balanced(world)
  assert.equal(sums['gateway'], -6_000n)
  assert.equal(sums['fees'], 200n)
  const story = await timeline({ db: world.db, terms: world.world.terms }, id)
  assert.deepEqual(
    story?.events.map(({ kind }) => kind),
    ['accepted', 'posting', 'call', 'posting'],
  )
})

test('the gateway is told which charge a refund gives back', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  await refunded(world, deposit.id, '40')
  const [{ payment, refund: share } = {}] = (await world.claimAndCharge()).map(({ claim }) => claim)
  assert.equal(payment?.type, 'refund')
  assert.deepEqual(share, {
    parentId: deposit.id,
    feeReturned: 0n,
    parentRef: `gw-${deposit.id}`,
  })
})

test('fifty refunds of one deposit at once never give back more than it, and then exactly it', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const pools = [world.connect(), world.connect()]
  const ask = async (at: number): Promise<readonly RefundAnswer[]> => {
    const answers = await refund(pools[at % 2] ?? world.db, [refundOf(deposit.id, '3')], 'return')
    // Nothing was done for who waited too long for the lock, so it asks again.
    const busy = answers.some((one) => one.kind === 'refused' && one.refusal.code === 'busy')
    return busy ? ask(at) : answers
  }
  const asked = Array.from({ length: 50 }, (_, at) => ask(at))
  const answers = (await Promise.all(asked)).flat()
  const accepted = answers.filter(({ kind }) => kind === 'accepted')
  assert.equal(accepted.length, 33)
  for (const answer of answers) {
    if (answer.kind === 'accepted') continue
    assert.deepEqual(answer.refusal, { code: 'not_refundable', atMost: 100n, exponent: 2 })
  }
  await refunded(world, deposit.id, null, 'return')
  const reserved = await givenBack(world, deposit.id)
  assert.deepEqual([reserved['reserved'], reserved['fee']], [10_000n, 200n])
  await world.work()
  const given = await givenBack(world, deposit.id)
  assert.equal(given['refunded'], 10_000n)
  const sums = await balanced(world)
  assert.deepEqual([sums['held'], sums['gateway'], sums['fees']], [0n, 0n, 0n])
})

test('fifty refunds in one batch are decided as one after the other', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const drafts = Array.from({ length: 50 }, () => refundOf(deposit.id, '3'))
  const answers = await refund(world.db, drafts)
  assert.equal(answers.filter(({ kind }) => kind === 'accepted').length, 33)
  assert.equal((await givenBack(world, deposit.id))['reserved'], 9_900n)
  await balanced(world)
})

test('every refusal of a refund leaves the books as they are', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world, 'deposit', 0n)
  const payout = await done(world, 'withdraw')
  const before = await balanced(world)
  const [missing, wrongType, more, precise, poor] = await refund(world.db, [
    refundOf(999_999n, '1'),
    refundOf(payout.id, '1'),
    refundOf(deposit.id, '100.01'),
    refundOf(deposit.id, '1.001'),
    refundOf(deposit.id, '100'),
  ])
  const code = (answer: typeof missing) => (answer?.kind === 'refused' ? answer.refusal.code : '')
  assert.equal(code(missing), 'payment_not_found')
  assert.equal(code(wrongType), 'not_refundable')
  assert.equal(code(more), 'not_refundable')
  assert.equal(code(precise), 'amount_precision')
  assert.equal(code(poor), 'insufficient_funds')
  assert.deepEqual(await balanced(world), before)
})

test('a key makes one refund, and a refusal for lack of funds under it stays one', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world, 'deposit', 0n)
  const [first] = await refund(world.db, [refundOf(deposit.id, '40', 'k1')])
  const [again] = await refund(world.db, [refundOf(deposit.id, '40', 'k1')])
  assert(first?.kind === 'accepted' && again?.kind === 'accepted')
  assert.equal(again.replayed, true)
  assert.equal(again.payment.id, first.payment.id)
  const [other] = await refund(world.db, [refundOf(deposit.id, '41', 'k1')])
  assert(other?.kind === 'refused')
  assert.deepEqual(other.refusal.errors, [{ field: 'amount', code: 'differs' }])

  const [poor] = await refund(world.db, [refundOf(deposit.id, null, 'k2')])
  assert(poor?.kind === 'refused' && poor.refusal.code === 'insufficient_funds')
  await world.sql('update users set available = available + 100000 where id = $1', [deposit.userId])
  const [still] = await refund(world.db, [refundOf(deposit.id, null, 'k2')])
  assert(still?.kind === 'refused' && still.replayed)
  assert.deepEqual(still.refusal, poor.refusal)

  const [deposited] = await world.accept([
    { type: 'deposit', userId: deposit.userId, amount: 4_000n, idempotencyKey: 'k1' },
  ])
  assert(deposited?.kind === 'refused' && deposited.refusal.code === 'idempotency_key_reuse')
  // Of another kind of payment only that is told: nothing else of the two can be compared.
  assert.deepEqual(deposited.refusal.faults, [{ field: 'type', code: 'differs' }])
})

test('a declined refund gives back its hold and what it reserved, and is repeated by a redrive', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  world.gateway.script = ['declined']
  const id = await refunded(world, deposit.id, '40', 'return')
  assert.equal((await givenBack(world, deposit.id))['fee'], 80n)
  await world.work()
  assert.equal((await world.view(id)).status, 'failed')
  const after = await givenBack(world, deposit.id)
  assert.deepEqual([after['reserved'], after['fee']], [0n, 0n])
  assert.equal((await balanced(world))['held'], 0n)

  world.gateway.script = ['success']
  const letterId = await letterOf(world, id)
  const [answer] = await redrive({ ...acting(world), refundFee: 'return' }, JANE, [
    { letterId, delayMs: 0 },
  ])
  assert(answer?.kind === 'redriven' && answer.newPaymentId !== null)
  const repeated = await world.view(answer.newPaymentId)
  assert.deepEqual(
    [repeated.payment.type, repeated.payment.parentId, repeated.payment.feeReturned],
    ['refund', deposit.id, 80n],
  )
  await world.work()
  assert.equal((await givenBack(world, deposit.id))['refunded'], 4_000n)
  await balanced(world)
})

test('a redrive of a refund that is not left any more is refused, and its letter stays open', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  world.gateway.script = ['declined']
  const id = await refunded(world, deposit.id, '40')
  await world.work()
  world.gateway.script = ['success']
  await refunded(world, deposit.id, '70')
  const letterId = await letterOf(world, id)
  const [answer] = await redrive(acting(world), JANE, [{ letterId, delayMs: 0 }])
  assert(answer?.kind === 'refused')
  assert.deepEqual(answer.refusal, { code: 'not_refundable', atMost: 3_000n, exponent: 2 })
  assert.equal(await letterOf(world, id), letterId)
  await balanced(world)
})

/** Refunds of a deposit that the gateway declined, each with its open letter. */
async function declinedRefunds(world: TestWorld, id: bigint, amounts: readonly string[]) {
  const letterIds: bigint[] = []
  for (const amount of amounts) {
    world.gateway.script = ['declined']
    const refundId = await refunded(world, id, amount)
    await world.work()
    letterIds.push(await letterOf(world, refundId))
  }
  world.gateway.script = ['success']
  return letterIds.map((letterId) => ({ letterId, delayMs: 0 }))
}

test('refunds that are redriven in one step give back no more of their deposit than is left', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const letters = await declinedRefunds(world, deposit.id, ['60', '60', '40'])
  const [first, second, third] = await redrive(acting(world), JANE, letters)
  assert.equal(first?.kind, 'redriven')
  assert(second?.kind === 'refused')
  assert.deepEqual(second.refusal, { code: 'not_refundable', atMost: 4_000n, exponent: 2 })
  assert.equal(third?.kind, 'redriven')
  await world.work()
  assert.equal((await givenBack(world, deposit.id))['refunded'], 10_000n)
  await balanced(world)
})

test('refunds that are redriven in one step spend what their user has once', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world, 'deposit', 0n)
  const letters = await declinedRefunds(world, deposit.id, ['60', '30'])
  const { userId } = deposit
  // 98.00 less 10.20: there is enough for one of them.
  await world.accept([{ type: 'withdraw', userId, amount: 1_000n, idempotencyKey: null }])
  const [first, second] = await redrive(acting(world), JANE, letters)
  assert.equal(first?.kind, 'redriven')
  assert(second?.kind === 'refused')
  assert.deepEqual(second.refusal, { code: 'insufficient_funds', required: 3_000n, exponent: 2 })
  await balanced(world)
})

for (const outcome of ['success', 'failed'] as const) {
  test(`a refund of unknown outcome stays reserved until somebody says ${outcome}`, async (t) => {
    const world = await testWorld(t)
    const deposit = await done(world)
    world.gateway.script = ['lost_reply']
    world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
    const id = await refunded(world, deposit.id, '40')
    for (let round = 0; round < 4; round += 1) {
      await world.work()
      world.clock.advance(4_500)
    }
    assert.equal((await world.view(id)).status, 'unknown')
    assert.equal((await givenBack(world, deposit.id))['reserved'], 4_000n)
    assert.equal((await balanced(world))['held'], 4_000n)

    const letterId = await letterOf(world, id)
    const [answer] = await resolve(acting(world), JANE, [{ letterId, outcome, gatewayRef: null }])
    assert.equal(answer?.kind, 'resolved')
    const executed = outcome === 'success' ? 4_000n : 0n
    const given = await givenBack(world, deposit.id)
    assert.deepEqual([given['reserved'], given['refunded']], [executed, executed])
    assert.equal((await balanced(world))['held'], 0n)
  })
}

test('a run of the service repeats refunds with the part of the commission that refunds return', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  world.gateway.script = ['declined']
  await refunded(world, deposit.id, '40', 'return')
  await world.work()
  const roles = { api: true, worker: false, mockGateway: false }
  const env = { REFUND_FEE: 'return' }
  const { call } = await serve(t, env, { database: world.url, roles })
  const plan = await call('POST', '/dlq/redrive', { filter: {}, dry_run: true })
  const { snapshot } = plan.body
  await call('POST', '/dlq/redrive', { snapshot, reason: 'back' })
  await until('the run is done', async () => {
    const run = await call('GET', `/dlq/redrives/${String(snapshot)}`)
    return run.body['state'] === 'done'
  })
  const { body } = await call('GET', '/payments?type=refund&status=new')
  const [repeat] = body['data'] as Record<string, unknown>[]
  assert.deepEqual([repeat?.['amount'], repeat?.['fee_returned']], [40, 0.8])
})

test('those that were put in the queue are told, and no refusal is among them', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const told: number[] = []
  const asked = {
    db: world.db,
    refundFee: 'keep',
    returnFee: 'keep',
    onEnqueued: (n: number) => told.push(n),
  } as const
  const ask = (...amounts: string[]) =>
    acceptRefunds(
      asked,
      amounts.map((amount, index) => refundOf(deposit.id, amount, `${amount}-${index}`)),
    )
  const first = await ask('30', '80', '30')
  assert.deepEqual(
    first.map(({ kind }) => kind),
    ['accepted', 'refused', 'accepted'],
  )
  assert.deepEqual(told, [2])
  await ask('30', '80', '30')
  assert.deepEqual(told, [2], 'what is repeated is not put there again')
})

test('refunds of a user whom somebody holds are busy, and those of others are made', async (t) => {
  const world = await testWorld(t)
  const [held, free] = [await done(world), await done(world)]
  const somebody = await somebodyElse(t, world)
  await somebody.lock('users', held.userId)
  const drafts = [refundOf(held.id, '10'), refundOf(free.id, '10')]
  const answers = await refund(world.db, drafts)
  assert.deepEqual(
    answers.map((one) => (one.kind === 'refused' ? one.refusal.code : one.kind)),
    ['busy', 'accepted'],
  )
  await somebody.release()
  assert.equal((await givenBack(world, held.id))['reserved'], 0n)
  assert.equal((await givenBack(world, free.id))['reserved'], 1_000n)
})

test('refunds whose commit was not answered are not made a second time', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  const losing = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      await shard.transaction(work, lockMs)
      throw new Error('the connection is lost')
    },
  }))
  await assert.rejects(refund(losing, [refundOf(id, '10')]), /lost/)
  assert.equal((await givenBack(world, id))['reserved'], 1_000n)
})

test('a refund that is asked for again stays in the trace of who asked first', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  const [first, again] = ['1', '2'].map((trace) => `00-${trace.repeat(32)}-${'a'.repeat(16)}-01`)
  for (const traceparent of [first ?? '', again ?? '']) {
    const [answer] = await refund(world.db, [{ ...refundOf(id, '10', 'key'), traceparent }])
    assert.equal(answer?.kind, 'accepted')
  }
  assert.deepEqual(await world.sql('select traceparent from payment_traces'), [
    { traceparent: first },
  ])
})
