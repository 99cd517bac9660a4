import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { plan } from '../src/runs/letters.ts'
import { start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { testWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { viewPayments } from '../src/payments/read.ts'
import { ALL as EVERYTHING } from './redrive-kit.ts'
import { serve, type Reply } from './serve.ts'

const ALL = {
  reference: 'order-1',
  description: 'Two tickets, "front" {row}, O\\x',
  metadata: { shop: 'berlin', 'cart.id': '' },
  payment_method: 'pm_1NXnaA2eZvKYlo2C',
  return_url: 'https://shop.example/thanks?order=1',
}
const NONE = {
  reference: null,
  description: null,
  metadata: null,
  payment_method: null,
  return_url: null,
}
const CARD = '4242 4242 4242 4242'

/** An API without a worker over the books of a test world, and a user with 1000.00. */
async function shop(t: TestContext) {
  const world = await testWorld(t)
  const userId = Number(await world.user(100_000n))
  const roles = { api: true, worker: false, mockGateway: false }
  const env = { GATEWAY_URL: 'http://127.0.0.1:1' }
  const { call } = await serve(t, env, { database: world.url, roles })
  const deposit = (more: object = {}, key?: string, user = userId) =>
    call(
      'POST',
      '/payments/deposit',
      { user_id: user, deposit: 10, ...more },
      key === undefined ? {} : { 'idempotency-key': key },
    )
  const details = async (id: unknown) => {
    const { body } = await call('GET', `/payments/${String(id)}`)
    return Object.fromEntries(Object.keys(NONE).map((name) => [name, body[name]]))
  }
  const rows = async () => {
    const counts = await world.sql<{ count: bigint }>(
      `select count(*) from payments union all select count(*) from payment_details
       union all select count(*) from payment_references`,
    )
    return counts.map(({ count }) => Number(count))
  }
  return { world, call, deposit, details, rows, userId }
}

function without(fields: object, name: string): object {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name))
}

function refused(reply: Reply, status: number, code: string, errors?: unknown): void {
  assert.deepEqual([reply.status, reply.body['code']], [status, code], reply.text)
  if (errors !== undefined) assert.deepEqual(reply.body['errors'], errors)
}

test('what is said about a payment is shown with it, whatever way it came', async (t) => {
  const { call, deposit, details, userId } = await shop(t)
  const first = await deposit(ALL)
  const rest = without(ALL, 'reference')
  const second = await call('POST', '/payments/withdraw', { user_id: userId, amount: 1, ...rest })
  const item = { type: 'deposit', user_id: userId, amount: 10, ...ALL, reference: 'order-2' }
  const { body } = await call('POST', '/payments/batch', { payments: [item, { ...item, ...rest }] })
  const results = body['results'] as { status: number; payment: { payment_id: number } }[]

  assert.equal(
    first.text,
    `{"payment_id":1,"user_id":${userId},"status":"processing","deposit":10}`,
  )
  assert.deepEqual(await details(first.body['payment_id']), ALL)
  assert.deepEqual(await details(second.body['payment_id']), { ...NONE, ...rest })
  assert.deepEqual(await details(results[0]?.payment.payment_id), { ...ALL, reference: 'order-2' })
  assert.equal(results[1]?.status, 409)
  const list = await call('GET', `/payments?user_id=${userId}`)
  const [newest] = list.body['data'] as Record<string, unknown>[]
  assert.equal(newest?.['reference'], 'order-2')
})

test('where nothing is said, nothing is written', async (t) => {
  const { deposit, details, rows } = await shop(t)
  await deposit({}, 'plain')
  const { status, body } = await deposit({ metadata: {} })
  assert.equal(status, 202)
  assert.deepEqual(await details(body['payment_id']), NONE)
  assert.deepEqual(await rows(), [2, 0, 0])
})

test('a repeated key is compared with everything that was first sent', async (t) => {
  const { deposit, rows } = await shop(t)
  const first = await deposit(ALL, 'a')
  const metadata = { 'cart.id': '', shop: 'berlin' }
  const again = await deposit({ ...ALL, metadata }, 'a')
  assert.deepEqual([again.status, again.text], [202, first.text])
  assert.equal(again.headers.get('idempotent-replayed'), 'true')

  const differs = (...names: string[]) => names.map((name) => ({ pointer: name, code: 'differs' }))
  const reuse = async (more: object, ...names: string[]) =>
    refused(await deposit(more, 'a'), 422, 'idempotency_key_reuse', differs(...names))
  const rest = without(ALL, 'description')
  await reuse({ ...ALL, description: `${ALL.description}.` }, '/description')
  await reuse(rest, '/description')
  await reuse({ ...ALL, metadata: { shop: 'berlin' }, deposit: 11 }, '/deposit', '/metadata')
  const all = Object.keys(ALL).toSorted()
  await reuse({}, ...all.map((name) => `/${name}`))
  await deposit({}, 'b')
  refused(
    await deposit({ payment_method: 'pm_2' }, 'b'),
    422,
    'idempotency_key_reuse',
    differs('/payment_method'),
  )
  assert.deepEqual(await rows(), [2, 1, 1])
})

