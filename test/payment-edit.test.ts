import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { editPayment } from '../src/operators/edit-texts.ts'
import { lockTexts, writeTexts } from '../src/payments/details-store.ts'
import { testWorld } from './harness.ts'
import { accepted, JANE, openLetter, somebodyElse, someoneWaits } from './operators.ts'
import { serve } from './serve.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

async function shop(t: TestContext, env: Record<string, string> = {}) {
  const world = await testWorld(t)
  const userId = Number(await world.user(100_000n))
  const { call } = await serve(t, env, { database: world.url, roles: ROLES })
  const deposit = (more: object = {}, headers = {}) =>
    call('POST', '/payments/deposit', { user_id: userId, deposit: 10, ...more }, headers)
  const made = async (more: object = {}) => Number((await deposit(more)).body['payment_id'])
  const patch = (id: number, body: unknown, headers = {}) =>
    call('PATCH', `/payments/${id}`, body, headers)
  return { world, call, deposit, made, patch }
}

test('the description and the metadata of a payment may be changed, and nothing else', async (t) => {
  const { call, made, patch } = await shop(t)
  const id = await made({ description: 'one', metadata: { a: '1' }, reference: 'r' })
  const both = await patch(id, { description: 'two', metadata: { b: '2' } })
  assert.equal(both.status, 200)
  assert.deepEqual(both.body, (await call('GET', `/payments/${id}`)).body)
  assert.equal(both.body['description'], 'two')
  assert.deepEqual(both.body['metadata'], { b: '2' })
  assert.equal(both.body['reference'], 'r')
  const one = await patch(id, { description: null })
  assert.equal(one.body['description'], null)
  assert.deepEqual(one.body['metadata'], { b: '2' })
  for (const body of [
    {},
    { reference: 's' },
    { metadata: 7 },
    { description: '' },
    { amount: 1 },
  ]) {
    assert.equal((await patch(id, body)).body['code'], 'body_invalid', JSON.stringify(body))
  }
  const card = await patch(id, { metadata: { note: '4242424242424242' } })
  assert.deepEqual([card.status, card.body['code']], [422, 'card_number'])
  assert.equal((await patch(999, { description: 'x' })).body['code'], 'payment_not_found')
  const none = await patch(0, { metadata: { note: '4242424242424242' } })
  assert.equal(none.body['code'], 'payment_not_found', 'its id is read before its texts')
  const after = await call('GET', `/payments/${id}`)
  assert.deepEqual(after.body, one.body)
})

test('the reason of a refund stays, and so does that of one that repeats it', async (t) => {
  const { world, call, made, patch } = await shop(t)
  const parent = await made()
  await world.work()
  const asked = { amount: 4, reason: 'suspected fraud' }
  const { body } = await call('POST', `/payments/${parent}/refunds`, asked)
  const id = Number(body['payment_id'])
  for (const edit of [{ description: null }, { description: 'x', metadata: { a: '1' } }]) {
    const answer = await patch(id, edit)
    assert.deepEqual([answer.status, answer.body['code']], [409, 'reason_stays'])
  }
  world.gateway.script = ['declined']
  await world.work()
  const letterId = await openLetter(world, BigInt(id))
  const [again] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert(again?.kind === 'redriven')
  const repeat = await patch(Number(again.newPaymentId), { description: 'x' })
  assert.equal(repeat.body['code'], 'reason_stays')
  assert.equal((await patch(id, { metadata: { a: '1' } })).status, 200)
  const shown = (await call('GET', `/payments/${id}`)).body
  assert.deepEqual([shown['description'], shown['metadata']], ['suspected fraud', { a: '1' }])
})

test('a payment about which nothing was said can be told something later', async (t) => {
  const { made, patch, call } = await shop(t)
  const id = await made()
  await patch(id, { metadata: { a: '1' } })
  assert.deepEqual((await call('GET', `/payments/${id}`)).body['metadata'], { a: '1' })
})

test('a change breaks no retry: a repeated key is compared with what was first sent', async (t) => {
  const { deposit, patch } = await shop(t)
  const key = { 'idempotency-key': 'k' }
  const first = await deposit({ description: 'one' }, key)
  await patch(Number(first.body['payment_id']), { description: 'two', metadata: { a: '1' } })
  const again = await deposit({ description: 'one' }, key)
  assert.deepEqual([again.status, again.text], [202, first.text])
  assert.equal((await deposit({ description: 'two' }, key)).status, 422)
})

