import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { yookassaCharges } from '../src/gateways/yookassa-list.ts'
import { listed } from './driver-kit.ts'
import { manualClock } from './harness.ts'
import { http, peer } from './misbehaving-peer.ts'
import { FAULTS_NONE, serveMock } from './mock-server.ts'
import { DEPOSIT, PAYOUT_SHOP, SHOP, yookassa } from './yookassa-kit.ts'

/** More than one lookup reads: ten pages of a hundred. */
const MANY = 1_150
/** Requests at a time. */
const AT_ONCE = 50
const MINUTE_MS = 60_000

/** A shop in which others take many payments over a day behind one whose answer was lost. */
async function busyShop(t: TestContext, executedAfterMs: number) {
  const clock = manualClock()
  const { url, mock } = await serveMock(t, {}, undefined, clock)
  const gateway = yookassa(t, `${url}/yookassa/v3`, { clock })
  const sentAt = clock.now()
  clock.advance(executedAfterMs)
  mock.setFaults({ ...FAULTS_NONE, reset_after: 1 })
  assert.equal((await gateway.execute(DEPOSIT)).outcome.kind, 'in_doubt')
  mock.setFaults(FAULTS_NONE)
  for (let count = 0; count < MANY; count += AT_ONCE) {
    clock.advance(MINUTE_MS)
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, at) => {
        const key = `other-${count + at}`
        return gateway.execute({ ...DEPOSIT, paymentId: 1_000n, key })
      }),
    )
  }
  return { gateway, url: `${url}/yookassa/v3`, sentAt }
}

for (const [when, afterMs] of [
  ['at once', 0],
  ['at a repeat ten minutes later', 10 * MINUTE_MS],
  ['by a clock that is four minutes behind', -4 * MINUTE_MS],
] as const) {
  test(`a charge whose answer was lost is found among a thousand that were made after it, if it was made ${when}`, async (t) => {
    const { gateway, sentAt } = await busyShop(t, Math.max(afterMs, 0))
    const since = new Date(sentAt.getTime() - Math.min(afterMs, 0))
    const { outcome } = await gateway.lookup({ ...DEPOSIT, sentAt: since })
    assert.equal(outcome.kind, 'success')
  })
}

test('a whole list beyond a thousand objects is read to its end, each object once', async (t) => {
  const { url } = await busyShop(t, 0)
  const charges = await listed(yookassaCharges({ url, shop: SHOP, payoutShop: PAYOUT_SHOP }))
  assert.equal(charges.length, MANY + 1)
  assert.equal(new Set(charges.map(({ key }) => key)).size, MANY + 1)
})

test('what a test shop made is not listed as executed where the key is of a real one', async (t) => {
  const object = {
    id: 'ref-1',
    status: 'succeeded',
    amount: { value: '200.50', currency: 'RUB' },
    metadata: { payment_id: '7', payment_key: DEPOSIT.key },
  }
  const items = [
    { ...object, test: true },
    { ...object, id: 'ref-2', test: false },
  ]
  const page = JSON.stringify({ type: 'list', items })
  const { url } = await peer(t, (socket, request) => {
    const empty = JSON.stringify({ type: 'list', items: [] })
    socket.end(http(200, request.includes('/payments?') ? page : empty))
  })
  const refs = async (secretKey: string) => {
    const charges = await listed(
      yookassaCharges({ url, shop: { id: '1', secretKey }, payoutShop: null }),
    )
    return charges.map(({ ref }) => ref)
  }
  assert.deepEqual(await refs('live_key'), ['ref-2'])
  assert.deepEqual(await refs('test_key'), ['ref-1', 'ref-2'])
})

test('"not found" is said once the whole time was searched, and in few pages where little was made', async (t) => {
  const none = { type: 'list', items: [] }
  const pages = [JSON.stringify(none)]
  const quiet = await peer(t, (socket) => void socket.end(http(200, pages[0] ?? '')))
  const sentAt = new Date('2026-11-26T10:00:00Z')
  const { outcome } = await yookassa(t, quiet.url).lookup({ ...DEPOSIT, sentAt })
  assert.deepEqual([outcome.kind, quiet.requests.length], ['not_found', 1])

  let asked = 0
  const busy = await peer(t, (socket) => {
    asked += 1
    socket.end(http(200, JSON.stringify(asked === 1 ? { ...none, next_cursor: 'more' } : none)))
  })
  const seen = await yookassa(t, busy.url).lookup({ ...DEPOSIT, sentAt })
  assert.equal(seen.outcome.kind, 'not_found')
  const times = busy.requests.slice(1).map((request) => {
    const [, query = ''] = /^GET \S+\?(\S+) /.exec(request) ?? []
    const asking = new URLSearchParams(query)
    assert.equal(asking.get('cursor'), null)
    return ['created_at.gte', 'created_at.lte'].map((name) => asking.get(name) ?? '') as [
      string,
      string,
    ]
  })
  // The parts lie side by side, and together they are the whole time.
  const [first, ...others] = times.toSorted()
  assert.equal(first?.[0], '2026-11-26T09:55:00.000Z')
  let until = first[1]
  for (const [from, to] of others) {
    assert.equal(from, until)
    until = to
  }
  assert.equal(until, '2026-11-27T10:05:00.000Z')
})
