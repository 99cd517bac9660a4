import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CHANCES, type Fault } from '../src/mock-gateway/faults.ts'
import { FAULTS_NONE, serveMock, type MockServer } from './mock-server.ts'

const DEPOSIT = { payment_id: 1, user_id: 2, amount: 200.5, commission: 4.01, type: 'deposit' }
const PAYOUT = { payment_id: 3, user_id: 2, amount: 40, commission: 1, type: 'withdraw' }
const REFUND = { payment_id: 2, user_id: 2, amount: 50, type: 'refund', parent_id: 1 }

async function send(method: string, url: string, body?: unknown, key?: string) {
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  }
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(url, { method, headers, ...sent })
  const text = await response.text()
  // Whatever the routes answer is compared field by field.
  return { status: response.status, json: JSON.parse(text) as Record<string, unknown> }
}

const pay = ({ url }: MockServer, body: object = DEPOSIT, key = 'k1') =>
  send('POST', `${url}/pay`, body, key)
const refund = ({ url }: MockServer, body: object = REFUND, key = 'r1') =>
  send('POST', `${url}/refund`, body, key)
const comeBack = ({ url }: MockServer, body: object) => send('POST', `${url}/returns`, body)

test('a refund is executed once per key, and listed with what it gives back', async (t) => {
  const server = await serveMock(t)
  await pay(server)
  const first = await refund(server)
  assert.equal(first.status, 200)
  assert.equal(first.json['status'], 'success')
  assert.deepEqual(await refund(server), first)
  assert.equal(
    (await refund(server, { ...REFUND, amount: 51 })).json['code'],
    'idempotency_key_reuse',
  )
  assert.deepEqual((await send('GET', `${server.url}/refunds/r1`)).json, first.json)
  assert.equal((await send('GET', `${server.url}/refunds/none`)).json['code'], 'not_found')

  const { json } = await send('GET', `${server.url}/charges`)
  const rows = json['data'] as Record<string, unknown>[]
  assert.deepEqual(
    rows.map(({ payment_id: id, type, amount, parent_id: parent }) => [id, type, amount, parent]),
    [
      [1, 'deposit', 200.5, undefined],
      [2, 'refund', 50, 1],
    ],
  )
  assert.equal(server.mock.audit().executedAmounts.get(null), 20_050n)
})

test('partial refunds give back no more than was charged, and only of deposits', async (t) => {
  const server = await serveMock(t)
  await pay(server)
  await pay(server, PAYOUT, 'k3')
  assert.equal((await refund(server, { ...REFUND, amount: 200 })).status, 200)
  const more = await refund(server, { ...REFUND, payment_id: 4, amount: 0.51 }, 'r2')
  assert.deepEqual([more.status, more.json['status']], [402, 'failed'])
  assert.equal((await refund(server, { ...REFUND, payment_id: 5, amount: 0.5 }, 'r3')).status, 200)
  for (const parent_id of [3, 99]) {
    const { status, json } = await refund(server, { ...REFUND, payment_id: 6, parent_id }, 'r4')
    assert.deepEqual([status, json['status'], json['code']], [422, 'rejected', 'unknown_charge'])
  }
})

const EXECUTES = new Set<Fault>([
  'timeout_after',
  'late_execute',
  'error_after',
  'reset_after',
  'truncated',
  'wrong_body',
  'wrong_amount',
  'slow_drip',
  'pending',
  // A refund has no payer to ask.
  'asks_payer',
])

for (const fault of Object.keys(CHANCES) as Fault[]) {
  test(`a refund under ${fault} is executed at most once, like a charge`, async (t) => {
    const server = await serveMock(t)
    await pay(server)
    server.mock.setFaults({ [fault]: 1, timeout_ms: 5, late_ms: 1 })
    // Whatever is seen of it: a reset is an error of fetch, a page is no JSON.
    for (let times = 0; times < 3; times++) await refund(server).catch(() => undefined)
    server.mock.setFaults(FAULTS_NONE)
    for (;;) {
      const { status, json } = await refund(server)
      if (json['code'] === 'in_progress') continue
      assert.equal(status, fault === 'decline' ? 402 : 200)
      break
    }
    assert.equal(server.mock.audit().executed, fault === 'decline' ? 1 : 2)
    const given = server.mock.requests(1, 0)[0]
    assert.equal(given?.act, EXECUTES.has(fault) || fault === 'decline' ? 'replayed' : 'executed')
  })
}

