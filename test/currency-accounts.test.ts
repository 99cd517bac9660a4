import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../src/adapters/clock.ts'
import { EXPONENTS, type Exponent } from '../src/domain/currency.ts'
import { AMOUNTS_MAX, formatMoney, shortestMoney } from '../src/domain/money.ts'
import { httpCharges } from '../src/gateways/http-charges.ts'
import { openUsers } from '../src/users/open.ts'
import { verify } from '../src/verify/verify.ts'
import { query } from './databases.ts'
import { openDb, openedId, testWorld } from './harness.ts'
import { openLetter } from './operators.ts'
import { serve, type Served } from './serve.ts'
import { violated } from './verify-history.ts'

const CODES: Readonly<Record<Exponent, string>> = { 0: 'JPY', 2: 'USD', 3: 'KWD', 4: 'CLF' }
const API_ONLY = { roles: { api: true, worker: false, mockGateway: false } }

async function rulesBroken(
  t: TestContext,
  { database, url }: Served,
  books: string,
  gateway = false,
) {
  const db = { ...openDb(t, database), currency: books }
  const world = { db, clock: systemClock }
  const list = httpCharges(`${url}/api/v1/mock-gateway`)
  return violated(await verify(world, gateway ? { gateways: [{ gateway: 'http', list }] } : {}))
}

/** Open an account in each currency with half of what it can hold. */
async function openAccounts({ call }: Served): Promise<Map<Exponent, number>> {
  const accounts = new Map<Exponent, number>()
  for (const exponent of EXPONENTS) {
    const balance = formatMoney(AMOUNTS_MAX[exponent], exponent)
    const { status, body } = await call('POST', '/users', { balance, currency: CODES[exponent] })
    assert.deepEqual([status, body['currency']], [201, CODES[exponent]])
    accounts.set(exponent, Number(body['id']))
  }
  return accounts
}

test('every amount of every exponent and precision is held to the minor unit, or refused', async (t) => {
  const service = await serve(t, { TRANSACTION_FEE: '0' }, API_ONLY)
  const { call, database } = service
  const accounts = await openAccounts(service)
  const amounts = fc.record({
    exponent: fc.constantFrom(...EXPONENTS),
    scale: fc.constantFrom(...EXPONENTS),
    unscaled: fc.oneof(
      fc.bigInt({ min: 0n, max: 99_999n }),
      fc.bigInt({ min: 0n, max: 10n ** 11n }),
    ),
    named: fc.boolean(),
    spends: fc.boolean(),
  })
  const asked = fc.sample(amounts, { seed: 20_260_102, numRuns: 900 })
  const payments = asked.map(({ exponent, scale, unscaled, named, spends }) => ({
    type: spends && unscaled < 100_000n ? 'withdraw' : 'deposit',
    user_id: accounts.get(exponent),
    amount: formatMoney(unscaled, scale),
    ...(named ? { currency: CODES[exponent] } : {}),
  }))
  const { text } = await call('POST', '/payments/batch', { payments })
  const { results } = JSON.parse(text) as {
    results: { status: number; payment?: { payment_id: number }; problem?: { code: string } }[]
  }
  const expected: [id: number, minor: bigint, currency: string | null][] = []
  asked.forEach(({ exponent, scale, unscaled }, index) => {
    const scaled = unscaled * 10n ** BigInt(exponent)
    const minor = scaled / 10n ** BigInt(scale)
    const { status, payment, problem } = results[index] ?? { status: 0 }
    const what = JSON.stringify(payments[index])
    if (minor * 10n ** BigInt(scale) !== scaled)
      assert.equal(problem?.code, 'amount_precision', what)
    else if (minor < 1n || minor > AMOUNTS_MAX[exponent])
      assert.equal(problem?.code, 'amount_range', what)
    else {
      assert.equal(status, 202, what)
      const currency = exponent === 2 ? null : CODES[exponent]
      expected.push([payment?.payment_id ?? 0, minor, currency])
      const shown = `"payment_id":${payment?.payment_id},"user_id":${accounts.get(exponent)}`
      assert.ok(text.includes(shown), what)
      assert.ok(text.includes(`"status":"processing","amount":${shortestMoney(minor, exponent)}}`))
    }
  })
  assert.ok(expected.length > 200 && expected.length < 800, `${expected.length}`)
  const rows = await query<{ id: string; amount: string; currency: string | null }>(
    database,
    'select id, amount, currency from payments order by id',
  )
  const stored = rows.map(({ id, amount, currency }) => [Number(id), BigInt(amount), currency])
  assert.deepEqual(
    stored,
    expected.toSorted(([one], [other]) => one - other),
  )
  const wrong = await query(
    database,
    `select p.id from payments p left join postings on postings.payment_id = p.id
     where type = 'withdraw' and (user_held is distinct from p.amount)`,
  )
  assert.deepEqual(wrong, [])
  assert.deepEqual(await rulesBroken(t, service, 'USD'), [])
})

