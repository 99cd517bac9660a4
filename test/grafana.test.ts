import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createMetrics } from '../src/adapters/metrics.ts'
import { EXACT_NAMES, type ExactName } from '../src/domain/counters.ts'
import { dashboardFile, expressions } from './grafana-dashboard.ts'
import { samplesOf } from './prometheus.ts'
import { ROOT } from './sources.ts'

const GAUGES = {
  queueTasks: { due: 1, waiting: 0, leased: 0 },
  queueOldestDueSeconds: 0,
  unknownPayments: 0,
  unknownAmounts: { USD: 0n },
  unknownOldestSeconds: 0,
  heldAmounts: { USD: 0n },
  webhookEndpoints: { failing: 0, disabled: 0 },
  webhookOldestDueSeconds: 0,
  deadLettersOpen: { failed: 0, unknown: 0 },
  // fromEntries forgets the keys' type.
  counts: Object.fromEntries(EXACT_NAMES.map((name) => [name, 0])) as Record<ExactName, number>,
}

test('deploy/grafana/payments.json is the dashboard of its table: npm run grafana', () => {
  const kept = readFileSync(join(ROOT, 'deploy/grafana/payments.json'), 'utf8')
  assert.deepEqual(JSON.parse(kept), JSON.parse(dashboardFile()))
})

test('every expression of the dashboard asks for metrics and labels that there are', async (t) => {
  const metrics = createMetrics({ role: 'test', version: '1', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  metrics.database(async () => GAUGES)
  metrics.pool(() => ({ total: 1, idle: 1, waiting: 0 }))
  const route = { gateway: 'http', operation: 'payout', misconfigured: true } as const
  metrics.breaker(() => [{ ...route, state: 'open' }])
  metrics.violations({ rules: [{ rule: 'posting_sum', violations: 0 }] })
  metrics.gatewayCall('charge', 'success', 1)
  metrics.httpRequest('POST', '/x', 202, 1)
  metrics.acceptBatch(1, 1)
  metrics.paymentCompleted(1)
  const samples = samplesOf(await metrics.text())
  const labels = new Map<string, Set<string>>()
  for (const { name, labels: own } of samples) {
    labels.set(name, new Set([...(labels.get(name) ?? []), ...Object.keys(own)]))
  }
  const asked = expressions()
  assert.ok(asked.length > 25, String(asked.length))
  for (const expression of asked) {
    const names = expression.match(/\bpayments_\w+/g) ?? []
    assert.ok(names.length > 0, expression)
    for (const name of names) {
      assert.ok(labels.has(name), `${expression}: there is no ${name}`)
      const by = [...expression.matchAll(/by \(([^)]*)\)|\{(\w+)=/g)]
      for (const label of by.flatMap(([, list, one]) => (list ?? one ?? '').split(', '))) {
        // Prometheus gives every sample its instance.
        const known = label === 'instance' || labels.get(name)?.has(label)
        assert.ok(known, `${expression}: ${name} has no ${label}`)
      }
    }
  }
})

test('promtool reads every expression of the dashboard', (t) => {
  if (spawnSync('promtool', ['--version']).error !== undefined) {
    return t.skip('promtool is not installed here')
  }
  const rules = expressions().map((expression, at) => ({
    record: `payments:panel_${at}`,
    expr: expression.replaceAll('$__rate_interval', '5m'),
  }))
  const folder = mkdtempSync(join(tmpdir(), 'dashboard-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'rules.json')
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
})
