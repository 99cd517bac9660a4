import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { writeJson } from '../src/domain/exact-json.ts'
import { EXPONENTS, type Exponent } from '../src/domain/currency.ts'
import {
  AMOUNTS_MAX,
  formatMoney as formatIn,
  fromWire,
  inCurrency,
  parseDecimal,
  parseMoney as parseIn,
  shortestMoney,
  toWire as toWireIn,
  type MoneyProblem,
} from '../src/domain/money.ts'

/** Most of these tests are about a currency with two decimals. */
const parseMoney = (wire: string | number, min = 1n, exponent: Exponent = 2) =>
  parseIn(wire, min, exponent)
const formatMoney = (minor: bigint, exponent: Exponent = 2) => formatIn(minor, exponent)
const toWire = (minor: bigint, exponent: Exponent = 2) => toWireIn(minor, exponent)

/** Of a currency with two decimals: 9,999,999,999.99. */
const AMOUNT_MAX = AMOUNTS_MAX[2]

const SEED = { seed: 20_260_101, numRuns: 2_000 }
const amounts = fc.bigInt({ min: 1n, max: AMOUNT_MAX })

const READ: readonly (readonly [wire: string | number, minor: bigint])[] = [
  ['10', 1_000n],
  ['10.5', 1_050n],
  ['10.50', 1_050n],
  ['0.01', 1n],
  ['0.1', 10n],
  ['9999999999.99', AMOUNT_MAX],
  [10, 1_000n],
  [10.5, 1_050n],
  [0.01, 1n],
  [0.29, 29n],
  [1.1, 110n],
  [1e2, 10_000n],
  [4.35, 435n],
  [9_999_999_999.99, AMOUNT_MAX],
]

for (const [wire, minor] of READ) {
  test(`${typeof wire} ${wire} is read as ${minor} minor units`, () => {
    assert.deepEqual(parseMoney(wire), { ok: true, minor })
  })
}

const REFUSED: Readonly<Record<MoneyProblem, readonly (string | number)[]>> = {
  amount_malformed: [
    '',
    ' ',
    ' 5 ',
    '5 ',
    '.5',
    '5.',
    '.',
    '-',
    '+1',
    '--1',
    '1e3',
    '0x10',
    '1_000',
    '1,000.00',
    '1.2.3',
    '010',
    '00.5',
    'NaN',
    'Infinity',
    '-Infinity',
    '10n',
    '10\n',
    '\n10',
    '10\u0000',
    '10\u200b',
    '\ufeff10',
    '٣',
    '１０',
    '१०',
    '10 USD',
    '$10',
    'null',
    '½',
  ],
  amount_precision: ['0.001', '1.005', '1.0050', '10.999', 0.001, 1.005, 0.1 + 0.2, 1e-6],
  amount_range: [
    '0',
    '0.0',
    '0.00',
    '0.000',
    '-0',
    '-1',
    '-0.01',
    '-0.001',
    '10000000000',
    '10000000000.00',
    '9223372036854775807',
    '9223372036854775808',
    '1'.repeat(40),
    '1'.repeat(41),
    0,
    -0,
    -1,
    -0.01,
    1e-7,
    1e10,
    1e21,
    1e308,
    Number('12345678901234567890'),
    Number.MAX_VALUE,
    Number.MIN_VALUE,
    Infinity,
    -Infinity,
    NaN,
  ],
}

for (const [problem, wires] of Object.entries(REFUSED)) {
  for (const wire of wires) {
    const shown = JSON.stringify(String(wire)).slice(0, 50)
    test(`${typeof wire} ${shown} is refused as ${problem}`, () => {
      assert.deepEqual(parseMoney(wire), { ok: false, problem })
    })
  }
}

test('an opening balance may be zero and not less', () => {
  assert.deepEqual(parseMoney('0', 0n), { ok: true, minor: 0n })
  assert.deepEqual(parseMoney(0, 0n), { ok: true, minor: 0n })
  assert.deepEqual(parseMoney(-0, 0n), { ok: true, minor: 0n })
  assert.deepEqual(parseMoney('-0.01', 0n), { ok: false, problem: 'amount_range' })
})

