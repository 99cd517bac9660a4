import { API } from './target.ts'
import type { Case } from './case.ts'
import {
  BATCH,
  bodyCase,
  DEPOSIT,
  OPEN,
  requestOf,
  short,
  WITHDRAW,
  type Operation,
} from './operations.ts'

const OPERATIONS = [DEPOSIT, WITHDRAW, OPEN, BATCH]
const UNREADABLE = { status: 400, code: 'body_unreadable' } as const
const INVALID = { status: 400, code: 'body_invalid' } as const

/** Texts that are no JSON document. */
const NOT_JSON = [
  ['{', '}', '[', '{"a"', '{"a":', '{"a":1', '{"a":1,}', '[1,]', '{,}', "{'a':1}", '{a:1}', ' '],
  ['{"a":1}x', '{"a":1}{"a":1}', '{"a":1}\n{"a":1}', '// c\n{}', '{}/**/', '{"a":NaN}'],
  ['{"a":Infinity}', '{"a":-Infinity}', '{"a":undefined}', '{"a":+1}', '{"a":01}', '{"a":.5}'],
  ['{"a":5.}', '{"a":0x10}', '{"a":1_000}', '{"a":"\n"}', '{"a":"\\x41"}', '{"a":"\\u12"}'],
  ['NaN', 'undefined', "'x'", 'a=1&b=2', '<a/>', '---\na: 1', '\u0000', '{}\u0000', '{"a":tru}'],
].flat()

/** Documents that are no object with the fields of any operation. */
const NOT_OBJECTS = ['null', '[]', '"x"', '1', 'true', '{}', '[{}]', '"{}"', '-0', '1e400', '[[]]']

/** Fields that a caller would like to set. */
const ASSIGNED = ['status', 'fee', 'commission', 'id', 'tenant_id', 'created_at', 'held', 'shard']

/** Names that reach into prototypes, bare and escaped. */
const PROTOTYPES = [
  ['"__proto__":{"a":1}', '"\\u005f_proto__":{}', '"constructor":{"prototype":{}}'],
  ['"prototype":1', '"con\\u0073tructor":1', '"a":{"__proto__":1}', '"a":[{"__proto__":[]}]'],
].flat()

/** Every way a whole body can be wrong, on every operation that takes one. */
export const BODY_CASES: readonly Case[] = OPERATIONS.flatMap((operation) => [
  ...NOT_JSON.map((text) => bodyCase(operation, short(text), text, UNREADABLE)),
  ...NOT_OBJECTS.map((text) => bodyCase(operation, short(text), text, INVALID)),
  ...unknownFields(operation),
  ...repeatedNames(operation),
  ...badBytes(operation),
  ...largeBodies(operation),
])

function unknownFields(operation: Operation): Case[] {
  const extra = (member: string) => textOf(operation).replace('{', `{${member},`)
  const many = Array.from({ length: 5_000 }, (_, index) => `"f${index}":0`).join(',')
  return [
    ...ASSIGNED.map((name) =>
      bodyCase(operation, `sets ${name}`, extra(`"${name}":"success"`), INVALID),
    ),
    ...PROTOTYPES.map((member) => bodyCase(operation, member, extra(member), UNREADABLE)),
    bodyCase(operation, 'names toString', extra('"toString":1'), INVALID),
    bodyCase(operation, 'names hasOwnProperty', extra('"hasOwnProperty":1'), INVALID),
    bodyCase(operation, 'an empty name', extra('"":1'), INVALID),
    bodyCase(operation, '5,000 unknown fields', extra(many), INVALID),
    ...Object.keys(operation.fields).map((name) => ({
      name: `${operation.path} without ${name}`,
      request: requestOf(operation, { [name]: undefined }),
      ...INVALID,
    })),
    ...Object.keys(operation.fields).map((name) => ({
      name: `${operation.path} ${name} in capitals`,
      request: requestOf(operation, {
        [name]: undefined,
        [name.toUpperCase()]: operation.fields[name],
      }),
      ...INVALID,
    })),
  ]
}

function repeatedNames(operation: Operation): Case[] {
  const [name = '', value = ''] = Object.entries(operation.fields)[0] ?? []
  const escaped = `\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}`
  const twice = (again: string) => textOf(operation).replace('{', `{"${again}":${value},`)
  return [
    bodyCase(operation, `${name} twice`, twice(name), UNREADABLE),
    bodyCase(operation, 'half a character', '{"a":"\\ud83d"}', UNREADABLE),
    bodyCase(operation, 'two halves, reversed', '{"a":"\\ude00\\ud83d"}', UNREADABLE),
    bodyCase(operation, `${name} twice, once escaped`, twice(escaped), UNREADABLE),
    bodyCase(operation, 'a name twice deep inside', '{"a":[{"b":{"c":1,"c":1}}]}', UNREADABLE),
  ]
}