test('a key that is repeated within a batch is compared as well', async (t) => {
  const { call, userId } = await shop(t)
  const item = { type: 'deposit', user_id: userId, amount: 1, idempotency_key: 'k', ...ALL }
  const rest = without(item, 'reference')
  const { body } = await call('POST', '/payments/batch', { payments: [item, item, rest] })
  const results = body['results'] as {
    status: number
    replayed: boolean
    problem?: { errors: unknown }
  }[]
  assert.deepEqual(
    results.map(({ status, replayed }) => [status, replayed]),
    [
      [202, false],
      [202, true],
      [422, false],
    ],
  )
  assert.deepEqual(results[2]?.problem?.errors, [
    { pointer: '/payments/2/reference', code: 'differs' },
  ])
})

test('a card number is refused wherever it stands, and is neither kept nor repeated', async (t) => {
  const { call, deposit, rows, userId } = await shop(t)
  const card = (pointer: string) => [{ pointer, code: 'card_number' }]
  const digits = CARD.replaceAll(' ', '')
  const replies = [
    [await deposit({ description: `paid by ${CARD}` }), '/description'],
    [await deposit({ metadata: { note: CARD } }), '/metadata/note'],
    [await deposit({ payment_method: digits }), '/payment_method'],
    [await deposit({ reference: digits }, 'key'), '/reference'],
  ] as const
  for (const [reply, pointer] of replies) {
    refused(reply, 422, 'card_number', card(pointer))
    assert.ok(!reply.text.includes('4242'), 'the number is repeated')
  }
  const item = { type: 'withdraw', user_id: userId, amount: 1 }
  const payments = [item, { ...item, description: CARD }]
  const { body } = await call('POST', '/payments/batch', { payments })
  const results = body['results'] as { status: number; problem: { errors: unknown } }[]
  assert.deepEqual(
    results.map(({ status }) => status),
    [202, 422],
  )
  assert.deepEqual(results[1]?.problem.errors, card('/payments/1/description'))
  assert.deepEqual(await rows(), [1, 0, 0])
})

test('a field that is malformed is named, and so is every other one', async (t) => {
  const { call, deposit, rows, userId } = await shop(t)
  const wrong = {
    reference: 'a b',
    description: 7,
    metadata: { 'a b': '' },
    return_url: 'http://a',
  }
  const errors = [
    { pointer: '/reference', code: 'malformed' },
    { pointer: '/description', code: 'wrong_type' },
    { pointer: '/metadata', code: 'malformed_key' },
    { pointer: '/return_url', code: 'malformed' },
  ]
  refused(await deposit(wrong), 400, 'body_invalid', errors)
  refused(await deposit({ reference: null }), 400, 'body_invalid')
  const payments = [{ type: 'deposit', user_id: userId, amount: 1, ...wrong }]
  const { body } = await call('POST', '/payments/batch', { payments })
  const [result] = body['results'] as {
    status: number
    problem: { errors: { pointer: string }[] }
  }[]
  assert.equal(result?.status, 400)
  assert.deepEqual(
    result.problem.errors.map(({ pointer }) => pointer),
    errors.map(({ pointer }) => `/payments/0${pointer}`),
  )
  assert.deepEqual(await rows(), [0, 0, 0])
})

test('a user has one payment under a reference that did not fail', async (t) => {
  const { world, call, deposit, rows } = await shop(t)
  const first = await deposit({ reference: 'a' }, 'k1')
  const second = await deposit({ reference: 'a' }, 'k2')
  refused(second, 409, 'reference_taken', [{ pointer: '/reference', code: 'taken' }])
  assert.equal(second.body['payment_id'], first.body['payment_id'])
  const other = Number(await world.user(0n))
  assert.equal((await deposit({ reference: 'a' }, undefined, other)).status, 202)
  assert.equal((await deposit({ reference: 'A' })).status, 202)
  // Nothing was kept of the one that was refused: its key is free for another request.
  assert.equal((await deposit({ reference: 'b' }, 'k2')).status, 202)
  const item = { type: 'deposit', user_id: other, amount: 1, reference: 'c' }
  const { body } = await call('POST', '/payments/batch', { payments: [item, item] })
  const statuses = (body['results'] as { status: number }[]).map(({ status }) => status)
  assert.deepEqual(statuses, [202, 409])
  assert.deepEqual(await rows(), [5, 5, 5])
})

