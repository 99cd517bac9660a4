import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { endPending } from '../src/charging/refresh.ts'
import { settle } from '../src/charging/settle.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import type { LookupOutcome, PayerAction } from '../src/domain/outcome.ts'
import { cancelPayments, cancelUnderKey } from '../src/operators/cancel.ts'
import { POLICY, testWorld } from './harness.ts'
import { JANE } from './operators.ts'

const HOUR_MS = 3_600_000
const LOST_MS = 25 * HOUR_MS
const PROMISES = { repeats: 'first_answer', keyLifeMs: HOUR_MS, lookup: 'consistent' } as const
const ACTION: PayerAction = {
  type: 'redirect',
  url: 'https://bank.example/confirm/1',
  expiresAt: new Date(Date.UTC(2030, 0, 1, 1)),
}
const SHOWN = {
  type: 'redirect',
  url: 'https://bank.example/confirm/1',
  expires_at: '2030-01-01T01:00:00.000Z',
}

const SILENT: LookupOutcome = { kind: 'no_answer', reason: 'timeout' }

/** A gateway that takes a deposit, asks its payer, and says what a test says. */
async function asking(t: TestContext) {
  const own = await testWorld(t)
  const said: { lookup: LookupOutcome; cancel: LookupOutcome } = {
    lookup: { kind: 'pending', gatewayRef: 'gw-9', action: ACTION },
    cancel: { kind: 'declined', reason: 'canceled' },
  }
  const calls: string[] = []
  const seen = <Outcome>(call: string, outcome: Outcome) => {
    calls.push(call)
    return Promise.resolve({ outcome, sent: true, httpStatus: 200 })
  }
  const gateway = {
    ...own.gateway,
    execute: () =>
      seen('charge', {
        kind: 'pending' as const,
        reason: 'requires_action',
        gatewayRef: 'gw-9',
        action: ACTION,
      }),
    lookup: () => seen('lookup', said.lookup),
    cancel: () => seen('cancel', said.cancel),
  }
  const policy = { ...POLICY, ...PROMISES, endPendingMs: HOUR_MS, lostPendingMs: LOST_MS }
  const world = { ...own.world, gateway, policy }
  const work = async () => {
    calls.length = 0
    const claims = await claim(world, 10)
    await settle(world, await Promise.all(claims.map((claimed) => charge(world, claimed))))
    return calls.join()
  }
  const userId = await own.user(0n)
  const draft = { type: 'deposit', userId, amount: 1_000n, idempotencyKey: null } as const
  const [answer] = await own.accept([draft])
  assert(answer?.kind === 'accepted')
  const { id } = answer.payment
  return { ...own, world, calls, id, said, work, shown: () => own.view(id) }
}

test('a payment that waits for its payer is pending, with the page and what the gateway calls it', async (t) => {
  const { work, shown, said, clock, sql } = await asking(t)
  assert.equal(await work(), 'charge')
  const view = await shown()
  assert.deepEqual(
    [view.status, view.transactionStatus, view.action, view.payment.gatewayRef, view.attempts],
    ['pending', 'processing', SHOWN, 'gw-9', 1],
  )
  assert.equal((await sql('select from dead_letters')).length, 0)
  said.lookup = { kind: 'no_answer', reason: 'timeout' }
  clock.advance(10_000)
  assert.equal(await work(), 'lookup')
  assert.deepEqual((await shown()).action, SHOWN, 'kept while nothing is learned')
  said.lookup = { kind: 'pending' }
  clock.advance(30_000)
  await work()
  const later = await shown()
  assert.deepEqual([later.status, later.action], ['pending', null], 'gone when it is done')
  assert.equal(later.payment.gatewayRef, 'gw-9')
})

test('a payer who says yes, or no, ends it by the word of the gateway', async (t) => {
  for (const [word, status, error] of [
    [{ kind: 'success', gatewayRef: 'gw-9' }, 'success', null],
    [{ kind: 'declined', reason: 'authentication_failed' }, 'failed', 'authentication_failed'],
  ] as const) {
    const { work, shown, said, clock } = await asking(t)
    await work()
    said.lookup = word
    clock.advance(10_000)
    assert.equal(await work(), 'lookup')
    const view = await shown()
    assert.deepEqual([view.status, view.lastError, view.action], [status, error, null])
    assert.equal(view.payment.gatewayRef, 'gw-9')
  }
})

/** Let the time of a pending payment run out, looking as often as is due. */
async function runOut({ work, clock, shown }: Awaited<ReturnType<typeof asking>>) {
  const calls: string[] = []
  for (let round = 0; round < 12; round += 1) {
    const due = (await shown()).nextAt
    if (due === null || due.getTime() > Date.UTC(2030, 0, 1) + HOUR_MS) break
    clock.advance(Math.max(0, due.getTime() - clock.now().getTime()))
    calls.push(await work())
  }
  return calls
}

