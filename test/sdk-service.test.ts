import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, isFinal, webhooks } from '../sdk/typescript/src/index.ts'
import { until } from './process-kit.ts'
import { serve, type Served } from './serve.ts'
import { receiver, status } from './webhooks-kit.ts'

async function all<Item>(list: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = []
  for await (const item of list) items.push(item)
  return items
}

/** Set every fault that is a chance to 0, but for these. */
async function turn({ call }: Served, faults: Readonly<Record<string, number>>): Promise<void> {
  const now = await call('GET', '/mock-gateway/faults')
  const chances = Object.entries(now.body).filter(([, value]) => Number(value) < 1)
  const off = Object.fromEntries(chances.map(([name]) => [name, 0]))
  const answer = await call('PUT', '/mock-gateway/faults', { ...off, ...faults })
  assert.equal(answer.status, 200, answer.text)
}

test('the SDK opens users, pays, waits, refunds and lists against a real service', async (t) => {
  const service = await serve(t)
  await turn(service, {})
  const { payments, users } = connect({ url: service.url })

  const opened = await users.create({ balance: '1000.00', external_id: 'c-1' }, { key: 'c-1' })
  assert.ok(opened.ok && !opened.replayed)
  const again = await users.create({ balance: '1000.00', external_id: 'c-1' }, { key: 'c-1' })
  assert.ok(again.ok && again.replayed)
  assert.deepEqual(again.user, opened.user)
  const user_id = opened.user.id

  const deposit = await payments.deposit({ user_id, deposit: '200.10' })
  assert.ok(deposit.ok)
  assert.equal(deposit.payment.deposit, '200.1')
  const ended = await payments.wait(deposit.payment.payment_id, { until: 'final' })
  assert.ok(ended.ok && isFinal(ended.payment))
  assert.equal(ended.payment.status, 'success')
  assert.equal(ended.payment.amount, '200.1')
  assert.equal(ended.payment.commission, '4')

  const refused = await payments.withdraw({ user_id, amount: '5000' })
  assert.ok(!refused.ok)
  assert.equal(refused.problem.code, 'insufficient_funds')
  assert.equal(refused.problem.required, '5100')

  const refund = await payments.refund(ended.payment.payment_id, { amount: '50', reason: 'half' })
  assert.ok(refund.ok)
  assert.equal(refund.payment.refund, '50')
  await payments.wait(refund.payment.payment_id, { until: 'final' })

  const listed = await all(payments.list({ user_id, limit: 1 }))
  assert.deepEqual(
    listed.map(({ type }) => type),
    ['refund', 'withdraw', 'deposit'],
  )
  assert.equal(listed[2]?.refunded, '50')
  const timeline = await payments.timeline(listed[2]?.payment_id ?? 0)
  assert.ok(timeline.ok && timeline.timeline.events.length >= 3)
  assert.deepEqual(
    (await all(users.list({ external_id: 'c-1' }))).map(({ id }) => id),
    [user_id],
  )
  assert.ok((await all(users.transactions(user_id, { limit: 1 }))).length >= 2)
  const missing = await payments.get(999)
  assert.ok(!missing.ok && missing.problem.code === 'payment_not_found')
})

test('the SDK lists dead letters in pages, and redrives one once under a key', async (t) => {
  const service = await serve(t)
  await turn(service, { decline: 1 })
  const { payments, users, deadLetters } = connect({ url: service.url })
  const opened = await users.create({ balance: '1000' })
  assert.ok(opened.ok)
  for (const amount of ['1', '2', '3']) {
    const paid = await payments.withdraw({ user_id: opened.user.id, amount })
    assert.ok(paid.ok)
    const ended = await payments.wait(paid.payment.payment_id, { until: 'final' })
    assert.ok(ended.ok && ended.payment.status === 'failed')
  }
  const letters = await all(deadLetters.list({ limit: 1 }))
  assert.deepEqual(
    letters.map(({ amount, state }) => [amount, state]),
    [
      ['3', 'open'],
      ['2', 'open'],
      ['1', 'open'],
    ],
  )
  const id = letters[0]?.id ?? 0
  const first = await deadLetters.redrive(id, { reason: 'again' }, { key: 'r-1', actor: 'jane' })
  const second = await deadLetters.redrive(id, { reason: 'again' }, { key: 'r-1', actor: 'jane' })
  assert.ok(first.ok && second.ok)
  assert.deepEqual([first.replayed, second.replayed], [false, true])
  assert.deepEqual(second.letter, first.letter)
  const closed = await deadLetters.get(id)
  assert.ok(closed.ok && closed.letter.closed_by === 'jane')
})