test('a payment comes back up to what there is of it, and its lookup tells', async (t) => {
  const server = await serveMock(t)
  await pay(server)
  await pay(server, PAYOUT, 'k3')
  await refund(server)
  const { status, json } = await comeBack(server, {
    payment_id: 1,
    kind: 'charged_back',
    amount: 100,
  })
  assert.equal(status, 200)
  const { at, ...row } = json
  assert.equal(typeof at, 'string')
  assert.deepEqual(row, {
    payment_id: 1,
    gateway_ref: 'rt_00000001',
    kind: 'charged_back',
    amount: 100,
  })
  const rest = await comeBack(server, { payment_id: 1, kind: 'refunded_there' })
  assert.equal(rest.json['amount'], 100.5)
  const won = await comeBack(server, { payment_id: 1, kind: 'dispute_won', amount: 200.5 })
  assert.equal(won.status, 200)
  assert.equal((await comeBack(server, { payment_id: 3, kind: 'payout_returned' })).status, 200)

  const refused = [
    { payment_id: 1, kind: 'dispute_won' },
    { payment_id: 1, kind: 'payout_returned' },
    { payment_id: 3, kind: 'charged_back' },
    { payment_id: 3, kind: 'payout_returned', amount: 0.01 },
    { payment_id: 9, kind: 'charged_back' },
    // It may be about to be charged in a currency of three decimals.
    { payment_id: 9, kind: 'charged_back', amount: 0.005 },
  ]
  for (const body of refused) {
    const answer = await comeBack(server, body)
    assert.deepEqual([answer.status, answer.json['code']], [409, 'not_returnable'])
  }
  const found = await send('GET', `${server.url}/payments/k1`)
  assert.equal(found.json['refunded'], 50)
  const returns = found.json['returns'] as Record<string, unknown>[]
  assert.deepEqual(
    returns.map(({ gateway_ref: ref, kind, amount }) => [ref, kind, amount]),
    [
      ['rt_00000001', 'charged_back', 100],
      ['rt_00000002', 'refunded_there', 100.5],
      ['rt_00000003', 'dispute_won', 200.5],
    ],
  )
  const page = await send('GET', `${server.url}/returns?after=1&limit=2`)
  assert.equal((page.json['data'] as unknown[]).length, 2)
  assert.equal(page.json['next_after'], 3)
  assert.deepEqual(
    server.mock.requests(4, 0).map(({ type, act }) => `${type} ${act}`),
    Array.from({ length: 4 }, () => 'return returned'),
  )
})

test('amounts of a currency have its decimals, on every page', async (t) => {
  const server = await serveMock(t)
  const yen = { ...DEPOSIT, amount: 1_500, commission: 30, currency: 'JPY' }
  assert.deepEqual((await pay(server, yen)).json['amount'], 1_500)
  const dinar = { ...DEPOSIT, payment_id: 7, amount: 1.234, commission: 0, currency: 'KWD' }
  assert.equal((await pay(server, dinar, 'k7')).json['amount'], 1.234)
  for (const [body, code] of [
    [{ ...yen, amount: 1.5 }, 'amount_precision'],
    [{ ...yen, currency: 'ZZZ' }, 'currency_unknown'],
    [{ ...DEPOSIT, amount: 1.234 }, 'amount_precision'],
  ] as const) {
    const { status, json } = await pay(server, body, 'k8')
    assert.deepEqual([status, json['status'], json['code']], [422, 'rejected', code])
  }
  const back = { ...REFUND, amount: 500, currency: 'JPY' }
  assert.equal((await refund(server, back)).json['amount'], 500)
  assert.equal(
    (await refund(server, { ...back, amount: 0.5 }, 'r2')).json['code'],
    'amount_precision',
  )
  const { json } = await comeBack(server, { payment_id: 7, kind: 'charged_back', amount: 0.234 })
  assert.equal(json['amount'], 0.234)
  const { json: journal } = await send('GET', `${server.url}/journal?limit=1`)
  assert.equal((journal['data'] as { amount: number }[])[0]?.amount, 0.234)
  await pay(server, { ...yen, payment_id: 8 }, 'k9')
  await pay(server, { ...PAYOUT, payment_id: 9 }, 'k10')
  const audit = await send('GET', `${server.url}/audit`)
  assert.equal(audit.json['executed_amount'], '40.00')
  // A refund gives back what was counted when it was charged.
  assert.deepEqual(audit.json['executed_amounts'], { JPY: '3000', KWD: '1.234' })
})

test('refunds, returns and currencies survive a restart', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'journal.jsonl')
  const first = await serveMock(t, {}, path)
  await pay(first, { ...DEPOSIT, amount: 1_500, commission: 30, currency: 'JPY' })
  await refund(first, { ...REFUND, amount: 500, currency: 'JPY' })
  await comeBack(first, { payment_id: 1, kind: 'charged_back', amount: 400 })
  const before = await send('GET', `${first.url}/payments/k1`)
  await first.close()

  const second = await serveMock(t, {}, path)
  assert.deepEqual(await send('GET', `${second.url}/payments/k1`), before)
  assert.equal((await refund(second, { ...REFUND, amount: 500, currency: 'JPY' })).status, 200)
  assert.equal(second.mock.audit().executed, 2)
  assert.deepEqual([...second.mock.audit().executedAmounts], [['JPY', 1_500n]])
  const more = { ...REFUND, payment_id: 4, amount: 601, currency: 'JPY' }
  assert.equal((await refund(second, more, 'r2')).status, 402)
})
