import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, DraftField } from '../src/domain/acceptance.ts'
import { writeJson } from '../src/domain/exact-json.ts'
import type { PaymentType } from '../src/domain/payment.ts'
import { isRefusal, readDraft, respond, respondToItem, undecided } from '../src/payments/api.ts'
import { FORMS } from '../src/payments/body-fields.ts'

const nowhere = () => null
const KEYLESS = { ok: true, key: null } as const
const named = (field: DraftField) => field

const AMOUNTS: readonly (readonly [given: number | string, read: bigint | string])[] = [
  [200, 20_000n],
  ['200.00', 20_000n],
  [12.34, 1_234n],
  ['0.01', 1n],
  [9_999_999_999.99, 999_999_999_999n],
  [0, 'amount_range'],
  ['-1', 'amount_range'],
  [1e10, 'amount_range'],
  [0.00001, 'amount_precision'],
  ['ten', 'amount_malformed'],
  ['', 'amount_malformed'],
]

for (const [amount, read] of AMOUNTS) {
  test(`the amount ${writeJson(amount)} is read as ${read}, whatever way it came`, () => {
    const given = readDraft({ type: 'withdraw', userId: 7, amount }, { ok: true, key: 'a' }, 2)
    const draft = { type: 'withdraw', userId: 7n, amount: read, idempotencyKey: 'a' }
    const refusal = { code: read, faults: [{ field: 'amount', code: read }], exponent: 2 }
    assert.deepEqual(given, typeof read === 'string' ? refusal : draft)
    assert.equal(isRefusal(given), typeof read === 'string')
  })
}

test('an amount that only another currency can hold is decided on with its account', () => {
  const given = readDraft({ type: 'deposit', userId: 7, amount: '0.0010' }, KEYLESS, 2)
  const asked = { amount: { unscaled: 1n, scale: 3 }, currency: null }
  const draft = { type: 'deposit', userId: 7n, amount: 0n, idempotencyKey: null, asked }
  assert.deepEqual(given, draft)
})

test('a key that is none is refused before the amount is looked at', () => {
  assert.deepEqual(readDraft({ type: 'deposit', userId: 1, amount: 'ten' }, { ok: false }, 2), {
    code: 'idempotency_key_invalid',
    faults: [{ field: 'idempotencyKey', code: 'malformed' }],
  })
})

const payment = (type: PaymentType) => ({
  id: 5n,
  userId: 7n,
  type,
  amount: 1_050n,
  commission: 21n,
  idempotencyKey: 'a',
  refusedFor: null,
  currency: null,
  gateway: 'http',
})
const accepted = (type: PaymentType, replayed = false): Answer => ({
  kind: 'accepted',
  payment: payment(type),
  replayed,
  exponent: 2,
})
const text = ({ body, ...rest }: ReturnType<typeof respond>) => ({ ...rest, body: writeJson(body) })

test('an accepted payment is answered with where it is and the amount under its own name', () => {
  const headers = ['content-type', 'application/json; charset=utf-8']
  const location = ['location', '/api/v1/payments/5']
  assert.deepEqual(text(respond(accepted('deposit'), 'id', nowhere)), {
    status: 202,
    headers: [...headers, ...location],
    body: '{"payment_id":5,"user_id":7,"status":"processing","deposit":10.5}',
  })
  assert.deepEqual(text(respond(accepted('withdraw', true), 'id', nowhere)), {
    status: 202,
    headers: [...headers, ...location, 'idempotent-replayed', 'true'],
    body: '{"payment_id":5,"user_id":7,"status":"processing","withdraw":10.5}',
  })
})

test('a stored refusal says that it is one, by a header or in a batch by a member', () => {
  const code = 'insufficient_funds'
  const refusal = { code, paymentId: 5n, required: 1_071n, exponent: 2 } as const
  const answer: Answer = { kind: 'refused', refusal, replayed: true }
  const single = respond(answer, 'id', nowhere)
  assert.equal(single.status, 402)
  assert.deepEqual(single.headers, [
    'content-type',
    'application/problem+json; charset=utf-8',
    'idempotent-replayed',
    'true',
  ])
  const { status, replayed, problem } = respondToItem(answer, 'id', nowhere)
  assert.deepEqual([status, replayed, problem], [402, true, single.body])
})

test('a payment of a batch is answered like a single one, with its type in front of its amount', () => {
  assert.equal(
    writeJson(respondToItem(accepted('withdraw'), 'id', nowhere)),
    '{"status":202,"replayed":false,"payment":{"payment_id":5,"user_id":7,"type":"withdraw",' +
      '"status":"processing","amount":10.5}}',
  )
})

test('what may be sent again later says when', () => {
  const { headers, status } = respond(undecided({ code: 'busy' }), 'id', nowhere)
  assert.equal(status, 503)
  assert.deepEqual(headers.slice(-2), ['retry-after', '1'])
})

const FIELDS: readonly DraftField[] = ['type', 'userId', 'amount', 'idempotencyKey']
const reused = undecided({
  code: 'idempotency_key_reuse',
  faults: FIELDS.map((field) => ({ field, code: 'differs' })),
})

test('only the way in knows where a field at fault stands; what is in no body is left out', () => {
  const pointers = (body: unknown) =>
    (body as { errors?: { pointer: string; code: string }[] }).errors?.map(({ pointer, code }) => {
      assert.equal(code, 'differs')
      return pointer
    })
  const single = (type: PaymentType) => pointers(respond(reused, 'id', FORMS[type].where).body)
  assert.deepEqual(single('deposit'), ['/type', '/user_id', '/deposit'])
  assert.deepEqual(single('withdraw'), ['/type', '/user_id', '/amount'])
  const item = respondToItem(reused, 'id', named).problem
  assert.deepEqual(
    pointers(item),
    FIELDS.map((field) => `/${field}`),
  )
  assert.equal(pointers(respond(reused, 'id', nowhere).body), undefined)
})
