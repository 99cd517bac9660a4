import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoAnswer, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import {
  ACCEPTED,
  accepted,
  answer,
  BODY,
  lost,
  problem,
  refusedConnection,
  scripted,
  type Reaction,
} from './sdk-scripted.ts'

const RETRIED: readonly (readonly [string, Reaction])[] = [
  ['a lost connection', lost],
  ['a refused connection', refusedConnection],
  ['408', problem(408, 'request_timeout')],
  ['429', problem(429, 'rate_limited')],
  ['503', problem(503, 'overloaded')],
  ['503 of an outcome nobody knows', problem(503, 'outcome_unknown')],
  ['500', problem(500, 'internal_error')],
  ['a page of a proxy', () => new Response('<h1>Bad gateway</h1>', { status: 502 })],
  ['a page of a proxy that says yes', () => new Response('<h1>Hello</h1>', { status: 200 })],
  ['an answer that was cut off', () => new Response('{"payment_id":1', { status: 202 })],
  ['JSON of somebody else', answer(404, { message: 'no such host' })],
  ['a redirect', () => new Response(null, { status: 307, headers: { location: 'http://evil/' } })],
]

for (const [name, reaction] of RETRIED) {
  test(`${name} is retried with the same key and the same bytes`, async () => {
    const { payments, sent, pauses } = scripted([reaction, reaction, accepted])
    const done = await payments.deposit(BODY)
    assert.ok(done.ok && !done.replayed)
    assert.deepEqual(done.payment, { ...ACCEPTED, deposit: '200' })
    assert.equal(sent.length, 3)
    assert.match(sent[0]?.key ?? '', /^[0-9a-f-]{36}$/)
    for (const one of sent) assert.deepEqual(one, sent[0])
    assert.equal(sent[0]?.body, '{"user_id":1,"deposit":"200.00"}')
    assert.deepEqual(pauses, [125, 250])
  })
}

for (const [status, code] of [
  [400, 'body_invalid'],
  [401, 'unauthorized'],
  [402, 'insufficient_funds'],
  [404, 'user_not_found'],
  [409, 'reference_taken'],
  [422, 'idempotency_key_reuse'],
] as const) {
  test(`${status} is an answer, and is never sent again`, async () => {
    const { payments, sent } = scripted([problem(status, code)])
    const refused = await payments.withdraw({ user_id: 1, amount: '5' })
    assert.ok(!refused.ok)
    assert.equal(refused.problem.code, code)
    assert.equal(sent.length, 1)
  })
}

test('a pause is random up to a bound that doubles, on top of what Retry-After asks for', async () => {
  const reactions = [
    problem(503, 'busy', { 'retry-after': '2' }),
    problem(429, 'rate_limited', { 'retry-after': '1' }),
    problem(503, 'busy', { 'retry-after': 'tomorrow' }),
    accepted,
  ]
  const draws = [0, 1, 0.25].values()
  const { payments, pauses } = scripted(reactions, { random: () => draws.next().value ?? 0 })
  await payments.deposit(BODY)
  assert.deepEqual(pauses, [2_000, 1_500, 250])
})

test('an hour of Retry-After is the caller’s to wait', async () => {
  const { payments, sent } = scripted([problem(503, 'busy', { 'retry-after': '3600' })])
  const refused = await payments.deposit(BODY)
  assert.ok(!refused.ok && refused.problem.code === 'busy')
  assert.equal(sent.length, 1)
})

test('giving up after a lost answer throws OutcomeUnknown, with the key to go on with', async () => {
  const { payments, sent } = scripted([lost, lost], { attemptsMax: 2 })
  const error = await payments.deposit(BODY).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof OutcomeUnknown)
  assert.equal(error.key, sent[0]?.key)
  assert.equal(error.problem, null)
})

/** What the service says before it looks a key up. */
const BEFORE_KEYS = [
  [400, 'body_invalid'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'user_not_found'],
  [404, 'payment_not_found'],
  [404, 'route_not_found'],
  [405, 'method_not_allowed'],
  [413, 'body_too_large'],
  [415, 'media_type_unsupported'],
  [422, 'amount_precision'],
  [422, 'amount_range'],
  [422, 'currency_mismatch'],
  [422, 'card_number'],
  [503, 'busy'],
] as const

/** What it says when it has looked up a key that nothing was done under, and keeps with no key. */
const BEHIND_KEYS = [
  [409, 'not_refundable'],
  [409, 'reference_taken'],
  [409, 'letter_not_open'],
  [422, 'amount_below_commission'],
  [422, 'gateway_unknown'],
  [422, 'no_route'],
] as const

