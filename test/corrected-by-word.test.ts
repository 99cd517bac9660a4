import assert from 'node:assert/strict'
import { test } from 'node:test'
import { correct } from '../src/dead-letters/correct.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { decideCorrection } from '../src/domain/correction.ts'
import { NO_EVIDENCE } from '../src/domain/evidence.ts'
import { CHARGED_AFTER_FAILED } from '../src/domain/explain.ts'
import type { ReturnDraft } from '../src/domain/returns.ts'
import { bookReturns } from '../src/refunds/returns.ts'
import type { GatewayCharge, ListCharges } from '../src/ports.ts'
import { corrected, failedByMistake, lates, REF } from './corrected-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, exhaust, JANE, letters, lost, openLetter } from './operators.ts'
import { balanced, done, refunded, untilFree } from './refunds-kit.ts'
import { serve } from './serve.ts'
import { verifyWorld, violated } from './verify-history.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

/** What the gateway lists, so that the books can be compared with it. */
function charges({ gateway }: TestWorld, type: 'deposit' | 'withdraw') {
  const ids = new Map(gateway.calls.map(({ key, paymentId }) => [key, paymentId]))
  const listed = [...gateway.charged].map(([key, [amount = 0n]]): GatewayCharge => {
    const decimal = `${amount / 100n}.${String(amount % 100n).padStart(2, '0')}`
    return { paymentId: ids.get(key) ?? 0n, key, amount: decimal, currency: null, type, ref: null }
  })
  return () => Promise.resolve({ charges: listed, next: null })
}

test('what was accepted before the gateway listed its charges, and was charged or corrected since, is no alarm', async (t) => {
  const world = await testWorld(t)
  const { letterId } = await failedByMistake(world, 'deposit')
  const userId = await world.user(0n)
  await world.accept([{ type: 'deposit', userId, amount: 100n, idempotencyKey: null }])
  world.clock.advance(1_000)
  const nothing = { charges: [], next: null }
  const beside = async () => {
    world.clock.advance(1_000)
    world.gateway.script = ['success']
    assert.equal((await world.work())[0]?.decision.step, 'succeed')
    assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
    return nothing
  }
  const compared = (list: ListCharges) =>
    verifyWorld(world, { gateways: [{ gateway: 'http', list }] })
  assert.deepEqual(violated(await compared(beside)), [])
  world.clock.advance(1_000)
  const later = await compared(() => Promise.resolve(nothing))
  assert.deepEqual([violated(later), later.violations], [['gateway_missing_there'], 2])
})

for (const type of ['deposit', 'withdraw'] as const) {
  test(`a ${type} failed by mistake is booked by the word of who finds it at the gateway`, async (t) => {
    const world = await testWorld(t)
    const { id, letterId } = await failedByMistake(world, type)
    const compared = async () =>
      violated(
        await verifyWorld(world, { gateways: [{ gateway: 'http', list: charges(world, type) }] }),
      )
    assert.deepEqual(await compared(), ['gateway_missing_here'])
    assert.equal(await corrected(world, { letterId, gatewayRef: null }), 'not_correctable')

    for (const times of [1, 2]) {
      assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected', `${times}`)
    }
    const entry =
      type === 'deposit'
        ? { id, user: 4_900n, gateway: -5_000n, fees: 100n, losses: 0n }
        : { id, user: -5_100n, gateway: 5_000n, fees: 100n, losses: 0n }
    assert.deepEqual(await lates(world), [entry])
    await balanced(world)
    assert.deepEqual(await compared(), [])
    assert.equal((await world.view(id)).status, 'failed')
    const acts = await world.sql(
      `select actor, reason, before, after from operator_acts where act = 'correct'`,
    )
    const was = { payment: 'failed', letter: 'resolved' }
    const { actor, reason } = JANE
    assert.deepEqual(acts, [{ actor, reason, before: was, after: { ...was, gateway_ref: REF } }])
    assert.deepEqual(
      (await letters(world, id)).map(({ state }) => state),
      ['resolved'],
    )
  })
}

for (const [type, kind] of [
  ['deposit', 'refunded_there'],
  ['withdraw', 'payout_returned'],
] as const) {
  test(`a corrected ${type} that is ${kind} is booked, up to what it came to`, async (t) => {
    const world = await testWorld(t)
    const { id, letterId } = await failedByMistake(world, type)
    const back = (amount: bigint, ref: string) => ({ parentId: id, kind, amount, ref })
    const book = async (draft: ReturnDraft) => {
      const { db } = world
      const [answer] = await untilFree(() =>
        bookReturns({ db, refundFee: 'keep', returnFee: 'keep' }, JANE, [draft]),
      )
      return answer?.kind === 'refused' ? answer.refusal.code : answer?.kind
    }
    assert.equal(await book(back(5_000n, 'a')), 'not_returnable')
    assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
    assert.equal(await book(back(4_999n, 'a')), 'booked')
    assert.equal(await book(back(2n, 'b')), 'not_returnable')
    assert.equal(await book(back(1n, 'b')), 'booked')
    assert.equal((await world.view(id)).status, 'failed')
    assert.deepEqual(violated(await verifyWorld(world)), [])
    await balanced(world)
  })
}

