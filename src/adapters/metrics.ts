import {
  AggregatorRegistry,
  Counter,
  Gauge,
  Histogram,
  Registry,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client'
import {
  COUNTERS,
  ROUGH_NAMES,
  type CounterName,
  type DatabaseGauges,
  type RoughName,
} from '../domain/counters.ts'
import {
  type BreakerGauge,
  createGauges,
  type ConnectionGauges,
  type PoolGauges,
  prometheusName,
} from './prometheus-gauges.ts'
import { createStatsd, type Statsd } from './statsd.ts'

/** A number for every counter that processes count. */
type Counts = Record<RoughName, number>

/** The one way to count and measure. Every call is cheap, synchronous and never throws. */
export interface Metrics {
  /**
   * Add to a counter. A plain addition: for the hottest paths. The exact counters are kept by the
   * database, and only StatsD is told of them here.
   */
  count(name: CounterName, by?: number): void
  /** Take what was counted since the last drain, to be added to the totals of all processes. */
  drain(): Counts
  /** Give back what `drain` returned and could not be stored. */
  undrain(counts: Counts): void
  /** One answered request. `route` is a template such as `/users/:id`, never a path with ids. */
  httpRequest(method: string, route: string, status: number, durationMs: number): void
  /** One committed batch of accepted payments. */
  acceptBatch(size: number, durationMs: number): void
  /** One committed batch of settled attempts. */
  settleBatch(size: number): void
  /** One gateway call, with the kind of its outcome. */
  gatewayCall(call: 'charge' | 'lookup' | 'cancel', outcome: string, durationMs: number): void
  /** One payment that became final, `durationMs` after it was created. */
  paymentCompleted(durationMs: number): void
  /** One notice of a gateway, and what became of it. */
  notice(gateway: string, verdict: string): void
  /** One look at a final payment, and what it came to. */
  watched(gateway: string, result: string): void
  /** How many ranges are not there that payments to come need. */
  rangesMissing(count: number): void
  /** Spans that a collector took, or that nobody will. */
  spans(result: 'exported' | 'dropped', count: number): void
  /** Register where the breakers are read at each scrape. */
  breaker(read: () => readonly BreakerGauge[]): void
  /** Register where the connections of clients are read at each scrape. */
  connections(read: () => ConnectionGauges): void
  /** Register where the pool is read at each scrape. */
  pool(read: () => PoolGauges): void
  /**
   * Register the query behind the database gauges. It runs at a scrape, at most once a second. When
   * it fails, the gauges have no samples and `payments_scrape_errors_total` grows.
   */
  database(read: () => Promise<DatabaseGauges>): void
  /** What the newest pass over the books found: the violations of every rule, 0 included. */
  violations(report: {
    readonly rules: readonly { readonly rule: string; readonly violations: number }[]
  }): void
  /** All metrics in Prometheus' text format. Never rejects for a failing reader. */
  text(): Promise<string>
  /** The same as data, to be shown with those of other processes by `textOfAll`. */
  sample(): Promise<MetricsSample>
  /** The content type of `text`. */
  readonly contentType: string
  /** Send what StatsD has not got yet and stop measuring. Never rejects. */
  close(): Promise<void>
}

/** The metrics of one process at one moment. */
export type MetricsSample = readonly MetricObjectWithValues<MetricValue<string>>[]

/** The metrics of processes that share a port, as those of one, in Prometheus' text format. */
export function textOfAll(samples: readonly MetricsSample[]): Promise<string> {
  return addedUp(samples).metrics()
}

/** What is left of processes that ended: what they counted, so that no total of all ever falls. */
export function countsOf(samples: readonly MetricsSample[]): Promise<MetricsSample> {
  const counts = samples.map((sample) =>
    sample.filter(({ type, aggregator }) => COUNTS.has(String(type)) && aggregator === 'sum'),
  )
  return addedUp(counts).getMetricsAsJSON()
}

const COUNTS = new Set(['counter', 'histogram'])

function addedUp(samples: readonly MetricsSample[]): Registry {
  return AggregatorRegistry.aggregate(samples.map((sample) => [...sample]))
}

/** What the metrics of a process start from. */
interface MetricsOptions {
  /** `all`, `api`, `worker` or `mock-gateway`: a label of `payments_build_info`. */
  readonly role: string
  readonly version: string
  /** A StatsD daemon that gets the same metrics; null or absent for none. */
  readonly statsdUrl?: string | null
  /** Milliseconds that never run backwards, from the clock port. */
  readonly elapsedMs: () => number
}

/** Distinct values of one label; further ones become `other`, so that no input grows the memory. */
const LABEL_VALUES_MAX = 200
/** How often gauges, which Prometheus reads at a scrape, are sent to StatsD. */
const STATSD_GAUGES_INTERVAL_MS = 10_000
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

const HTTP_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const BATCH_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
const GATEWAY_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const COMPLETION_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 86_400]
const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]

