import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import type { ReturnDraft } from '../src/domain/returns.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, JANE, openLetter } from './operators.ts'
import { done, refunded } from './refunds-kit.ts'
import { verifyWorld, violated } from './verify-history.ts'

const POLICIES = { refundFee: 'keep', returnFee: 'keep' } as const

/**
 * A world in which each payment has a smaller id than those before it. So do those that get one of
 * a reserve, or of a block that another process has left behind.
 */
async function backwards(t: TestContext): Promise<TestWorld> {
  const world = await testWorld(t)
  await world.sql('alter sequence payment_ids increment by -1 maxvalue 1000000 restart 1000000')
  return world
}

/** The violated rules, with a sequence that gives no id twice. */
async function violations(world: TestWorld): Promise<string[]> {
  await world.sql('alter sequence payment_ids increment by 1 maxvalue 2000000 restart 1000001')
  await world.sql("select nextval('payment_ids')")
  return violated(await verifyWorld(world))
}

async function book(world: TestWorld, draft: ReturnDraft) {
  const [answer] = await bookReturns({ db: world.db, ...POLICIES }, JANE, [draft])
  assert(answer?.kind === 'booked')
  return answer.payment.id
}

/** A refund of 20.00 that was declined. */
async function declinedRefund(world: TestWorld, parentId: bigint): Promise<bigint> {
  world.gateway.script = ['declined']
  const refundId = await refunded(world, parentId, '20')
  await world.work()
  world.gateway.script = []
  return refundId
}

async function redriven(world: TestWorld, paymentId: bigint) {
  const letterId = await openLetter(world, paymentId)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  return answer
}

test('a refund that was booked at the gateway later is not made again, whatever its id is', async (t) => {
  const world = await backwards(t)
  const { id: parentId } = await done(world)
  const refundId = await declinedRefund(world, parentId)
  const back = { parentId, kind: 'refunded_there', amount: 2_000n, ref: 'rt_1' } as const
  const booked = await book(world, back)
  assert(booked < refundId && refundId < parentId)
  const answer = await redriven(world, refundId)
  assert(answer?.kind === 'refused')
  assert.deepEqual([answer.refusal.code, answer.refusal.paymentId], ['maybe_executed', booked])
  assert.deepEqual(await violations(world), [])
})

test('what was booked at the gateway long before is no refund that was asked for since', async (t) => {
  const world = await backwards(t)
  const { id: parentId } = await done(world)
  await book(world, { parentId, kind: 'refunded_there', amount: 2_000n, ref: 'rt_1' })
  world.clock.advance(61_000)
  const refundId = await declinedRefund(world, parentId)
  assert.equal((await redriven(world, refundId))?.kind, 'redriven')
  assert.deepEqual(await violations(world), [])
})

test('refunds, returns and redrives with smaller ids than what they are of are right', async (t) => {
  const world = await backwards(t)
  const { id: parentId } = await done(world)
  await refunded(world, parentId, '10')
  await book(world, { parentId, kind: 'charged_back', amount: 1_000n, ref: 'cb_1' })
  const { id: paidOut } = await done(world, 'withdraw')
  await book(world, { parentId: paidOut, kind: 'payout_returned', amount: 1_000n, ref: 'po_1' })
  const [failed = 0n] = await declined(world, 'deposit')
  world.gateway.script = []
  const answer = await redriven(world, failed)
  assert(answer?.kind === 'redriven' && (answer.newPaymentId ?? 0n) < failed)
  await world.work()
  assert.deepEqual(await violations(world), [])
})