test('the record says who changed which texts, and never what stood in them', async (t) => {
  const { world, made, patch, call } = await shop(t)
  const id = await made({ description: 'secret one' })
  await patch(id, { description: 'secret two', metadata: null }, { 'x-actor': 'jane' })
  const { body } = await call('GET', `/payments/${id}/timeline`)
  const event = (body['events'] as Record<string, unknown>[]).find((one) => one['event'] === 'edit')
  assert.deepEqual(
    [event?.['actor'], event?.['before'], event?.['after']],
    ['jane', { description: 'set', metadata: null }, { description: 'set', metadata: null }],
  )
  assert.equal(event?.['letter_id'], null)
  const rows = await world.sql<{ text: string }>(
    'select operator_acts::text as text from operator_acts',
  )
  assert.equal(rows.length, 1)
  assert.ok(!rows[0]?.text.includes('secret'), rows[0]?.text)
  assert.equal((await patch(id, { description: 'x' }, { 'x-actor': 'gateway' })).status, 400)
})

test('a payment and the one that repeats it have the same texts, whichever is changed', async (t) => {
  const { world, made, patch, call } = await shop(t)
  world.gateway.script = ['declined']
  const failed = await made({ description: 'one' })
  await world.work()
  const letterId = await openLetter(world, BigInt(failed))
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert.ok(answer?.kind === 'redriven' && answer.newPaymentId !== null)
  await patch(Number(answer.newPaymentId), { description: 'two' })
  assert.equal((await call('GET', `/payments/${failed}`)).body['description'], 'two')
})

test('changes of one payment at the same time are all kept', async (t) => {
  const { world, made, patch } = await shop(t)
  const id = await made()
  // Whoever waits too long for the others is told to come again, and nothing of it is kept.
  const untilFree = async (body: object): Promise<void> => {
    const { status, text } = await patch(id, body)
    if (status === 503) return untilFree(body)
    assert.equal(status, 200, text)
  }
  const texts = Array.from({ length: 20 }, (_, index) => index)
  await Promise.all(
    texts.map((n) => untilFree(n % 2 === 0 ? { description: 'd' } : { metadata: { m: 'm' } })),
  )
  const [row] = await world.sql<{ description: string; metadata: unknown; acts: bigint }>(
    'select description, metadata, (select count(*) from operator_acts) as acts from payment_details',
  )
  assert.deepEqual([row?.description, row?.metadata, row?.acts], ['d', { m: 'm' }, 20n])
  // Each saw what the one before it had left: one was the first for each of the texts.
  const firsts = await world.sql(
    `select after from operator_acts
     where before = '{"description": null}' or before = '{"metadata": null}'`,
  )
  assert.equal(firsts.length, 2)
})

test('a change of texts waits for nobody who has locked the payment or its user', async (t) => {
  const { world, made, patch } = await shop(t)
  const id = await made({ description: 'one' })
  const [payments, users] = [await somebodyElse(t, world), await somebodyElse(t, world)]
  await payments.lock('payments', BigInt(id))
  await users.lock('users', 1n)
  const { status, body } = await patch(id, { description: 'two' })
  assert.deepEqual([status, body['description']], [200, 'two'])
})

test('who waits too long for another change of the same texts is told to come again', async (t) => {
  const { world, made, patch } = await shop(t, { DATABASE_LOCK_TIMEOUT_SECONDS: '0.1' })
  const id = await made({ description: 'one' })
  const other = await somebodyElse(t, world)
  await other.lock('payment_details', BigInt(id))
  const busy = await patch(id, { description: 'two' })
  assert.deepEqual([busy.status, busy.body['code']], [503, 'busy'])
  await other.release()
  assert.equal((await patch(id, { description: 'two' })).status, 200)
  assert.equal((await world.sql('select id from operator_acts')).length, 1)
})

test('a change that waits for another one keeps what that has changed', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await accepted(world, 'deposit')
  let locked = (): void => undefined
  let write = (): void => undefined
  const isLocked = new Promise<void>((resolve) => (locked = resolve))
  const mayWrite = new Promise<void>((resolve) => (write = resolve))
  const first = world.db.of(id).transaction(async (tx) => {
    const texts = await lockTexts(tx, id)
    locked()
    await mayWrite
    assert.ok(texts !== null)
    writeTexts(tx, { ...texts, description: 'first' })
  })
  await isLocked
  const second = editPayment(world.db, id, { metadata: { by: 'second' } }, JANE)
  await someoneWaits(world)
  write()
  await Promise.all([first, second])
  const { details } = await world.view(id)
  assert.deepEqual([details?.description, details?.metadata], ['first', { by: 'second' }])
})