test('a payment is not corrected under the name of another one that succeeded', async (t) => {
  const world = await testWorld(t)
  const { letterId, id } = await failedByMistake(world, 'deposit')
  const [own] = await world.sql<{ userId: bigint }>('select user_id as "userId" from payments')
  const draft = { type: 'deposit', amount: 5_000n, idempotencyKey: null } as const
  await world.accept([{ ...draft, userId: own?.userId ?? 0n }])
  world.gateway.script = ['success']
  world.gateway.lookups = null
  await world.work()
  await world.sql('update payments set gateway_ref = $1 where id <> $2', [REF, id])
  assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'gateway_ref_taken')
  // Names are those of one gateway; and a payment that is not final has one, too.
  await world.sql(`update payments set gateway = 'other' where id <> $1`, [id])
  const aside = await world.sql('select from payments where gateway = $1', ['other'])
  assert.equal(aside.length, 1)
  assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
  assert.equal((await lates(world)).length, 1)

  // What was corrected has its name, although it stays failed.
  world.gateway.script = ['lost_reply']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  const [next] = await world.accept([{ ...draft, userId: own?.userId ?? 0n }])
  assert(next?.kind === 'accepted')
  await exhaust(world, 3)
  const second = await openLetter(world, next.payment.id)
  const word = { letterId: second, outcome: 'success', gatewayRef: REF } as const
  const [answer] = await resolve(world.world, JANE, [word])
  assert.deepEqual(answer?.kind === 'refused' && answer.refusal, {
    code: 'gateway_ref_taken',
    paymentId: id,
  })
})

test('twenty who find the same payment at the gateway book it once', async (t) => {
  const world = await testWorld(t)
  const { letterId } = await failedByMistake(world, 'withdraw')
  const asked = Array.from({ length: 20 }, (_, n) => ({ letterId, gatewayRef: `gw-${n}` }))
  const answers = await Promise.all(asked.map((request) => corrected(world, request)))
  const codes = new Set(answers)
  codes.delete('busy')
  assert.deepEqual(codes, new Set(['corrected', 'correction_differs']))
  assert.equal(answers.filter((answer) => answer === 'corrected').length, 1)
  assert.equal((await lates(world)).length, 1)
  await balanced(world)
})

test('a second correction under another reference is refused, and books nothing', async (t) => {
  const world = await testWorld(t)
  const { id, letterId } = await failedByMistake(world, 'deposit')
  assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
  const [answer] = await correct(world.world, JANE, [{ letterId, gatewayRef: 'gw-2' }])
  assert.deepEqual(answer, {
    kind: 'refused',
    refusal: { code: 'correction_differs', paymentId: id },
  })
  assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
  assert.equal((await lates(world)).length, 1)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const body = { reason: 'seen', gateway_ref: 'gw-2' }
  const said = await call('POST', `/dlq/${letterId}/correct`, body)
  assert.deepEqual(
    [said.status, said.body['code'], said.body['payment_id']],
    [409, 'correction_differs', Number(id)],
  )
  await balanced(world)
})

test('a correction under another reference than the first one is refused, whatever else is known', () => {
  const payment = {
    id: 5n,
    userId: 3n,
    type: 'withdraw',
    status: 'failed',
    amount: 100n,
    commission: 2n,
  } as const
  const nothing = { known: NO_EVIDENCE, insists: true, besidesRedrive: true, relatives: [] }
  for (const letter of [null, 'rejected', CHARGED_AFTER_FAILED]) {
    for (const [first, again, kind] of [
      ['gw-1', 'gw-1', 'corrected'],
      ['gw-1', 'gw-2', 'refused'],
      // Nobody said what the first one is called there: it may be another one.
      [null, 'gw-1', 'refused'],
      ['gw-1', null, 'corrected'],
    ] as const) {
      const word = again === null ? null : { ...nothing, ref: again }
      const seen = { payment, letter, corrected: { ref: first }, word }
      const decision = decideCorrection(seen, 50n)
      assert.equal(decision.kind, kind, `${first} ${again}`)
      if (decision.kind !== 'refused') continue
      assert.deepEqual(decision.refusal, { code: 'correction_differs', paymentId: payment.id })
    }
  }
})