function badBytes(operation: Operation): Case[] {
  const around = (bytes: readonly number[]) =>
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')])
  const text = textOf(operation)
  const cases: [string, Buffer][] = [
    ['an invalid byte', around([0xff])],
    ['a lone continuation byte', around([0x80])],
    ['an overlong NUL', around([0xc0, 0x80])],
    ['an overlong slash', around([0xe0, 0x80, 0xaf])],
    ['a cut sequence', around([0xe2, 0x82])],
    ['CESU-8', around([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80])],
    ['a lone surrogate as bytes', around([0xed, 0xa0, 0x80])],
    ['a code point above U+10FFFF', around([0xf4, 0x90, 0x80, 0x80])],
    ['a byte order mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16', Buffer.from(text, 'utf16le')],
    ['UTF-16 with a byte order mark', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['gzip', Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x00])],
    ['nothing', Buffer.alloc(0)],
  ]
  return cases.map(([name, body]) => bodyCase(operation, name, body, UNREADABLE))
}

function largeBodies(operation: Operation): Case[] {
  const { bytesMax } = operation
  const large = { status: 413, code: 'body_too_large' } as const
  const deep = '['.repeat(bytesMax - 1)
  const nested = `${'['.repeat(9)}${']'.repeat(9)}`
  return [
    bodyCase(operation, 'one byte too many', ' '.repeat(bytesMax + 1), large),
    bodyCase(operation, '10 MB', ' '.repeat(10_000_000), large),
    bodyCase(operation, '1 MB of digits', requestText(operation, '1'.repeat(1_000_000)), large),
    bodyCase(operation, 'as deep as it is long', deep, UNREADABLE),
    bodyCase(operation, 'deep and closed', nested, UNREADABLE),
    bodyCase(operation, 'a huge string', `{"a":"${'x'.repeat(bytesMax - 8)}"}`, INVALID),
    bodyCase(operation, 'a huge number', requestText(operation, '1'.repeat(60_000)), UNREADABLE),
  ]
}

function textOf(operation: Operation): string {
  return String(requestOf(operation).body)
}

function requestText(operation: Operation, value: string): string {
  return String(requestOf(operation, { [operation.amount]: value }).body)
}

/** Lists that are no batch, and items that are none. */
export const BATCH_CASES: readonly Case[] = [
  ['null', '{}', '"x"', '1', '[]', '[null]', '[1]', '[[]]', '[{}]', `[${'null,'.repeat(999)}1]`],
  `[${Array.from({ length: 1_001 }, () => item()).join(',')}]`,
  ...['"refund"', '"constructor"', '"toString"', '"DEPOSIT"', '""', 'null', '1', '["deposit"]'].map(
    (type) => `[${item({ type })}]`,
  ),
  ...['null', '1', '[]', '{}'].map((key) => `[${item({ idempotency_key: key })}]`),
  ...['0', '-1', '1.5', '"1"', 'true', 'null'].map((id) => `[${item({ user_id: id })}]`),
  `[${item({ status: '"success"' })}]`,
  `[${item()},${item({ deposit: '1' })}]`,
]
  .flat()
  .map((payments) => ({
    name: `a batch of ${short(payments)}`,
    request: requestOf(BATCH, { payments }),
    ...INVALID,
  }))

/** Items that are refused one by one, with their statuses; the batch itself is taken. */
export const ITEM_REFUSALS: readonly (readonly [item: string, status: number])[] = [
  [item({ amount: '0' }), 422],
  [item({ amount: '0.001' }), 422],
  [item({ amount: '"1e3"' }), 400],
  [item({ amount: '"10000000000"' }), 422],
  [item({ user_id: '999999' }), 404],
  [item({ type: '"withdraw"', amount: '9999999999.99' }), 402],
  ...['""', '" "', '"a b"', '"\\u0000"', '"é"', `"${'k'.repeat(256)}"`].map(
    (key) => [item({ idempotency_key: key }), 400] as const,
  ),
]

function item(change: Readonly<Record<string, string>> = {}): string {
  const fields = { type: '"deposit"', user_id: '1', amount: '200', ...change }
  const members = Object.entries(fields).map(([name, value]) => `"${name}":${value}`)
  return `{${members.join(',')}}`
}

/** A path without the API's prefix, for the names of cases. */
export function shortPath(path: string): string {
  return path.replace(API, '')
}
