import assert from 'node:assert/strict'
import { test } from 'node:test'
import { correct } from '../src/dead-letters/correct.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { untilFree } from './refunds-kit.ts'
import { serve } from './serve.ts'
import { verifyWorld, violated } from './verify-history.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

/** The API over the books of a world, and a deposit of an order that the gateway declined. */
async function ordered(t: Parameters<typeof testWorld>[0]) {
  const world = await testWorld(t)
  const userId = Number(await world.user(100_000n))
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const deposit = (reference?: string) =>
    call('POST', '/payments/deposit', { user_id: userId, deposit: 50, reference })
  const decline = async () => {
    world.gateway.script = ['declined']
    const { body } = await deposit('ord3')
    await world.work()
    const id = BigInt(body['payment_id'] as number)
    assert.equal((await world.view(id)).payment.status, 'failed')
    return { id, letterId: await openLetter(world, id) }
  }
  const ask = (letterId: bigint, ref: string, key?: string) =>
    call(
      'POST',
      `/dlq/${letterId}/correct`,
      { reason: 'seen', gateway_ref: ref, against_evidence: true },
      key === undefined ? {} : { 'idempotency-key': key },
    )
  return { world, deposit, decline, ask }
}

const holders = (world: TestWorld) =>
  world.sql<{ id: bigint }>('select payment_id as id from payment_references')

test('an order that is paid after all is not paid again: what is corrected has its reference back', async (t) => {
  const { world, deposit, decline, ask } = await ordered(t)
  const { id, letterId } = await decline()
  assert.deepEqual(await holders(world), [])
  const { status, body } = await ask(letterId, 'gw-1')
  const answer = { id: Number(letterId), state: 'resolved', payment_id: Number(id) }
  assert.deepEqual([status, body], [200, { ...answer, payment: 'failed' }])
  const again = await deposit('ord3')
  assert.deepEqual(
    [again.status, again.body['code'], again.body['payment_id']],
    [409, 'reference_taken', Number(id)],
  )
  assert.deepEqual((await ask(letterId, 'gw-1')).body, body)
  assert.deepEqual(await holders(world), [{ id }])
})

test('whoever corrects a payment is told which other one has its reference by now', async (t) => {
  const { world, deposit, decline, ask } = await ordered(t)
  const { letterId } = await decline()
  const { body } = await deposit('ord3')
  const holder = body['payment_id'] as number
  for (const times of [1, 2]) {
    const told = await ask(letterId, 'gw-1', 'key')
    assert.equal(told.status, 200)
    assert.equal(told.body['reference_taken_by'], holder, `time ${times}`)
  }
  const kept = await world.sql<{ after: Record<string, string> }>(
    `select after from operator_acts where act = 'correct'`,
  )
  assert.deepEqual(
    kept.map(({ after }) => after['reference_taken_by']),
    [String(holder)],
  )
  assert.deepEqual(await holders(world), [{ id: BigInt(holder) }])
})

test('of two payments of an order that are corrected together the first one has the reference', async (t) => {
  const { world, decline } = await ordered(t)
  const letters = [await decline(), await decline()]
  const requests = letters.map(({ id, letterId }) => {
    return { letterId, gatewayRef: `gw-${id}`, againstEvidence: true }
  })
  const answers = await untilFree(() => correct(world.world, JANE, requests))
  const first = letters[0]?.id ?? 0n
  assert.deepEqual(
    answers.map((answer) => answer.kind === 'corrected' && answer.referenceTakenBy),
    [null, first],
  )
  assert.deepEqual(await holders(world), [{ id: first }])
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a payment is not repeated while a corrected one has its reference', async (t) => {
  const { world, decline, ask } = await ordered(t)
  const [first, second] = [await decline(), await decline()]
  assert.equal((await ask(first.letterId, 'gw-1')).status, 200)
  const [answer] = await redrive(world.world, JANE, [{ letterId: second.letterId, delayMs: 0 }])
  assert.deepEqual(answer?.kind === 'refused' && answer.refusal, {
    code: 'reference_taken',
    paymentId: first.id,
  })
})