/** The metrics of one process, in a registry of their own: two of them share nothing. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const statsd = options.statsdUrl ? createStatsd(options.statsdUrl) : null
  const gauges = createGauges(registry, options)
  const stopSending = statsd ? sendGauges(registry, gauges.refresh, statsd) : () => undefined

  return {
    ...createCounters(registry, statsd),
    ...createMeasures(registry, statsd),
    breaker: gauges.breaker,
    connections: gauges.connections,
    pool: gauges.pool,
    database: gauges.database,
    violations: createViolations(registry),
    notice: createNotices(registry, statsd),
    watched: createWatched(registry, statsd),
    rangesMissing: createRangesMissing(registry),
    spans: createSpans(registry, statsd),
    text: async () => {
      await gauges.refresh()
      return registry.metrics()
    },
    sample: async () => {
      await gauges.refresh()
      return registry.getMetricsAsJSON()
    },
    contentType: registry.contentType,
    close: async () => {
      stopSending()
      gauges.close()
      await statsd?.close()
    },
  }
}

/** No samples where payments are in no ranges. */
function createRangesMissing(registry: Registry): Metrics['rangesMissing'] {
  const name = 'payments_ranges_missing'
  const help = 'Ranges that should be there for payments to come, and are not.'
  let gauge: Gauge | null = null
  return (count) => {
    gauge ??= new Gauge({ name, help, aggregator: 'max', registers: [registry] })
    gauge.set(count)
  }
}

/** No samples until the first pass: nothing is known of the books before. */
function createViolations(registry: Registry): Metrics['violations'] {
  const gauge = new Gauge({
    name: 'payments_invariant_violations',
    help: 'Violations of each invariant of the books in the newest pass over them.',
    labelNames: ['rule'],
    aggregator: 'max',
    registers: [registry],
  })
  return ({ rules }) => {
    for (const { rule, violations } of rules) gauge.set({ rule }, violations)
  }
}

/** No samples while nothing is traced. */
function createNotices(registry: Registry, statsd: Statsd | null): Metrics['notice'] {
  const notices = new Counter({
    name: 'payments_gateway_notices_total',
    help: 'Notices of gateways, and what became of them.',
    labelNames: ['gateway', 'verdict'],
    registers: [registry],
  })
  return (gateway, verdict) => {
    notices.inc({ gateway, verdict })
    statsd?.count(`payments_gateway_notices_total.${gateway}.${verdict}`, 1)
  }
}

/** No samples while nothing is looked at again. */
function createWatched(registry: Registry, statsd: Statsd | null): Metrics['watched'] {
  const counter = new Counter({
    name: 'payments_watched_total',
    help: 'Looks at final payments that may come back, and what they came to.',
    labelNames: ['gateway', 'result'],
    registers: [registry],
  })
  return (gateway, result) => {
    counter.inc({ gateway, result })
    statsd?.count(`payments_watched_total.${gateway}.${result}`, 1)
  }
}

function createSpans(registry: Registry, statsd: Statsd | null): Metrics['spans'] {
  const counter = new Counter({
    name: 'payments_trace_spans_total',
    help: 'Spans by what became of them: a collector took them, or they were dropped.',
    labelNames: ['result'],
    registers: [registry],
  })
  return (result, count) => {
    counter.inc({ result }, count)
    statsd?.count(`payments_trace_spans_total.${result}`, count)
  }
}

/** Totals as plain numbers, copied into Prometheus' counters only when they are read. */
function createCounters(registry: Registry, statsd: Statsd | null) {
  const totals = zeros()
  const drained = zeros()
  for (const name of ROUGH_NAMES) {
    new Counter({
      name: prometheusName(name),
      help: `${COUNTERS[name].help} Of this process; lost counts are possible.`,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(totals[name])
      },
    })
  }
  const pending = () => mapCounts((name) => totals[name] - drained[name])
  return {
    count: (name: CounterName, by = 1) => {
      // Those that the database keeps have no total here.
      if (name in totals) totals[name as RoughName] += by
      statsd?.count(prometheusName(name), by)
    },
    drain: () => {
      const counts = pending()
      Object.assign(drained, totals)
      return counts
    },
    undrain: (counts: Counts) => {
      for (const name of ROUGH_NAMES) drained[name] -= counts[name]
    },
  }
}