/** What it keeps, or says of the key itself. */
const OF_KEYS = [
  [402, 'insufficient_funds'],
  [422, 'idempotency_key_reuse'],
] as const

test('after a lost answer no later refusal before the key is looked up counts as a no', async () => {
  for (const [status, code] of BEFORE_KEYS) {
    const { payments } = scripted([lost, problem(status, code)], { attemptsMax: 2 })
    const error = await payments.deposit(BODY).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof OutcomeUnknown, code)
    assert.equal(error.problem?.code, code)
    assert.match(error.message, new RegExp(code))
  }
})

test('while a try may still be under way, a refusal that is kept with no key is no no', async () => {
  for (const [status, code] of BEHIND_KEYS) {
    const { payments } = scripted([lost, problem(status, code), problem(status, code)])
    const refund = (key: string, noneUnderWay: boolean) =>
      payments.refund(1, { amount: '10', reason: 'r' }, { key, noneUnderWay })
    const error = await refund('refund-1', true).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof OutcomeUnknown, code)
    assert.deepEqual([error.key, error.problem?.code], ['refund-1', code])
    // Asked again under its key when that try cannot arrive any more, the refusal is the answer.
    const later = await refund(error.key, true)
    assert.ok(!later.ok && later.problem.code === code)
  }
})

test('after a lost answer what the service keeps with the key, or says of it, is the answer', async () => {
  for (const [status, code] of OF_KEYS) {
    const { payments, sent } = scripted([lost, problem(status, code)])
    const refused = await payments.deposit(BODY)
    assert.ok(!refused.ok && refused.problem.code === code)
    assert.equal(sent.length, 2)
  }
})

/** What is said under a key that may have been used; null: it is not known. */
async function said([status, code]: readonly [number, string], noneUnderWay: boolean) {
  const { payments } = scripted([problem(status, code)], { attemptsMax: 1 })
  try {
    const refused = await payments.deposit(BODY, { key: 'order-1', noneUnderWay })
    return refused.ok ? 'ok' : refused.problem.code
  } catch (error) {
    assert.ok(error instanceof OutcomeUnknown, code)
    assert.equal(error.problem?.code, code)
    return null
  }
}

test('under a key that may have been used, only what is kept with the key is a no by itself', async () => {
  for (const one of [...BEFORE_KEYS, ...BEHIND_KEYS]) assert.equal(await said(one, false), null)
  for (const one of OF_KEYS) assert.equal(await said(one, false), one[1])
})

test('where nothing under a key is under way any more, a refusal behind it is a no', async () => {
  for (const one of BEFORE_KEYS) assert.equal(await said(one, true), null)
  for (const one of [...BEHIND_KEYS, ...OF_KEYS]) assert.equal(await said(one, true), one[1])
})

test('a change without a key of which a try was lost is refused by nothing that comes later', async () => {
  for (const [status, code] of [...BEFORE_KEYS, ...BEHIND_KEYS]) {
    const { payments } = scripted([lost, problem(status, code)], { attemptsMax: 2 })
    await assert.rejects(payments.update(1, { description: 'blue' }), NoAnswer)
  }
})

test('an endpoint is removed by as many tries as it takes, and a lost one is no no', async () => {
  const removed: Reaction = () => new Response(null, { status: 204 })
  const twice = scripted([lost, problem(503, 'outcome_unknown'), removed])
  assert.deepEqual(await twice.webhookEndpoints.remove(1), { ok: true, removed: null })
  assert.equal(twice.sent.length, 3)
  const refused = scripted([problem(404, 'endpoint_not_found')])
  assert.equal((await refused.webhookEndpoints.remove(1)).ok, false)
  const unknown = scripted([lost, problem(403, 'forbidden')])
  await assert.rejects(unknown.webhookEndpoints.remove(1), NoAnswer)
})

test('a key that was there before this call may have been used: giving up is no no', async () => {
  const busy = problem(503, 'busy')
  const own = scripted([busy], { attemptsMax: 1 })
  await assert.rejects(own.payments.deposit(BODY, { key: 'order-1' }), OutcomeUnknown)
  assert.equal(own.sent[0]?.key, 'order-1')

  const fresh = scripted([busy], { attemptsMax: 1 })
  assert.equal((await fresh.payments.deposit(BODY)).ok, false)
})

test('where nothing can have arrived, the error says that there was no answer', async () => {
  const { payments } = scripted([refusedConnection], { attemptsMax: 1 })
  await assert.rejects(payments.deposit(BODY), NoAnswer)
  const { payments: reads } = scripted([lost], { attemptsMax: 1 })
  await assert.rejects(reads.get(1), NoAnswer)
})