test('a reference is free again when its payment has failed', async (t) => {
  const { world, deposit, details } = await shop(t)
  world.gateway.script = ['declined']
  const { body } = await deposit({ reference: 'a' })
  await world.work()
  world.gateway.script = ['success']
  const again = await deposit({ reference: 'a' })
  assert.equal(again.status, 202)
  await world.work()
  refused(await deposit({ reference: 'a' }), 409, 'reference_taken')
  assert.deepEqual(await details(body['payment_id']), { ...NONE, reference: 'a' })
})

test('a withdrawal that is refused for lack of funds takes no reference, and is replayed', async (t) => {
  const { call, userId, deposit } = await shop(t)
  const body = { user_id: userId, amount: 5_000, reference: 'a' }
  const key = { 'idempotency-key': 'k' }
  refused(await call('POST', '/payments/withdraw', body, key), 402, 'insufficient_funds')
  assert.equal((await deposit({ reference: 'a' })).status, 202)
  const again = await call('POST', '/payments/withdraw', body, key)
  refused(again, 402, 'insufficient_funds')
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  const plain = without(body, 'reference')
  const reused = await call('POST', '/payments/withdraw', plain, key)
  refused(reused, 422, 'idempotency_key_reuse', [{ pointer: '/reference', code: 'differs' }])
})

test('of many requests at once one gets the reference', async (t) => {
  const { deposit, rows } = await shop(t)
  const replies = await Promise.all(Array.from({ length: 40 }, () => deposit({ reference: 'a' })))
  const statuses = replies.map(({ status }) => status).sort()
  assert.deepEqual(statuses, [202, ...Array.from({ length: 39 }, () => 409)])
  assert.deepEqual(await rows(), [1, 1, 1])
})

test('a payment that repeats another has its details, and its reference unless it is taken', async (t) => {
  const { world, deposit, details } = await shop(t)
  world.gateway.script = ['declined']
  const failed = BigInt(Number((await deposit(ALL)).body['payment_id']))
  await world.work()
  const again = async (id: bigint) => {
    const letterId = await openLetter(world, id)
    const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
    assert.ok(answer !== undefined)
    return answer
  }
  const first = await again(failed)
  assert.ok(first.kind === 'redriven' && first.newPaymentId !== null)
  assert.deepEqual(await details(first.newPaymentId), ALL)
  const taken = await deposit({ reference: ALL.reference })
  refused(taken, 409, 'reference_taken')
  assert.equal(taken.body['payment_id'], Number(first.newPaymentId))

  // It fails too, and so does the one that repeats it; then somebody else takes the reference.
  await world.work()
  const second = await again(first.newPaymentId)
  assert.ok(second.kind === 'redriven' && second.newPaymentId !== null)
  assert.deepEqual(await details(second.newPaymentId), ALL)
  const all = await viewPayments(world.db, [second.newPaymentId, failed, first.newPaymentId])
  for (const view of all) assert.deepEqual(view?.details?.reference, ALL.reference)
  await world.work()
  const { body } = await deposit({ reference: ALL.reference })
  const third = await again(second.newPaymentId)
  assert.ok(third.kind === 'refused')
  const paymentId = BigInt(Number(body['payment_id']))
  assert.deepEqual(third.refusal, { code: 'reference_taken', paymentId })
})

test('a dry run foresees which letters find their references taken, as the run then does', async (t) => {
  const { world, deposit } = await shop(t)
  world.gateway.script = ['declined']
  for (const reference of ['a', 'a', 'a', 'b', 'b', 'c']) {
    await deposit({ reference })
    await world.work()
  }
  await deposit({})
  await world.work()
  await deposit({ reference: 'b' })
  // Its reference is its own still.
  world.gateway.script = ['in_doubt']
  world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
  await deposit({ reference: 'd' })
  for (let round = 0; round < 4; round += 1) {
    world.clock.advance(60_000)
    await world.work()
  }
  const planned = await plan(world.world, { ...EVERYTHING, class: 'failed' }, 'jane')
  const foreseen = planned.refused.map(({ code, count }) => [code, count])
  assert.deepEqual(foreseen, [['reference_taken', 4]])
  const unknown = await plan(world.world, { ...EVERYTHING, class: 'unknown' }, 'jane')
  assert.deepEqual(unknown.refused, [])
  const by = { actor: 'jane', reason: 'back', requestId: 'r', ratePerSecond: 100 }
  await start(world.world, planned.run.id, by)
  await step(world.world, planned.run.id)
  const run = await readRun(world.db.global, planned.run.id)
  assert.deepEqual([run?.carriedOut, run?.refusals], [3, { reference_taken: 4 }])
})
