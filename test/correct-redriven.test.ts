import assert from 'node:assert/strict'
import { test } from 'node:test'
import { correct, type CorrectRequest } from '../src/dead-letters/correct.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import type { RedriveRequest } from '../src/dead-letters/redrive.ts'
import { plan } from '../src/runs/letters.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { accepted, declined, exhaust, JANE, letters, openLetter } from './operators.ts'
import { ALL } from './redrive-kit.ts'
import { balanced, done, refunded, untilFree } from './refunds-kit.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { verifyWorld, violated } from './verify-history.ts'

/** What the gateway of these tests calls a payment. */
const refOf = (id: bigint) => `gw-${id}`

async function corrected(world: TestWorld, request: CorrectRequest) {
  const [answer] = await untilFree(() => correct(world.world, JANE, [request]))
  assert.ok(answer !== undefined)
  return answer.kind === 'refused' ? answer.refusal : answer.kind
}

async function redriven(world: TestWorld, request: Omit<RedriveRequest, 'delayMs'>) {
  const asked = [{ delayMs: 0, ...request }]
  const [answer] = await untilFree(() => redrive(world.world, JANE, asked))
  assert.ok(answer !== undefined)
  return answer
}

/** A declined payment and one that repeats it, which is not sent yet. */
async function repeated(world: TestWorld, type: 'deposit' | 'withdraw') {
  const [id = 0n] = await declined(world, type)
  const letterId = await openLetter(world, id)
  const answer = await redriven(world, { letterId })
  assert.ok(answer.kind === 'redriven' && answer.newPaymentId !== null)
  return { id, letterId, newId: answer.newPaymentId }
}

const insisting = { againstEvidence: true } as const

/** What a dry run says of the open letters that would be refused. */
async function refusedDry({ world }: TestWorld) {
  const { refused } = await plan(world, ALL, 'jane')
  return refused.map(({ code }) => code)
}

for (const type of ['deposit', 'withdraw'] as const) {
  test(`what may be the redrive of a ${type} is not booked as a correction while that is open`, async (t) => {
    const world = await testWorld(t)
    const { id, letterId, newId } = await repeated(world, type)
    // The gateway executes the redrive, and its reply is lost: this is what the operator sees.
    world.gateway.script = ['lost_reply']
    world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
    const word = { letterId, gatewayRef: refOf(newId), ...insisting }
    const refused = { code: 'redrive_open', paymentId: newId }
    assert.deepEqual(await corrected(world, word), refused)
    for (let round = 0; round < 3; round += 1) {
      await world.work()
      assert.deepEqual(await corrected(world, word), refused)
      world.clock.advance(4_500)
    }
    assert.equal((await world.view(newId)).payment.status, 'unknown')
    world.gateway.lookups = null
    world.clock.advance(60_000)
    await world.work()
    assert.equal((await world.view(newId)).payment.status, 'success')
    // It is booked as itself, under that reference.
    assert.deepEqual(await corrected(world, word), {
      code: 'correction_is_redrive',
      paymentId: newId,
    })
    const sums = await balanced(world)
    assert.equal(sums['gateway'], type === 'deposit' ? -5_000n : 5_000n)
    // Something else under another reference is another charge, and the letter stays redriven.
    assert.equal(await corrected(world, { ...word, gatewayRef: 'gw-other' }), 'corrected')
    assert.equal((await letters(world, id))[0]?.state, 'redriven')
    assert.deepEqual(violated(await verifyWorld(world)), [])
  })
}

test('a redrive that ended without a name at the gateway is told apart only by who has compared', async (t) => {
  const world = await testWorld(t)
  // It was never sent, so there is no no that anybody would have to insist against.
  world.gateway.script = ['not_executed']
  const [id = 0n] = await accepted(world, 'deposit')
  await exhaust(world)
  const letterId = await openLetter(world, id)
  const answer = await redriven(world, { letterId })
  assert.ok(answer.kind === 'redriven')
  const newId = answer.newPaymentId ?? 0n
  world.gateway.script = ['success']
  await world.work()
  await world.sql('update payments set gateway_ref = null where id = $1', [newId])
  const word = { letterId, gatewayRef: 'gw-other' }
  assert.deepEqual(await corrected(world, word), {
    code: 'correction_is_redrive',
    paymentId: newId,
  })
  // Insisting against a no says nothing of the redrive.
  assert.equal(typeof (await corrected(world, { ...word, ...insisting })), 'object')
  assert.equal(await corrected(world, { ...word, besidesRedrive: true }), 'corrected')
})

test('one charge at the gateway corrects one payment of a chain of redrives', async (t) => {
  const world = await testWorld(t)
  const { id, letterId, newId } = await repeated(world, 'deposit')
  await world.work()
  assert.equal((await world.view(newId)).payment.status, 'failed')
  const second = await openLetter(world, newId)
  const word = { gatewayRef: 'gw-1', ...insisting }
  const answers = await untilFree(() =>
    correct(world.world, JANE, [
      { letterId, ...word },
      { letterId: second, ...word },
    ]),
  )
  assert.deepEqual(
    answers.map((one) => (one.kind === 'refused' ? one.refusal : one.kind)),
    ['corrected', { code: 'correction_is_redrive', paymentId: id }],
  )
  assert.equal((await balanced(world))['gateway'], -5_000n)
})

test('a payment whose chain holds a corrected one is not charged again, whoever insists', async (t) => {
  const world = await testWorld(t)
  const { id, letterId, newId } = await repeated(world, 'deposit')
  await world.work()
  assert.equal(await corrected(world, { letterId, gatewayRef: 'gw-1', ...insisting }), 'corrected')
  const second = await openLetter(world, newId)
  assert.deepEqual(await refusedDry(world), ['evidence_contradicts'])
  for (const more of [{}, insisting]) {
    const answer = await redriven(world, { letterId: second, ...more })
    assert.ok(answer.kind === 'refused')
    const { code, evidence, paymentId } = answer.refusal
    assert.deepEqual([code, evidence, paymentId], ['evidence_contradicts', 'success', id])
  }
})

test('a failed refund is made again beside a refund of as much at the gateway only by who insists', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  world.gateway.script = ['declined']
  const refundId = await refunded(world, deposit.id, '20')
  await world.work()
  const letterId = await openLetter(world, refundId)
  const draft = { parentId: deposit.id, kind: 'refunded_there', amount: 2_000n, ref: 'rf' } as const
  assert.deepEqual(await refusedDry(world), [])
  const [booked] = await bookReturns({ db: world.db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
    draft,
  ])
  assert.ok(booked?.kind === 'booked')
  assert.deepEqual(await refusedDry(world), ['maybe_executed'])
  const answer = await redriven(world, { letterId })
  assert.ok(answer.kind === 'refused')
  const { code, paymentId } = answer.refusal
  assert.deepEqual([code, paymentId], ['maybe_executed', booked.payment.id])
  assert.equal((await redriven(world, { letterId, ...insisting })).kind, 'redriven')
})
