import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plan } from '../tools/demo/plan.ts'
import type { Report } from '../tools/demo/report.ts'
import { cloneDatabase } from './databases.ts'
import { CALM, FAST, MOCK, post, range } from './process-kit.ts'
import { dataFolder, launch, runTool } from './programs.ts'
import { turnGateway } from '../tools/client.ts'

test('the same seed plans the same payments, with everything in the mix', () => {
  const mix = plan(2_000, 100, 7)
  assert.deepEqual(mix, plan(2_000, 100, 7))
  assert.notDeepEqual(mix, plan(2_000, 100, 8))
  const count = (is: (payment: (typeof mix)[number]) => boolean) => mix.filter(is).length
  const shares = [
    count(({ type }) => type === 'deposit'),
    count(({ type, tooLarge }) => type === 'withdraw' && !tooLarge),
    count(({ tooLarge }) => tooLarge),
    count(({ key }) => key !== null),
    count(({ repeated }) => repeated),
  ]
  assert.ok(
    shares.every((share) => share >= 100),
    shares.join(),
  )
  assert.ok(mix.every(({ key, repeated }) => key !== null || !repeated))
  assert.equal(new Set(mix.map(({ user }) => user)).size, 100)
})

test('the demo passes on a service in order, and fails on a double charge', async (t) => {
  const service = await launch(t, 'start', {
    DATABASE_URL: await cloneDatabase(t),
    DATA_DIR: await dataFolder(t),
    ...FAST,
    GATEWAY_TIMEOUT_SECONDS: '0.3',
  })
  const demo = async () => {
    const sizes = ['--payments', '200', '--users', '10', '--clients', '20']
    const ended = await runTool(t, 'demo', ['--url', service.url, ...sizes, '--json'])
    assert.equal(ended.stderr, '')
    return { code: ended.code, report: JSON.parse(ended.stdout) as Report }
  }
  const good = await demo()
  assert.equal(good.code, 0, JSON.stringify(good.report.checks, null, 2))
  assert.equal(good.report.accepted + good.report.refused, 200)
  const statuses = Object.values(good.report.statuses)
  assert.equal(
    statuses.reduce((sum, count) => sum + count, 0),
    good.report.accepted,
  )

  const books = good.report.books.map(({ currency, sum }) => [currency, sum])
  assert.deepEqual(books, [
    ['USD', 0],
    ['JPY', 0],
  ])
  const yen = good.report.checks.find(({ name }) => name.includes('yen'))
  assert.match(yen?.detail ?? '', /^10000 \+ 1500 - 30 - 500 = 10970$|in doubt/)

  // Orders without a key: each is a charge of its own.
  await turnGateway(service.url + MOCK, CALM)
  const order = { payment_id: 999_999, user_id: 1, amount: 5, commission: 0, type: 'deposit' }
  for (const _ of range(2)) {
    assert.equal((await post(`${service.url + MOCK}/pay`, order)).status, 200)
  }
  const bad = await demo()
  assert.equal(bad.code, 1)
  const failed = bad.report.checks.filter(({ ok }) => !ok).map(({ name }) => name)
  assert.deepEqual(failed, ["Nothing was charged twice, by the gateway's own journal"])
})
