import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DETAILS_MAX, readDetails, type DetailFields } from '../src/domain/details.ts'
import { differing, sentFields } from '../src/domain/sent-fields.ts'

const ALL = {
  reference: 'INV-2026/0042',
  description: 'Two tickets, Ёлка & 🎄',
  metadata: { order: '42', 'shop.id': '' },
  payment_method: 'pm_1NXnaA2eZvKYlo2C0qI9bV3m',
  return_url: 'https://shop.example/thanks?order=42',
} as const

function errorsOf(fields: DetailFields) {
  const read = readDetails(fields)
  return read.ok ? [] : [read.refusal.code, read.refusal.errors]
}

test('what belongs to a payment is kept as it was sent', () => {
  const read = readDetails(ALL)
  assert.ok(read.ok, 'read.ok')
  const { reference, description, metadata } = ALL
  const paymentMethod = ALL.payment_method
  const returnUrl = ALL.return_url
  assert.deepEqual(read.details, { reference, description, metadata, paymentMethod, returnUrl })
})

test('where nothing is given nothing is kept', () => {
  for (const fields of [{}, { metadata: {} }, { user_id: 1, amount: 5 } as DetailFields]) {
    assert.deepEqual(readDetails(fields), { ok: true, details: null, sent: {} })
  }
})

const long = (length: number, of = 'x') => of.repeat(length)

/** What each field takes at most, and takes not. */
const BOUNDS: readonly (readonly [
  keyof typeof ALL,
  takes: readonly string[],
  not: readonly unknown[],
])[] = [
  [
    'reference',
    ['x', long(100), long(100, '🎄'), 'Счёт№7'],
    ['', long(101), 'a b', 'a\tb', 'a\u00a0b', 'a\u200bb', 'a\ud800', 'a\u202eb', 7, null],
  ],
  [
    'description',
    [' ', long(500), long(500, '🎄'), 'a b'],
    ['', long(501), 'a\nb', 'a\u0000b', '\ud800', 'a\u202eb', {}, null],
  ],
  ['payment_method', ['x', long(255)], ['', long(256), 'a b', 'é', ['pm_1'], null]],
  [
    'return_url',
    ['https://a', `https://a/${long(2_038)}`],
    [
      '',
      `https://a/${long(2_039)}`,
      'http://shop.example/',
      'HTTPS://shop.example/',
      'https://',
      'https://user@shop.example/',
      'https://user:pw@shop.example/',
      'https://shop.example\\@evil.example/',
      'javascript:alert(1)',
      '//shop.example/',
      'https://shop.example:99999/',
      'https://a b/',
      null,
    ],
  ],
]

for (const [field, takes, not] of BOUNDS) {
  test(`${field} is taken within its bounds and refused by name outside them`, () => {
    for (const value of takes) assert.deepEqual(errorsOf({ [field]: value }), [], value)
    for (const value of not) {
      const code = typeof value === 'string' ? 'malformed' : 'wrong_type'
      const expected = ['body_invalid', [{ field, code }]]
      assert.deepEqual(errorsOf({ [field]: value }), expected, String(value))
    }
  })
}

const members = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, 'x']))

const METADATA: readonly (readonly [
  name: string,
  metadata: unknown,
  field: string,
  code: string,
])[] = [
  ['21 members', members(21), 'metadata', 'too_many'],
  ['a list', ['x'], 'metadata', 'wrong_type'],
  ['nothing', null, 'metadata', 'wrong_type'],
  ['an empty key', { '': 'x' }, 'metadata', 'malformed_key'],
  ['a key of 41', { [long(41)]: 'x' }, 'metadata', 'malformed_key'],
  ['a key that a pointer would escape', { 'a/b': 'x' }, 'metadata', 'malformed_key'],
  ['a number', { a: 7 }, 'metadata/a', 'wrong_type'],
  ['an object', { a: { b: 'x' } }, 'metadata/a', 'wrong_type'],
  ['a value of 501', { a: long(501) }, 'metadata/a', 'malformed'],
  ['a value that breaks lines', { a: 'x\ny' }, 'metadata/a', 'malformed'],
]

for (const [name, metadata, field, code] of METADATA) {
  test(`metadata with ${name} is refused`, () => {
    assert.deepEqual(errorsOf({ metadata }), ['body_invalid', [{ field, code }]])
  })
}

