import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { writeJson } from '../src/domain/json.ts'
import {
  AMOUNT_MAX,
  formatMoney,
  parseMoney,
  toWire,
  type MoneyProblem,
} from '../src/domain/money.ts'

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
      if (money.ok) assert.equal(toWire(money.minor).text, String(number))
    }),
    { ...SEED, numRuns: 20_000 },
  )
})

test('money is written with two decimals, whatever its sign and size', () => {
  const written = [0n, 5n, -5n, 20_050n, -100n, 10n ** 20n].map(formatMoney)
  assert.deepEqual(written, ['0.00', '0.05', '-0.05', '200.50', '-1.00', '1000000000000000000.00'])
})
