import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DRIVER_RULES } from '../src/config/driver-settings.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { findListed, refundedThere, yookassaCharges } from '../src/gateways/yookassa-list.ts'
import { GatewayUnreadable } from '../src/ports.ts'
import { manualClock } from './harness.ts'
import { listed } from './driver-kit.ts'
import { http, peer } from './misbehaving-peer.ts'
import { FAULTS_NONE, serveMock } from './mock-server.ts'
import { DEPOSIT, DETAILS, PAYOUT_SHOP, SAVED, SHOP, yookassa } from './yookassa-kit.ts'
import { problemsOf } from './config-kit.ts'

/** A deposit whose payer has to open a page. */
const REDIRECT: GatewayOperation = { ...DEPOSIT, details: { ...DETAILS, paymentMethod: null } }

const AUTHORIZATION = `Basic ${btoa(`${SHOP.id}:${SHOP.secretKey}`)}`

/** Somebody else takes a payment with the same shop. */
async function madeByOthers(url: string) {
  const headers = { authorization: AUTHORIZATION, 'idempotence-key': 'of-others' }
  const body = JSON.stringify({
    amount: { value: '1.00', currency: 'RUB' },
    capture: true,
    payment_method_id: SAVED,
    metadata: { payment_id: '11' },
  })
  const answer = await fetch(`${url}/payments`, { method: 'POST', headers, body })
  assert.equal(answer.status, 200)
}

/** What the payer of a pending payment says. */
async function payerSays(url: string, ref: string, says: 'yes' | 'no', reason = 'card_expired') {
  const headers = {
    authorization: AUTHORIZATION,
    'content-type': 'application/json',
    'idempotence-key': `payer-${ref}`,
  }
  const body = JSON.stringify({ says, reason })
  const answer = await fetch(`${url}/payments/${ref}/answer`, { method: 'POST', headers, body })
  assert.equal(answer.status, 200)
}