test('where nobody answers in time the gateway ends it, and it is expired by its word', async (t) => {
  const own = await asking(t)
  const calls = await runOut(own)
  assert.deepEqual(calls, ['charge', ...Array<string>(5).fill('lookup'), 'lookup,cancel'])
  const view = await own.shown()
  assert.deepEqual([view.status, view.lastError], ['failed', 'expired'])
  const asked = await own.sql<{ kind: string; outcome: string }>(
    'select kind, outcome from payment_attempts order by fence desc, call desc limit 1',
  )
  assert.deepEqual(asked, [{ kind: 'cancel', outcome: 'declined' }])
})

test('what was ended while the answer was lost is expired, as a later lookup tells', async (t) => {
  const own = await asking(t)
  own.said.cancel = { kind: 'no_answer', reason: 'timeout' }
  await runOut(own)
  assert.equal((await own.shown()).status, 'pending')
  // It had ended it, and its answer was lost.
  own.said.lookup = { kind: 'declined', reason: 'canceled' }
  own.clock.advance(HOUR_MS)
  assert.equal(await own.work(), 'lookup')
  const view = await own.shown()
  assert.deepEqual([view.status, view.lastError], ['failed', 'expired'])
})

test('what its payer ends in time is canceled by their word, and not expired', async (t) => {
  const own = await asking(t)
  await own.work()
  own.said.lookup = { kind: 'declined', reason: 'canceled' }
  own.clock.advance(10_000)
  await own.work()
  const view = await own.shown()
  assert.deepEqual([view.status, view.lastError], ['failed', 'canceled'])
})

test('what was paid in the last moment is a success, although it was to be ended', async (t) => {
  const own = await asking(t)
  own.said.cancel = { kind: 'success', gatewayRef: 'gw-9' }
  await runOut(own)
  assert.equal((await own.shown()).status, 'success')
})

test('nothing is ended while the gateway cannot be asked', async (t) => {
  const own = await asking(t)
  own.said.lookup = { kind: 'no_answer', reason: 'timeout' }
  const calls = await runOut(own)
  assert.ok(calls.length > 3)
  assert.doesNotMatch(calls.join(), /cancel/)
  assert.equal((await own.shown()).status, 'pending')
})

/** Ask as often as is due until nobody knows what became of it; what was asked after its time. */
async function lost(own: Awaited<ReturnType<typeof asking>>): Promise<string[]> {
  await runOut(own)
  const calls: string[] = []
  for (let round = 0; round < 40; round += 1) {
    const view = await own.shown()
    if (view.status !== 'pending') break
    own.clock.advance(Math.max(0, (view.nextAt?.getTime() ?? 0) - own.clock.now().getTime()))
    calls.push(await own.work())
  }
  return calls
}

for (const [why, lookup, cancel, call] of [
  ['says nothing of', { kind: 'no_answer', reason: 'timeout' }, null, 'lookup'],
  ['cannot end', { kind: 'pending' }, { kind: 'pending' }, 'lookup,cancel'],
  ['does not say that it ended', { kind: 'pending' }, SILENT, 'lookup,cancel'],
] as const) {
  test(`what its gateway ${why} becomes unknown a day after its time, with a letter`, async (t) => {
    const own = await asking(t)
    own.said.lookup = lookup
    if (cancel !== null) own.said.cancel = cancel
    const calls = await lost(own)
    // About once an hour, and no more.
    assert.ok(calls.length >= 23 && calls.length <= 26, `${calls.length} questions`)
    assert.ok(calls.every((made) => made === call))
    assert.ok(own.clock.now().getTime() >= Date.UTC(2030, 0, 1) + LOST_MS)
    const view = await own.shown()
    assert.deepEqual([view.status, view.lastError, view.action], ['unknown', 'not_finished', null])
    const letters = await own.sql('select class, error, state from dead_letters')
    assert.deepEqual(letters, [{ class: 'unknown', error: 'not_finished', state: 'open' }])
    // It is asked on, and its own word ends it and closes the letter.
    own.clock.advance(24 * HOUR_MS)
    assert.equal(await own.work(), call)
    assert.equal((await own.shown()).status, 'unknown')
    own.said.lookup = { kind: 'success', gatewayRef: 'gw-9' }
    own.clock.advance(24 * HOUR_MS)
    await own.work()
    assert.equal((await own.shown()).status, 'success')
    const after = await own.sql('select state, closed_reason from dead_letters')
    assert.deepEqual(after, [{ state: 'resolved', closed_reason: 'success' }])
  })
}

test('an operator ends what was not finished, by what the gateway shows, once', async (t) => {
  for (const outcome of ['success', 'failed'] as const) {
    const own = await asking(t)
    own.said.lookup = SILENT
    await lost(own)
    const [letter] = await own.sql<{ id: bigint }>('select id from dead_letters')
    const word = { letterId: letter?.id ?? 0n, outcome, gatewayRef: null }
    const [answer] = await resolve(own.world, JANE, [word])
    assert.equal(answer?.kind, 'resolved')
    assert.equal((await own.shown()).status, outcome)
    own.clock.advance(30 * 24 * HOUR_MS)
    assert.equal(await own.work(), '', 'nobody is asked any more')
  }
})

