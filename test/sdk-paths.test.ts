import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoAnswer } from '../sdk/typescript/src/index.ts'
import { answer, scripted } from './sdk-scripted.ts'

/** What somebody else may give for an id: each would be a part of another path. */
const NO_IDS = [
  '../webhook-endpoints',
  '%2e%2e/users',
  '1#',
  '',
  '..',
  '4/refunds?',
  '7/correct?',
  '3/rotate-secret?',
  '5/events',
  '5?wait=20',
  '5 ',
  '0',
  '-1',
  '1.5',
  '1e3',
  'msg_',
  undefined,
  null,
  {},
  ['1/refunds?'],
  Number.NaN,
  1e21,
]

test('an id that is a text of somebody else becomes no other path, and no query, in any call', async () => {
  const { payments, users, deadLetters, webhookEndpoints, sent } = scripted([])
  const reason = { reason: 'r' }
  const transactions = (id: number) => users.transactions(id).next()
  const calls: Readonly<Record<string, (id: number) => Promise<unknown>>> = {
    get: payments.get,
    timeline: payments.timeline,
    user: users.get,
    transactions,
    refund: (id) => payments.refund(id, { amount: '1', reason: 'r' }),
    cancel: (id) => payments.cancel(id, reason),
    wait: (id) => payments.wait(id, { until: 'final' }),
    update: (id) => payments.update(id, {}),
    updateUser: (id) => users.update(id, {}),
    letter: deadLetters.get,
    redrive: (id) => deadLetters.redrive(id, reason),
    resolve: (id) => deadLetters.resolve(id, { ...reason, outcome: 'failed' }),
    correct: (id) => deadLetters.correct(id, reason),
    endpoint: webhookEndpoints.get,
    remove: webhookEndpoints.remove,
    rotateSecret: webhookEndpoints.rotateSecret,
    test: webhookEndpoints.test,
    updateEndpoint: (id) => webhookEndpoints.update(id, {}),
    deliveries: (id) => webhookEndpoints.deliveries(id),
    attempts: (id) => webhookEndpoints.attempts(id, 'msg_1'),
    retry: (id) => webhookEndpoints.retry(id, 'msg_1'),
    attemptsOf: (id) => webhookEndpoints.attempts(1, id as unknown as string),
    plan: (id) => webhookEndpoints.replays.plan(id),
    start: (id) => webhookEndpoints.replays.start(id, { ...reason, snapshot: 1 }),
    replay: (id) => webhookEndpoints.replays.get(id, 1),
    replayOf: (id) => webhookEndpoints.replays.get(1, id),
    replays: (id) => webhookEndpoints.replays.list(id),
    cancelReplay: (id) => webhookEndpoints.replays.cancel(id, 1),
    retryOf: (id) => webhookEndpoints.retry(1, id as unknown as string),
  }
  for (const [name, call] of Object.entries(calls)) {
    for (const id of NO_IDS) await assert.rejects(call(id as number), /no path/, `${name} ${id}`)
  }
  assert.equal(sent.length, 0)
})

test('an id of a list is asked for as one, with its query behind it', async () => {
  const urls: string[] = []
  const { webhookEndpoints } = scripted([], {
    async fetch(url) {
      urls.push(url as string)
      return Response.json({ data: [] })
    },
  })
  const asText = '3' as unknown as number
  assert.ok((await webhookEndpoints.deliveries(asText, { state: 'failed' })).ok)
  assert.ok((await webhookEndpoints.attempts(3, 'msg_12')).ok)
  const all = 'http://localhost:1/api/v1/webhook-endpoints/3/deliveries'
  assert.deepEqual(urls, [`${all}?state=failed`, `${all}/msg_12/attempts`])
})

test('a page that is none ends a list, and is not asked for for ever', async () => {
  for (const page of [{ data: [] }, { data: [], next_cursor: '' }, { next_cursor: null }, {}]) {
    const { payments, sent } = scripted([answer(200, page), answer(200, page)], { attemptsMax: 2 })
    await assert.rejects(payments.list().next(), NoAnswer)
    assert.equal(sent.length, 2)
  }
})

test('the service is where the address says that was checked, without what stood around it', async () => {
  const urls: string[] = []
  const { payments } = scripted([], {
    url: ' http://localhost:1/pay/ ',
    async fetch(url) {
      urls.push(url as string)
      return Response.json({ payment_id: 1 })
    },
  })
  assert.ok((await payments.get(1)).ok)
  assert.deepEqual(urls, ['http://localhost:1/pay/api/v1/payments/1'])
})
