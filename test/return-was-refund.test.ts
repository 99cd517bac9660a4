import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim, charge } from '../src/charging/charge.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { bookedElsewhere } from '../src/domain/correction.ts'
import type { FeePolicy } from '../src/domain/fee.ts'
import type { ReturnDraft, SaidKind } from '../src/domain/returns.ts'
import { childrenOf } from '../src/payments/returns-store.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { verify } from '../src/verify/verify.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { balanced, done, givenBack, refunded, untilFree } from './refunds-kit.ts'

async function book({ db }: TestWorld, draft: ReturnDraft, returnFee: FeePolicy = 'keep') {
  const [answer] = await untilFree(() =>
    bookReturns({ db, refundFee: 'keep', returnFee }, JANE, [draft]),
  )
  assert(answer !== undefined)
  return answer
}

/** What the gateway of these tests calls a payment. */
const refOf = (id: bigint) => `gw-${id}`

/** A deposit with a refund of 50.00 that the gateway executed, and whose reply was lost. */
async function doubted(world: TestWorld, options: { readonly fee?: FeePolicy } = {}) {
  const deposit = await done(world)
  const before = await balanced(world)
  const refundId = await refunded(world, deposit.id, '50', options.fee)
  world.gateway.script = ['lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  for (let round = 0; round < 3; round += 1) {
    await world.work()
    world.clock.advance(4_500)
  }
  assert.equal((await world.view(refundId)).payment.status, 'unknown')
  const draft = (kind: SaidKind, amount = 5_000n): ReturnDraft => {
    return { parentId: deposit.id, kind, amount, ref: refOf(refundId) }
  }
  return { ...deposit, refundId, before, draft }
}

/** The gateway answers lookups from now on. */
async function answered(world: TestWorld): Promise<void> {
  world.gateway.lookups = null
  world.clock.advance(60_000)
  await world.work()
}

/** Of the whole run, what moved on each account since `before`. */
async function moved(world: TestWorld, before: Record<string, bigint>) {
  const now = await balanced(world)
  const of = (account: string) => (now[account] ?? 0n) - (before[account] ?? 0n)
  return { user: of('user'), gateway: of('gateway'), fees: of('fees'), losses: of('losses') }
}

async function violations(world: TestWorld): Promise<string[]> {
  const { db, clock } = world
  const report = await verify({ db, clock })
  return report.rules.filter((one) => one.violations > 0).map(({ rule }) => rule)
}

test('what may be a refund of ours in doubt is not booked as a return of the same amount', async (t) => {
  const world = await testWorld(t)
  const { refundId, draft, before } = await doubted(world)
  const answer = await book(world, draft('refunded_there'))
  assert(answer.kind === 'refused')
  assert.deepEqual(answer.refusal, { code: 'refund_in_doubt', paymentId: refundId })
  // Another amount, or a charge-back, can be told apart.
  for (const other of [draft('refunded_there', 4_999n), draft('charged_back')]) {
    const told = await book(world, { ...other, ref: `other-${other.kind}`, amount: 1n })
    assert.equal(told.kind, 'booked')
  }
  await answered(world)
  assert.deepEqual((await moved(world, before)).user, -5_002n)
  assert.deepEqual(await violations(world), [])
})

test('a refund that a worker has in hand is in doubt as well', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const refundId = await refunded(world, deposit.id, '50')
  const [claimed] = await claim(world.world, 10)
  assert(claimed !== undefined)
  const draft = { parentId: deposit.id, kind: 'refunded_there', amount: 5_000n, ref: 'a' } as const
  const answer = await book(world, draft)
  assert(answer.kind === 'refused' && answer.refusal.code === 'refund_in_doubt')
  await world.settle([await charge(world.world, claimed)])
  assert.equal((await world.view(refundId)).payment.status, 'success')
  // It is final, so what is seen there beside it is something else.
  assert.equal((await book(world, draft)).kind, 'booked')
  assert.deepEqual(await violations(world), [])
})

