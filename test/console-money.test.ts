import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readJson } from '../console/exact/json.ts'
import {
  exponentOf,
  formatAmount,
  formatMoved,
  fromMinor,
  readAmount,
  sumOf,
  toMinor,
} from '../console/exact/money.ts'
import { CURRENCIES } from '../src/domain/currency.ts'

const ENGLISH = { group: ',', decimal: '.' }
const RUSSIAN = { group: '\u00a0', decimal: ',' }

test('JSON is read without losing a digit of an amount', () => {
  const read = readJson('{"id": 7, "amount": 12.50, "big": 90071992547409931, "text": "1.5 \\" 2"}')
  assert.deepEqual(read, { id: 7, amount: '12.50', big: '90071992547409931', text: '1.5 " 2' })
})

/** Documents of texts, whole numbers, and all that is neither. */
const { document } = fc.letrec((tie) => ({
  document: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'binary' }),
    fc.maxSafeInteger(),
    fc.constantFrom(null, true, false, '1.5', '"', '\\', '\\"12.5'),
    fc.array(tie('document')),
    fc.dictionary(fc.string(), tie('document')),
  ),
}))

test('JSON of texts and whole numbers is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(document, (value) => {
      const text = JSON.stringify(value)
      assert.deepEqual(readJson(text), JSON.parse(text))
    }),
    { seed: 1 },
  )
})

test('an amount shows every decimal of its currency, at any size', () => {
  const cases = [
    ['1234567.5', 'USD', '1,234,567.50'],
    ['-0.05', 'USD', '−0.05'],
    [0, 'USD', '0.00'],
    [1000, 'JPY', '1,000'],
    ['1.234', 'BHD', '1.234'],
    ['999999999999999999999.99', 'EUR', '999,999,999,999,999,999,999.99'],
    ['no amount', 'EUR', 'no amount'],
  ] as const
  for (const [amount, currency, shown] of cases) {
    assert.equal(formatAmount(amount, currency, ENGLISH), shown)
  }
  assert.equal(formatAmount('1234567.5', 'USD', RUSSIAN), '1\u00a0234\u00a0567,50')
})

test('what moved has a sign, and nothing has none', () => {
  assert.equal(formatMoved('5', 'USD', ENGLISH), '+5.00')
  assert.equal(formatMoved('-5', 'USD', ENGLISH), '−5.00')
  assert.equal(formatMoved('0', 'USD', ENGLISH), '0.00')
})

test('every currency has the exponent that the service gives it', () => {
  for (const [currency, exponent] of CURRENCIES) assert.equal(exponentOf(currency), exponent)
})

test('minor units and text are the same amount, whatever its size', () => {
  const minors = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n })
  fc.assert(
    fc.property(minors, fc.constantFrom(0, 2, 3, 4), (minor, exponent) => {
      assert.equal(toMinor(fromMinor(minor, exponent), exponent), minor)
    }),
    { seed: 1 },
  )
  assert.throws(() => toMinor('1.005', 2), /no amount/)
})

test('a sum is exact where doubles are not', () => {
  assert.equal(sumOf(['0.10', '0.20', '9007199254740993.00'], 'USD'), '9007199254740993.30')
})

test('an amount is read as people type it, and refused where it is none', () => {
  const cases = [
    [' 1 234,50 ', 'USD', RUSSIAN, '1234.50'],
    ['1234.5', 'USD', RUSSIAN, '1234.5'],
    ['1,234,567.50', 'USD', ENGLISH, '1234567.50'],
    // A thousand here is one there: what a comma is depends on the language alone.
    ['1,000', 'KWD', ENGLISH, '1000'],
    ['1,000', 'KWD', RUSSIAN, '1.000'],
    ['1,000', 'USD', RUSSIAN, null],
    ['12,50', 'USD', ENGLISH, null],
    ['1,00,000', 'USD', ENGLISH, null],
    ['12 34', 'USD', RUSSIAN, null],
    ['1.5', 'JPY', ENGLISH, null],
  ] as const
  for (const [typed, currency, marks, read] of cases) {
    assert.equal(readAmount(typed, currency, marks), read, `${typed} ${marks.decimal}`)
  }
  for (const bad of ['', '0', '-5', '1.005', '1e3', 'ten']) {
    assert.equal(readAmount(bad, 'USD', ENGLISH), null)
  }
})
