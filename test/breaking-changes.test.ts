import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { breakingChanges } from '../scripts/breaking-changes.ts'
import { ROOT } from './sources.ts'

// Plain data: a test reaches into it and changes what it likes.
interface Any {
  readonly [name: string]: Any | undefined
}

function document(): Any {
  return JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as Any
}

/** What a change to the document breaks. */
function changesOf(change: (made: Any) => void): string[] {
  const after = document()
  change(after)
  return breakingChanges(document(), after)
}

const deposit = (made: Any) => made['paths']?.['/api/v1/payments/deposit']?.['post']
const schema = (made: Any, name: string) => made['components']?.['schemas']?.[name]
const set = (node: Any | undefined, name: string, value: unknown) =>
  void Object.assign(node as object, { [name]: value })
const remove = (node: Any | undefined, name: string) =>
  void Reflect.deleteProperty(node as object, name)
const push = (node: Any | undefined, value: unknown) =>
  void (node as unknown as unknown[]).push(value)

const DEPOSIT = 'POST /api/v1/payments/deposit'
const GET = 'GET /api/v1/payments/{id}'

const BREAKING: readonly (readonly [string, (made: Any) => void, string])[] = [
  [
    'an operation that is gone',
    (made) => remove(made['paths'], '/api/v1/payments/deposit'),
    `${DEPOSIT} is gone`,
  ],
  [
    'an operation under another name',
    (made) => set(deposit(made), 'operationId', 'deposit'),
    `${DEPOSIT}: createDeposit is now deposit`,
  ],
  [
    'a parameter that is demanded',
    (made) =>
      push(deposit(made)?.['parameters'], {
        in: 'query',
        name: 'shop',
        required: true,
        schema: {},
      }),
    `${DEPOSIT}: query shop is new and required`,
  ],
  [
    'a parameter that is gone',
    (made) => set(made['paths']?.['/api/v1/payments/{id}']?.['get'], 'parameters', []),
    `${GET}: query refresh is gone`,
  ],
  [
    'a field of a request that is demanded',
    (made) => push(schema(made, 'DepositRequest')?.['required'], 'reference'),
    `${DEPOSIT}: DepositRequest/reference is now required`,
  ],
  [
    'a field of a request that is gone',
    (made) => remove(schema(made, 'DepositRequest')?.['properties'], 'reference'),
    `${DEPOSIT}: DepositRequest/reference is gone`,
  ],
  [
    'a narrower bound of a request',
    (made) => set(schema(made, 'DepositRequest')?.['properties']?.['deposit'], 'maximum', 10),
    `${DEPOSIT}: DepositRequest/deposit has another maximum: 9999999999.9999, 10`,
  ],
  [
    'a type that a request may no longer have',
    (made) => set(schema(made, 'DepositRequest')?.['properties']?.['deposit'], 'type', ['number']),
    `${DEPOSIT}: DepositRequest/deposit does not take "string" any more`,
  ],
  [
    'a field of an answer that is gone',
    (made) => remove(schema(made, 'Payment')?.['properties'], 'amount'),
    `${GET}: Payment/amount is gone`,
  ],
  [
    'a field of an answer that may be missing',
    (made) => set(schema(made, 'Payment'), 'required', ['user_id']),
    `${GET}: Payment/payment_id may be missing now`,
  ],
  [
    'a field of an answer that may be null',
    (made) => set(schema(made, 'Payment')?.['properties']?.['amount'], 'type', ['number', 'null']),
    `${GET}: Payment/amount may be "null" now`,
  ],
  [
    'a word of an answer that programs do not know',
    (made) => push(schema(made, 'PaymentStatus')?.['enum'], 'lost'),
    `${GET}: PaymentStatus may be "lost" now`,
  ],
  [
    'another status of success',
    (made) => remove(deposit(made)?.['responses'], '202'),
    `${DEPOSIT}: 202 is gone`,
  ],
]

for (const [what, change, line] of BREAKING) {
  test(`${what} breaks programs`, () => {
    const changes = changesOf(change)
    assert.ok(changes.includes(line), changes.join('\n'))
  })
}

const HARMLESS: readonly (readonly [string, (made: Any) => void])[] = [
  ['nothing', () => undefined],
  ['a new path', (made) => set(made['paths'], '/api/v1/shops', {})],
  [
    'a new field of an answer',
    (made) => set(schema(made, 'Payment')?.['properties'], 'shop', { type: 'string' }),
  ],
  [
    'a new field of a request',
    (made) => set(schema(made, 'DepositRequest')?.['properties'], 'shop', { type: 'string' }),
  ],
  ['a new code of an error', (made) => push(schema(made, 'ErrorCode')?.['enum'], 'moon_is_full')],
  ['a refusal that is no longer made', (made) => remove(deposit(made)?.['responses'], '409')],
  ['another description', (made) => set(deposit(made), 'description', 'Pay.')],
]

for (const [what, change] of HARMLESS) {
  test(`${what} breaks no program`, () => {
    assert.deepEqual(changesOf(change), [])
  })
}