test('what may be a done refund that has no reference is not booked again as a return', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const refundId = await refunded(world, deposit.id, '50')
  await world.work()
  // Not every gateway says what it calls a refund.
  await world.sql('update payments set gateway_ref = null where id = $1', [refundId])
  const draft = { parentId: deposit.id, kind: 'refunded_there', amount: 5_000n, ref: 'a' } as const
  const answer = await book(world, draft)
  assert(answer.kind === 'refused')
  assert.deepEqual(answer.refusal, { code: 'refund_in_doubt', paymentId: refundId })
  // Another amount or kind can be told apart, and who has compared them may say so.
  const others = [
    { ...draft, amount: 1n, ref: 'b' },
    { ...draft, kind: 'charged_back', amount: 2n, ref: 'c' } as const,
    { ...draft, amount: 4_997n, ref: 'd' },
  ]
  for (const other of others) assert.equal((await book(world, other)).kind, 'booked')
  const second = await done(world)
  const known = await refunded(world, second.id, '50')
  await world.work()
  await world.sql('update payments set gateway_ref = null where id = $1', [known])
  const told = { ...draft, parentId: second.id, besidesRefund: true }
  assert.equal((await book(world, told)).kind, 'booked')
  assert.deepEqual(await violations(world), [])
})

for (const kind of ['refunded_there', 'charged_back'] as const) {
  for (const fee of ['keep', 'return'] as const) {
    test(`a refund that was booked as ${kind} moves money once when it ends well (fee: ${fee})`, async (t) => {
      const world = await testWorld(t)
      const { id, refundId, draft, before } = await doubted(world, { fee })
      const told = { ...draft(kind), besidesRefund: true }
      const answer = await book(world, told, fee)
      assert(answer.kind === 'booked')
      await answered(world)
      assert.equal((await world.view(refundId)).payment.status, 'success')
      const given = fee === 'return' ? 100n : 0n
      assert.deepEqual(await moved(world, before), {
        user: -5_000n + given,
        gateway: 5_000n,
        fees: -given,
        losses: 0n,
      })
      const { refunded: refunds, returned, returnedFee } = await givenBack(world, id)
      assert.deepEqual([refunds, returned, returnedFee], [5_000n, 0n, 0n])
      // The return stays in the record, with what took it back.
      const [back] = await world.sql<{ id: bigint; kind: string; ref: string; amount: bigint }>(
        `select id, return_kind as kind, gateway_ref as ref, amount
         from payments where parent_id = $1 and return_kind = 'was_refund'`,
        [id],
      )
      assert.deepEqual(
        [back?.kind, back?.ref, back?.amount],
        ['was_refund', `refund ${refundId}`, 5_000n],
      )
      const story = await timeline({ db: world.db, terms: world.world.terms }, back?.id ?? 0n)
      assert.match(
        story?.explanation ?? '',
        /^A return turned out to be a refund of ours, and was taken back \(payment \d+, reference refund \d+\)/,
      )
      // Told again, it is the same return; by its name the refund is no other one.
      assert.deepEqual((await book(world, told, fee)).kind, 'known')
      assert.deepEqual(await violations(world), [])
    })
  }
}

test('a loss that was booked for a refund of ours is no loss when it ends well', async (t) => {
  const world = await testWorld(t)
  const { userId, draft, before } = await doubted(world)
  // The user spends everything but 20.00.
  const spare = ((await balanced(world))['user'] ?? 0n) - 2_000n
  await world.sql(`update users set available = available - $1 where id = $2`, [spare, userId])
  await world.sql(
    `insert into postings (shard, user_id, payment_id, kind, user_available, user_held, gateway,
       fees, opening, created_at)
     select shard, user_id, 999999, 'settle', -$1::bigint, 0, $1::bigint, 0, 0, created_at
     from postings where kind = 'opening' and user_id = $2`,
    [spare, userId],
  )
  await book(world, { ...draft('charged_back'), besidesRefund: true })
  assert.equal((await moved(world, before)).losses, -3_000n)
  await answered(world)
  const { losses, gateway } = await moved(world, before)
  assert.deepEqual([losses, gateway], [0n, spare + 5_000n])
  assert.equal((await balanced(world))['user'], 2_000n)
})

test('an operator who says how a refund ended takes back the return that it was', async (t) => {
  const world = await testWorld(t)
  const { refundId, draft, before } = await doubted(world)
  await book(world, { ...draft('refunded_there'), besidesRefund: true })
  const letterId = await openLetter(world, refundId)
  const word = { letterId, outcome: 'success', gatewayRef: refOf(refundId) } as const
  const world2 = { db: world.db, terms: world.world.terms }
  await world.sql('delete from payment_minutes')
  const [answer] = await untilFree(() => resolve(world2, JANE, [word]))
  assert.equal(answer?.kind, 'resolved')
  // What takes it back is a payment, which a list of its time finds.
  const noted = await world.sql(`
    select id from payments join payment_minutes on id between id_min and id_max
    where id = (select max(id) from payments)`)
  assert.equal(noted.length, 1)
  const { user, losses } = await moved(world, before)
  assert.deepEqual([user, losses], [-5_000n, 0n])
  assert.deepEqual(await violations(world), [])
})

