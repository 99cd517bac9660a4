import { cpuUsage, memoryUsage } from 'node:process'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Counter, Gauge, type Aggregator, type Registry } from 'prom-client'
import {
  COUNTERS,
  EXACT_NAMES,
  type CounterName,
  type DatabaseGauges,
  type ExactName,
} from '../domain/counters.ts'

/** The states of a circuit breaker, in the order of their metric values 0, 1, 2. */
const BREAKER_STATES = ['closed', 'half_open', 'open'] as const

/** The circuit breaker of one operation of a gateway. */
export interface BreakerGauge {
  readonly gateway: string
  readonly operation: string
  readonly state: (typeof BREAKER_STATES)[number]
  /** It is open because the gateway does not talk to us. */
  readonly misconfigured: boolean
}

/** Connections of the pool; `waiting` counts those who wait for one. */
export interface PoolGauges {
  readonly total: number
  readonly idle: number
  readonly waiting: number
}

/** Connections of clients, and how many of them were cut, by why. */
export interface ConnectionGauges {
  readonly open: number
  readonly max: number
  readonly cut: Readonly<Record<string, number>>
}

/** A gauge or a counter, as far as forgetting its samples goes. */
type Samples = Pick<Gauge | Counter, 'reset' | 'remove'>

/** Gauges that are read together. `read` sets them; a failing one leaves them cleared. */
interface Source {
  readonly gauges: readonly Samples[]
  readonly read: () => void | Promise<void>
}

/** The identity of a process and its monotonic time in milliseconds. */
interface Identity {
  readonly role: string
  readonly version: string
  readonly elapsedMs: () => number
}

/** Scrapes that follow each other faster see the same values: at most one query a second. */
const CACHE_MS = 1_000
/**
 * Between two samples of the delay, in milliseconds. Each wakes the process, also one that is idle:
 * every 20 ms they would cost more than all else that it does then, and every 100 ms a fifth.
 */
const LAG_RESOLUTION_MS = 500
const NANOSECONDS = 1e9
const MICROSECONDS = 1e6

/**
 * Gauges that are read when somebody looks. A reader that was not registered, or that fails, leaves
 * its gauges without samples, because an old or invented number is worse than none.
 */
export function createGauges(registry: Registry, identity: Identity) {
  const make = gaugeMaker(registry, 'sum')
  const makeWorst = gaugeMaker(registry, 'max')
  const makeShared = gaugeMaker(registry, 'first')
  const sources = new Map<string, Source>()
  const errors = new Counter({
    name: 'payments_scrape_errors_total',
    help: 'Readers of gauges that failed.',
    registers: [registry],
  })
  const lag = lagSource(makeWorst)
  sources.set('lag', lag)
  sources.set('memory', memorySource(make, makeWorst))
  countCpu(registry)
  describeBuild(makeShared, identity)

  const refresh = async () => {
    // The database last: its queries wait for connections, and a scrape must not count itself.
    const { database, ...local } = Object.fromEntries(sources)
    await Promise.all(Object.values(local).map((source) => refreshSource(source, errors)))
    if (database !== undefined) await refreshSource(database, errors)
  }
  return {
    refresh: cached(refresh, identity.elapsedMs),
    breaker: registrar(sources, 'breaker', breakerSource(makeWorst)),
    connections: registrar(sources, 'connections', connectionSource(make, registry)),
    pool: registrar(sources, 'pool', poolSource(make)),
    database: registrar(sources, 'database', databaseSource(makeShared, exactCounters(registry))),
    close: lag.close,
  }
}

/** Turns a way to make a source into the function that registers one, replacing an earlier one. */
function registrar<Read>(sources: Map<string, Source>, key: string, make: (read: Read) => Source) {
  return (read: Read) => void sources.set(key, make(read))
}

async function refreshSource(source: Source, errors: Counter): Promise<void> {
  try {
    await source.read()
  } catch {
    // Whatever it was, the database's own log has it; metrics say that there was something.
    clear(source.gauges)
    errors.inc()
  }
}

/** One run at a time, and its result for `CACHE_MS` after it began. */
function cached(run: () => Promise<void>, elapsedMs: () => number): () => Promise<void> {
  let last: Promise<void> | null = null
  let running = false
  let startedAt = 0
  return () => {
    if (last && (running || elapsedMs() - startedAt < CACHE_MS)) return last
    startedAt = elapsedMs()
    running = true
    last = run().finally(() => {
      running = false
    })
    return last
  }
}

