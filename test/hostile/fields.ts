import type { RefusalCode } from '../../src/domain/refusal.ts'
import type { Case } from './case.ts'
import { DEPOSIT, OPEN, requestOf, short, WITHDRAW, type Operation } from './operations.ts'

/** Values as JSON texts, by how they are refused. */
const AMOUNTS: Readonly<Partial<Record<RefusalCode, readonly string[]>>> = {
  amount_range: [
    ['-1', '"-1"', '-0.01', '"-0"', '"-0.00"', '10000000000', '"10000000000.00"', '1e21'],
    ['1e300', '"9223372036854775807"', '"9223372036854775808"', `"${'9'.repeat(40)}"`],
    [`"${'9'.repeat(60_000)}"`, `"0.${'0'.repeat(60)}1"`, '1e-7', '-1e21', '"99999999999.99"'],
  ].flat(),
  amount_precision: ['0.001', '"0.001"', '1.005', '"1.005"', '"10.0010"', '9999999999.995', '1e-3'],
  amount_malformed: [
    ['"NaN"', '"Infinity"', '"1e3"', '"0x10"', '"0b1"', '"1_000"', '"1,000.00"', '"1 000"'],
    ['" 5 "', '" 5"', '"5 "', '""', '" "', '"٣"', '"１０"', '"10\\u200b"', '"10\\n"', '"\\n10"'],
    ['"010"', '"00"', '".5"', '"5."', '"."', '"-"', '"+1"', '"--1"', '"1.2.3"', '"10\\u0000"'],
    ['"$10"', '"10 EUR"', '"1;drop table users"', '"true"', '"null"', '"10\\r"'],
  ].flat(),
  body_invalid: ['null', 'true', 'false', '[10]', '["10"]', '{}', '[]', '1e400', '-1e400'],
  body_unreadable: [
    ['NaN', 'Infinity', '010', '.5', '5.', '+1', '0x10', '1_0', '12345678901234567890'],
    [
      '9223372036854775807',
      '0.1000000000000000055',
      '9007199254740993',
      '"\\ud800"',
      `1${'0'.repeat(400)}`,
    ],
  ].flat(),
}

/** The same as opening balances, whose bounds are others and have a code of their own. */
const { amount_range: OUT_OF_RANGE = [], ...OTHERS } = AMOUNTS
const BALANCES = { ...OTHERS, balance_range: OUT_OF_RANGE }

/** Nothing: fine as an opening balance, no payment. */
const NOTHING = ['0', '-0', '0.0', '0e5', '1e-400', '"0"', '"0.00"']

const IDS: Readonly<Partial<Record<RefusalCode, readonly string[]>>> = {
  body_invalid: [
    ['0', '-1', '-0', '1.5', '1e-3', '1e300', '1e400', '"1"', '"1 "', '"1;drop table users"'],
    ['true', 'false', 'null', '[1]', '{}', '""', '{"$gt":0}', '"acc_1"', '"1\\u0000"'],
  ].flat(),
  body_unreadable: ['9223372036854775807', '9223372036854775808', '9007199254740993', '1.', '01'],
  user_not_found: ['999999', '999999999999999', '1e12', '123456789.0'],
}

const STATUS: Readonly<Partial<Record<RefusalCode, number>>> = {
  amount_range: 422,
  balance_range: 422,
  amount_precision: 422,
  user_not_found: 404,
}

/** Every hostile amount and user id, on every operation that has one. */
export const FIELD_CASES: readonly Case[] = [
  ...[DEPOSIT, WITHDRAW].flatMap((operation) => fieldCases(operation, operation.amount, AMOUNTS)),
  ...fieldCases(OPEN, OPEN.amount, BALANCES),
  ...[DEPOSIT, WITHDRAW].flatMap((operation) =>
    fieldCases(operation, operation.amount, { amount_range: NOTHING }),
  ),
  ...[DEPOSIT, WITHDRAW].flatMap((operation) => fieldCases(operation, 'user_id', IDS)),
]

function fieldCases(
  operation: Operation,
  field: string,
  values: Readonly<Partial<Record<RefusalCode, readonly string[]>>>,
): Case[] {
  // Object.entries forgets the keys' type.
  const groups = Object.entries(values) as [RefusalCode, readonly string[]][]
  return groups.flatMap(([code, texts]) =>
    texts.map((text) => ({
      name: `${operation.path} ${field}: ${short(text)}`,
      request: requestOf(operation, { [field]: text }),
      status: STATUS[code] ?? 400,
      code,
    })),
  )
}

/** Amounts that must be taken, with what they are. */
export const AMOUNTS_TAKEN: readonly (readonly [text: string, amount: number])[] = [
  ['10', 10],
  ['10.00', 10],
  ['1e2', 100],
  ['100e-1', 10],
  ['0.01', 0.01],
  ['0.1', 0.1],
  ['"10"', 10],
  ['"10.5"', 10.5],
  ['"10.50"', 10.5],
  ['"0.01"', 0.01],
  ['"0.10"', 0.1],
  ['9999999999.99', 9_999_999_999.99],
  ['"9999999999.99"', 9_999_999_999.99],
  ['1.0e0', 1],
]
