import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bookReturns } from '../src/refunds/returns.ts'
import { timelineBody } from '../src/timeline/bodies.ts'
import { timelineText } from '../src/timeline/command.ts'
import { timeline } from '../src/timeline/timeline.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE } from './operators.ts'
import { done, refunded } from './refunds-kit.ts'

const MONEY = { refundFee: 'keep', returnFee: 'keep' } as const

async function told(world: TestWorld, id: bigint) {
  const found = await timeline(world.world, id)
  assert(found !== null)
  return { ...timelineBody(found), text: timelineText(found) }
}

test('what goes back of a payment is in its story, and a return tells who said so and who paid', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world, 'deposit', 0n)
  const refund = await refunded(world, id, '10')
  await world.work()
  // The user has spent the rest, so a part of the charge-back is our loss.
  await world.sql(
    'update users set available = 0 where id = (select user_id from payments limit 1)',
  )
  const draft = { parentId: id, kind: 'charged_back', ref: 'cb-1', amount: 3_000n } as const
  const [answer] = await bookReturns({ db: world.db, ...MONEY }, JANE, [draft])
  assert(answer?.kind === 'booked')
  const back = answer.payment.id

  const parent = await told(world, id)
  assert.match(parent.explanation, /next; 10\.00 of it was refunded and 30\.00 of it came back\.$/)
  const gone = parent.events.flatMap((one) => ('parent_id' in one ? [one] : []))
  assert.deepEqual(
    gone.map(({ event, payment_id: of, amount, return_kind: kind }) => [event, of, amount, kind]),
    [
      ['refund', Number(refund), 10, null],
      ['came_back', Number(back), 30, 'charged_back'],
    ],
  )
  const said = parent.events.filter(({ event }) => event === 'return')
  assert.equal(said.length, 1)

  const own = await told(world, back)
  const [arrival, act, posting] = own.events
  assert.deepEqual(own.events.length, 3)
  assert.deepEqual(arrival, {
    at: arrival?.at,
    event: 'came_back',
    amount: 30,
    return_kind: 'charged_back',
    payment_id: Number(back),
    parent_id: Number(id),
  })
  assert.equal(act?.event, 'return')
  assert.ok(act !== undefined && 'actor' in act && act.actor === 'jane')
  assert.ok(posting !== undefined && 'losses' in posting)
  assert.deepEqual([posting.event, posting.balance, posting.losses], ['settle', 0, -30])
  assert.match(own.text, /came back +30\.00, charged back, payment \d+ of \d+/)
  assert.match(own.text, /settle .*lost 30\.00/)
})