test('a gateway that says that it is still at it when it is redriven has it in hand again', async (t) => {
  const own = await asking(t)
  own.said.cancel = SILENT
  await lost(own)
  const [letter] = await own.sql<{ id: bigint }>('select id from dead_letters')
  const world = { ...own.world, terms: () => own.world.policy, refundFee: 'keep' as const }
  const [answer] = await redrive(world, JANE, [{ letterId: letter?.id ?? 0n, delayMs: 0 }])
  assert.equal(answer?.kind, 'redriven')
  assert.equal(await own.work(), 'lookup')
  assert.equal((await own.shown()).status, 'pending')
})

test('what somebody wants ended is ended by the word of its gateway, without a letter', async (t) => {
  const own = await asking(t)
  await own.work()
  own.calls.length = 0
  await endPending(own.world, own.id)
  assert.equal(own.calls.join(), 'lookup,cancel')
  const view = await own.shown()
  assert.deepEqual([view.status, view.lastError, view.action], ['failed', 'canceled', null])
  assert.deepEqual(await own.sql('select from dead_letters'), [])
})

test('what was wanted ended and not said to be is soon asked about, and is as its gateway says', async (t) => {
  for (const [word, status] of [
    [{ kind: 'declined', reason: 'canceled' }, 'failed'],
    [{ kind: 'success', gatewayRef: 'gw-9' }, 'success'],
  ] as const) {
    const own = await asking(t)
    await own.work()
    own.said.cancel = SILENT
    const [asked] = await cancelPayments(own.db, JANE, [own.id], true)
    assert.notEqual(asked?.kind, 'canceled')
    await endPending(own.world, own.id)
    const { status: still, nextAt } = await own.shown()
    assert.equal(still, 'pending')
    assert.equal((nextAt?.getTime() ?? 0) - own.clock.now().getTime(), 10_000)
    const kept = await own.sql('select kind, outcome from payment_attempts order by fence, call')
    assert.deepEqual(kept.at(-1), { kind: 'cancel', outcome: 'no_answer' })
    own.said.lookup = word
    own.clock.advance(10_000)
    await own.work()
    assert.equal((await own.shown()).status, status)
    // Nobody has to look at what somebody wanted, nor is it to be repeated.
    assert.deepEqual(await own.sql('select from dead_letters'), [])
  }
})

test('what is unknown and wanted ended is soon asked about, however rarely it was before', async (t) => {
  const own = await asking(t)
  own.said.cancel = SILENT
  await lost(own)
  for (let day = 0; day < 9; day += 1) {
    own.clock.advance(24 * HOUR_MS)
    await own.work()
  }
  await endPending(own.world, own.id)
  const { status, nextAt } = await own.shown()
  assert.equal(status, 'unknown')
  assert.equal((nextAt?.getTime() ?? 0) - own.clock.now().getTime(), 10_000)
})

test('nothing is ended that its gateway does not say it has, or that is sent right now', async (t) => {
  const own = await asking(t)
  const [claimed] = await claim(own.world, 10)
  assert(claimed !== undefined)
  assert.equal(await endPending(own.world, own.id), null, 'a worker has it')
  await settle(own.world, [await charge(own.world, claimed)])
  own.said.lookup = SILENT
  own.calls.length = 0
  await endPending(own.world, own.id)
  assert.equal(own.calls.join(), 'lookup')
  assert.equal((await own.shown()).status, 'pending')
})

test('a key of a cancelation stands for canceled only once the gateway has ended the payment', async (t) => {
  for (const [word, last] of [
    [{ kind: 'declined', reason: 'canceled' }, 'canceled'],
    [{ kind: 'success', gatewayRef: 'gw-9' }, 'payment_final'],
  ] as const) {
    const own = await asking(t)
    await own.work()
    own.said.cancel = SILENT
    const end = async (id: bigint) => void (await endPending(own.world, id))
    const cancel = async () => {
      const asked = { id: own.id, key: 'c' }
      const { answer } = await cancelUnderKey({ db: own.db, end }, asked, JANE)
      return answer.kind === 'refused' ? answer.refusal.code : answer.kind
    }
    for (let time = 0; time < 2; time += 1) {
      own.calls.length = 0
      assert.equal(await cancel(), 'not_ended')
      assert.equal(own.calls.join(), 'lookup,cancel')
    }
    assert.equal((await own.shown()).status, 'pending')
    own.said.cancel = word
    for (let time = 0; time < 2; time += 1) assert.equal(await cancel(), last)
    assert.equal((await own.sql('select from operator_acts')).length, 1)
  }
})