/** Carry out a deposit, and show it as it is then. */
async function deposited({ call }: Served, user: number, deposit: string) {
  const { body } = await call('POST', '/payments/deposit', { user_id: user, deposit })
  const { text } = await call('GET', `/payments/${String(body['payment_id'])}?wait=20`)
  return text
}

for (const books of ['USD', 'JPY', 'KWD']) {
  test(`accounts in three currencies are charged, shown, refunded and summed by theirs, with books in ${books}`, async (t) => {
    const service = await serve(t, { CURRENCY: books, TRANSACTION_FEE: '2' })
    const { call } = service
    for (const when of ['before', 'after']) {
      await call('PUT', '/mock-gateway/faults', { [`timeout_${when}`]: 0, [`error_${when}`]: 0 })
    }
    const open = async (currency: string) =>
      Number((await call('POST', '/users', { balance: 0, currency })).body['id'])
    const [usd, jpy, kwd] = [await open('USD'), await open('JPY'), await open('KWD')]
    const own = await call('POST', '/users', { balance: 0 })
    assert.equal(own.text, '{"id":4,"balance":0}')
    assert.match((await call('GET', '/users/4')).text, new RegExp(`"currency":"${books}"`))

    const success = (amount: string, commission: string, currency: string) =>
      new RegExp(
        `"amount":${amount},"commission":${commission},"status":"success",.*"currency":"${currency}"`,
      )
    assert.match(await deposited(service, usd, '10.50'), success('10.5', '0.21', 'USD'))
    assert.match(await deposited(service, jpy, '1500'), success('1500', '30', 'JPY'))
    assert.match(await deposited(service, kwd, '10.125'), success('10.125', '0.203', 'KWD'))
    const { text: journal } = await call('GET', '/mock-gateway/journal')
    for (const amount of ['10.5', '1500', '10.125']) {
      assert.ok(journal.includes(`"amount":${amount},"type":"deposit","act":"executed"`), amount)
    }

    const refund = await call('POST', '/payments/3/refunds', { amount: '10.125', reason: 'all' })
    assert.match(refund.text, /"code":"insufficient_funds",.*"required":10.125/)
    const part = await call('POST', '/payments/3/refunds', { amount: '0.125', reason: 'a part' })
    assert.match(part.text, /"refund":0.125\}$/)
    const id = Number(part.body['payment_id'])
    const done = await call('GET', `/payments/${id}?wait=20`)
    assert.match(done.text, /"amount":0.125,.*"status":"success",.*"currency":"KWD"/)
    assert.match((await call('GET', '/payments/3')).text, /"refunded":0.125,/)
    assert.match((await call('GET', `/users/${kwd}`)).text, /"balance":9.797,/)
    assert.match((await call('GET', `/users/${jpy}/transactions`)).text, /"balance":1470,/)
    assert.match((await call('GET', '/payments/2/timeline')).text, /"balance":1470,/)

    const ledger = await call('GET', '/ledger')
    assert.equal(ledger.body['currency'], books)
    for (const fees of ['0.21', '30', '0.203']) assert.ok(ledger.text.includes(`"fees":${fees},`))
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    for (const currency of [books]) {
      assert.match(metrics, new RegExp(`payments_held_amount_minor\\{currency="${currency}"\\} 0`))
    }
    assert.deepEqual(await rulesBroken(t, service, books, true), [])
  })
}

test('an account is opened in a currency that there is, with a balance that it can hold', async (t) => {
  const { call } = await serve(t, {}, API_ONLY)
  const open = async (balance: string, currency: string) =>
    (await call('POST', '/users', { balance, currency })).body['code']
  assert.equal(await open('1', 'XXX'), 'currency_unknown')
  assert.equal(await open('1', 'usd'), 'body_invalid')
  assert.equal(await open('1.5', 'JPY'), 'amount_precision')
  assert.equal(await open('1.0005', 'KWD'), 'amount_precision')
  assert.equal(await open('10000000000', 'JPY'), 'balance_range')
  assert.equal(await open('9999999999.999', 'KWD'), undefined)
})

