import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge } from '../scripts/prove-webhooks.ts'
import type { Heard } from '../scripts/receivers.ts'

const PAYMENTS = [
  { payment: '1', status: 'success' },
  { payment: '2', status: 'failed' },
]
const EVENTS = [
  { id: 'msg_7', payment: '1', type: 'payment.succeeded' },
  { id: 'msg_8', payment: '2', type: 'payment.failed' },
]
const heardOf = (id: string, more: Partial<Heard> = {}): Heard => ({
  verdict: 'ok',
  id,
  digest: `of ${id}`,
  status: 204,
  ...more,
})
const FAILED = heardOf('msg_7', { status: 500 })
const HEARD = [FAILED, heardOf('msg_7'), heardOf('msg_8')]

async function wrongOf(heard: readonly Heard[], events = EVENTS, secrets = [0, 1]) {
  const query = async <Row extends object>(text: string) =>
    (text.includes('from events') ? events : PAYMENTS) as unknown as Row[]
  const judged = await judge([{ name: 'npm', heard, secrets }], query)
  return judged.wrong.join('; ')
}

test('the proof of webhooks finds nothing where every message arrived as it was', async () => {
  assert.equal(await wrongOf(HEARD), '')
})

for (const [what, heard, said] of [
  ['that was refused', [...HEARD, heardOf('msg_8', { verdict: 'refused' })], /npm refused 1/],
  ['that never arrived', HEARD.slice(0, 2), /arrived at npm.*: 1 missing/],
  ['that was answered with a failure alone', [FAILED, heardOf('msg_8')], /1 missing/],
  ['of no event', [...HEARD, heardOf('msg_9')], /1 too many/],
  [
    'with other bytes at its second attempt',
    [heardOf('msg_7', { digest: 'x' }), ...HEARD],
    /bytes/,
  ],
] as const) {
  test(`the proof of webhooks finds a message ${what}`, async () => {
    assert.match(await wrongOf(heard), said)
  })
}

test('the proof of webhooks finds an end without its event, and an event that is told twice', async () => {
  const [first, second] = EVENTS
  assert.ok(first && second)
  assert.match(await wrongOf(HEARD.slice(0, 2), [first]), /not the ends.*1 missing/)
  const twice = [...EVENTS, { ...second, id: 'msg_9' }]
  assert.match(await wrongOf([...HEARD, heardOf('msg_9')], twice), /not the ends.*1 twice/)
})

test('the proof of webhooks finds a secret that verified nothing', async () => {
  assert.match(await wrongOf(HEARD, EVENTS, [0, 0, 1]), /never needed/)
})