test('the SDK sees what a replay would send, starts it once, and follows and cancels it', async (t) => {
  const service = await serve(t)
  await turn(service, {})
  const to = await receiver(t, status(204))
  const { payments, users, webhookEndpoints } = connect({ url: service.url })
  const { replays } = webhookEndpoints
  const made = await webhookEndpoints.create({ url: to.url, types: ['payment.*'] })
  assert.ok(made.ok)
  const { id } = made.endpoint
  const opened = await users.create({ balance: '10' })
  assert.ok(opened.ok)
  const paid = await payments.deposit({ user_id: opened.user.id, deposit: '5' })
  assert.ok(paid.ok)
  await until('it has arrived', () => (to.received.length > 0 ? true : null))
  const plan = async () => {
    const found = await replays.plan(id, { types: ['payment.succeeded'] })
    assert.ok(found.ok && found.plan.count === 1)
    return { snapshot: found.plan.snapshot, reason: 'The shop lost a day' }
  }
  const asked = await plan()
  const begun = await replays.start(id, asked, { key: 'lost-day', actor: 'jane' })
  const again = await replays.start(id, asked, { key: 'lost-day', actor: 'jane' })
  assert.ok(begun.ok && again.ok)
  assert.deepEqual([begun.replayed, again.replayed], [false, true])
  assert.equal(begun.replay.id, asked.snapshot)
  const ended = await until('it has ended', async () => {
    const now = await replays.get(id, begun.replay.id)
    return now.ok && now.replay.delivered === 1 ? now.replay : null
  })
  assert.deepEqual([ended.state, ended.started_by, ended.reason], ['done', 'jane', asked.reason])
  const over = await replays.cancel(id, begun.replay.id, { actor: 'jane' })
  assert.ok(!over.ok && over.problem.code === 'replay_not_running')
  await plan()
  const listed = await replays.list(id)
  assert.deepEqual(listed.ok && listed.replays.data.map((one) => one.id), [asked.snapshot])
  const none = await replays.get(id, 999)
  assert.ok(!none.ok && none.problem.code === 'replay_not_found')
})

test('the SDK makes an endpoint once, tells what it is told, and looks after its deliveries', async (t) => {
  const service = await serve(t)
  await turn(service, {})
  const to = await receiver(t, status(204))
  const { payments, users, webhookEndpoints } = connect({ url: service.url })
  const draft = { url: to.url, types: ['payment.*'] } as const
  const made = await webhookEndpoints.create(draft, { key: 'hook', actor: 'jane' })
  const again = await webhookEndpoints.create(draft, { key: 'hook' })
  assert.ok(made.ok && again.ok)
  assert.deepEqual([again.replayed, again.endpoint], [true, made.endpoint])
  const { id, secret, created_by } = made.endpoint
  assert.equal(created_by, 'jane')
  const tried = await webhookEndpoints.test(id)
  assert.ok(tried.ok && tried.test.status === 204)

  const opened = await users.create({ balance: '10' })
  assert.ok(opened.ok)
  await payments.deposit({ user_id: opened.user.id, deposit: '5' })
  const arrived = await until('it has arrived', async () => {
    const found = await webhookEndpoints.deliveries(id, { state: 'delivered' })
    return found.ok ? found.deliveries.data[0] : null
  })
  const event = arrived.event_id
  const calls = await webhookEndpoints.attempts(id, event)
  assert.ok(calls.ok && calls.attempts.data[0]?.status === 204)
  const message = to.received.find((one) => one.id === event)
  const heard = await webhooks.verify(message?.body ?? '', message?.headers ?? {}, secret ?? '')
  assert.ok(heard.type === 'payment.succeeded' && heard.data.amount === '5')
  const lost = { key: 'lost', actor: 'jane', reason: 'The shop lost it' }
  const retried = await webhookEndpoints.retry(id, event, lost)
  assert.deepEqual(retried, { ok: true, retried: null, replayed: false })
  const repeated = await webhookEndpoints.retry(id, event, lost)
  assert.deepEqual(repeated, { ...retried, replayed: true })

  const off = await webhookEndpoints.update(id, { state: 'disabled', rate_per_second: 3 })
  assert.ok(off.ok && off.endpoint.disabled_reason === 'operator')
  const rotated = await webhookEndpoints.rotateSecret(id, { overlap_seconds: 0 })
  assert.ok(rotated.ok && rotated.endpoint.secret !== secret)
  const listed = await webhookEndpoints.list()
  assert.ok(listed.ok && listed.endpoints.data.length === 1)
  assert.deepEqual(await webhookEndpoints.remove(id), { ok: true, removed: null })
  const gone = await webhookEndpoints.get(id)
  assert.ok(!gone.ok && gone.problem.code === 'endpoint_not_found')
})