test('what no user of the books’ currency could pay is refused as that, whoever it is for', async (t) => {
  const { call } = await serve(t, {}, API_ONLY)
  const code = async (body: object) => (await call('POST', '/payments/deposit', body)).body['code']
  assert.equal(await code({ user_id: 77, deposit: '1.001' }), 'amount_precision')
  assert.equal(await code({ user_id: 77, deposit: '1.001', currency: 'KWD' }), 'user_not_found')
})

test('what comes back and what is redriven is read, booked and refused in the decimals of its account', async (t) => {
  const world = await testWorld(t)
  const [opened] = await openUsers(world.db, [{ balance: 1_000n, currency: 'JPY' }])
  assert.ok(opened !== undefined)
  const userId = openedId(opened)
  const yen = { userId, idempotencyKey: null } as const
  const [deposit, payout] = await world.accept([
    { ...yen, type: 'deposit', amount: 50_000n },
    { ...yen, type: 'withdraw', amount: 60_000n },
  ])
  assert.ok(deposit?.kind === 'accepted' && payout?.kind === 'accepted')
  world.gateway.script = ['success', 'declined']
  await world.work()
  const { call } = await serve(t, {}, { ...API_ONLY, database: world.url })
  const reason = 'seen'
  const path = `/payments/${deposit.payment.id}/returns`
  const back = { kind: 'charged_back', gateway_ref: 'rt_1', reason }
  const half = await call('POST', path, { ...back, amount: '0.5' })
  assert.equal(half.body['code'], 'amount_precision')
  const returned = await call('POST', path, { ...back, amount: 100 })
  const shown = await call('GET', `/payments/${String(returned.body['payment_id'])}`)
  assert.deepEqual([shown.body['amount'], shown.body['currency']], [100, 'JPY'])
  assert.equal((await call('GET', `/users/${userId}`)).body['balance'], 1_390)
  const timeline = await call('GET', `/payments/${deposit.payment.id}/timeline`)
  assert.match(timeline.text, /"event":"return",.*"amount":"100"/)

  // It costs 612, and 190 are left.
  await call('POST', '/payments/withdraw', { user_id: Number(userId), amount: 1_176 })
  const letterId = await openLetter(world, payout.payment.id)
  const poor = await call('POST', `/dlq/${letterId}/redrive`, { reason })
  assert.deepEqual([poor.body['code'], poor.body['required']], ['insufficient_funds', 612])
})

test('each currency has the floor that is set for it, and none where none is', async (t) => {
  const env = { TRANSACTION_FEE_MIN: 'USD:0.30,JPY:40', REFUND_FEE: 'return' }
  const service = await serve(t, env)
  const { call } = service
  for (const when of ['before', 'after']) {
    await call('PUT', '/mock-gateway/faults', { [`timeout_${when}`]: 0, [`error_${when}`]: 0 })
  }
  const open = async (currency: string) =>
    Number((await call('POST', '/users', { balance: 0, currency })).body['id'])
  const [usd, jpy, kwd] = [await open('USD'), await open('JPY'), await open('KWD')]
  const commission = (fee: string) => new RegExp(`"commission":${fee},"status":"success"`)
  for (const [user, amount, fee] of [
    [usd, '10', '0.3'],
    [usd, '100', '2'],
    [jpy, '1500', '40'],
    [jpy, '10000', '200'],
    // Two percent of a fils are none.
    [kwd, '0.001', '0'],
    [kwd, '10.125', '0.203'],
  ] as const) {
    assert.match(await deposited(service, user, amount), commission(fee))
  }
  // No deposit may be eaten by its commission.
  for (const [user, below, least] of [
    [usd, '0.30', '0.31'],
    [jpy, '40', '41'],
  ] as const) {
    const none = await call('POST', '/payments/deposit', { user_id: user, deposit: below })
    assert.equal(none.body['code'], 'amount_below_commission')
    const shown = await deposited(service, user, least)
    assert.match(shown, commission(user === usd ? '0.3' : '40'))
  }
  // A refund returns its part of the floor, in whole yen: 700 of 1500 are 18.67 of 40.
  const part = await call('POST', '/payments/3/refunds', { amount: 700, reason: 'a part' })
  const id = Number(part.body['payment_id'])
  assert.match((await call('GET', `/payments/${id}?wait=20`)).text, /"status":"success"/)
  const ledger = await call('GET', '/ledger')
  assert.ok(ledger.text.includes(`"fees":${40 + 200 + 40 - 18},`), ledger.text)
  assert.deepEqual(await rulesBroken(t, service, 'USD', true), [])
})
