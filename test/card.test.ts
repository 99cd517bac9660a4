import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { couldBeCardNumber, holdsCardNumber } from '../src/domain/card.ts'

/** Numbers that schemes and gateways publish for tests. */
const CARDS: Readonly<Record<string, string>> = {
  Visa: '4242424242424242',
  'Visa of 19 digits': '4000000000000000006',
  Mastercard: '5555555555554444',
  'Mastercard of the new range': '2223003122003222',
  'American Express': '378282246310005',
  Discover: '6011111111111117',
  'Diners Club': '30569309025904',
  'Diners Club of 14 digits': '36227206271667',
  JCB: '3530111333300000',
  UnionPay: '6200000000000005',
  Mir: '2200000000000004',
  Maestro: '6759649826438453',
}

for (const [scheme, number] of Object.entries(CARDS)) {
  test(`a card of ${scheme} is found in a text, however it is written`, () => {
    const fours = number.replace(/(.{4})(?=.)/g, '$1 ')
    const written = [
      number,
      `card ${number}.`,
      `pan=${number}&cvc=`,
      fours,
      `order 12 ${fours} of May`,
      fours.replaceAll(' ', '-'),
      fours.replaceAll(' ', '\u00a0'),
      fours.replaceAll(' ', ' - ').replaceAll(' - ', '--'),
      number.replace(/(.{5})/, '$1\u200b'),
      [...number].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join(''),
    ]
    for (const text of written) assert.ok(holdsCardNumber(text), text)
    assert.ok(couldBeCardNumber(number), number)
    assert.ok(couldBeCardNumber(`tok_${number}`), number)
  })
}

test('a number that no issuer gives out is let through in a text, and stopped as a token', () => {
  // An article number, an order number and a parcel number: all pass the check of Luhn.
  for (const number of ['4006381333931', '1000000000000008', '9999999999999995']) {
    const last = [...'0123456789'].find((digit) => couldBeCardNumber(number.slice(0, -1) + digit))
    const passing = number.slice(0, -1) + last
    assert.equal(holdsCardNumber(`parcel ${passing}`), false, passing)
    assert.equal(couldBeCardNumber(passing), true, passing)
  }
})

test('what is no number of a card is let through', () => {
  const texts = [
    '',
    'Invoice 2026-11-26, 04:05:10.123',
    '4242424242424241',
    '42424242424242424242424242',
    '4242 4242 4242 425',
    '+7 (495) 123-45-67',
    '1764129910123',
    '123e4567-e89b-12d3-a456-426614174000',
    'pm_1NXnaA2eZvKYlo2C0qI9bV3m',
  ]
  for (const text of texts) {
    assert.equal(holdsCardNumber(text), false, text)
    assert.equal(couldBeCardNumber(text), false, text)
  }
})

test('a token such as a UUID is not taken for a number written in groups', () => {
  fc.assert(
    fc.property(fc.uuid(), (token) => {
      fc.pre(/[a-f]/.test(token))
      assert.equal(couldBeCardNumber(token), false, token)
    }),
    { seed: 4, numRuns: 20_000 },
  )
})

test('one wrong digit, or two that changed places, is no card any more', () => {
  const places = fc.integer({ min: 1, max: 14 })
  fc.assert(
    fc.property(places, fc.integer({ min: 1, max: 9 }), (place, by) => {
      const digits = [...'5105105105105100'].map(Number)
      const wrong = digits.with(place, ((digits[place] ?? 0) + by) % 10).join('')
      assert.equal(holdsCardNumber(digits.join('')), true)
      assert.equal(couldBeCardNumber(wrong), false, wrong)
    }),
    { seed: 4, numRuns: 500 },
  )
})

test('the shortest card that is issued is found in a text', () => {
  assert.equal(holdsCardNumber('card 5018 0000 0009'), true)
})

test('a text of any shape is looked through in a time that grows with its length alone', () => {
  // So many windows are looked at for each group of digits, whatever follows.
  const text = '1 '.repeat(1_000_000)
  assert.equal(holdsCardNumber(text), false)
})