test('a deposit without a saved method is pending with a page for the payer, whose word ends it', async (t) => {
  const { url: root } = await serveMock(t)
  const url = `${root}/yookassa/v3`
  const gateway = yookassa(t, url)
  for (const says of ['yes', 'no'] as const) {
    const operation = { ...REDIRECT, key: `redirect-${says}` }
    const { outcome } = await gateway.execute(operation)
    assert(outcome.kind === 'pending')
    const { gatewayRef = null, action } = outcome
    assert.equal(action?.type, 'redirect')
    assert.match(action?.url ?? '', /^https:\/\//)
    assert(gatewayRef !== null)
    const known = { ...operation, gatewayRef }
    assert.equal((await gateway.lookup(known)).outcome.kind, 'pending')
    assert.equal((await gateway.cancel?.(known))?.outcome.kind, 'pending')
    await payerSays(url, gatewayRef, says)
    const after =
      says === 'yes'
        ? { kind: 'success', gatewayRef, refunded: 0n }
        : { kind: 'declined', reason: 'card_expired', code: 'card_expired' }
    assert.deepEqual((await gateway.lookup(known)).outcome, after)
    assert.deepEqual((await gateway.lookup(operation)).outcome, after)
    // It is over: there is nothing to cancel.
    assert.deepEqual((await gateway.cancel?.(known))?.outcome, after)
  }
})

test('a charge whose reply was lost is found in the list by our key, and not made again', async (t) => {
  const { url, mock } = await serveMock(t)
  const gateway = yookassa(t, `${url}/yookassa/v3`)
  mock.setFaults({ ...FAULTS_NONE, reset_after: 1 })
  const kinds = ['charge', 'payout'] as const
  for (const kind of kinds) {
    const lost = { ...DEPOSIT, kind, key: `lost-${kind}` }
    assert.equal((await gateway.execute(lost)).outcome.kind, 'in_doubt')
  }
  mock.setFaults(FAULTS_NONE)
  // More than a page lies before it.
  for (let count = 0; count < 105; count += 1) {
    await gateway.execute({ ...DEPOSIT, paymentId: 1_000n, key: `other-${count}` })
  }
  for (const kind of kinds) {
    const lost = { ...DEPOSIT, kind, key: `lost-${kind}` }
    const { outcome } = await gateway.lookup({ ...lost, sentAt: new Date() })
    assert.equal(outcome.kind, 'success')
    const again = await gateway.execute(lost)
    assert(outcome.kind === 'success' && again.outcome.kind === 'success')
    assert.equal(again.outcome.gatewayRef, outcome.gatewayRef)
  }
  assert.equal(mock.yookassa.moved('payment_key', 'lost-charge').length, 1)
})

test('a lookup lists only what was made while the key lived, and no more than a few pages', async (t) => {
  const item = { id: 'of-another', status: 'succeeded', metadata: {} }
  const page = JSON.stringify({ type: 'list', items: [item], next_cursor: 'more' })
  const { url, requests } = await peer(t, (socket) => void socket.end(http(200, page)))
  const gateway = yookassa(t, url)
  const sentAt = new Date('2026-11-26T10:00:00Z')
  const { outcome } = await gateway.lookup({ ...DEPOSIT, sentAt })
  assert.deepEqual(outcome, { kind: 'no_answer', reason: 'list_too_long' })
  assert.equal(requests.length, 10)
  const asked = requests.map((request) => {
    const [, query = ''] = /^GET \/base\/payments\?(\S+) /.exec(request) ?? []
    return Object.fromEntries(new URLSearchParams(query))
  })
  assert.deepEqual(asked[0], {
    'created_at.gte': '2026-11-26T09:55:00.000Z',
    'created_at.lte': '2026-11-27T10:05:00.000Z',
    limit: '100',
  })
  // There is more than a page, so it goes on where ours most likely is.
  assert.deepEqual(asked.at(-1), {
    'created_at.gte': '2026-11-26T09:59:30.000Z',
    'created_at.lte': '2026-11-26T10:01:00.000Z',
    limit: '100',
    cursor: 'more',
  })
  // Of a refund only those of its payment; and each request has a connection of its own.
  const parent = { paymentId: 7n, gatewayRef: 'ref-of-payment' }
  await gateway.lookup({ ...DEPOSIT, kind: 'refund', parent, sentAt })
  assert.match(requests.at(-1) ?? '', /^GET \/base\/refunds\?\S*payment_id=ref-of-payment&/)
  for (const request of requests) assert.match(request, /^connection: close\r$/im)
})

/** A client that answers with a page of these, of which each takes four seconds. */
function slowPages(clock: ReturnType<typeof manualClock>, page: object) {
  const given: (number | undefined)[] = []
  const body = Buffer.from(JSON.stringify({ type: 'list', ...page }))
  const client: Parameters<typeof findListed>[0]['client'] = {
    async exchange({ msMax }) {
      given.push(msMax)
      clock.advance(4_000)
      const reply = { kind: 'reply', sent: true, status: 200, body } as const
      return { ...reply, headers: {}, reused: false, last: true, behind: null }
    },
    close: async () => {},
  }
  return { given, listing: { client, root: '', headers: [], clock, timeoutMs: 10_000 } }
}

test('all pages of a lookup have one deadline together', async () => {
  const clock = manualClock()
  const { given, listing } = slowPages(clock, { items: [], next_cursor: 'more' })
  const { outcome } = await findListed(listing, DEPOSIT)
  assert.deepEqual(given, [10_000, 6_000, 2_000])
  assert.deepEqual(outcome, { kind: 'no_answer', reason: 'timeout' })
  const untilMs = clock.elapsedMs() + 10_000
  assert.equal(await refundedThere(listing, DEPOSIT, 'pay-1', { untilMs }), 'timeout')
  assert.deepEqual(given.slice(3), [10_000, 6_000, 2_000])
})

test('of two objects of ours on a list what is done counts most, however old it is', async () => {
  const ours = {
    amount: { value: '200.50', currency: 'RUB' },
    metadata: { payment_id: '7', payment_key: DEPOSIT.key },
  }
  for (const [newer, older] of [
    ['canceled', 'succeeded'],
    ['canceled', 'pending'],
    ['pending', 'succeeded'],
  ] as const) {
    const items = [
      { ...ours, id: 'newer', status: newer },
      { ...ours, id: 'older', status: older },
    ]
    const { listing } = slowPages(manualClock(), { items })
    const { body } = await findListed(listing, DEPOSIT)
    assert.deepEqual([body?.shape, body?.ref], [older, 'older'])
  }
})

test('a payment is canceled under a key of its own, and asked about where that is refused', async (t) => {
  const object = {
    id: 'ref-1',
    status: 'canceled',
    amount: { value: '200.50', currency: 'RUB' },
    metadata: { payment_id: '7', payment_key: DEPOSIT.key },
    cancellation_details: { party: 'merchant', reason: 'canceled_by_merchant' },
  }
  const canceled = http(200, JSON.stringify(object))
  const answers = [canceled, http(400, '{"type":"error","code":"invalid_request"}'), canceled]
  const { url, requests } = await peer(t, (socket, _, count) => {
    socket.end(answers[count - 1] ?? http(404, '{"type":"error","code":"not_found"}'))
  })
  const gateway = yookassa(t, url)
  const known = { ...DEPOSIT, gatewayRef: 'ref-1' }
  const ended = { kind: 'declined', reason: 'canceled', code: 'canceled_by_merchant' }
  assert.deepEqual((await gateway.cancel?.(known))?.outcome, ended)
  assert.deepEqual((await gateway.cancel?.(known))?.outcome, ended)
  const refund = { ...known, kind: 'refund' } as const
  assert.deepEqual((await gateway.cancel?.(refund))?.outcome, { kind: 'not_found' })
  const lines = requests.map((request) => request.split(' HTTP/', 1)[0])
  assert.deepEqual(lines, [
    'POST /base/payments/ref-1/cancel',
    'POST /base/payments/ref-1/cancel',
    'GET /base/payments/ref-1',
    'GET /base/refunds/ref-1',
  ])
  assert.match(requests[0] ?? '', new RegExp(`^idempotence-key: cancel-${DEPOSIT.key}\r$`, 'im'))
})

test('a list that cannot be read proves nothing', async (t) => {
  const answers: readonly (readonly [string, object])[] = [
    [
      http(401, '{"type":"error","code":"invalid_credentials"}'),
      { kind: 'misconfigured', reason: 'http_401' },
    ],
    [http(500, ''), { kind: 'no_answer', reason: 'http_500' }],
    [http(200, '<html>'), { kind: 'no_answer', reason: 'unreadable_reply' }],
    [http(200, '{"items":{}}'), { kind: 'no_answer', reason: 'unreadable_reply' }],
    [http(200, '{"items":[]}'), { kind: 'not_found' }],
  ]
  const { url, requests } = await peer(t, (socket, _, count) => {
    socket.end(answers[count - 1]?.[0] ?? '')
  })
  const gateway = yookassa(t, url)
  for (const [, expected] of answers) {
    assert.deepEqual((await gateway.lookup(DEPOSIT)).outcome, expected)
  }
  assert.equal(requests.length, answers.length)
})

test('what cannot be asked is refused without a byte, and says what is missing', async (t) => {
  const { url, requests } = await peer(t, (socket) => void socket.end(http(500, '')))
  const gateway = yookassa(t, url, { payoutShop: null, returnUrl: null })
  const nothing = { ...DETAILS, paymentMethod: null }
  const refused: readonly (readonly [GatewayOperation, string, string])[] = [
    [{ ...DEPOSIT, details: nothing }, 'rejected', 'return_url_missing'],
    [
      { ...DEPOSIT, kind: 'refund', parent: { paymentId: 1n, gatewayRef: null } },
      'rejected',
      'parent_ref_missing',
    ],
    [{ ...DEPOSIT, kind: 'payout' }, 'misconfigured', 'payouts_not_configured'],
  ]
  for (const [operation, kind, reason] of refused) {
    const outcome = { kind, reason }
    assert.deepEqual(await gateway.execute(operation), { outcome, sent: false, httpStatus: null })
  }
  const full = yookassa(t, url)
  const { outcome } = await full.execute({ ...DEPOSIT, kind: 'payout', details: nothing })
  assert.deepEqual(outcome, { kind: 'rejected', reason: 'payment_method_missing' })
  assert.equal(requests.length, 0)
})

test('202 and 500 are in doubt, and what YooKassa asks to wait is told within bounds', async (t) => {
  const answers = [
    http(202, '{"type":"processing","retry_after":1800}'),
    http(500, '{"type":"error","code":"internal_server_error"}', 'retry-after: 60\r\n'),
    http(429, '{"type":"error","code":"too_many_requests"}', 'retry-after: 999999\r\n'),
    http(400, '{"type":"error","code":"invalid_request","parameter":"Idempotence-Key"}'),
    http(403, '{"type":"error","code":"forbidden"}'),
    http(404, '{"type":"error","code":"not_found"}'),
  ]
  const { url } = await peer(t, (socket, _, count) => void socket.end(answers[count - 1] ?? ''))
  const gateway = yookassa(t, url)
  const outcomes = []
  for (const _ of answers) outcomes.push((await gateway.execute(DEPOSIT)).outcome)
  assert.deepEqual(outcomes, [
    { kind: 'in_doubt', reason: 'processing', retryAfterMs: 1_800 },
    { kind: 'in_doubt', reason: 'http_500', retryAfterMs: 60_000 },
    { kind: 'not_executed', reason: 'too_many_requests', retryAfterMs: 300_000 },
    { kind: 'in_doubt', reason: 'key_used' },
    { kind: 'misconfigured', reason: 'forbidden' },
    { kind: 'rejected', reason: 'not_found' },
  ])
})

test('an object of a test shop is no success where the key is of a real one', async (t) => {
  const object = {
    id: 'ref-1',
    status: 'succeeded',
    amount: { value: '200.50', currency: 'RUB' },
    metadata: { payment_id: '7', payment_key: DEPOSIT.key },
    test: true,
  }
  const body = JSON.stringify(object)
  const page = JSON.stringify({ type: 'list', items: [object] })
  const { url } = await peer(t, (socket, request) => {
    socket.end(http(200, request.includes('?') ? page : body))
  })
  const live = yookassa(t, url, { shop: { id: '1', secretKey: 'live_key' } })
  const wrong = { kind: 'misconfigured', reason: 'test_shop' }
  assert.deepEqual((await live.execute(DEPOSIT)).outcome, wrong)
  assert.deepEqual((await live.lookup({ ...DEPOSIT, gatewayRef: 'ref-1' })).outcome, wrong)
  assert.deepEqual((await live.lookup(DEPOSIT)).outcome, wrong)
  const found = await yookassa(t, url).lookup({ ...DEPOSIT, gatewayRef: 'ref-1' })
  assert.deepEqual(found.outcome, { kind: 'success', gatewayRef: 'ref-1' })
  // Another object than was asked for says nothing of it.
  const other = await yookassa(t, url).lookup({ ...DEPOSIT, gatewayRef: 'ref-2' })
  assert.deepEqual(other.outcome, { kind: 'no_answer', reason: 'reply_mismatch' })
})

test('the whole list of a shop has what was executed for us, page after page', async (t) => {
  const { url: root, mock } = await serveMock(t)
  const url = `${root}/yookassa/v3`
  const gateway = yookassa(t, url)
  const first = await gateway.execute(DEPOSIT)
  assert(first.outcome.kind === 'success')
  const { gatewayRef } = first.outcome
  const parent = { paymentId: 7n, gatewayRef }
  await gateway.execute({
    ...DEPOSIT,
    kind: 'refund',
    amount: 50n,
    key: 'r',
    paymentId: 8n,
    parent,
  })
  await gateway.execute({ ...DEPOSIT, kind: 'payout', amount: 100n, key: 'p', paymentId: 9n })
  for (let count = 0; count < 101; count += 1) {
    await gateway.execute({ ...DEPOSIT, paymentId: BigInt(1_000 + count), key: `k-${count}` })
  }
  mock.setFaults({ ...FAULTS_NONE, decline: 1 })
  await gateway.execute({ ...DEPOSIT, paymentId: 10n, key: 'declined' })
  mock.setFaults(FAULTS_NONE)
  await madeByOthers(url)
  const list = yookassaCharges({ url, shop: SHOP, payoutShop: PAYOUT_SHOP })
  const charges = await listed(list)
  assert.equal(charges.length, 104)
  const ours = charges.filter(({ paymentId }) => paymentId < 1_000n)
  // Each has the name that the shop gave it, which is another each time.
  assert.equal(ours[0]?.ref, gatewayRef)
  const told = ours.map(({ paymentId, key, amount, currency, type }) => ({
    paymentId,
    key,
    amount,
    currency,
    type,
  }))
  assert.deepEqual(told, [
    { paymentId: 7n, key: DEPOSIT.key, amount: '200.50', currency: 'RUB', type: 'deposit' },
    { paymentId: 8n, key: 'r', amount: '0.50', currency: 'RUB', type: 'refund' },
    { paymentId: 9n, key: 'p', amount: '1.00', currency: 'RUB', type: 'withdraw' },
  ])
  const wrong = yookassaCharges({ url, shop: { id: '1', secretKey: 'wrong' }, payoutShop: null })
  await assert.rejects(wrong(0), GatewayUnreadable)
})

test('production refuses the keys of test shops, and payout credentials are both there or none', () => {
  const live = {
    shopId: 1,
    secretKey: 'live_a',
    payoutShopId: 2,
    payoutSecretKey: 'live_b',
    returnUrl: 'https://shop.example/back',
    currencies: ['RUB'],
    pendingMsMax: 1,
    watchMs: [],
    url: 'https://api.yookassa.ru/v3',
  }
  const broken = (change: Partial<typeof live> | { payoutSecretKey: null }) =>
    DRIVER_RULES.yookassa
      .filter((rule) => rule.broken({ ...live, ...change }))
      .map(({ field, always = false }) => [field, always])
  assert.deepEqual(broken({}), [])
  assert.deepEqual(broken({ secretKey: 'test_a' }), [['secretKey', false]])
  assert.deepEqual(broken({ payoutSecretKey: 'test_b' }), [['payoutSecretKey', false]])
  assert.deepEqual(broken({ payoutSecretKey: null }), [['payoutShopId', true]])
  assert.deepEqual(broken({ returnUrl: 'http://shop.example' }), [['returnUrl', false]])
  assert.deepEqual(broken({ url: 'http://api.yookassa.ru/v3' }), [['url', false]])
})

test('production refuses the keys of a test shop, and everybody else takes them', () => {
  const chosen = {
    GATEWAYS: 'yookassa',
    GATEWAY_YOOKASSA_SHOP_ID: '1',
    GATEWAY_YOOKASSA_SECRET_KEY: 'test_a',
  }
  assert.deepEqual(problemsOf(chosen), [])
  const problems = problemsOf({ ...chosen, APP_ENV: 'production' })
  assert.match(problems.join('\n'), /^GATEWAY_YOOKASSA_SECRET_KEY must not be the key of a test/m)
})
