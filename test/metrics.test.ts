import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createMetrics, type Metrics } from '../src/adapters/metrics.ts'
import { createStatsd } from '../src/adapters/statsd.ts'
import { COUNTER_NAMES, EXACT_NAMES, ROUGH_NAMES, type ExactName } from '../src/domain/counters.ts'

const DATABASE = {
  queueTasks: { due: 3, waiting: 2, leased: 1 },
  queueOldestDueSeconds: 1.5,
  unknownPayments: 2,
  unknownAmounts: { USD: 12_345n },
  unknownOldestSeconds: 90,
  heldAmounts: { USD: 999_999_999_999n },
  webhookEndpoints: { failing: 5, disabled: 1 },
  webhookOldestDueSeconds: 2.5,
  deadLettersOpen: { failed: 4, unknown: 2 },
  counts: Object.fromEntries(EXACT_NAMES.map((name, at) => [name, at + 1])) as Record<
    ExactName,
    number
  >,
}

/** Metrics under a clock that the test moves. */
function open(t: TestContext, statsdUrl: string | null = null) {
  const clock = { nowMs: 0 }
  const elapsedMs = () => clock.nowMs
  const metrics = createMetrics({ role: 'test', version: '1.2.3', statsdUrl, elapsedMs })
  t.after(() => metrics.close())
  return { metrics, clock }
}

/** The samples of a scrape, by name and labels. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }),
  )
}

test('the compatibility counters begin with the thirteen of the original', () => {
  assert.deepEqual(
    COUNTER_NAMES.slice(0, 13),
    (
      'payments_deposit_requests_total payments_withdraw_requests_total idempotency_hits_total ' +
      'payments_task_enqueued_total payments_processing_started_total gateway_success_total ' +
      'gateway_timeouts_total gateway_errors_total gateway_non_retryable_errors_total ' +
      'payments_success_total payments_failed_total payments_retried_total dlq_written_total'
    ).split(' '),
  )
})

test('processes count requests and calls of the gateway; all else the database counts', () => {
  const rough =
    'payments_deposit_requests_total payments_withdraw_requests_total idempotency_hits_total ' +
    'gateway_success_total gateway_timeouts_total gateway_errors_total ' +
    'gateway_non_retryable_errors_total payments_refund_requests_total'
  assert.deepEqual(ROUGH_NAMES, rough.split(' '))
  const others = COUNTER_NAMES.filter((name) => !rough.split(' ').includes(name))
  assert.deepEqual(EXACT_NAMES, others)
})

test('a drain hands out every count once, and what was not stored comes back', (t) => {
  const { metrics } = open(t)
  metrics.count('gateway_success_total')
  metrics.count('idempotency_hits_total', 500)
  const first = metrics.drain()
  assert.equal(first.gateway_success_total, 1)
  assert.equal(first.idempotency_hits_total, 500)
  assert.deepEqual(Object.keys(first), ROUGH_NAMES)

  metrics.count('gateway_success_total', 2)
  metrics.undrain(first)
  assert.equal(metrics.drain().gateway_success_total, 3)
  assert(Object.values(metrics.drain()).every((count) => count === 0))
})

test('Prometheus sees totals under one prefix, whatever was drained', async (t) => {
  const { metrics } = open(t)
  metrics.count('gateway_success_total', 7)
  metrics.count('idempotency_hits_total', 5)
  metrics.drain()
  metrics.undrain(metrics.drain())
  const samples = await scrape(metrics)
  assert.equal(samples.get('payments_gateway_success_total'), 7)
  assert.equal(samples.get('payments_idempotency_hits_total'), 5)
  assert.equal(samples.get('payments_gateway_errors_total'), 0)
  assert.equal((await scrape(metrics)).get('payments_gateway_success_total'), 7)
})

test('exact counters come from the database alone, and are absent where it cannot be read', async (t) => {
  const { metrics, clock } = open(t)
  metrics.count('payments_success_total', 7)
  assert(!(await scrape(metrics)).has('payments_success_total'))
  const read = { fails: false }
  metrics.database(async () => {
    if (read.fails) throw new Error('down')
    return DATABASE
  })
  clock.nowMs = 1_000
  const samples = await scrape(metrics)
  for (const [name, count] of Object.entries(DATABASE.counts)) {
    const full = name.startsWith('payments_') ? name : `payments_${name}`
    assert.equal(samples.get(full), count, name)
  }
  read.fails = true
  clock.nowMs = 2_000
  // A counter that falls to 0 would be taken for a restart, and counted again.
  const without = await scrape(metrics)
  assert(!without.has('payments_success_total') && !without.has('payments_dlq_written_total'))
})

const breakers = (state: 'half_open' | 'open') => [
  { gateway: 'http', operation: 'charge', state, misconfigured: state === 'open' },
  { gateway: 'http', operation: 'payout', state: 'closed' as const, misconfigured: false },
]

/** Use every kind of metric once. */
function exercise(metrics: Metrics): void {
  metrics.httpRequest('POST', '/api/v1/payments/deposit', 202, 12)
  metrics.acceptBatch(100, 20)
  metrics.settleBatch(50)
  metrics.gatewayCall('charge', 'success', 30)
  metrics.gatewayCall('lookup', 'not_found', 31)
  metrics.paymentCompleted(1_500)
  metrics.breaker(() => breakers('half_open'))
  metrics.pool(() => ({ total: 10, idle: 4, waiting: 2 }))
  metrics.database(async () => DATABASE)
}

