import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openNotices } from '../src/mock-gateway/notices.ts'
import { FAULTS_NONE } from './mock-server.ts'
import { serve, untilShown } from './serve.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

/** Who is told: answers as `answer` says, and remembers who was taken. */
function told(answer: (paymentId: number, sent: number) => number | Error) {
  const clock = waitingClock()
  const sent: number[] = []
  const taken: number[] = []
  const givenUp: string[] = []
  const notices = openNotices({
    clock,
    async send({ paymentId }) {
      sent.push(paymentId)
      const said = answer(paymentId, sent.length)
      if (said instanceof Error) throw said
      if (said < 300) taken.push(paymentId)
      return { status: said, retryAfterMs: said === 429 ? 1_000 : null }
    },
    onGivenUp: ({ paymentId }, why) => void givenUp.push(`${paymentId} ${String(why)}`),
  })
  const tell = (paymentId: number) => notices.tell({ paymentId, type: 'deposit' })
  return { clock, sent, taken, givenUp, tell, stop: notices.stop }
}

test('of many notices at once every one is taken by a receiver that takes five a second', async () => {
  let endsMs = 0
  let used = 0
  const own = told(() => {
    const nowMs = own.clock.elapsedMs()
    if (nowMs >= endsMs) [endsMs, used] = [nowMs + 1_000, 0]
    used += 1
    return used > 5 ? 429 : 200
  })
  const ids = Array.from({ length: 200 }, (_, n) => n + 1)
  for (const id of ids) own.tell(id)
  await quiet()
  for (let second = 0; second < 45; second += 1) await own.clock.advance(1_000)
  assert.deepEqual(own.taken, ids)
  assert.deepEqual(own.givenUp, [])
  assert.ok(own.sent.length <= 245, 'it is asked once too often in a second')
})

test('a notice that is not taken is sent again after pauses that grow, and given up in the end', async () => {
  for (const [answer, why] of [
    [() => 503, '503'],
    [() => new Error('away'), 'Error: away'],
  ] as const) {
    const own = told((id) => (id === 1 ? answer() : 200))
    own.tell(1)
    own.tell(2)
    await quiet()
    const pauses: number[] = []
    for (let [pause] = own.clock.waits(); pause !== undefined; [pause] = own.clock.waits()) {
      pauses.push(pause)
      await own.clock.advance(pause)
    }
    assert.equal(pauses.length, 20)
    assert.deepEqual(pauses.slice(0, 4), [500, 1_000, 2_000, 4_000])
    assert.equal(Math.max(...pauses), 300_000)
    assert.deepEqual(own.givenUp, [`1 ${why}`])
    assert.deepEqual(own.taken, [2], 'it keeps no other for ever')
  }
})

test('a notice that is refused is not sent again, and one that waits is not sent twice', async () => {
  const own = told((id, sent) => (id === 1 ? 404 : sent === 2 ? 429 : 200))
  for (const id of [1, 2, 3, 3, 2]) own.tell(id)
  await quiet()
  assert.deepEqual(own.sent, [1, 2])
  own.tell(2)
  await own.clock.advance(1_000)
  // The second was on its way when it was told again: something may have happened since.
  assert.deepEqual(own.sent, [1, 2, 2, 3, 2])
})

test('nothing is sent by a gateway that is closed', async () => {
  const own = told(() => 429)
  own.tell(1)
  await quiet()
  own.stop()
  await own.clock.advance(600_000)
  own.tell(2)
  await quiet()
  assert.deepEqual([own.sent, own.givenUp], [[1], []])
})

test('of many returns at once every one is booked', async (t) => {
  const service = await serve(t)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', FAULTS_NONE)
  const user = await call('POST', '/users', { balance: 100 })
  const ids: number[] = []
  for (let n = 0; n < 12; n += 1) {
    const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
    ids.push(Number(made.body['payment_id']))
  }
  for (const id of ids) await untilShown(service, id, ({ status }) => status === 'success')
  const back = { kind: 'charged_back', amount: 5 }
  const there = await Promise.all(
    ids.map((id) => call('POST', '/mock-gateway/returns', { ...back, payment_id: id })),
  )
  assert.ok(there.every(({ status }) => status === 200))
  for (const id of ids) await untilShown(service, id, ({ returned }) => returned === 5)
})
