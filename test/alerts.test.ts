import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { createMetrics } from '../src/adapters/metrics.ts'
import { COUNTER_NAMES, EXACT_NAMES, type ExactName } from '../src/domain/counters.ts'
import { databaseGauges } from '../src/metrics/database-gauges.ts'
import type { Roles } from '../src/process/shared.ts'
import { testWorld } from './harness.ts'
import { lost } from './operators.ts'
import { lint, samplesOf, valueOf, type Sample } from './prometheus.ts'
import { serve } from './serve.ts'

const ALERTS = readFileSync(new URL('../deploy/prometheus/rules.yaml', import.meta.url), 'utf8')
const OPERATIONS = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8')

interface Alert {
  readonly name: string
  readonly expression: string
  readonly op: string
  readonly limit: number
}

function alerts(): Alert[] {
  const rules = ALERTS.matchAll(/- alert: (\w+)\n\s+expr:\s+(?:>-\s+)?([^]*?)\n\s+(?:for|labels):/g)
  return [...rules].map(([, name = '', expr = '']) => {
    const [, expression = '', op = '', limit = ''] =
      /^(.*) (>|==) ([\d.]+)$/.exec(expr.replace(/\s+/g, ' ')) ?? []
    return { name, expression, op, limit: Number(limit) }
  })
}

function firing(before: readonly Sample[], after: readonly Sample[]): string[] {
  const fires = ({ expression, op, limit }: Alert) => {
    const value = valueOf(expression, before, after)
    return op === '>' ? value > limit : value === limit
  }
  return alerts()
    .filter(fires)
    .map(({ name }) => name)
}

const ROLES: Readonly<Record<string, Roles>> = {
  all: { api: true, worker: true, mockGateway: true },
  api: { api: true, worker: false, mockGateway: false },
  worker: { api: false, worker: true, mockGateway: false },
  'mock-gateway': { api: false, worker: false, mockGateway: true },
}

async function scraper(t: TestContext, roles: Roles): Promise<() => Promise<string>> {
  const away = 'http://127.0.0.1:9/api/v1/mock-gateway'
  const { url } = await serve(t, roles.mockGateway ? {} : { PAYMENT_GATEWAY_URL: away }, { roles })
  return async () => (await fetch(`${url}/metrics`)).text()
}

for (const [role, roles] of Object.entries(ROLES)) {
  test(`no documented alert fires on an idle process: ${role}`, async (t) => {
    const scrape = await scraper(t, roles)
    const [first, second] = [await scrape(), await scrape()]
    // How late the loop is depends on what else the machine does.
    const idle = firing(samplesOf(first), samplesOf(second)).filter(
      (name) => name !== 'PaymentsEventLoopLate',
    )
    assert.deepEqual(idle, [])
    const waiting = samplesOf(first).find(({ labels }) => labels['state'] === 'waiting')
    assert.equal(waiting?.value, role === 'mock-gateway' ? undefined : 0)
    assert.deepEqual(lint(second), [])
  })
}

test('promtool finds nothing wrong with the metrics of any role, nor with the alerts', async (t) => {
  const check = (what: string, input: string, ...files: string[]) =>
    spawnSync('promtool', ['check', what, ...files], { input, encoding: 'utf8' })
  if (check('metrics', '').error !== undefined) return t.skip('promtool is not installed here')
  for (const [role, roles] of Object.entries(ROLES)) {
    const scrape = await scraper(t, roles)
    await scrape()
    const { status, stdout, stderr } = check('metrics', await scrape())
    assert.deepEqual([status, stdout, stderr], [0, '', ''], role)
  }
  const file = new URL('../deploy/prometheus/rules.yaml', import.meta.url).pathname
  const rules = check('rules', '', file)
  assert.equal(rules.status, 0, rules.stderr)
})

const SICK = {
  queueTasks: { due: 9, waiting: 0, leased: 0 },
  queueOldestDueSeconds: 60,
  unknownPayments: 1,
  unknownAmounts: { USD: 1n },
  unknownOldestSeconds: 7_200,
  heldAmounts: { USD: 0n },
  webhookEndpoints: { failing: 1, disabled: 1 },
  webhookOldestDueSeconds: 90,
  deadLettersOpen: { failed: 3, unknown: 1 },
  // fromEntries forgets the keys' type.
  counts: Object.fromEntries(EXACT_NAMES.map((name) => [name, 0])) as Record<ExactName, number>,
}
const WELL = {
  ...SICK,
  queueTasks: { due: 0, waiting: 0, leased: 0 },
  webhookEndpoints: { failing: 0, disabled: 0 },
  deadLettersOpen: { failed: 0, unknown: 0 },
}

test('every documented alert fires when what it is for happens', async (t) => {
  let nowMs = 0
  const metrics = createMetrics({ role: 'test', version: '1', elapsedMs: () => nowMs })
  t.after(() => metrics.close())
  metrics.database(async () => WELL)
  const before = samplesOf(await metrics.text())

  metrics.database(async () => SICK)
  metrics.pool(() => ({ total: 10, idle: 0, waiting: 5 }))
  const route = { gateway: 'http', operation: 'payout', misconfigured: true }
  metrics.breaker(() => [{ ...route, state: 'half_open' }])
  metrics.violations({ rules: [{ rule: 'posting_sum', violations: 1 }] })
  metrics.rangesMissing(1)
  metrics.gatewayCall('charge', 'in_doubt', 1_000)
  metrics.httpRequest('POST', '/x', 500, 1)
  metrics.httpRequest('POST', '/x', 503, 1)
  metrics.acceptBatch(10, 2_000)
  nowMs = 2_000
  const after = samplesOf(await metrics.text())
  // Nothing can be made late or unreadable here without a wait, so these two are given.
  const set = (name: string, value: number) => (sample: Sample) =>
    sample.name === name ? { ...sample, value } : sample
  const all = after
    .map(set('payments_event_loop_lag_seconds', 1))
    .map(set('payments_scrape_errors_total', 1))
  assert.deepEqual(
    firing(before, all),
    alerts().map(({ name }) => name),
  )
  assert.ok(alerts().length >= 14)
})

test('the text of each counter says in Prometheus what the documentation says', async (t) => {
  const metrics = createMetrics({ role: 'test', version: '1', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  const text = await metrics.text()
  const helps = new Map(
    [...text.matchAll(/^# HELP (\w+) (.*)$/gm)].map(([, name, help]) => [name, help]),
  )
  const rows = [...OPERATIONS.matchAll(/^\| `(\w+_total)` +\| ([^|]+?) +\| (?:yes|no) +\|$/gm)]
  for (const [, name = '', meaning = ''] of rows) {
    const full = name.startsWith('payments_') ? name : `payments_${name}`
    assert.ok(helps.get(full)?.startsWith(meaning), `${full}: ${helps.get(full)}`)
  }
  assert.equal(rows.length, COUNTER_NAMES.length)
})

test('the age of money at risk is measured with the clock it was written with', async (t) => {
  const world = await testWorld(t)
  await lost(world, 'withdraw')
  const read = databaseGauges(world.db)
  const before = await read()
  world.clock.advance(7_200_000)
  const after = await read()
  assert.equal(after.unknownPayments, 1)
  assert.equal(after.unknownOldestSeconds - before.unknownOldestSeconds, 7_200)
  assert.ok(before.unknownOldestSeconds < 3_600, `${before.unknownOldestSeconds} s`)
})