test('a text that is too long is refused by its length, without being read', () => {
  const length = 1_000_000
  const unreadable = new Proxy({} as object, {
    get(_text, name) {
      if (name === 'length') return length
      throw new Error(`${String(name)} was read`)
    },
  })
  // What a string has and nothing else is asked of it.
  assert.deepEqual(parseMoney(unreadable as unknown as string), {
    ok: false,
    problem: 'amount_range',
  })
})

test('zeros at the end are no decimals: a text and the JSON number are the same amount', () => {
  for (const text of ['1.000', '10.500', '0.010', '9999999999.9900', `1.${'0'.repeat(38)}`]) {
    assert.deepEqual(parseMoney(text), parseMoney(JSON.parse(text) as number), text)
    assert.equal(parseMoney(text).ok, true, text)
  }
})

test('every amount survives the way out and back in, as text and as a JSON number', () => {
  fc.assert(
    fc.property(amounts, (minor) => {
      assert.deepEqual(parseMoney(formatMoney(minor)), { ok: true, minor })
      const number = JSON.parse(writeJson(toWire(minor))) as number
      assert.deepEqual(parseMoney(number), { ok: true, minor })
    }),
    SEED,
  )
})

test('whatever the text, reading it never throws and never invents money', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('0', '1', '9', '.', '-', '+', 'e', ' ', '\n', ',', '_') }),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const money = parseMoney(text)
      if (money.ok) assert.match(text, /^(0|[1-9]\d{0,9})(\.\d{1,2}0*)?$/)
      else assert.ok(money.problem in REFUSED, 'money.problem in REFUSED')
    }),
    { ...SEED, numRuns: 20_000 },
  )
})

test('whatever the number, reading it never throws and is exact or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.double(), fc.float(), fc.integer()), (number) => {
      const money = parseMoney(number)
      if (money.ok) assert.equal(writeJson(toWire(money.minor)), String(number))
    }),
    { ...SEED, numRuns: 20_000 },
  )
})

test('money is written with two decimals, whatever its sign and size', () => {
  const written = [0n, 5n, -5n, 20_050n, -100n, 10n ** 20n].map((minor) => formatMoney(minor))
  assert.deepEqual(written, ['0.00', '0.05', '-0.05', '200.50', '-1.00', '1000000000000000000.00'])
})

test('the largest amount is one minor unit below ten billion major ones, in every currency', () => {
  assert.deepEqual(
    EXPONENTS.map((exponent) => formatMoney(AMOUNTS_MAX[exponent], exponent)),
    ['9999999999', '9999999999.99', '9999999999.999', '9999999999.9999'],
  )
})

const IN_CURRENCIES: readonly (readonly [wire: string | number, in0234: readonly string[]])[] = [
  ['1', ['1', '100', '1000', '10000']],
  [1, ['1', '100', '1000', '10000']],
  ['1.0000', ['1', '100', '1000', '10000']],
  ['1.5', ['amount_precision', '150', '1500', '15000']],
  [0.25, ['amount_precision', '25', '250', '2500']],
  ['0.125', ['amount_precision', 'amount_precision', '125', '1250']],
  ['0.0001', ['amount_precision', 'amount_precision', 'amount_precision', '1']],
  ['0', ['amount_range', 'amount_range', 'amount_range', 'amount_range']],
  [1e10, ['amount_range', 'amount_range', 'amount_range', 'amount_range']],
  ['9999999999.9', ['amount_precision', '999999999990', '9999999999900', '99999999999000']],
  ['10000000000.001', ['amount_precision', 'amount_precision', 'amount_range', 'amount_range']],
]

for (const [wire, expected] of IN_CURRENCIES) {
  test(`${typeof wire} ${wire} is ${expected.join(', ')} with 0, 2, 3 and 4 decimals`, () => {
    const read = parseDecimal(wire)
    assert.ok(read.ok, 'read.ok')
    const shown = EXPONENTS.map((exponent) => {
      const money = inCurrency(read.decimal, exponent)
      return money.ok ? String(money.minor) : money.problem
    })
    assert.deepEqual(shown, expected)
  })
}

