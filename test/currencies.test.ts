import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { Answer, PaymentDraft } from '../src/domain/acceptance.ts'
import { decideBatch } from '../src/domain/acceptance.ts'
import { EXPONENTS } from '../src/domain/currency.ts'
import { feeIn } from '../src/domain/fee.ts'
import { AMOUNTS_MAX, formatMoney, parseDecimal } from '../src/domain/money.ts'
import { detailOf, REFUSALS } from '../src/domain/refusal.ts'
import { acceptor } from '../src/payments/accept.ts'
import { isRefusal, readDraft, respond } from '../src/payments/api.ts'
import { writeJson } from '../src/domain/exact-json.ts'
import { testWorld } from './harness.ts'
import { verifyWorld, violated } from './verify-history.ts'

const FEES = {
  bps: 200,
  mins: new Map([
    ['USD', 30n],
    ['JPY', 40n],
    ['KWD', 150n],
  ]),
}

/** Users in USD, JPY and KWD, and what accepts their payments with a commission of 2 %. */
async function accounts(t: TestContext) {
  const world = await testWorld(t)
  const [usd, jpy, kwd] = [
    await world.user(100_000n),
    await world.user(100_000n),
    await world.user(100_000n),
  ]
  await world.sql(`update users set currency = 'JPY' where id = ${jpy}`)
  await world.sql(`update users set currency = 'KWD' where id = ${kwd}`)
  const accept = acceptor({ shard: world.db.of(1n), currency: 'USD', fees: FEES })
  const ask = async (
    userId: bigint,
    amount: string,
    more: { currency?: string; key?: string; type?: PaymentDraft['type'] } = {},
  ): Promise<Answer> => {
    const { currency, key = null, type = 'deposit' } = more
    const fields = { type, userId: Number(userId), amount, currency }
    const draft = readDraft(fields, { ok: true, key }, 2)
    if (isRefusal(draft)) return { kind: 'refused', refusal: draft, replayed: false }
    const [answer] = await accept([draft])
    if (answer === undefined) throw new Error('no answer')
    return answer
  }
  return { world, accept, ask, usd, jpy, kwd }
}

const codeOf = (answer: Answer) => (answer.kind === 'refused' ? answer.refusal.code : 'accepted')
const bodyOf = (answer: Answer) => writeJson(respond(answer, 'r', (field) => field).body)

test('an amount is one of its account’s currency, commission and floor included', async (t) => {
  const { world, ask, usd, jpy, kwd } = await accounts(t)
  assert.match(bodyOf(await ask(usd, '100')), /"deposit":100\}/)
  assert.match(bodyOf(await ask(jpy, '1000')), /"deposit":1000\}/)
  assert.match(bodyOf(await ask(kwd, '10.125', { currency: 'KWD' })), /"deposit":10.125\}/)
  const rows = await world.sql('select amount, commission, currency from payments order by id')
  assert.deepEqual(rows, [
    { amount: 10_000n, commission: 200n, currency: null },
    { amount: 1_000n, commission: 40n, currency: 'JPY' },
    { amount: 10_125n, commission: 203n, currency: 'KWD' },
  ])
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('what an account’s currency cannot hold is refused and never rounded', async (t) => {
  const { ask, usd, jpy, kwd } = await accounts(t)
  assert.equal(codeOf(await ask(jpy, '10.5')), 'amount_precision')
  assert.equal(codeOf(await ask(kwd, '1.0001', { currency: 'KWD' })), 'amount_precision')
  assert.equal(codeOf(await ask(usd, '1.001', { currency: 'USD' })), 'amount_precision')
  assert.equal(codeOf(await ask(jpy, '0.01')), 'amount_precision')
  assert.equal(codeOf(await ask(jpy, '10000000000', { currency: 'JPY' })), 'amount_range')
  assert.equal(codeOf(await ask(jpy, '9999999999', { currency: 'JPY' })), 'accepted')
})

test('the refusal of an amount says the bounds and decimals of its currency', async (t) => {
  const { ask, usd, jpy, kwd } = await accounts(t)
  const told = async (...asked: Parameters<typeof ask>) => {
    const { detail } = JSON.parse(bodyOf(await ask(...asked))) as { detail: string }
    return detail
  }
  const range = (min: string, max: string) => `An amount is at least ${min} and at most ${max}.`
  const [usdRange, jpyRange] = [range('0.01', '9999999999.99'), range('1', '9999999999')]
  assert.equal(await told(usd, '0'), usdRange)
  assert.equal(await told(jpy, '0', { currency: 'JPY' }), jpyRange)
  assert.equal(await told(jpy, '-1', { currency: 'JPY' }), jpyRange)
  assert.equal(await told(kwd, '0', { currency: 'KWD' }), range('0.001', '9999999999.999'))
  const decimals = 'An amount in this currency has no decimals; it is never rounded.'
  assert.equal(await told(jpy, '10.5'), decimals)
  assert.match(await told(kwd, '1.0001', { currency: 'KWD' }), /at most 3 decimals/)
})