test('every metric is scraped under its name, in base units', async (t) => {
  const { metrics } = open(t)
  exercise(metrics)
  const samples = await scrape(metrics)
  const expected = {
    'payments_http_request_duration_seconds_sum{method="POST",route="/api/v1/payments/deposit",status="202"}': 0.012,
    payments_accept_batch_size_sum: 100,
    payments_accept_batch_seconds_sum: 0.02,
    payments_settle_batch_size_sum: 50,
    'payments_gateway_request_duration_seconds_count{call="charge",outcome="success"}': 1,
    'payments_gateway_request_duration_seconds_sum{call="lookup",outcome="not_found"}': 0.031,
    'payments_payment_completion_seconds_bucket{le="1"}': 0,
    'payments_payment_completion_seconds_bucket{le="2.5"}': 1,
    'payments_breaker_state{gateway="http",operation="charge"}': 1,
    'payments_breaker_state{gateway="http",operation="payout"}': 0,
    'payments_gateway_misconfigured{gateway="http",operation="charge"}': 0,
    'payments_db_pool_connections{state="busy"}': 6,
    'payments_db_pool_connections{state="idle"}': 4,
    'payments_db_pool_connections{state="waiting"}': 2,
    'payments_queue_tasks{state="due"}': 3,
    payments_queue_oldest_due_seconds: 1.5,
    payments_unknown_payments: 2,
    'payments_unknown_amount_minor{currency="USD"}': 12_345,
    payments_unknown_oldest_seconds: 90,
    'payments_held_amount_minor{currency="USD"}': 999_999_999_999,
    'payments_webhook_endpoints{state="failing"}': 5,
    payments_webhook_oldest_due_seconds: 2.5,
    'payments_dead_letters_open{class="failed"}': 4,
    'payments_build_info{version="1.2.3",role="test"}': 1,
    payments_scrape_errors_total: 0,
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(samples.get(name), value, name)
  assert((samples.get('payments_event_loop_lag_seconds{percentile="99"}') ?? -1) >= 0)
  for (const name of ['process_resident_memory_bytes', 'process_cpu_seconds_total']) {
    assert((samples.get(`payments_${name}`) ?? 0) > 0, name)
  }
})

const SAMPLE =
  /^([a-zA-Z_][a-zA-Z0-9_]*)(?:\{([a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:,[a-zA-Z_]\w*="(?:[^"\\]|\\.)*")*)\})? (\S+)$/

test('the scraped text is well formed: help and type before the samples, buckets add up', async (t) => {
  const { metrics } = open(t)
  exercise(metrics)
  metrics.httpRequest('GET', '/a"\\\n{b}', 200, 1)
  const text = await metrics.text()
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
  assert(text.endsWith('\n'))

  const helps = new Set<string>()
  const types = new Map<string, string>()
  for (const line of text.trimEnd().split('\n').filter(Boolean)) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') helps.add(name)
    else if (keyword === 'TYPE') types.set(name, rest)
    else {
      const [, sample = '', , value = ''] = SAMPLE.exec(line) ?? []
      const family = types.has(sample) ? sample : sample.replace(/_(bucket|sum|count)$/, '')
      assert(helps.has(family) && types.has(family), line)
      assert(family.startsWith('payments_'), line)
      assert(/^[+-]Inf$/.test(value) || Number.isFinite(Number(value)), line)
      if (types.get(family) === 'counter') assert.match(family, /_total$/)
    }
  }
  assert.deepEqual([...helps].sort(), [...types.keys()].sort())
})

test('the buckets of a histogram are cumulative and end in its count', async (t) => {
  const { metrics } = open(t)
  for (const ms of [1, 5, 40, 700, 100_000]) metrics.gatewayCall('charge', 'success', ms)
  const name = 'payments_gateway_request_duration_seconds'
  const samples = [...(await scrape(metrics))].filter(([key]) => key.startsWith(`${name}_bucket`))
  const counts = samples.map(([, value]) => value)
  assert.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
  )
  assert.match(samples.at(-1)?.[0] ?? '', /le="\+Inf"/)
  assert.equal(counts.at(-1), 5)
})

test('a failing database leaves its gauges out and is counted, and the rest is scraped', async (t) => {
  const { metrics, clock } = open(t)
  let down = false
  metrics.database(() => (down ? Promise.reject(new Error('down')) : Promise.resolve(DATABASE)))
  assert.equal((await scrape(metrics)).get('payments_unknown_payments'), 2)

  down = true
  clock.nowMs = 1_000
  const samples = await scrape(metrics)
  const names = [...samples.keys()].join('\n')
  assert.doesNotMatch(names, /payments_(queue|unknown|held|dead)_/)
  assert.equal(samples.get('payments_scrape_errors_total'), 1)
  assert.equal(samples.get('payments_gateway_success_total'), 0)

  down = false
  clock.nowMs = 2_000
  assert.equal((await scrape(metrics)).get('payments_queue_tasks{state="due"}'), 3)
})

test('a reader that throws, of the pool or the breaker, fails no scrape', async (t) => {
  const { metrics } = open(t)
  const fail = () => {
    throw new Error('closed')
  }
  metrics.pool(fail)
  metrics.breaker(fail)
  assert.equal((await scrape(metrics)).get('payments_scrape_errors_total'), 2)
})

test('the database is asked once a second, however often and however many scrape', async (t) => {
  const { metrics, clock } = open(t)
  let asked = 0
  metrics.database(async () => {
    asked += 1
    return DATABASE
  })
  await Promise.all([metrics.text(), metrics.text(), metrics.text()])
  clock.nowMs = 999
  await metrics.text()
  assert.equal(asked, 1)
  clock.nowMs = 1_000
  await metrics.text()
  assert.equal(asked, 2)
})

test('states that are gone leave no stale sample', async (t) => {
  const { metrics, clock } = open(t)
  const tasks: Record<string, number>[] = [{ due: 1, leased: 2 }, { due: 5 }]
  metrics.database(async () => ({ ...DATABASE, queueTasks: tasks.shift() ?? {} }))
  assert.equal((await scrape(metrics)).get('payments_queue_tasks{state="leased"}'), 2)
  clock.nowMs = 1_000
  const samples = await scrape(metrics)
  assert.equal(samples.get('payments_queue_tasks{state="due"}'), 5)
  assert(!samples.has('payments_queue_tasks{state="leased"}'))
})

test('no input grows the number of time series without bound', async (t) => {
  const { metrics } = open(t)
  for (let id = 0; id < 1_000; id += 1) metrics.httpRequest(`M${id}`, `/users/${id}`, 200, 1)
  const counts = [...(await scrape(metrics)).keys()].filter((key) =>
    key.startsWith('payments_http_request_duration_seconds_count'),
  )
  assert.equal(counts.length, 201)
  assert(counts.every((key) => key.includes('method="other"')))
})

test('a measurement that is no number is dropped, not thrown', async (t) => {
  const { metrics } = open(t)
  metrics.paymentCompleted(Number.NaN)
  metrics.acceptBatch(Number.POSITIVE_INFINITY, 1)
  const samples = await scrape(metrics)
  assert.equal(samples.get('payments_payment_completion_seconds_count'), 0)
  assert.equal(samples.get('payments_accept_batch_size_count'), 0)
})

/** A StatsD daemon: a real UDP socket that keeps its datagrams. */
async function daemon(t: TestContext) {
  const socket: Socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => void socket.close())
  const datagrams: string[] = []
  const waiting: (() => void)[] = []
  socket.on('message', (message) => {
    datagrams.push(message.toString())
    for (const wake of waiting.splice(0)) wake()
  })
  const { port } = socket.address() as AddressInfo
  const lines = () => datagrams.join('\n').split('\n').filter(Boolean)
  return {
    url: `udp://127.0.0.1:${port}`,
    datagrams,
    /** The lines received, once there are `count` of them. */
    async received(count: number): Promise<string[]> {
      while (lines().length < count) await new Promise<void>((wake) => waiting.push(wake))
      return lines()
    },
  }
}

