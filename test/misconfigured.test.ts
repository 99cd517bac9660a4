import assert from 'node:assert/strict'
import { test } from 'node:test'
import { books } from './harness.ts'
import { shop } from './shop.ts'

test('payments accepted while the credential is wrong all succeed when it is right: none fails, one alert', async (t) => {
  const own = await shop(t)
  own.wrong = () => 401
  for (let second = 0; second < 180; second += 1) {
    await own.pay('deposit')
    if (second % 9 === 0) await own.pay('withdraw')
    await own.second()
  }
  assert.deepEqual(await own.statuses(), { 'deposit new': 180, 'withdraw new': 20 })
  assert.ok(own.asked.length <= 2 * 20, `${own.asked.length} calls in three minutes`)
  const told = (kind: string) => own.alerts.filter((alert) => alert.kind === kind).length
  assert.equal(told('misconfigured'), 2, 'one for each operation')
  const letters = await own.sql('select id from dead_letters')
  assert.deepEqual(letters, [])

  own.wrong = () => null
  for (let second = 0; second < 60; second += 1) await own.second()
  assert.deepEqual(await own.statuses(), { 'deposit success': 180, 'withdraw success': 20 })
  assert.equal(told('misconfigured'), 2)
  assert.equal(told('right_again'), 2)
  const { gateway } = await books(own)
  assert.equal(gateway, -180n * 100n + 20n * 100n)
})

test('while the address is wrong no payment is asked about twice in a row where others wait', async (t) => {
  const own = await shop(t)
  own.wrong = () => 404
  for (let payment = 0; payment < 10; payment += 1) await own.pay('deposit')
  for (let second = 0; second < 300; second += 1) await own.second()
  const repeated = own.asked.filter((id, index) => id === own.asked[index - 1])
  assert.deepEqual(repeated, [])
  assert.ok(own.asked.length > 15, 'it is tried again and again')
  assert.deepEqual(await own.statuses(), { 'deposit new': 10 })
})

test('while it is not known whether the credential is right, hardly any payment comes into doubt', async (t) => {
  const own = await shop(t)
  own.wrong = () => 401
  for (let payment = 0; payment < 100; payment += 1) await own.pay('deposit')
  for (let second = 0; second < 30; second += 1) await own.second()
  own.wrong = () => 'silent'
  const asked: number[] = []
  for (let second = 0; second < 300; second += 1) {
    const before = own.asked.length
    await own.second()
    if (own.asked.length > before) asked.push(second)
  }
  // The pause has grown to its longest before, and one payment ends each.
  assert.ok(asked.length <= 300 / 15 + 1, asked.join())
  const between = asked.slice(1).map((second, index) => second - (asked[index] ?? 0))
  assert.ok(Math.min(...between) >= 15, between.join())
  own.wrong = () => null
  for (let second = 0; second < 90; second += 1) await own.second()
  assert.deepEqual(await own.statuses(), { 'deposit success': 100 })
  const told = own.alerts.map(({ kind }) => kind)
  assert.deepEqual(told, ['misconfigured', 'right_again'])
})

test('one payment that the gateway will not talk about ends by itself, and no other is later for it', async (t) => {
  const [own, other] = [await shop(t), await shop(t)]
  const ids: bigint[] = []
  for (let payment = 0; payment < 200; payment += 1) {
    ids.push(await own.pay('deposit'))
    await other.pay('deposit')
  }
  const odd = ids[3]
  own.wrong = ({ paymentId }) => (paymentId === odd ? 404 : null)
  for (let second = 0; second < 10; second += 1) {
    await own.second()
    await other.second()
    const [{ 'deposit success': done = 0 }, { 'deposit success': without = 0 }] = [
      await own.statuses(),
      await other.statuses(),
    ]
    assert.ok(done >= Math.min(without, 199) - 1, `${done} and ${without} after ${second} s`)
  }
  assert.deepEqual(await other.statuses(), { 'deposit success': 200 })
  assert.equal((await own.statuses())['deposit success'], 199)
  assert.deepEqual(own.alerts, [])

  // Others go on, so it is known to be the odd one.
  for (let second = 0; second < 1_200; second += 1) {
    if (second % 10 === 0) await own.pay('deposit')
    await own.second()
  }
  const view = await own.view(odd ?? 0n)
  assert.deepEqual([view.status, view.lastError], ['failed', 'rejected'])
  assert.deepEqual(await own.statuses(), { 'deposit success': 199 + 120, 'deposit failed': 1 })
  assert.deepEqual(own.alerts, [])
})

test('one payment that the gateway will not talk about ends by itself where all others are pending first', async (t) => {
  const own = await shop(t)
  own.gateway.script = ['pending']
  const odd = await own.pay('deposit')
  own.wrong = ({ paymentId }) => (paymentId === odd ? 404 : null)
  for (let second = 0; second < 1_200; second += 1) {
    if (second % 10 === 0) await own.pay('deposit')
    await own.second()
  }
  const view = await own.view(odd)
  assert.deepEqual([view.status, view.lastError], ['failed', 'rejected'])
  assert.deepEqual(own.alerts, [])
})

test('deposits go on at once while the credential for payouts is wrong', async (t) => {
  const own = await shop(t)
  own.wrong = ({ kind }) => (kind === 'payout' ? 401 : null)
  for (let payment = 0; payment < 100; payment += 1) await own.pay('withdraw')
  for (let second = 1; second <= 60; second += 1) {
    await own.pay('deposit')
    await own.second()
    assert.deepEqual(await own.statuses(), { 'deposit success': second, 'withdraw new': 100 })
  }
  own.wrong = () => null
  for (let second = 0; second < 60; second += 1) await own.second()
  assert.deepEqual(await own.statuses(), { 'deposit success': 60, 'withdraw success': 100 })
})

test('a gateway that restarts while there is little to do fails nobody', async (t) => {
  const own = await shop(t)
  for (let restart = 0; restart < 5; restart += 1) {
    own.wrong = () => 'away'
    for (let second = 0; second < 5; second += 1) {
      if (second % 2 === 0) await own.pay('deposit')
      await own.second()
    }
    own.wrong = () => null
    for (let second = 0; second < 60; second += 1) await own.second()
    assert.deepEqual(await own.statuses(), { 'deposit success': 3 * (restart + 1) })
  }
  assert.deepEqual(own.alerts, [], 'a restart is no matter of settings')
})
