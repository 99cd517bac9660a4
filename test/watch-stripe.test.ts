import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { CameBack, LookupOutcome } from '../src/domain/outcome.ts'
import { readObject } from '../src/gateways/stripe-objects.ts'
import { testWorld } from './harness.ts'
import { http, peer } from './misbehaving-peer.ts'
import { balanced, done, givenBack } from './refunds-kit.ts'
import { DEPOSIT, PAYOUT, stripeDriver } from './stripe-kit.ts'
import { DAY_MS, watching } from './watch-kit.ts'

const PAID = { ...DEPOSIT, amount: 10_000n, gatewayRef: 'pi_1' } as const
const METADATA = { payments_payment_id: '7', payments_key: 'key_1' }
const WHOLE = { amount: 10_000, currency: 'usd', payment_intent: 'pi_1' }
const INTENT = { ...WHOLE, id: 'pi_1', object: 'payment_intent', metadata: METADATA }

/** What Stripe tells of a payment intent with these refunds and disputes. */
async function lookedUp(
  t: TestContext,
  refunds: readonly object[],
  disputes: readonly object[],
  longer: 'refunds' | 'disputes' | null = null,
): Promise<LookupOutcome> {
  const { url } = await peer(t, (socket, request) => {
    const what = request.includes('/v1/refunds') ? 'refunds' : 'disputes'
    const data = what === 'refunds' ? refunds : disputes
    const list = { object: 'list', data, has_more: what === longer }
    const isIntent = request.includes('/v1/payment_intents')
    const body = isIntent ? { ...INTENT, status: 'succeeded' } : list
    socket.write(http(200, JSON.stringify(body)))
  })
  const driver = stripeDriver(t, url, { connections: 1 })
  return (await driver.lookup({ ...PAID, watched: true })).outcome
}

async function told(...about: Parameters<typeof lookedUp>): Promise<readonly CameBack[]> {
  const outcome = await lookedUp(...about)
  assert(outcome.kind === 'success', outcome.kind)
  return outcome.returns ?? []
}

test('a deposit that is disputed at Stripe, won and refunded there comes back once, in whatever order', async (t) => {
  for (const refundedAt of [2_000, 500]) {
    const refund = { ...WHOLE, id: 're_1', status: 'succeeded', created: refundedAt }
    const dispute = { ...WHOLE, id: 'dp_1', status: 'won', created: 1_000 }
    const world = await testWorld(t)
    const eyes = watching(world, [DAY_MS])
    const { id } = await done(world)
    eyes.came(id, ...(await told(t, [refund], [dispute])))
    world.clock.advance(DAY_MS)
    assert.deepEqual(await eyes.look(), ['booked'])
    assert.equal((await givenBack(world, id))['returned'], 10_000n)
    const rows = await world.sql(`select from payments where type = 'return'`, [])
    assert.equal(rows.length, 3)
    await balanced(world)
  }
})

const REFUND = { ...WHOLE, id: 're_1', status: 'succeeded', created: 1 }

test('refunds with our metadata are told by our names, done or failed; of others one that failed undoes itself', async (t) => {
  const ours = { ...REFUND, metadata: METADATA }
  const names = { paymentId: 7n, key: 'key_1' }
  for (const [status, made] of [
    ['succeeded', true],
    ['failed', false],
    ['canceled', false],
    ['pending', null],
  ] as const) {
    const outcome = await lookedUp(t, [{ ...ours, status }], [])
    assert(outcome.kind === 'success')
    assert.deepEqual(outcome.returns, [])
    const [one] = outcome.refunds ?? []
    assert.deepEqual(one?.ours ?? null, made === null ? null : names, status)
    assert.deepEqual(one?.made ?? null, made, status)
    const kindOf = ({ ref, kind, undoes }: CameBack) => `${ref} ${kind} ${undoes ?? ''}`
    const others = (await told(t, [{ ...REFUND, status }], [])).map(kindOf)
    const failed = made === false ? ['re_1:failed dispute_won re_1'] : []
    assert.deepEqual(others, made === true ? ['re_1 refunded_there '] : failed)
    // What is booked of it if the books say that it is none of ours.
    assert.deepEqual(one === undefined ? [] : [kindOf(one.back)], others)
    assert.equal(one?.back.amount ?? 10_000n, 10_000n)
  }
})

test('a refund at Stripe without our metadata is none of ours', async (t) => {
  const ours = { ...REFUND, id: 're_2', metadata: METADATA }
  assert.deepEqual(await told(t, [REFUND, ours], []), [
    {
      ref: 're_1',
      amount: 10_000n,
      at: new Date(1_000),
      kind: 'refunded_there',
      besidesRefund: true,
    },
  ])
})

test('what came back at Stripe and cannot be booked as told is told by its name', async (t) => {
  for (const [change, ref, code] of [
    [{ currency: 'eur' }, 'x_1', 'currency_differs'],
    [{ amount: 0.5 }, 'x_1', 'amount_unreadable'],
    [{ amount: 0 }, 'x_1', 'amount_unreadable'],
    [{ id: 'x\u0000' }, null, 'ref_unreadable'],
    [{ id: 7 }, null, 'ref_unreadable'],
  ] as const) {
    const refund = { ...REFUND, id: 'x_1', ...change }
    const dispute = { ...refund, status: 'won' }
    for (const [refunds, disputes] of [
      [[refund], [{ ...WHOLE, id: 'dp_1', status: 'lost' }]],
      [[REFUND], [dispute]],
    ] as const) {
      const outcome = await lookedUp(t, refunds, disputes)
      assert(outcome.kind === 'success')
      assert.deepEqual(outcome.unread, [{ ref, code }])
      assert.equal(outcome.returns?.length, 1, 'it hides no other')
    }
  }
})

