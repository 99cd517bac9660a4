/** What a panel shows: queries with their legends, in a unit of Grafana's. */
interface Panel {
  readonly title: string
  readonly unit: string
  readonly queries: readonly (readonly [legend: string, expression: string])[]
}

const HTTP = 'payments_http_request_duration_seconds'
const CALLS = 'payments_gateway_request_duration_seconds'

const quantile = (share: number, metric: string) =>
  `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket[$__rate_interval])))`

/** Exact counters are the same in every process: the maximum of them, and never their sum. */
const exact = (metric: string) => `max(rate(${metric}[$__rate_interval]))`

/** Rows of the dashboard, each with a question that it answers. */
const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  'Does it work?': [
    {
      title: 'Accepted and finished, per second',
      unit: 'ops',
      queries: [
        ['accepted', exact('payments_task_enqueued_total')],
        ['succeeded', exact('payments_success_total')],
        ['failed', exact('payments_failed_total')],
        ['became unknown', exact('payments_unknown_total')],
      ],
    },
    {
      title: 'From acceptance to the end',
      unit: 's',
      queries: [
        ['p50', quantile(0.5, 'payments_payment_completion_seconds')],
        ['p95', quantile(0.95, 'payments_payment_completion_seconds')],
        ['p99', quantile(0.99, 'payments_payment_completion_seconds')],
      ],
    },
    {
      title: 'Answers by status, per second',
      unit: 'reqps',
      queries: [['{{status}}', `sum by (status) (rate(${HTTP}_count[$__rate_interval]))`]],
    },
  ],
  'What is at risk?': [
    {
      title: 'Payments of unknown outcome',
      unit: 'short',
      queries: [['unknown', 'max(payments_unknown_payments)']],
    },
    {
      title: 'Age of the oldest of them',
      unit: 's',
      queries: [['oldest', 'max(payments_unknown_oldest_seconds)']],
    },
    {
      title: 'Money at risk and held, in minor units',
      unit: 'short',
      queries: [
        ['unknown {{currency}}', 'max by (currency) (payments_unknown_amount_minor)'],
        ['held {{currency}}', 'max by (currency) (payments_held_amount_minor)'],
      ],
    },
    {
      title: 'Open dead letters',
      unit: 'short',
      queries: [['{{class}}', 'max by (class) (payments_dead_letters_open)']],
    },
    {
      title: 'Webhook endpoints that fail or are disabled',
      unit: 'short',
      queries: [['{{state}}', 'max by (state) (payments_webhook_endpoints)']],
    },
    {
      title: 'Rules of the books that are broken',
      unit: 'short',
      queries: [['{{rule}}', 'max by (rule) (payments_invariant_violations) > 0']],
    },
  ],
  'What waits?': [
    {
      title: 'Queue',
      unit: 'short',
      queries: [['{{state}}', 'max by (state) (payments_queue_tasks)']],
    },
    {
      title: 'Age of the oldest due task',
      unit: 's',
      queries: [['oldest', 'max(payments_queue_oldest_due_seconds)']],
    },
    {
      title: 'Retries and dead letters, per second',
      unit: 'ops',
      queries: [
        ['retries', exact('payments_retried_total')],
        ['dead letters', exact('payments_dlq_written_total')],
      ],
    },
  ],
  'How is the gateway?': [
    {
      title: 'Breakers: 0 closed, 1 half open, 2 open',
      unit: 'short',
      queries: [
        ['{{gateway}} {{operation}}', 'max by (gateway, operation) (payments_breaker_state)'],
      ],
    },
    {
      title: 'Calls by outcome, per second',
      unit: 'ops',
      queries: [
        ['{{call}} {{outcome}}', `sum by (call, outcome) (rate(${CALLS}_count[$__rate_interval]))`],
      ],
    },
    {
      title: 'How long calls take',
      unit: 's',
      queries: [
        ['p50', quantile(0.5, CALLS)],
        ['p99', quantile(0.99, CALLS)],
      ],
    },
  ],
  'What limits it?': [
    {
      title: 'Transactions that accept',
      unit: 's',
      queries: [
        ['p50', quantile(0.5, 'payments_accept_batch_seconds')],
        ['p99', quantile(0.99, 'payments_accept_batch_seconds')],
      ],
    },
    {
      title: 'Database connections',
      unit: 'short',
      queries: [['{{state}}', 'sum by (state) (payments_db_pool_connections)']],
    },
    {
      title: 'How late the event loop is',
      unit: 's',
      queries: [
        ['{{instance}}', 'max by (instance) (payments_event_loop_lag_seconds{percentile="99"})'],
      ],
    },
    {
      title: 'Processor time and memory',
      unit: 'short',
      queries: [
        ['cores {{instance}}', 'rate(payments_process_cpu_seconds_total[$__rate_interval])'],
        ['GiB {{instance}}', 'payments_process_resident_memory_bytes / 1073741824'],
      ],
    },
    {
      title: 'What runs',
      unit: 'short',
      queries: [['{{role}} {{version}}', 'count by (role, version) (payments_build_info)']],
    },
  ],
}

/** Every expression of the dashboard. */
export function expressions(): string[] {
  return Object.values(ROWS).flatMap((panels) =>
    panels.flatMap(({ queries }) => queries.map(([, expression]) => expression)),
  )
}

const WIDTH = 24
const HEIGHT = 8
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }

/** The dashboard as Grafana imports it. */
export function dashboard(): object {
  const panels: object[] = []
  let y = 0
  const place = (w: number, h: number, x: number) => ({ h, w, x, y })
  for (const [title, row] of Object.entries(ROWS)) {
    panels.push({ id: panels.length + 1, type: 'row', title, gridPos: place(WIDTH, 1, 0) })
    y += 1
    const wide = Math.floor(WIDTH / row.length)
    row.forEach((panel, at) => {
      const gridPos = place(wide, HEIGHT, at * wide)
      panels.push({ id: panels.length + 1, ...panelOf(panel), gridPos })
    })
    y += HEIGHT
  }
  return {
    title: 'Payments',
    uid: 'payments',
    tags: ['payments'],
    timezone: 'browser',
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' }],
    },
    panels,
  }
}

function panelOf({ title, unit, queries }: Panel): object {
  return {
    type: 'timeseries',
    title,
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([legendFormat, expr], at) => ({
      refId: String.fromCodePoint(65 + at),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  }
}

/** The file as it is kept. */
export function dashboardFile(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`
}