test('StatsD gets counters added up, timings in milliseconds, gauges as they are last', async (t) => {
  const { url, received, datagrams } = await daemon(t)
  const statsd = createStatsd(url.replace('udp:', 'statsd:'))
  statsd.timing('call', 12.3456)
  statsd.count('done', 2)
  statsd.count('done', 3)
  statsd.count('never', 0)
  statsd.gauge('depth', 9)
  statsd.gauge('depth', 4)
  statsd.gauge('drift', -2)
  await statsd.close()
  const expected = ['call:12.346|ms', 'done:5|c', 'depth:4|g', 'drift:0|g', 'drift:-2|g']
  assert.deepEqual(await received(expected.length), expected)
  assert.equal(datagrams.length, 1)
})

test('StatsD datagrams fit a network frame and lose no line', async (t) => {
  const { url, received, datagrams } = await daemon(t)
  const statsd = createStatsd(url)
  for (let index = 0; index < 500; index += 1) statsd.timing(`timing_number_${index}`, index)
  await statsd.close()
  assert.equal((await received(500)).length, 500)
  assert(datagrams.length > 5)
  assert(datagrams.every((datagram) => Buffer.byteLength(datagram) <= 1_432))
})

test('StatsD gets the same counts and durations as Prometheus', async (t) => {
  const { url, received } = await daemon(t)
  const { metrics } = open(t, url)
  metrics.count('gateway_success_total', 3)
  metrics.httpRequest('GET', '/api/v1/users/:id', 200, 12.5)
  metrics.gatewayCall('charge', 'in_doubt', 1_000)
  metrics.acceptBatch(10, 8)
  await metrics.close()
  assert.deepEqual((await received(4)).sort(), [
    'payments_accept_batch:8|ms',
    'payments_gateway_request_duration.charge.in_doubt:1000|ms',
    'payments_gateway_success_total:3|c',
    'payments_http_request_duration.GET.api_v1_users_id.200:12.5|ms',
  ])
})

test('gauges go to StatsD by themselves, though nobody scrapes', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { url, received } = await daemon(t)
  const { metrics } = open(t, url)
  const read = new Promise<void>((done) => {
    metrics.breaker(() => {
      done()
      return breakers('open')
    })
  })
  t.mock.timers.tick(10_000)
  await read
  await new Promise((done) => setImmediate(done))
  await metrics.close()
  await received(1)
  assert((await received(1)).includes('payments_breaker_state.http.charge:2|g'))
})

test('a StatsD daemon that is away, or has no address, harms nobody', async () => {
  for (const url of ['udp://127.0.0.1:9', 'udp://daemon.invalid:8125', 'udp://[::1]:9']) {
    const statsd = createStatsd(url)
    statsd.count('a', 1)
    await statsd.close()
    await statsd.close()
    for (let index = 0; index < 500; index += 1) statsd.timing('late', index)
  }
})