test('what became of the money of a dispute is read off the moves of Stripe’s balance', async (t) => {
  const dispute = { ...WHOLE, id: 'dp_1', created: 1 }
  const moved = (id: string, amount: number, currency = 'usd') => ({
    id,
    amount,
    currency,
    created: Number(id.slice(4)),
  })
  const took = moved('txn_1', -10_000)
  const gave = moved('txn_2', 10_000)
  const inEuro = [moved('txn_1', -9_100, 'eur'), moved('txn_2', 9_020, 'eur')]
  const cases: readonly (readonly [
    status: string,
    moves: readonly object[] | undefined,
    refs: readonly string[],
    unread: readonly string[],
  ])[] = [
    ...['needs_response', 'appeal_needs_response', 'appeal_under_review', 'lost'].flatMap(
      (status) => [[took], undefined].map((moves) => [status, moves, ['dp_1'], []] as const),
    ),
    ['won', [gave, took], ['dp_1', 'dp_1:won'], []],
    ['won', inEuro, ['dp_1', 'dp_1:won'], []],
    ['lost', inEuro, ['dp_1'], ['txn_2 dispute_moved']],
    ['won', [took], ['dp_1'], []],
    ['won', undefined, ['dp_1', 'dp_1:won'], []],
    ['under_review', [], [], []],
    ['lost', [], [], ['dp_1 dispute_not_taken']],
    ['won', [took, moved('txn_2', 9_500)], ['dp_1'], ['txn_2 dispute_moved']],
    ['lost', [took, moved('txn_2', 3_000)], ['dp_1'], ['txn_2 dispute_moved']],
    ['lost', [took, gave, moved('txn_3', -10_000)], ['dp_1', 'dp_1:won'], ['txn_3 dispute_moved']],
    ['prevented', undefined, [], []],
    ['warning_closed', [], [], []],
    ['warning_closed', [took], ['dp_1'], []],
    ['of_tomorrow', undefined, [], ['dp_1 dispute_unknown']],
    ['of_tomorrow', [took], ['dp_1'], []],
  ]
  for (const [status, moves, refs, unread] of cases) {
    const row = { ...dispute, status, balance_transactions: moves }
    const outcome = await lookedUp(t, [], [row])
    assert(outcome.kind === 'success')
    const seen = {
      refs: (outcome.returns ?? []).map(({ ref }) => ref),
      unread: (outcome.unread ?? []).map(({ ref, code }) => `${ref} ${code}`),
    }
    assert.deepEqual(seen, { refs, unread }, `${status} ${JSON.stringify(moves)}`)
  }
})

test('a list of Stripe with what came back of another payment is not believed', async (t) => {
  const other = { ...REFUND, payment_intent: 'pi_2' }
  const nobody = { ...REFUND, payment_intent: undefined }
  for (const row of [other, nobody]) {
    for (const [refunds, disputes] of [
      [[row], []],
      [[REFUND], [row]],
    ] as const) {
      const outcome = await lookedUp(t, refunds, disputes)
      assert.deepEqual(outcome, { kind: 'no_answer', reason: 'reply_mismatch' })
    }
  }
})

test('a reversal at Stripe that cannot be booked as told is told by its name', () => {
  const whole = { id: 'trr_1', amount: 50, currency: 'usd', created: 1 }
  const seen = (...data: readonly unknown[]) => {
    const fields = { ...WHOLE, id: 'tr_1', object: 'transfer', amount: 20_050 }
    const transfer = { ...fields, reversals: { data } }
    return readObject(transfer, { ...PAYOUT, gatewayRef: 'tr_1' })
  }
  for (const [row, ref, code] of [
    [null, null, 'ref_unreadable'],
    [{ ...whole, id: 'x\u0000' }, null, 'ref_unreadable'],
    [{ ...whole, currency: 'eur' }, 'trr_1', 'currency_differs'],
    [{ ...whole, amount: 0 }, 'trr_1', 'amount_unreadable'],
  ] as const) {
    const word = seen(row, whole)
    assert(word !== null && word !== 'another' && word.kind === 'success')
    assert.deepEqual([word.returns?.length, word.unread], [1, [{ ref, code }]])
  }
})

test('one request too many for a list of Stripe asks for a pause, with or without a time', async (t) => {
  for (const [header, retryAfterMs] of [
    ['retry-after: 20\r\n', 20_000],
    ['', 1_000],
  ] as const) {
    const { url } = await peer(t, (socket, request) => {
      const body = JSON.stringify({ ...INTENT, status: 'succeeded' })
      const isIntent = request.includes('/v1/payment_intents')
      socket.write(isIntent ? http(200, body) : http(429, '{}', header))
    })
    const { outcome } = await stripeDriver(t, url, { connections: 1 }).lookup({
      ...PAID,
      watched: true,
    })
    assert.deepEqual(outcome, { kind: 'no_answer', reason: 'http_429', retryAfterMs })
  }
})

test('refunds or disputes beyond one page are not left out: then nothing is told', async (t) => {
  const dispute = { ...WHOLE, id: 'dp_1', status: 'lost', created: 1 }
  for (const longer of ['refunds', 'disputes'] as const) {
    const outcome = await lookedUp(t, [REFUND], [dispute], longer)
    assert.deepEqual(outcome, { kind: 'no_answer', reason: 'list_too_long' }, longer)
  }
})