type MakeGauge = (name: string, help: string, ...labels: readonly string[]) => Gauge

/**
 * Where processes share a port, they are shown as one: what each has is added up, of what may be
 * wrong the worst is shown, and what all read from one place is taken from the first.
 */
function gaugeMaker(registry: Registry, aggregator: Aggregator): MakeGauge {
  return (name, help, ...labelNames) => {
    const named = { name: `payments_${name}`, help, labelNames, aggregator }
    const gauge = new Gauge({ ...named, registers: [registry] })
    clear([gauge])
    return gauge
  }
}

/** Remove all samples. Resetting a gauge without labels leaves a 0, which must go as well. */
function clear(gauges: readonly Samples[]): void {
  for (const gauge of gauges) {
    gauge.reset()
    gauge.remove({})
  }
}

/** Replace the samples of a gauge with one label. */
function setEach(gauge: Gauge, label: string, values: Readonly<Record<string, number>>): void {
  gauge.reset()
  for (const [key, value] of Object.entries(values)) gauge.set({ [label]: key }, value)
}

function describeBuild(make: MakeGauge, identity: Identity): void {
  const gauge = make('build_info', 'Always 1; the labels say what runs.', 'version', 'role')
  gauge.set({ version: identity.version, role: identity.role }, 1)
}

/**
 * The process metrics that dashboards look for, under their usual names. prom-client's own set also
 * watches every garbage collection and runs a second event loop monitor.
 */
function memorySource(make: MakeGauge, makeWorst: MakeGauge): Source {
  const startedAt = makeWorst('process_start_time_seconds', 'When the process started, Unix time.')
  startedAt.set(performance.timeOrigin / 1_000)
  const resident = make('process_resident_memory_bytes', 'Resident memory.')
  const heapTotal = make('nodejs_heap_size_total_bytes', 'Heap that is reserved.')
  const heapUsed = make('nodejs_heap_size_used_bytes', 'Heap that is used.')
  const external = make('nodejs_external_memory_bytes', 'Memory of buffers outside the heap.')
  return {
    gauges: [resident, heapTotal, heapUsed, external],
    read: () => {
      const usage = memoryUsage()
      resident.set(usage.rss)
      heapTotal.set(usage.heapTotal)
      heapUsed.set(usage.heapUsed)
      external.set(usage.external)
    },
  }
}

function countCpu(registry: Registry): void {
  new Counter({
    name: 'payments_process_cpu_seconds_total',
    help: 'Processor time of the process, user and system.',
    registers: [registry],
    collect() {
      const { user, system } = cpuUsage()
      this.reset()
      this.inc((user + system) / MICROSECONDS)
    },
  })
}

function breakerSource(make: MakeGauge) {
  const labels = ['gateway', 'operation'] as const
  const state = make('breaker_state', 'Circuit breaker: 0 closed, 1 half open, 2 open.', ...labels)
  const wrong = make(
    'gateway_misconfigured',
    '1 while the gateway does not talk to us: its address or our credentials are wrong.',
    ...labels,
  )
  return (read: () => readonly BreakerGauge[]): Source => ({
    gauges: [state, wrong],
    read: () => {
      for (const { gateway, operation, state: now, misconfigured } of read()) {
        state.set({ gateway, operation }, BREAKER_STATES.indexOf(now))
        wrong.set({ gateway, operation }, misconfigured ? 1 : 0)
      }
    },
  })
}

function poolSource(make: MakeGauge) {
  const gauge = make('db_pool_connections', 'Database connections, and requests for one.', 'state')
  return (read: () => PoolGauges): Source => ({
    gauges: [gauge],
    read: () => {
      const { total, idle, waiting } = read()
      setEach(gauge, 'state', { busy: total - idle, idle, waiting })
    },
  })
}

function connectionSource(make: MakeGauge, registry: Registry) {
  const open = make('http_connections', 'Connections of clients.')
  const max = make('http_connections_max', 'Connections of clients that may be open at a time.')
  const cut = new Counter({
    name: 'payments_http_connections_cut_total',
    help: 'Connections of clients that were cut, by why.',
    labelNames: ['reason'],
    registers: [registry],
  })
  return (read: () => ConnectionGauges): Source => ({
    gauges: [open, max],
    read: () => {
      const counts = read()
      open.set(counts.open)
      max.set(counts.max)
      cut.reset()
      for (const [reason, times] of Object.entries(counts.cut)) cut.inc({ reason }, times)
    },
  })
}

