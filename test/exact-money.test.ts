import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { client } from '../tools/client.ts'
import type { Wire } from '../tools/demo/drive.ts'
import { minor } from '../tools/demo/inspect.ts'
import { exactNumber, readExactJson, writeJson } from '../src/domain/exact-json.ts'
import { formatMoney, fromWire, shortestMoney, toWire } from '../src/domain/money.ts'
import { systemClock } from '../src/adapters/clock.ts'
import { query } from './databases.ts'
import { serve } from './serve.ts'

const BIGINT = { min: -(2n ** 63n), max: 2n ** 63n - 1n }
const SEED = { seed: 8, numRuns: 5_000 }

/** Every bigint of PostgreSQL, and the small amounts that people pay. */
const minors = fc.oneof(
  fc.bigInt(BIGINT),
  fc.bigInt({ min: -100_000n, max: 100_000n }),
  fc.bigInt({ min: 2n ** 53n - 1_000n, max: 2n ** 53n + 1_000n }),
  fc.bigInt({ min: 10n ** 15n - 1_000n, max: 10n ** 15n + 1_000n }),
  fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
)

test('every total a bigint can hold is written with all its digits and read back the same', () => {
  fc.assert(
    fc.property(minors, fc.constantFrom(0, 2, 3, 4), (amount, exponent) => {
      const text = writeJson({ amount: toWire(amount, exponent) })
      assert.equal(text, `{"amount":${shortestMoney(amount, exponent)}}`)
      assert.match(text, /^\{"amount":-?(0|[1-9]\d*)(\.\d*[1-9])?\}$/)
      const read = readExactJson(text) as { amount: unknown }
      assert.equal(fromWire(read.amount, exponent), amount)
      assert.equal(fromWire(formatMoney(amount, exponent), exponent), amount)
    }),
    SEED,
  )
})

test('an amount that a double holds is written as JSON.stringify would write it', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }), (amount) => {
      assert.equal(writeJson(toWire(amount, 2)), JSON.stringify(Number(amount) / 100))
    }),
    SEED,
  )
})

test('whatever the value, it is written as JSON.stringify would write it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.string({ unit: 'binary' }), (value, text) => {
      const all = { value, [text]: text, list: [undefined, text, -0, 1e21, Number.NaN] }
      assert.equal(writeJson(all), JSON.stringify(all))
      assert.deepEqual(JSON.parse(writeJson(all)), JSON.parse(JSON.stringify(all)))
    }),
    SEED,
  )
  const odd = { at: new Date(0), nothing: undefined, lone: '\ud800', pair: '\u{1F600}', nul: '\0' }
  assert.equal(writeJson(odd), JSON.stringify(odd))
})

test('reading JSON exactly changes nothing but the numbers that a double need not hold', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const plain: unknown = JSON.parse(text)
      const long = /\d[\d.]{15,}/.test(text)
      if (!long) assert.deepEqual(readExactJson(text), plain)
    }),
    SEED,
  )
  const text = '{"a":97019999999901.03,"b":"97019999999901.03 \\" 97019999999901.03","c":[-12.5]}'
  const read = { a: '97019999999901.03', b: '97019999999901.03 " 97019999999901.03', c: [-12.5] }
  assert.deepEqual(readExactJson(text), read)
  assert.throws(() => readExactJson('{"a":00000000000000000001}'), SyntaxError)
})

test('an integer that a double does not hold is read with all its digits', () => {
  fc.assert(
    fc.property(minors, (integer) => {
      const { id } = readExactJson(`{"id":${integer}}`) as { id: unknown }
      assert.equal(`${String(id)}`, `${integer}`)
    }),
    SEED,
  )
  // The first of sixteen digits: as a double it is another payment's id.
  assert.deepEqual(readExactJson('{"id":9007199254740993}'), { id: '9007199254740993' })
  // No number is taken for another one: what is next to 0 not for 0, what is next to 1 not for 1.
  for (const text of ['1e-400', '10.0000000000000000001e-1']) {
    assert.deepEqual(readExactJson(`[${text}]`), [text])
    assert.equal(fromWire(text, 2), null)
  }
})

test('an exact number cannot be written by mistake, nor a bigint that may be anything', () => {
  assert.throws(() => JSON.stringify({ amount: toWire(10n ** 15n, 2) }), /writeJson/)
  assert.throws(() => writeJson({ amount: 1n }), /bigint/)
  assert.equal(writeJson([exactNumber('1.10')]), '[1.10]')
})

/** A user who opened with 0.03 and got 9,900 deposits of 9,999,999,999.99 at 2 %. */
async function wealthy(t: TestContext) {
  const service = await serve(t)
  const { body } = await service.call('POST', '/users', { balance: 0.03 })
  const id = Number(body.id)
  await query(
    service.database,
    `insert into postings
       (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
        created_at)
     select 0, ${id}, 1000000 + deposit, 'settle', 979999999999, 0, -999999999999, 20000000000, 0,
       now()
     from generate_series(1, 9900) as deposit`,
  )
  await query(
    service.database,
    `update users set available = available + 9900 * 979999999999 where id = ${id}`,
  )
  return { service, id }
}

test('balances and totals beyond 2^53 cents leave the API with the right cents', async (t) => {
  const { service, id } = await wealthy(t)
  const text = async (path: string) => (await service.call('GET', path)).text
  assert.match(await text(`/users/${id}`), /"balance":97019999999901.03,"held":0,/)
  const ledger = await text('/ledger')
  assert.match(ledger, /"user":97019999999901.03,"user_held":0,"gateway":-98999999999901,/)
  assert.match(ledger, /"fees":1980000000000,"opening":-0.03,"losses":0\},"sum":0,/)

  // A hold of the largest amount: what is left, what is held and what is missing are exact as well.
  await service.call('PUT', '/mock-gateway/faults', { timeout_before: 1 })
  const held = await service.call('POST', '/payments/withdraw', {
    user_id: id,
    amount: 9999999999.99,
  })
  assert.equal(
    held.text,
    `{"payment_id":1,"user_id":${id},"status":"processing","withdraw":9999999999.99}`,
  )
  assert.match(await text(`/users/${id}`), /"balance":97009799999901.04,"held":10199999999.99,/)
  const poor = await service.call('POST', '/users', { balance: 1 })
  const order = { user_id: poor.body.id, amount: '9999999999.99' }
  const refused = await service.call('POST', '/payments/withdraw', order)
  assert.match(refused.text, /"required":10199999999.99\}$/)
})

test('our own clients read totals beyond 2^53 cents with the right cents', async (t) => {
  const { service, id } = await wealthy(t)
  const api = client(service.url, { connections: 1, key: null, clock: systemClock })
  t.after(() => api.close())
  const user = (await api.get(`/api/v1/users/${id}`)).body as { balance: Wire }
  assert.equal(minor(user.balance), 9_701_999_999_990_103n)
})