/** Every refusal that no currency changes, by what it is told before one is known. */
const NEVER: readonly (readonly [wire: string | number, problem: MoneyProblem])[] = [
  ['1.00001', 'amount_precision'],
  [0.00001, 'amount_precision'],
  ['-0.00001', 'amount_range'],
  ['-1', 'amount_range'],
  [-1, 'amount_range'],
  [1e-7, 'amount_range'],
  [1e21, 'amount_range'],
  ['1'.repeat(41), 'amount_range'],
  ['1e2', 'amount_malformed'],
  ['01', 'amount_malformed'],
  ['', 'amount_malformed'],
]

for (const [wire, problem] of NEVER) {
  test(`${typeof wire} ${String(wire).slice(0, 10)} is ${problem} in no currency and in every one`, () => {
    assert.deepEqual(parseDecimal(wire), { ok: false, problem })
    for (const exponent of EXPONENTS) {
      assert.deepEqual(parseMoney(wire, 1n, exponent), { ok: false, problem })
    }
  })
}

const exponents = fc.constantFrom(...EXPONENTS)
/** An amount of any currency, and one of few digits as often. */
const sums = exponents.chain((exponent) => {
  const max = AMOUNTS_MAX[exponent]
  const minor = fc.oneof(fc.bigInt({ min: 1n, max }), fc.bigInt({ min: 1n, max: 100_000n }))
  return fc.record({ exponent: fc.constant(exponent), minor })
})

test('every amount of every currency survives the way out and back in, and is written shortest', () => {
  fc.assert(
    fc.property(sums, ({ exponent, minor }) => {
      const number = writeJson(toWire(minor, exponent))
      assert.equal(fromWire(number, exponent), minor)
      assert.equal(fromWire(formatMoney(-minor, exponent), exponent), -minor)
      const texts = [formatMoney(minor, exponent), shortestMoney(minor, exponent), number]
      for (const wire of [...texts, JSON.parse(number) as number]) {
        assert.deepEqual(parseMoney(wire, 1n, exponent), { ok: true, minor })
      }
      assert.match(number, /^(0|[1-9]\d*)(\.\d{0,3}[1-9])?$/)
    }),
    SEED,
  )
})

test('an amount of an answer with more decimals than its currency has is none', () => {
  for (const [wire, exponent] of [
    ['0.001', 2],
    [1.5, 0],
    ['-7.0001', 3],
  ] as const) {
    assert.equal(fromWire(wire, exponent), null, String(wire))
  }
  assert.equal(fromWire('-7.500', 2), -750n, 'zeros at the end are none')
})

test('an amount is exact in a currency that has its decimals, and refused in one that has not', () => {
  const scales = fc.integer({ min: 0, max: 6 })
  const zeros = fc.integer({ min: 0, max: 5 })
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), scales, zeros, exponents, (...drawn) => {
      const [unscaled, scale, more, exponent] = drawn
      const digits = String(unscaled).padStart(scale + 1, '0')
      const whole = digits.slice(0, digits.length - scale)
      const fraction = digits.slice(digits.length - scale) + '0'.repeat(more)
      const text = fraction === '' ? whole : `${whole}.${fraction}`
      // What it comes to in units of 10^-10, and what one minor unit is in them.
      const exact = unscaled * 10n ** BigInt(10 - scale)
      const unit = 10n ** BigInt(10 - exponent)
      const fits = exact >= unit && exact <= AMOUNTS_MAX[exponent] * unit
      const expected =
        exact % unit > 0n
          ? { ok: false, problem: 'amount_precision' }
          : fits
            ? { ok: true, minor: exact / unit }
            : { ok: false, problem: 'amount_range' }
      assert.deepEqual(parseMoney(text, 1n, exponent), expected)
    }),
    { ...SEED, numRuns: 10_000 },
  )
})