test('what an operator took for a failed refund can be booked as what it was, and is not repeated', async (t) => {
  const world = await testWorld(t)
  const { refundId, draft, before } = await doubted(world)
  const letterId = await openLetter(world, refundId)
  // The reference is of the refund that the gateway did execute.
  const word = { letterId, outcome: 'failed', gatewayRef: refOf(refundId) } as const
  const [answer] = await resolve(world.world, JANE, [{ ...word, againstEvidence: true }])
  assert.equal(answer?.kind, 'resolved')
  assert.equal((await book(world, draft('refunded_there'))).kind, 'booked')
  assert.deepEqual((await moved(world, before)).user, -5_000n)
  const { createdAt } = (await world.view(refundId)).payment
  const { parentId } = draft('refunded_there')
  const again = { id: refundId, amount: 5_000n, parentId, createdAt }
  const children = await childrenOf(world.db.of(refundId), [again.parentId])
  assert.equal(bookedElsewhere(again, [], children)?.code, 'maybe_executed')
  assert.deepEqual(await violations(world), [])
})

test('a refund does not end well under the name of another refund', async (t) => {
  const world = await testWorld(t)
  const { id, refundId, before } = await doubted(world)
  world.gateway.script = ['success']
  const other = await refunded(world, id, '30')
  await world.work()
  const ref = 'gw-other'
  await world.sql('update payments set gateway_ref = $1 where id = $2', [ref, other])
  const letterId = await openLetter(world, refundId)
  const word = { letterId, outcome: 'success', gatewayRef: ref } as const
  const [answer] = await resolve(world.world, JANE, [word])
  assert(answer?.kind === 'refused')
  assert.deepEqual(answer.refusal, { code: 'gateway_ref_taken', paymentId: other })
  assert.equal((await world.view(refundId)).status, 'unknown')
  const [own] = await resolve(world.world, JANE, [{ ...word, gatewayRef: refOf(refundId) }])
  assert.equal(own?.kind, 'resolved')
  assert.deepEqual((await moved(world, before)).gateway, 8_000n)
})

test('what a dispute gave back of a return is not given back again when it was a refund', async (t) => {
  const world = await testWorld(t)
  const { id, draft, before } = await doubted(world)
  await book(world, { ...draft('refunded_there'), besidesRefund: true })
  await book(world, { parentId: id, kind: 'dispute_won', amount: 4_000n, ref: 'won' })
  await answered(world)
  const { user, gateway, losses } = await moved(world, before)
  assert.deepEqual([user, gateway, losses], [-5_000n, 5_000n, 0n])
  assert.equal((await givenBack(world, id))['returned'], 0n)
  assert.deepEqual(await violations(world), [])
})

test('a return and a refund under one reference are found by verify', async (t) => {
  const world = await testWorld(t)
  const { id, draft } = await doubted(world)
  await book(world, { ...draft('refunded_there'), besidesRefund: true })
  // As a version that knew nothing of it would have left it.
  await world.sql(`update payment_children set ref = 'x' where parent_id = $1 and ref = $2`, [
    id,
    draft('refunded_there').ref,
  ])
  await answered(world)
  await world.sql(`update payment_children set ref = $2 where parent_id = $1 and ref = 'x'`, [
    id,
    draft('refunded_there').ref,
  ])
  assert.deepEqual(await violations(world), ['return_was_refund'])
})

test('a refund that failed is not what was refunded there, though it was as much and has no reference', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  world.gateway.script = ['declined']
  const failed = await refunded(world, deposit.id, '50')
  await world.work()
  assert.equal((await world.view(failed)).payment.status, 'failed')
  const draft = { parentId: deposit.id, kind: 'refunded_there', amount: 5_000n, ref: 'a' } as const
  assert.equal((await book(world, draft)).kind, 'booked')
  assert.equal((await givenBack(world, deposit.id))['returned'], 5_000n)
  await balanced(world)
})

test('a refund that an operator says failed takes back no return, whatever it was called', async (t) => {
  const world = await testWorld(t)
  const { id, refundId, draft } = await doubted(world)
  await book(world, { ...draft('refunded_there'), besidesRefund: true })
  const letterId = await openLetter(world, refundId)
  const word = { letterId, outcome: 'failed', gatewayRef: refOf(refundId) } as const
  const [answer] = await resolve(world.world, JANE, [{ ...word, againstEvidence: true }])
  assert.equal(answer?.kind, 'resolved')
  assert.equal((await givenBack(world, id))['returned'], 5_000n)
  assert.deepEqual(await violations(world), [])
})
