import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim } from '../src/charging/charge.ts'
import { correct } from '../src/dead-letters/correct.ts'
import { lettersOfPayment } from '../src/dead-letters/store.ts'
import type { FeePolicy } from '../src/domain/fee.ts'
import type { ReturnDraft, SaidKind } from '../src/domain/returns.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, JANE, openLetter } from './operators.ts'
import { balanced, done, givenBack, refunded, untilFree } from './refunds-kit.ts'
import { verifyWorld, violated } from './verify-history.ts'

async function back(
  { db }: Pick<TestWorld, 'db'>,
  draft: ReturnDraft,
  returnFee: FeePolicy = 'keep',
) {
  const world = { db, refundFee: 'keep', returnFee, currency: 'USD' } as const
  const [answer] = await untilFree(() => bookReturns(world, JANE, [draft]))
  assert(answer !== undefined)
  return answer
}

/** Pay out a part of what a user has. */
async function spend(world: TestWorld, userId: bigint, amount: bigint): Promise<void> {
  const [answer] = await world.accept([{ type: 'withdraw', userId, amount, idempotencyKey: null }])
  assert.equal(answer?.kind, 'accepted')
  await world.work()
}

const came = (parentId: bigint, kind: SaidKind, amount: bigint, ref = 'rt_1'): ReturnDraft => {
  return { parentId, kind, amount, ref }
}

test('a payout that came back is the user’s again, with its part of the commission', async (t) => {
  const world = await testWorld(t)
  const payout = await done(world, 'withdraw')
  const before = await balanced(world)
  const answer = await back(world, came(payout.id, 'payout_returned', 5_000n), 'return')
  assert(answer.kind === 'booked')
  const after = await balanced(world)
  assert.equal((after['user'] ?? 0n) - (before['user'] ?? 0n), 5_100n)
  assert.equal((after['gateway'] ?? 0n) - (before['gateway'] ?? 0n), -5_000n)
  assert.equal((after['fees'] ?? 0n) - (before['fees'] ?? 0n), -100n)

  const view = await world.view(answer.payment.id)
  assert.deepEqual(
    [view.status, view.payment.type, view.payment.parentId, view.payment.returnKind],
    ['success', 'return', payout.id, 'payout_returned'],
  )
  assert.equal((await world.view(payout.id)).payment.returned, 5_000n)
  const story = await timeline({ db: world.db, terms: world.world.terms }, answer.payment.id)
  assert.match(story?.explanation ?? '', /^A payout came back \(payment \d+, reference rt_1\)/)
})

test('a return is booked once under its reference, however often it is told', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const pools = [world.connect(), world.connect()]
  const told = Array.from({ length: 20 }, (_, at) => {
    return back({ db: pools[at % 2] ?? world.db }, came(deposit.id, 'charged_back', 3_000n))
  })
  const answers = await Promise.all(told)
  assert.equal(answers.filter(({ kind }) => kind === 'booked').length, 1)
  assert.equal(answers.filter(({ kind }) => kind === 'known').length, 19)
  assert.equal((await givenBack(world, deposit.id))['returned'], 3_000n)
  const differs = await back(world, came(deposit.id, 'charged_back', 3_001n))
  assert(differs.kind === 'refused' && differs.refusal.code === 'return_differs')
  const more = await back(world, came(deposit.id, 'charged_back', 20_001n, 'rt_2'))
  assert(more.kind === 'refused')
  assert.deepEqual(more.refusal, { code: 'not_returnable', atMost: 20_000n, exponent: 2 })
  await balanced(world)
})