test('a word against what the gateway said is booked only if it is meant so, and says so', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  const letterId = await openLetter(world, id)
  const word = { letterId, gatewayRef: REF }
  assert.equal(await corrected(world, word), 'evidence_contradicts')
  assert.deepEqual(await lates(world), [])
  assert.equal(await corrected(world, { ...word, againstEvidence: true }), 'corrected')
  assert.equal((await lates(world)).length, 1)
  const [act] = await world.sql<{ after: object }>('select after from operator_acts')
  assert.deepEqual(act?.after, {
    payment: 'failed',
    letter: 'resolved',
    gateway_ref: REF,
    against_evidence: 'declined',
  })
  assert.equal((await letters(world, id))[0]?.state, 'resolved')
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a late yes about what a word has booked books nothing more, and its letter is closed', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'deposit')
  world.gateway.lookups = null
  world.clock.advance(10_000)
  const late = await world.claimAndCharge()
  const first = await openLetter(world, id)
  await resolve(world.world, JANE, [{ letterId: first, outcome: 'failed', gatewayRef: null }])
  assert.equal(await corrected(world, { letterId: first, gatewayRef: REF }), 'corrected')
  await world.settle(late)
  const letterId = await openLetter(world, id)
  assert.notEqual(letterId, first)
  for (const gatewayRef of [null, REF]) {
    assert.equal(await corrected(world, { letterId, gatewayRef }), 'corrected')
  }
  assert.deepEqual(
    (await letters(world, id)).map(({ state, error }) => `${state} ${error}`),
    ['resolved timeout', 'resolved charged_after_failed'],
  )
  assert.equal((await lates(world)).length, 1)
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a payment that was redriven and executed as well is booked, and its letter stays redriven', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'deposit')
  const letterId = await openLetter(world, id)
  world.gateway.script = ['success']
  await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  await world.work()
  const request = { letterId, gatewayRef: REF, againstEvidence: true }
  const [answer] = await correct(world.world, JANE, [request])
  assert.deepEqual(answer, {
    kind: 'corrected',
    letterId,
    paymentId: id,
    letter: 'redriven',
    referenceTakenBy: null,
  })
  assert.equal((await letters(world, id))[0]?.state, 'redriven')
  assert.equal((await balanced(world))['gateway'], -10_000n)
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('what did not fail, and refunds, are not corrected by any word', async (t) => {
  const world = await testWorld(t)
  const unknown = await lost(world, 'withdraw')
  world.gateway.script = ['success']
  const deposit = await done(world)
  const refund = await refunded(world, deposit.id, '10')
  world.gateway.script = ['declined']
  await world.work()
  for (const id of [unknown, refund]) {
    const word = { letterId: await openLetter(world, id), gatewayRef: REF, againstEvidence: true }
    assert.equal(await corrected(world, word), 'not_correctable')
  }
  assert.deepEqual(await lates(world), [])
})

test('a correction by word is answered the same under its key, and another reference is refused', async (t) => {
  const world = await testWorld(t)
  const { id, letterId } = await failedByMistake(world, 'deposit')
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const ask = (body: object, key = 'k') =>
    call(
      'POST',
      `/dlq/${letterId}/correct`,
      { reason: 'seen', ...body },
      {
        'idempotency-key': key,
      },
    )
  assert.equal((await ask({})).body['code'], 'not_correctable')
  assert.equal((await ask({ gateway_ref: '' })).body['code'], 'body_invalid')
  const first = await ask({ gateway_ref: REF })
  assert.deepEqual(first.body, {
    id: Number(letterId),
    state: 'resolved',
    payment_id: Number(id),
    payment: 'failed',
  })
  const again = await ask({ gateway_ref: REF })
  assert.deepEqual([again.text, again.headers.get('idempotent-replayed')], [first.text, 'true'])
  const other = await ask({ gateway_ref: 'gw-2' })
  assert.deepEqual(other.body['errors'], [{ pointer: '/gateway_ref', code: 'differs' }])
  const { body } = await call('GET', `/payments/${id}/timeline`)
  assert.match(String(body['explanation']), /an operator booked that the gateway had executed it/)
  assert.equal((await lates(world)).length, 1)
})

test('of payments that are corrected together the later ones find what the earlier ones left', async (t) => {
  const world = await testWorld(t)
  const ids = await declined(world, 'withdraw', 3)
  // What they had is spent, but for a payment and a half.
  const [user] = await world.sql<{ id: bigint }>('select id from users')
  const userId = user?.id ?? 0n
  world.gateway.script = ['success']
  await world.accept([{ type: 'withdraw', userId, amount: 7_500n, idempotencyKey: null }])
  await world.work()
  assert.equal((await balanced(world))['user'], 7_650n)
  const requests = await Promise.all(
    ids.map(async (id) => {
      const letterId = await openLetter(world, id)
      return { letterId, gatewayRef: `gw-${id}`, againstEvidence: true }
    }),
  )
  const answers = await untilFree(() => correct(world.world, JANE, requests))
  assert.ok(answers.every(({ kind }) => kind === 'corrected'))
  assert.deepEqual(
    (await lates(world)).map(({ user: paid }) => paid),
    [-5_100n, -2_550n, 0n],
  )
  assert.equal((await balanced(world))['user'], 0n)
})