test('a try that takes too long is ended, and counts as lost', async () => {
  const never: typeof fetch = (_url, init) =>
    new Promise((_, reject) => {
      const { signal } = init ?? {}
      signal?.addEventListener('abort', () => reject(new Error('aborted')))
    })
  const { payments } = scripted([], { fetch: never, attemptMsMax: 1, attemptsMax: 2 })
  await assert.rejects(payments.deposit(BODY), OutcomeUnknown)
})

test('a caller that stops waiting gets its own reason before, and OutcomeUnknown during', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const during = scripted([
    () => {
      controller.abort(new Error('enough'))
      return lost()
    },
  ])
  await assert.rejects(during.payments.deposit(BODY, { signal }), OutcomeUnknown)
  assert.equal(during.sent.length, 1)

  const before = scripted([])
  await assert.rejects(before.payments.deposit(BODY, { signal }), /enough/)
})

test('the key of an intent is the one that the store keeps', async () => {
  const kept = new Map<string, string>()
  const keys = {
    keyOf(intent: string, fresh: string) {
      const key = kept.get(intent) ?? fresh
      kept.set(intent, key)
      return key
    },
  }
  const { payments, sent } = scripted([accepted, accepted, accepted], { keys })
  await payments.deposit(BODY, { intent: 'order-1' })
  await payments.deposit(BODY, { intent: 'order-1' })
  await payments.deposit(BODY, { intent: 'order-2' })
  assert.equal(sent[0]?.key, sent[1]?.key)
  assert.notEqual(sent[1]?.key, sent[2]?.key)

  const without = scripted([])
  await assert.rejects(without.payments.deposit(BODY, { intent: 'order-1' }), /needs `keys`/)
})

test('an intent stands for one user and one call: for another nothing is sent', async () => {
  const kept = new Map<string, string>([['older', '0b2a4f0e-5d0c-4f5e-9d55-1f2a3b4c5d6e']])
  const keys = {
    keyOf(intent: string, fresh: string) {
      kept.set(intent, kept.get(intent) ?? fresh)
      return kept.get(intent) ?? ''
    },
  }
  const { payments, users, sent } = scripted(
    Array.from({ length: 9 }, () => accepted),
    { keys },
  )
  const intent = { intent: 'order-1' }
  await payments.deposit(BODY, intent)
  const amount = '1'
  const [user_id, reason] = [1, 'r']
  for (const another of [
    () => payments.deposit({ ...BODY, user_id: 2 }, intent),
    () => payments.withdraw({ user_id, amount }, intent),
    () => payments.refund(1, { amount, reason }, intent),
    () => users.create({ balance: '1' }, intent),
  ]) {
    await assert.rejects(another, /The intent order-1 is kept for something else/)
  }
  assert.equal(sent.length, 1)
  // Another body of the same user is for the service to compare: it names the payment.
  await payments.deposit({ ...BODY, deposit: '5' }, intent)
  await payments.refund(1, { amount, reason }, { intent: 'refund-1' })
  await assert.rejects(payments.refund(2, { amount, reason }, { intent: 'refund-1' }), /kept for/)
  // A key that was kept before keys said what they are for.
  await payments.deposit(BODY, { intent: 'older' })
  assert.equal(sent[3]?.key, kept.get('older'))
  for (const key of kept.values()) assert.match(key, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
})

test('a key that could not be kept is not used', async () => {
  const keys = { keyOf: () => Promise.reject(new Error('disk full')) }
  const { payments, sent } = scripted([], { keys })
  await assert.rejects(payments.deposit(BODY, { intent: 'order-1' }), /disk full/)
  assert.equal(sent.length, 0)
})

test('a float is refused before anything is sent', async () => {
  const { payments, sent } = scripted([])
  const floats = { user_id: 1, deposit: 0.1 + 0.2 } as unknown as typeof BODY
  await assert.rejects(payments.deposit(floats), /decimal string/)
  assert.equal(sent.length, 0)
})

test('the kept key of an intent may have been used by whoever kept it: giving up is no no', async () => {
  const keys = { keyOf: (intent: string, fresh: string) => (intent === 'old' ? 'kept' : fresh) }
  for (const last of [
    problem(401, 'unauthorized'),
    problem(403, 'forbidden'),
    problem(503, 'busy'),
  ]) {
    const before = scripted([last], { keys, attemptsMax: 1 })
    const error = await before.payments
      .deposit(BODY, { intent: 'old' })
      .catch((thrown: unknown) => thrown)
    assert.ok(error instanceof OutcomeUnknown)
    assert.equal(error.key, 'kept')

    const now = scripted([last], { keys, attemptsMax: 1 })
    assert.equal((await now.payments.deposit(BODY, { intent: 'new' })).ok, false)
  }
})