test('metadata is taken up to its bounds, and its keys are only names', () => {
  const full = Object.fromEntries(
    Array.from({ length: DETAILS_MAX.metadataKeys }, (_, index) => [
      `${long(38)}${index + 10}`,
      long(500, '🎄'),
    ]),
  )
  assert.deepEqual(errorsOf({ metadata: full }), [])
  const odd = JSON.parse('{"__proto__": "a", "constructor": "b"}') as Record<string, string>
  const read = readDetails({ metadata: odd })
  assert.ok(read.ok, 'read.ok')
  assert.equal(JSON.stringify(read.details?.metadata), '{"__proto__":"a","constructor":"b"}')
})

test('every field that is wrong is named, and a card number only where all are well-formed', () => {
  const read = errorsOf({ reference: '', metadata: { a: 1 }, payment_method: '4242424242424242' })
  assert.deepEqual(read, [
    'body_invalid',
    [
      { field: 'reference', code: 'malformed' },
      { field: 'metadata/a', code: 'wrong_type' },
    ],
  ])
})

const CARD = '4242424242424242'
const WITH_CARD: readonly (readonly [fields: DetailFields, field: string])[] = [
  [{ payment_method: CARD }, 'payment_method'],
  [{ payment_method: '9999999999999995' }, 'payment_method'],
  [{ reference: `card-${CARD}` }, 'reference'],
  [{ description: 'paid with 4242 4242 4242 4242' }, 'description'],
  [{ metadata: { card: CARD } }, 'metadata/card'],
  [{ metadata: { [CARD]: 'x' } }, 'metadata'],
  [{ return_url: `https://shop.example/?card=${CARD}` }, 'return_url'],
]

for (const [fields, field] of WITH_CARD) {
  test(`a card number in ${field} of ${Object.keys(fields).join()} is refused, and not repeated`, () => {
    const refusal = errorsOf(fields)
    assert.deepEqual(refusal, ['card_number', [{ field, code: 'card_number' }]])
    assert.doesNotMatch(JSON.stringify(refusal), /\d{4}/)
  })
}

test('a number that is no card by its prefix may stand in a text', () => {
  assert.deepEqual(errorsOf({ description: 'parcel 9999999999999995' }), [])
})

test('the same fields again differ in nothing, in whatever order metadata is', () => {
  const first = readDetails({ ...ALL, metadata: { a: '1', b: '2' } })
  const again = readDetails({ ...ALL, metadata: { b: '2', a: '1' } })
  assert.ok(first.ok && again.ok, 'first.ok && again.ok')
  assert.deepEqual(differing(again.sent, first.sent), [])
  assert.deepEqual(first.sent, again.sent)
})

test('each field that differs is named: another value, one more, one less', () => {
  for (const field of Object.keys(ALL) as (keyof typeof ALL)[]) {
    const { [field]: _left, ...less } = ALL
    const other = field === 'metadata' ? { order: '43' } : `${ALL[field]}x`
    for (const [first, again] of [
      [ALL, less],
      [less, ALL],
      [ALL, { ...ALL, [field]: other }],
    ] as const) {
      const [one, two] = [readDetails(first), readDetails(again)]
      assert.ok(one.ok && two.ok, 'one.ok && two.ok')
      const errors = [{ field, code: 'differs' }]
      assert.deepEqual(differing(two.sent, one.sent), errors)
    }
  }
})

test('no two objects have the same hash because their texts run together', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', ':', '1', '2'), maxLength: 4 })
  const objects = fc.dictionary(texts, texts, { maxKeys: 3 })
  fc.assert(
    fc.property(objects, objects, (one, other) => {
      const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
      const hashes = [sentFields({ field: one }), sentFields({ field: other })]
      assert.equal(hashes[0]?.['field'] === hashes[1]?.['field'], same)
    }),
    { seed: 5, numRuns: 20_000 },
  )
  assert.notDeepEqual(sentFields({ field: '' }), sentFields({ field: {} }))
})

function sorted(object: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(object).toSorted(([one], [other]) => (one < other ? -1 : 1))
}

test('whatever is sent, reading it never throws', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(ALL)), fc.anything()), (fields) => {
      const read = readDetails(fields)
      assert.equal(typeof read.ok, 'boolean')
    }),
    { seed: 6, numRuns: 5_000 },
  )
})