/** The name of a counter in Prometheus. */
export function prometheusName(name: CounterName): string {
  return name.startsWith('payments_') ? name : `payments_${name}`
}

/**
 * The counters that the database keeps. Without samples until they were read: 0 would be a reset.
 */
function exactCounters(registry: Registry): ReadonlyMap<ExactName, Counter> {
  return new Map(
    EXACT_NAMES.map((name) => {
      const help = `${COUNTERS[name].help} Of all processes, exact.`
      const named = { name: prometheusName(name), help, aggregator: 'first' as const }
      const counter = new Counter({ ...named, registers: [registry] })
      clear([counter])
      return [name, counter]
    }),
  )
}

function databaseSource(make: MakeGauge, counters: ReadonlyMap<ExactName, Counter>) {
  const tasks = make('queue_tasks', 'Tasks in the queue, of all processes.', 'state')
  const oldestDue = make('queue_oldest_due_seconds', 'Age of the oldest due task.')
  const unknown = make('unknown_payments', 'Payments whose outcome nobody knows.')
  const unknownAmount = make(
    'unknown_amount_minor',
    'Money at risk in unknown payments, in minor units; a float, exact below 2^53.',
    'currency',
  )
  const unknownOldest = make('unknown_oldest_seconds', 'Age of the oldest unknown payment.')
  const held = make(
    'held_amount_minor',
    'Money held for open withdrawals and refunds, in minor units; a float, exact below 2^53.',
    'currency',
  )
  const deadLetters = make('dead_letters_open', 'Open dead letters.', 'class')
  const endpoints = make(
    'webhook_endpoints',
    'Endpoints that fail, and those that the service disabled.',
    'state',
  )
  const oldestWebhook = make('webhook_oldest_due_seconds', 'Age of the oldest due delivery.')
  const webhooks = [endpoints, oldestWebhook]
  const ofPayments = [tasks, oldestDue, unknown, unknownAmount, unknownOldest, held, deadLetters]
  const gauges = [...ofPayments, ...webhooks, ...counters.values()]

  return (read: () => Promise<DatabaseGauges>): Source => ({
    gauges,
    read: async () => {
      const values = await read()
      setEach(tasks, 'state', values.queueTasks)
      oldestDue.set(values.queueOldestDueSeconds)
      unknown.set(values.unknownPayments)
      // Prometheus knows only doubles: the books themselves never pass through here.
      setEach(unknownAmount, 'currency', numbersOf(values.unknownAmounts))
      unknownOldest.set(values.unknownOldestSeconds)
      setEach(held, 'currency', numbersOf(values.heldAmounts))
      setEach(deadLetters, 'class', values.deadLettersOpen)
      setEach(endpoints, 'state', values.webhookEndpoints)
      oldestWebhook.set(values.webhookOldestDueSeconds)
      for (const [name, counter] of counters) {
        counter.reset()
        counter.inc(values.counts[name])
      }
    },
  })
}

function numbersOf(amounts: Readonly<Record<string, bigint>>): Record<string, number> {
  return Object.fromEntries(Object.entries(amounts).map(([key, amount]) => [key, Number(amount)]))
}

/** How late the event loop ran its timers since the last look. */
function lagSource(make: MakeGauge): Source & { readonly close: () => void } {
  const gauge = make(
    'event_loop_lag_seconds',
    'Event loop delay since the last scrape; percentile 100 is the longest.',
    'percentile',
  )
  const delays = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  delays.enable()
  // The histogram holds whole intervals: its own resolution is not a delay.
  const lag = (nanoseconds: number) =>
    Math.max(0, nanoseconds / NANOSECONDS - LAG_RESOLUTION_MS / 1_000)
  return {
    gauges: [gauge],
    read: () => {
      const percentile = (percent: number) => lag(delays.percentile(percent))
      // `quantile` is the label of summaries alone.
      setEach(gauge, 'percentile', {
        '50': percentile(50),
        '99': percentile(99),
        '100': lag(delays.max),
      })
      delays.reset()
    },
    close: () => void delays.disable(),
  }
}