for (const [name, first, amount, loss] of [
  ['the rates had changed', null, 10_043n, -43n],
  ['it was refunded at the gateway', 10_000n, 10_000n, -10_000n],
  ['a part was refunded at the gateway', 3_000n, 10_000n, -3_000n],
] as const) {
  test(`a charge-back of more than is left is booked, because ${name}, and the rest is a loss`, async (t) => {
    const world = await testWorld(t)
    const { id } = await done(world)
    const before = await balanced(world)
    if (first !== null) await back(world, came(id, 'refunded_there', first, 're_1'))
    assert.equal((await back(world, came(id, 'charged_back', amount, 'dp_1'))).kind, 'booked')
    assert.equal((await back(world, came(id, 'charged_back', amount, 'dp_1'))).kind, 'known')
    const taken = await balanced(world)
    assert.equal(taken['losses'], loss)
    const gone = (first ?? 0n) + amount
    assert.equal((taken['gateway'] ?? 0n) - (before['gateway'] ?? 0n), gone)
    assert.equal((taken['user'] ?? 0n) - (before['user'] ?? 0n), -10_000n)
    assert.equal((await givenBack(world, id))['returned'], gone)
    assert.deepEqual(violated(await verifyWorld(world)), [])
    assert.equal((await back(world, came(id, 'dispute_won', gone, 'dp_1:won'))).kind, 'booked')
    assert.deepEqual(await balanced(world), before)
    assert.deepEqual(violated(await verifyWorld(world)), [])
  })
}

test('what a gateway itself says came back is booked, also under the name of what was paid', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  const { gatewayRef } = (await world.view(id)).payment
  assert(gatewayRef !== null)
  const draft = came(id, 'charged_back', 3_000n, gatewayRef)
  const typed = await back(world, { ...draft, typed: true })
  assert(typed.kind === 'refused' && typed.refusal.code === 'gateway_ref_taken')
  assert.equal((await back(world, draft)).kind, 'booked')
  await balanced(world)
})

test('a charge-back takes from the user what is there, and the rest is a loss; a dispute won pays it back', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world, 'deposit', 0n)
  await spend(world, deposit.userId, 7_000n)
  const before = await balanced(world)
  assert.equal(before['user'], 2_660n)
  await back(world, came(deposit.id, 'charged_back', 10_000n))
  const lost = await balanced(world)
  assert.deepEqual([lost['user'], lost['losses']], [0n, -7_340n])
  await back(world, came(deposit.id, 'dispute_won', 8_000n, 'rt_2'))
  const won = await balanced(world)
  assert.deepEqual([won['user'], won['losses']], [660n, 0n])
  assert.equal((await givenBack(world, deposit.id))['returned'], 2_000n)
  assert.equal((await world.view(deposit.id)).payment.returned, 2_000n)
})

test('a charge-back cancels the refunds that were never sent, and none that a worker has', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  const sent = await refunded(world, deposit.id, '20')
  assert.equal((await claim(world.world, 10)).length, 1)
  const unsent = await refunded(world, deposit.id, '30')
  const answer = await back(world, came(deposit.id, 'charged_back', 10_000n))
  assert(answer.kind === 'booked')
  assert.deepEqual(answer.canceled, [unsent])
  const { status, lastError } = await world.view(unsent)
  assert.deepEqual([status, lastError], ['failed', 'canceled'])
  // Without its task no worker can send it any more.
  const queued = await world.sql<{ id: bigint }>('select payment_id as id from payment_tasks')
  assert.deepEqual(
    queued.map(({ id }) => id),
    [sent],
  )
  assert.equal((await world.view(sent)).payment.status, 'new')
  assert.equal((await givenBack(world, deposit.id))['reserved'], 2_000n)
  assert.equal((await balanced(world))['held'], 2_000n)
  assert.deepEqual(await lettersOfPayment(world.db.of(unsent), unsent), [])
})

/** A failed payment that the gateway turned out to have executed, and its letter. */
async function charged(world: TestWorld, type: 'deposit' | 'withdraw') {
  const [id = 0n] = await declined(world, type)
  await world.sql(
    `update dead_letters set class = 'unknown', error = 'charged_after_failed'
     where payment_id = $1`,
    [id],
  )
  const [letter] = await lettersOfPayment(world.db.of(id), id)
  assert(letter !== undefined)
  return { id, letterId: letter.id }
}

