import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseMoney } from '../src/domain/money.ts'
import { readJson } from '../src/http/strict-json.ts'

const bytes = (text: string) => Buffer.from(text, 'utf8')

const READ: readonly (readonly [name: string, text: string])[] = [
  ['an object', '{"user_id":1,"deposit":200}'],
  ['white space around everything', ' \t\r\n{ "a" : [ 1 , 2 ] } \n'],
  ['an empty object', '{}'],
  ['other documents, which the schema refuses', '[null,true,false,"x",1]'],
  ['a bare null', 'null'],
  ['eight levels', '[[[[[[[[1]]]]]]]]'],
  ['one name in two objects', '[{"a":1},{"a":{"a":2}}]'],
  ['a name that is also a value', '{"a":"a","b":"a"}'],
  ['a value that looks like a document', '{"a":"{\\"a\\":1,\\"a\\":2}"}'],
  ['a value that ends in a backslash', '{"a":"\\\\","b":"\\""}'],
  ['a value that is called like a prototype', '{"a":"__proto__"}'],
  ['the largest amount', '{"a":9999999999.99}'],
  ['fifteen digits and any zeros in front', '[0.000000123456789012345,-123456789012345]'],
  ['an exponent', '[1e2,1E+2,-0,1e-2]'],
  ['the smallest number that a double tells from 0', '[5e-324]'],
  ['every spelling of 0', `[0e-400,0.0E5,-0.00e-0400,0.${'0'.repeat(330)}]`],
  ['letters of every script', '{"имя":"ñ 字 👍 \\u0000 \\ud83d\\udc4d"}'],
]

for (const [name, text] of READ) {
  test(`${name} is read as JSON.parse reads it`, () => {
    assert.deepEqual(readJson(bytes(text)), { ok: true, value: JSON.parse(text) as unknown })
  })
}

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

const REFUSED: readonly (readonly [name: string, body: string | readonly number[], why: string])[] =
  [
    ['nothing', '', 'not_json'],
    ['white space alone', '  \n', 'not_json'],
    ['an open brace', '{', 'not_json'],
    ['a truncated document', '{"a":1', 'not_json'],
    ['a trailing comma', '{"a":1,}', 'not_json'],
    ['trailing garbage', '{"a":1} x', 'not_json'],
    ['two documents', '{"a":1}{"a":1}', 'not_json'],
    ['single quotes', "{'a':1}", 'not_json'],
    ['a name without quotes', '{a:1}', 'not_json'],
    ['a comment', '{"a":1}//', 'not_json'],
    ['NaN', '{"a":NaN}', 'not_json'],
    ['Infinity', '{"a":-Infinity}', 'not_json'],
    ['a leading zero', '{"a":01}', 'not_json'],
    ['a leading plus', '{"a":+1}', 'not_json'],
    ['hexadecimal', '{"a":0x10}', 'not_json'],
    ['a bare dot', '{"a":.5}', 'not_json'],
    ['a control character in a string', '{"a":"\u0000"}', 'not_json'],
    ['a line break in a string', '{"a":"\n"}', 'not_json'],
    ['a no-break space between tokens', '{\u00a0"a":1}', 'not_json'],
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x7b, 0x7d], 'not_json'],
    ['UTF-16', [0x7b, 0x00, 0x7d, 0x00], 'not_json'],
    ['a byte that is not UTF-8', [0x22, 0xff, 0x22], 'not_json'],
    ['an overlong encoding', [0x22, 0xc0, 0xaf, 0x22], 'not_json'],
    ['a surrogate in UTF-8 (CESU-8)', [0x22, 0xed, 0xa0, 0xbd, 0xed, 0xb1, 0x8d, 0x22], 'not_json'],
    ['half a character', [0x22, 0xe2, 0x82, 0x22], 'not_json'],
    ['a name twice', '{"a":1,"a":2}', 'name_twice'],
    ['a name twice with the same value', '{"a":1,"a":1}', 'name_twice'],
    ['a name twice, once escaped', '{"amount":1,"am\\u006funt":1000000}', 'name_twice'],
    ['a name twice, inside', '{"b":[{"a":1,"c":{},"a":2}]}', 'name_twice'],
    ['a name twice, around an object', '{"a":{"b":1},"a":2}', 'name_twice'],
    ['an empty name twice', '{"":1,"":2}', 'name_twice'],
    ['__proto__', '{"__proto__":{"a":1}}', 'name_forbidden'],
    ['__proto__, escaped', '{"\\u005f_proto__":1}', 'name_forbidden'],
    ['__proto__, inside', '{"a":[{"__proto__":1}]}', 'name_forbidden'],
    ['constructor', '{"constructor":{"prototype":1}}', 'name_forbidden'],
    ['prototype', '{"prototype":1}', 'name_forbidden'],
    ['nine levels', deep(9), 'too_deep'],
    ['nine levels of objects', `${'{"a":'.repeat(9)}1${'}'.repeat(9)}`, 'too_deep'],
    ['a hundred thousand levels', deep(100_000), 'too_deep'],
    ['a number that a double rounds', '{"a":12345678901234567890}', 'number_too_precise'],
    ['sixteen digits', '{"a":1234567890.123456}', 'number_too_precise'],
    ['a cent that a double loses', '[9007199254740993.01]', 'number_too_precise'],
    ['precision under an exponent', '{"a":0.12345678901234567e3}', 'number_too_precise'],
  ]

