import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoAnswer, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import { answer, BODY, scripted } from './sdk-scripted.ts'

type Service = ReturnType<typeof scripted>

/** Every call of the SDK, by its name. */
const CALLS: Readonly<Record<string, (service: Service) => Promise<unknown>>> = {
  deposit: ({ payments }) => payments.deposit(BODY),
  withdraw: ({ payments }) => payments.withdraw({ user_id: 1, amount: '1' }),
  refund: ({ payments }) => payments.refund(1, { reason: 'x' }),
  cancel: ({ payments }) => payments.cancel(1, { reason: 'x' }),
  get: ({ payments }) => payments.get(1),
  'update a payment': ({ payments }) => payments.update(1, { description: 'x' }),
  timeline: ({ payments }) => payments.timeline(1),
  'list payments': ({ payments }) => payments.list().next(),
  'create a user': ({ users }) => users.create({ balance: '1' }),
  'get a user': ({ users }) => users.get(1),
  'get a letter': ({ deadLetters }) => deadLetters.get(1),
  redrive: ({ deadLetters }) => deadLetters.redrive(1, { reason: 'x' }),
  resolve: ({ deadLetters }) => deadLetters.resolve(1, { outcome: 'failed', reason: 'x' }),
  correct: ({ deadLetters }) => deadLetters.correct(1, { reason: 'x' }),
  'make an endpoint': ({ webhookEndpoints }) => webhookEndpoints.create({ types: ['books.*'] }),
  'get an endpoint': ({ webhookEndpoints }) => webhookEndpoints.get(1),
  'list endpoints': ({ webhookEndpoints }) => webhookEndpoints.list(),
  'update an endpoint': ({ webhookEndpoints }) => webhookEndpoints.update(1, { ordered: true }),
  'remove an endpoint': ({ webhookEndpoints }) => webhookEndpoints.remove(1),
  rotate: ({ webhookEndpoints }) => webhookEndpoints.rotateSecret(1),
  test: ({ webhookEndpoints }) => webhookEndpoints.test(1),
  deliveries: ({ webhookEndpoints }) => webhookEndpoints.deliveries(1),
  attempts: ({ webhookEndpoints }) => webhookEndpoints.attempts(1, 'msg_1'),
  retry: ({ webhookEndpoints }) => webhookEndpoints.retry(1, 'msg_1'),
  plan: ({ webhookEndpoints: { replays } }) => replays.plan(1),
  start: ({ webhookEndpoints: { replays } }) => replays.start(1, { snapshot: 1, reason: 'x' }),
  'get a replay': ({ webhookEndpoints: { replays } }) => replays.get(1, 1),
  'list replays': ({ webhookEndpoints: { replays } }) => replays.list(1),
  'cancel a replay': ({ webhookEndpoints: { replays } }) => replays.cancel(1, 1),
}

test('a page that says yes to everything is no answer to any call', async () => {
  const yes = answer(200, { ok: true })
  const believed: string[] = []
  for (const [name, call] of Object.entries(CALLS)) {
    await call(scripted([yes], { attemptsMax: 1 })).then(
      () => believed.push(name),
      (error: unknown) => assert.ok(error instanceof NoAnswer || error instanceof OutcomeUnknown),
    )
  }
  assert.deepEqual(believed, [])
})

test('what is answered with nothing else is done where the answer is 204', async () => {
  const done = () => new Response(null, { status: 204 })
  const { webhookEndpoints } = scripted([answer(200, { ok: true }), done, done])
  const sent = await webhookEndpoints.retry(1, 'msg_1')
  assert.deepEqual(sent, { ok: true, retried: null, replayed: false })
  assert.deepEqual(await webhookEndpoints.remove(1), { ok: true, removed: null })
})