test('the texts of refusals in two decimals are those of the table', () => {
  for (const code of ['amount_range', 'balance_range', 'amount_precision'] as const) {
    assert.equal(detailOf({ code, exponent: 2 }), REFUSALS[code][1])
    assert.equal(detailOf({ code }), REFUSALS[code][1])
  }
  const yen = detailOf({ code: 'balance_range', exponent: 0 })
  assert.equal(yen, 'An opening balance is at least 0 and at most 9999999999.')
})

test('a payment that names another currency than the account’s is refused', async (t) => {
  const { ask, usd, jpy } = await accounts(t)
  for (const [user, currency] of [
    [usd, 'JPY'],
    [jpy, 'USD'],
    [usd, 'XXX'],
  ] as const) {
    const answer = await ask(user, '10', { currency })
    assert.equal(codeOf(answer), 'currency_mismatch')
    assert.match(bodyOf(answer), /"pointer":"\/asked","code":"differs"/)
  }
  assert.equal(codeOf(await ask(999n, '10', { currency: 'JPY' })), 'user_not_found')
})

test('precision comes after existence and before the key', async (t) => {
  const { ask, jpy } = await accounts(t)
  assert.equal(codeOf(await ask(jpy, '100', { key: 'a' })), 'accepted')
  assert.equal(codeOf(await ask(jpy, '100.5', { key: 'a' })), 'amount_precision')
  assert.equal(codeOf(await ask(999n, '100.5', { key: 'a' })), 'user_not_found')
  assert.equal(codeOf(await ask(jpy, '101', { key: 'a' })), 'idempotency_key_reuse')
  const again = await ask(jpy, '100.00', { key: 'a', currency: 'JPY' })
  assert.deepEqual([codeOf(again), again.replayed], ['accepted', true])
  assert.match(bodyOf(again), /"deposit":100\}/)
})

test('a refusal for lack of funds says what it would have cost in the account’s currency', async (t) => {
  const { ask, jpy, kwd } = await accounts(t)
  for (const [user, required] of [
    [jpy, '204000'],
    [kwd, '204000'],
  ] as const) {
    const first = await ask(user, '200000', { type: 'withdraw', key: 'w' })
    assert.match(bodyOf(first), new RegExp(`"required":${required}[,}]`))
    assert.equal(bodyOf(await ask(user, '200000', { type: 'withdraw', key: 'w' })), bodyOf(first))
  }
})

test('an account in another currency changes nothing for the others of its batch', async (t) => {
  const { accept, usd, jpy } = await accounts(t)
  const draft = { type: 'deposit', userId: usd, amount: 1_050n, idempotencyKey: null } as const
  const [one, other] = await accept([draft, { ...draft, userId: jpy, amount: 5_000n }])
  assert.ok(one?.kind === 'accepted' && other?.kind === 'accepted')
  assert.deepEqual([one.payment.amount, one.payment.currency], [1_050n, null])
  assert.deepEqual([other.payment.amount, other.payment.currency], [50n, 'JPY'])
})

test('every amount of every exponent is accepted as its minor units, or refused', () => {
  const exponents = fc.constantFrom(...EXPONENTS)
  const amounts = fc.bigInt({ min: 0n, max: 10n ** 15n })
  fc.assert(
    fc.property(exponents, exponents, amounts, (exponent, scale, minor) => {
      const read = parseDecimal(formatMoney(minor, scale))
      assert.ok(read.ok)
      const asked = { amount: read.decimal, currency: null }
      const draft = {
        type: 'deposit',
        userId: 1n,
        amount: 0n,
        idempotencyKey: null,
        asked,
      } as const
      const terms = { currency: 'AAA', exponent, fee: { bps: 0, min: 0n } }
      const books = { available: new Map([[1n, 0n]]), earlier: new Map(), ids: [1n] }
      const { payments } = decideBatch([draft], books, terms)
      const exact = minor * 10n ** BigInt(exponent)
      const whole = exact % 10n ** BigInt(scale) === 0n ? exact / 10n ** BigInt(scale) : null
      const fits = whole !== null && whole >= 1n && whole <= AMOUNTS_MAX[exponent]
      assert.deepEqual(
        payments.map(({ amount }) => amount),
        fits ? [whole] : [],
      )
    }),
  )
  assert.equal(feeIn(FEES, 'JPY').min, 40n)
})