/** The histograms, each behind a function that says what is measured. */
function createMeasures(registry: Registry, statsd: Statsd | null) {
  const measure = createMeasure(registry, statsd)
  const http = measure({
    name: 'http_request_duration_seconds',
    help: 'Time to answer a request.',
    labels: ['method', 'route', 'status'],
    buckets: HTTP_SECONDS,
  })
  const acceptSize = measure({
    name: 'accept_batch_size',
    help: 'Requests accepted in one transaction.',
    buckets: BATCH_SIZES,
  })
  const acceptTime = measure({
    name: 'accept_batch_seconds',
    help: 'Time to accept one batch.',
    buckets: BATCH_SECONDS,
  })
  const settleSize = measure({
    name: 'settle_batch_size',
    help: 'Attempts settled in one transaction.',
    buckets: BATCH_SIZES,
  })
  const gateway = measure({
    name: 'gateway_request_duration_seconds',
    help: 'Time of a gateway call.',
    labels: ['call', 'outcome'],
    buckets: GATEWAY_SECONDS,
  })
  const completion = measure({
    name: 'payment_completion_seconds',
    help: 'Time from the acceptance of a payment to its final state.',
    buckets: COMPLETION_SECONDS,
  })
  return {
    httpRequest: (method: string, route: string, status: number, durationMs: number) =>
      http(durationMs / 1_000, [METHODS.includes(method) ? method : 'other', route, `${status}`]),
    acceptBatch: (size: number, durationMs: number) => {
      acceptSize(size)
      acceptTime(durationMs / 1_000)
    },
    settleBatch: (size: number) => settleSize(size),
    gatewayCall: (call: string, outcome: string, durationMs: number) =>
      gateway(durationMs / 1_000, [call, outcome]),
    paymentCompleted: (durationMs: number) => completion(durationMs / 1_000),
  }
}

/** One histogram to be: its name without the prefix, and its buckets in the unit of the name. */
interface Measure {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  readonly buckets: readonly number[]
}

/** Makes histograms that go to Prometheus and, the durations among them, to StatsD. */
function createMeasure(registry: Registry, statsd: Statsd | null) {
  return (measure: Measure) => {
    const labelNames = measure.labels ?? []
    const bounds = labelNames.map(() => bounded())
    const timing = measure.name.endsWith('_seconds')
    const statsdName = `payments_${measure.name.replace(/_seconds$/, '')}`
    const histogram = new Histogram({
      name: `payments_${measure.name}`,
      help: measure.help,
      labelNames,
      buckets: [...measure.buckets],
      registers: [registry],
    })
    // Looking a label up in the histogram costs as much as observing; there are only so many.
    const children = new Map<
      string,
      { labels: string[]; child: { observe(value: number): void } }
    >()
    const childOf = (labelValues: readonly string[]) => {
      const key = labelValues.join('\n')
      const known = children.get(key)
      if (known !== undefined) return known
      const labels = labelValues.map((label, index) => bounds[index]?.(label) ?? 'other')
      const child = { labels, child: labels.length > 0 ? histogram.labels(...labels) : histogram }
      if (children.size < LABEL_VALUES_MAX) children.set(key, child)
      return child
    }
    return (value: number, labelValues: readonly string[] = []) => {
      // prom-client throws for what is not a finite number, and a measurement never throws.
      if (!Number.isFinite(value)) return
      const { labels, child } = childOf(labelValues)
      child.observe(value)
      if (timing && statsd !== null) statsd.timing(dotted(statsdName, labels), value * 1_000)
    }
  }
}

/** Lets the first `LABEL_VALUES_MAX` distinct values through. */
function bounded(): (value: string) => string {
  const seen = new Set<string>()
  return (value) => {
    if (seen.has(value)) return value
    if (seen.size >= LABEL_VALUES_MAX) return 'other'
    seen.add(value)
    return value
  }
}

/** Send every gauge to StatsD now and then. Returns the function that stops it. */
function sendGauges(registry: Registry, refresh: () => Promise<void>, statsd: Statsd) {
  const send = async () => {
    await refresh()
    for (const family of await registry.getMetricsAsJSON()) {
      // StatsD counts by itself; of the histograms it gets the single timings.
      if (String(family.type) !== 'gauge') continue
      for (const { labels, value } of family.values) {
        statsd.gauge(dotted(family.name, Object.values(labels).map(String)), value)
      }
    }
  }
  const timer = setInterval(() => void send(), STATSD_GAUGES_INTERVAL_MS).unref()
  return () => clearInterval(timer)
}

/** A StatsD name with its labels as further parts: `/users/:id` becomes `.users_id`. */
function dotted(name: string, labels: readonly string[]): string {
  const parts = labels.map((label) => label.replace(/[^A-Za-z0-9-]+/g, '_').replace(/^_|_$/g, ''))
  return [name, ...parts.filter((part) => part !== '')].join('.')
}

function zeros(): Counts {
  return mapCounts(() => 0)
}

function mapCounts(read: (name: RoughName) => number): Counts {
  // fromEntries forgets the keys' type.
  return Object.fromEntries(ROUGH_NAMES.map((name) => [name, read(name)])) as Counts
}