for (const [name, body, why] of REFUSED) {
  test(`${name} is refused as ${why}`, () => {
    const input = typeof body === 'string' ? bytes(body) : Uint8Array.from(body)
    assert.deepEqual(readJson(input), { ok: false, code: 'body_unreadable', why })
  })
}

const LARGE: readonly (readonly [name: string, text: string])[] = [
  ['a string of a megabyte', `{"a":"${'x'.repeat(1_000_000)}"}`],
  ['a string of escapes', `{"a":"${'\\"'.repeat(500_000)}"}`],
  ['a hundred thousand names', `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join()}}`],
  ['a hundred thousand levels', deep(100_000)],
  ['a number of a megabyte', `[${'9'.repeat(1_000_000)}]`],
  ['a hundred thousand numbers', `[${Array<number>(100_000).fill(1.5).join()}]`],
]

/** Work in proportion to the length takes a tenth of it; in proportion to its square, minutes. */
const CPU_MS_MAX = 10_000

for (const [name, text] of LARGE) {
  test(`${name} is read or refused with work in proportion to its length`, () => {
    const before = process.cpuUsage()
    readJson(bytes(text))
    // The processor's time, which other programs do not use up.
    const { user, system } = process.cpuUsage(before)
    const cpuMs = (user + system) / 1_000
    assert.ok(cpuMs < CPU_MS_MAX, `${cpuMs} ms of processor time`)
  })
}

test('what one program writes is read back as it was', () => {
  // No numbers that need more digits than are read, no names twice, nothing too deep.
  const plain = fc.object({
    maxDepth: 3,
    withUnicodeString: true,
    values: [
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    ],
    key: fc.string().filter((name) => !['__proto__', 'constructor', 'prototype'].includes(name)),
  } as fc.ObjectConstraints)
  fc.assert(
    fc.property(plain, (value) => {
      const text = JSON.stringify(value)
      assert.deepEqual(readJson(bytes(text)), { ok: true, value: JSON.parse(text) as unknown })
    }),
    { seed: 1, numRuns: 2_000 },
  )
})

test('whatever the bytes, reading them never throws, and reads nothing that JSON.parse does not', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc
      .string({ unit: fc.constantFrom(...'{}[]":,\\u0061e.-+ tnf"') })
      .map((text) => new Uint8Array(bytes(text))),
  )
  fc.assert(
    fc.property(noise, (body) => {
      const json = readJson(body)
      if (json.ok) assert.deepEqual(json.value, JSON.parse(Buffer.from(body).toString()))
    }),
    { seed: 1, numRuns: 20_000 },
  )
})

test('a number that a double takes for 0 is read as the one next to it, and 0 as 0', () => {
  for (const [text, value] of [
    ['1e-400', 5e-324],
    ['2e-324', 5e-324],
    ['-1.5E-0400', -5e-324],
    [`0.${'0'.repeat(330)}1`, 5e-324],
    [`0.${'0'.repeat(290)}1e-50`, 5e-324],
    ['0e-400', 0],
    [`0.${'0'.repeat(330)}`, 0],
    ['5e-324', 5e-324],
    ['1e-100', 1e-100],
  ] as const) {
    const read = readJson(Buffer.from(`{"a":${text},"b":"${text} \\" 1e-400"}`))
    assert.deepEqual(read, { ok: true, value: { a: value, b: `${text} " 1e-400` } }, text)
  }
})

test('an account is not opened with a number that a double takes for 0, nor is that paid', () => {
  const read = readJson(Buffer.from('[1e-400,-1e-400]'))
  assert(read.ok)
  for (const number of read.value as readonly number[]) {
    for (const min of [0n, 1n]) {
      assert.deepEqual(parseMoney(number, min, 2), { ok: false, problem: 'amount_range' })
    }
  }
})
