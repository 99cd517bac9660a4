import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './sources.ts'

const FILE = join(ROOT, 'deploy/prometheus/rules.yaml')

interface Rule {
  readonly name: string
  readonly severity: string
  readonly summary: string
  readonly runbook: string
}

/** The rules of the file: each has these four. */
function rules(): Rule[] {
  const found = readFileSync(FILE, 'utf8').matchAll(
    /- alert: (\w+)\n[^]*?severity: (\w+) \}\n\s+annotations:\n\s+summary: '([^']+)'\n\s+runbook: (\S+)/g,
  )
  return [...found].map(([, name = '', severity = '', summary = '', runbook = '']) => ({
    name,
    severity,
    summary,
    runbook,
  }))
}

/** What happens, minute by minute; when the alert fires by then, and when it does no more. */
interface Story {
  readonly series: Readonly<Record<string, string>>
  readonly fires: string
  readonly over: string
}

const HTTP = 'payments_http_request_duration_seconds_count'
const CALLS = 'payments_gateway_request_duration_seconds_count'
const ACCEPT = 'payments_accept_batch_seconds_bucket'

/** A gauge that is wrong for so many minutes. */
const wrong = (series: string, value: number, minutes: number): Story => ({
  series: { [series]: `0x2 ${value}x${minutes} 0x20` },
  fires: `${minutes + 1}m`,
  over: `${minutes + 6}m`,
})

const STORIES: Readonly<Record<string, Story>> = {
  PaymentsBooksBroken: wrong('payments_invariant_violations{rule="posting_sum"}', 1, 5),
  PaymentsUnknown: wrong('payments_unknown_payments', 1, 20),
  PaymentsUnknownForLong: wrong('payments_unknown_oldest_seconds', 7_200, 5),
  PaymentsDeadLetters: {
    series: { 'payments_dead_letters_open{class="failed"}': '0x60 0+1x30 30x200' },
    fires: '80m',
    over: '180m',
  },
  PaymentsQueueLate: wrong('payments_queue_oldest_due_seconds', 60, 10),
  PaymentsRangesEnd: wrong('payments_ranges_missing', 1, 20),
  PaymentsQueueGrows: {
    series: { 'payments_queue_tasks{state="due"}': '0+10x40 400x60' },
    fires: '25m',
    over: '70m',
  },
  PaymentsBreakerOpen: wrong('payments_breaker_state{gateway="http",operation="payout"}', 2, 5),
  PaymentsGatewayMisconfigured: wrong('payments_gateway_misconfigured{gateway="http"}', 1, 5),
  PaymentsChargesInDoubt: {
    series: {
      [`${CALLS}{call="charge",outcome="in_doubt"}`]: '0+1x10 10x60',
      [`${CALLS}{call="charge",outcome="success"}`]: '0+9x80',
    },
    fires: '8m',
    over: '30m',
  },
  PaymentsWebhooksFailing: wrong('payments_webhook_endpoints{state="failing"}', 1, 20),
  PaymentsWebhooksDisabled: wrong('payments_webhook_endpoints{state="disabled"}', 1, 5),
  PaymentsWebhooksLate: wrong('payments_webhook_oldest_due_seconds', 90, 10),
  PaymentsErrors: {
    series: { [`${HTTP}{status="500"}`]: '0+1x5 5x60' },
    fires: '5m',
    over: '30m',
  },
  PaymentsUnavailable: {
    series: { [`${HTTP}{status="503"}`]: '0+1x5 5x60', [`${HTTP}{status="202"}`]: '0+9x60' },
    fires: '5m',
    over: '30m',
  },
  PaymentsAcceptSlow: {
    series: {
      [`${ACCEPT}{le="0.5"}`]: '0x60',
      [`${ACCEPT}{le="1"}`]: '0+10x10 100x60',
      [`${ACCEPT}{le="+Inf"}`]: '0+10x10 100x60',
    },
    fires: '8m',
    over: '30m',
  },
  PaymentsPoolExhausted: wrong('payments_db_pool_connections{state="waiting"}', 5, 5),
  PaymentsEventLoopLate: wrong('payments_event_loop_lag_seconds{percentile="99"}', 1, 10),
  PaymentsScrapeErrors: {
    series: { payments_scrape_errors_total: '0+1x5 5x60' },
    fires: '5m',
    over: '30m',
  },
}

test('each alert has a part of the pages that says what to do', () => {
  const operations = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
  const headings = [...operations.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
  for (const { name, runbook, severity } of rules()) {
    const [page, heading = ''] = runbook.split('#')
    assert.equal(page, 'docs/operations.md', name)
    assert.ok(headings.includes(heading), `${name}: there is no ${heading}`)
    assert.match(severity, /^(page|ticket)$/, name)
  }
})

test('each alert fires while what it is for happens, and no longer', (t) => {
  assert.deepEqual(
    rules().map(({ name }) => name),
    Object.keys(STORIES),
  )
  if (spawnSync('promtool', ['--version']).error !== undefined) {
    return t.skip('promtool is not installed here')
  }
  const folder = mkdtempSync(join(tmpdir(), 'rules-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const tests = rules().map(({ name, severity, summary, runbook }) => {
    const { series, fires, over } = STORIES[name] as Story // There is one for each.
    const alert = { exp_labels: { severity }, exp_annotations: { summary, runbook } }
    return {
      interval: '1m',
      input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
      alert_rule_test: [
        { eval_time: '0m', alertname: name, exp_alerts: [] },
        { eval_time: fires, alertname: name, exp_alerts: [alert] },
        { eval_time: over, alertname: name, exp_alerts: [] },
      ],
    }
  })
  const file = join(folder, 'tests.yaml')
  writeFileSync(file, JSON.stringify({ rule_files: [FILE], evaluation_interval: '1m', tests }))
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
})