for (const type of ['deposit', 'withdraw'] as const) {
  test(`a ${type} that failed and was executed is booked once, and stays failed`, async (t) => {
    const world = await testWorld(t)
    const { id, letterId } = await charged(world, type)
    const before = await balanced(world)
    for (const times of [1, 2]) {
      const [answer] = await correct(world.world, JANE, [{ letterId, gatewayRef: null }])
      assert.equal(answer?.kind, 'corrected', `time ${times}`)
    }
    const after = await balanced(world)
    const moved = (account: string) => (after[account] ?? 0n) - (before[account] ?? 0n)
    assert.deepEqual(
      [moved('user'), moved('gateway'), moved('fees'), moved('losses')],
      type === 'deposit' ? [4_900n, -5_000n, 100n, 0n] : [-5_100n, 5_000n, 100n, 0n],
    )
    assert.equal((await world.view(id)).status, 'failed')
    const [letter] = await lettersOfPayment(world.db.of(id), id)
    assert.equal(letter?.state, 'resolved')
    const story = await timeline({ db: world.db, terms: world.world.terms }, id)
    assert.match(story?.explanation ?? '', /an operator booked that the gateway had executed it/)
  })
}

test('a withdrawal that is corrected costs the user what is there, and the rest is a loss', async (t) => {
  const world = await testWorld(t)
  const { id, letterId } = await charged(world, 'withdraw')
  world.gateway.script = ['success']
  await spend(world, (await world.view(id)).payment.userId, 4_900n)
  await correct(world.world, JANE, [{ letterId, gatewayRef: null }])
  const sums = await balanced(world)
  assert.deepEqual([sums['user'], sums['losses']], [0n, -4_998n])
})

test('a failed payment that was not executed is not corrected', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'deposit')
  const [letter] = await lettersOfPayment(world.db.of(id), id)
  const [answer, missing] = await correct(world.world, JANE, [
    { letterId: letter?.id ?? 0n, gatewayRef: null },
    { letterId: 999_999n, gatewayRef: null },
  ])
  assert(answer?.kind === 'refused' && answer.refusal.code === 'not_correctable')
  assert(missing?.kind === 'refused' && missing.refusal.code === 'letter_not_found')
})

test('withdrawals that are corrected in one batch spend what their user has once', async (t) => {
  const world = await testWorld(t)
  const ids = await declined(world, 'withdraw', 2)
  await world.sql("update dead_letters set class = 'unknown', error = 'charged_after_failed'")
  world.gateway.script = ['success']
  const { userId } = (await world.view(ids[0] ?? 0n)).payment
  // 102.00 less 30.60: enough for one, and for a part of the other.
  await spend(world, userId, 3_000n)
  const letterIds = await Promise.all(ids.map((id) => openLetter(world, id)))
  const [first = 0n, second = 0n] = letterIds
  const answers = await correct(
    world.world,
    JANE,
    [first, second, first].map((letterId) => ({ letterId, gatewayRef: null })),
  )
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['corrected', 'corrected', 'corrected'],
  )
  const sums = await balanced(world)
  assert.deepEqual([sums['user'], sums['losses']], [0n, -3_060n])
})

test('the act of a return says what was booked and which refunds that canceled, each with an act of its own', async (t) => {
  const world = await testWorld(t)
  const [one, other] = [await done(world), await done(world)]
  const unsent = [await refunded(world, one.id, '30'), await refunded(world, other.id, '20')]
  const answers = await untilFree(() =>
    bookReturns({ db: world.db, refundFee: 'keep', returnFee: 'keep' }, JANE, [
      came(one.id, 'charged_back', 10_000n, 'cb_1'),
      came(other.id, 'charged_back', 10_000n, 'cb_2'),
    ]),
  )
  const booked = answers.flatMap((answer) => (answer.kind === 'booked' ? [answer.payment.id] : []))
  const acts = await world.sql<{ act: string; of: bigint; after: Record<string, string> }>(
    'select act, payment_id as of, after from operator_acts order by act, payment_id',
  )
  const canceled = { payment: 'failed', error: 'canceled' }
  const returned = { kind: 'charged_back', amount: '100.00' }
  assert.deepEqual(
    acts.map(({ act, of, after }) => [act, of, after]),
    [
      ...unsent.map((id) => ['cancel', id, canceled]),
      ...[one, other].map(({ id }, at) => [
        'return',
        id,
        {
          ...returned,
          return: String(booked[at]),
          gateway_ref: `cb_${at + 1}`,
          canceled: String(unsent[at]),
        },
      ]),
    ],
  )
})
