import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { lettersOfPayment } from '../src/dead-letters/store.ts'
import { cancelPayments } from '../src/operators/cancel.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { accepted, JANE } from './operators.ts'
import { balanced, done, givenBack, refunded, untilFree } from './refunds-kit.ts'

async function cancel({ db }: Pick<TestWorld, 'db'>, id: bigint): Promise<string> {
  const [answer] = await untilFree(() => cancelPayments(db, JANE, [id]))
  assert(answer !== undefined)
  return answer.kind === 'refused' ? answer.refusal.code : answer.kind
}

for (const type of ['deposit', 'withdraw'] as const) {
  test(`a ${type} that was not sent is canceled: failed, without a letter, its hold given back`, async (t) => {
    const world = await testWorld(t)
    const [id = 0n] = await accepted(world, type)
    assert.equal(await cancel(world, id), 'canceled')
    const { status, lastError } = await world.view(id)
    assert.deepEqual([status, lastError], ['failed', 'canceled'])
    assert.deepEqual(await lettersOfPayment(world.db.of(id), id), [])
    assert.equal((await balanced(world))['held'], 0n)
    assert.deepEqual(await world.work(), [])
    assert.equal(world.gateway.charged.size, 0)
    assert.equal(await cancel(world, id), 'canceled', 'the same answer again')
  })
}

test('a refund that was not sent is canceled, and takes nothing of its deposit any more', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const id = await refunded(world, deposit.id, '40', 'return')
  assert.equal(await cancel(world, id), 'canceled')
  const { reserved, fee } = await givenBack(world, deposit.id)
  assert.deepEqual([reserved, fee], [0n, 0n])
  assert.equal((await balanced(world))['held'], 0n)
})

test('what is being sent or may have been sent is not canceled; what provably was not is', async (t) => {
  const world = await testWorld(t, { script: ['not_executed', 'in_doubt'] })
  const [id = 0n] = await accepted(world, 'withdraw')
  const claims = await claim(world.world, 10)
  assert.equal(await cancel(world, id), 'in_flight', 'leased')
  world.clock.advance(60_000)
  assert.equal(await cancel(world, id), 'in_flight', 'its lease is over and nobody said what came')
  const settlements = await Promise.all(claims.map((claimed) => charge(world.world, claimed)))
  await settle(world.world, settlements)
  assert.equal(await cancel(world, id), 'canceled', 'no call was made in time')

  const second = await testWorld(t, { script: ['not_executed', 'in_doubt'] })
  const [refused = 0n, doubted = 0n] = await accepted(second, 'deposit', 2)
  await second.work()
  assert.equal(await cancel(second, refused), 'canceled', 'nothing was executed')
  assert.equal(await cancel(second, doubted), 'in_flight', 'it may have been executed')
  await balanced(second)
})

test('a final payment is not canceled, and none that does not exist', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  assert.equal(await cancel(world, id), 'payment_final')
  assert.equal(await cancel(world, 999_999n), 'payment_not_found')
})

test('a payment is canceled or charged, never both, whoever comes first', async (t) => {
  const world = await testWorld(t)
  const [working, other] = [world.connect(), world.connect()]
  const own = { ...world.world, db: working }
  const outcomes = { canceled: 0, in_flight: 0, payment_final: 0 }
  for (let round = 0; round < 40; round += 1) {
    const [id = 0n] = await accepted(world, round % 2 === 0 ? 'deposit' : 'withdraw')
    const work = async () => {
      const claims = await claim(own, 10)
      return settle(own, await Promise.all(claims.map((claimed) => charge(own, claimed))))
    }
    const race =
      round % 4 < 2 ? [cancel({ db: other }, id), work()] : [work(), cancel({ db: other }, id)]
    const answers = await Promise.all(race)
    const answer = answers.find((one) => typeof one === 'string') as keyof typeof outcomes
    outcomes[answer] += 1
    await world.work()
    const { status } = await world.view(id)
    assert.equal(status, answer === 'canceled' ? 'failed' : 'success')
    const charged = world.gateway.calls.some(({ paymentId }) => paymentId === id)
    assert.equal(charged, answer !== 'canceled')
  }
  assert.equal(outcomes.canceled + outcomes.in_flight + outcomes.payment_final, 40)
  await balanced(world)
})

test('who canceled a payment is kept, once', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  await cancel(world, id)
  await cancel(world, id)
  const acts = await world.sql('select act, actor, payment_id, before, after from operator_acts')
  const [before, after] = [{ payment: 'new' }, { payment: 'failed', error: 'canceled' }]
  assert.deepEqual(acts, [{ act: 'cancel', actor: 'jane', payment_id: id, before, after }])
})

test('what is in doubt has its letter, whatever the word for why is', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  const [claimed] = await claim(world.world, 1)
  assert(claimed !== undefined)
  const decision = { step: 'doubt', delayMs: null, reason: 'canceled', doubt: true } as const
  await settle(world.world, [{ claim: { ...claimed, ending: true }, decision, calls: [] }])
  assert.equal((await lettersOfPayment(world.db.of(id), id)).length, 1)
})
