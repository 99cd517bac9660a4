import type { Bucket } from './histogram.ts'
import type { Latency } from './plan.ts'

/** One system under one load, measured several times. */
export interface Measure {
  /** What was measured, such as `ours, 128 connections`. */
  readonly name: string
  /** Who it belongs to, for colours and ratios. */
  readonly system: System
  readonly unit: '/s' | 'ms' | 's' | 'MB'
  readonly runs: readonly number[]
  /** The middle one of the runs. */
  readonly median: number
  readonly latency?: Latency
  readonly buckets?: readonly Bucket[]
  /** What was done a second in the run that the latencies and cores are of. */
  readonly perSecond?: number
  /**
   * Cores in use by whom. `load` and `gateway` are the measuring itself, and `others` whoever else
   * used the machine.
   */
  readonly cores?: Readonly<Record<string, number>>
  /** What was done in each second of the last run. */
  readonly seconds?: readonly number[]
}

export type System = 'ours' | 'baseline' | 'limit' | 'echo'

/** A question that was put, and what was measured to answer it. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly measures: readonly Measure[]
  /** What else there is to know, as sentences. */
  readonly facts: readonly string[]
  /** Whether the books were right afterwards; null where there are none. */
  readonly books: { readonly right: boolean; readonly text: string } | null
  readonly tookSeconds: number
}

/** What a figure has to reach. */
export interface Bar {
  readonly scenario: string
  readonly text: string
  readonly bound: 'at least' | 'at most'
  readonly limit: number
  readonly unit: '×' | 'MB' | 's'
  /** Null: not measured in this run. */
  readonly value: number | null
  /**
   * The same ratio in payments per second of processor time, service and database together: what
   * the machine's other users disturb least. Null where it means nothing.
   */
  readonly perCore: number | null
}

export interface Report {
  readonly title: string
  readonly startedAt: string
  readonly commit: string
  readonly quick: boolean
  /** What it ran on, by name. */
  readonly machine: Readonly<Record<string, string>>
  readonly scenarios: readonly Scenario[]
  readonly bars: readonly Bar[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export function passes({ bound, limit, value }: Bar): boolean | null {
  if (value === null || Number.isNaN(value)) return null
  return bound === 'at least' ? value >= limit : value <= limit
}

/** Three digits that mean something. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

/** Everything as text for a terminal. */
export function textReport(report: Report): string {
  const { machine, scenarios, bars } = report
  const facts = Object.entries(machine).map(([name, value]) => `  ${name}: ${value}`)
  const parts = [`${report.title}, ${report.startedAt}, ${report.commit}`, facts.join('\n')]
  for (const scenario of scenarios) {
    const lines = [`${scenario.title} (${scenario.name})`]
    if (scenario.measures.length > 0) lines.push(table(rowsOf(scenario.measures)))
    for (const fact of scenario.facts) lines.push(`  ${fact}`)
    if (scenario.books !== null) lines.push(`  Books: ${scenario.books.text}`)
    parts.push(lines.join('\n'))
  }
  if (bars.length > 0) parts.push(table(barRows(bars)))
  return `${parts.join('\n\n')}\n`
}

function rowsOf(measures: readonly Measure[]): string[][] {
  return [MEASURE_HEAD, ...measures.map(rowOf)]
}

export const MEASURE_HEAD = [
  '',
  'median',
  'runs',
  'p50 ms',
  'p99 ms',
  'max ms',
  'processor µs each',
  'others',
]

const NOT_THE_SYSTEM = ['load', 'gateway', 'generator', 'others']

/** What a second of one core achieves, service and database together; NaN where it is not known. */
export function perCoreSecond(measure: Measure): number {
  const own = Object.entries(measure.cores ?? {}).filter(([who]) => !NOT_THE_SYSTEM.includes(who))
  const cores = own.reduce((sum, [, used]) => sum + used, 0)
  return cores > 0 ? (measure.perSecond ?? measure.median) / cores : Number.NaN
}

/**
 * A measure as cells. The processor time that each process spends per request or payment is what
 * least depends on who else uses the machine.
 */
export function rowOf(measure: Measure): string[] {
  const { name, unit, runs, latency, cores, perSecond } = measure
  const named = Object.entries(cores ?? {}).filter(([who]) => who !== 'others')
  const used = named.map(([who, share]) => {
    return `${who} ${figure((share / (perSecond ?? measure.median)) * 1e6)}`
  })
  return [
    name,
    `${figure(measure.median)} ${unit}`,
    runs.map(figure).join(' '),
    latency === undefined ? '' : figure(latency.p50),
    latency === undefined ? '' : figure(latency.p99),
    latency === undefined ? '' : figure(latency.max),
    used.join(', '),
    cores?.others === undefined ? '' : `${cores.others.toFixed(1)} cores`,
  ]
}

/** The bars as cells, with a head. */
export function barRows(bars: readonly Bar[]): string[][] {
  const rows = bars.map((bar) => {
    const passed = passes(bar)
    const value = bar.value === null ? '–' : `${figure(bar.value)} ${bar.unit}`
    const verdict = passed === null ? 'not measured' : passed ? 'pass' : 'MISS'
    const perCore = bar.perCore === null ? '' : `${figure(bar.perCore)} ×`
    return [bar.text, `${bar.bound} ${bar.limit} ${bar.unit}`, value, perCore, verdict]
  })
  return [['Bar', 'Asked', 'Measured', 'per processor second', ''], ...rows]
}

/** Columns side by side; the first line is the head. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  const lines = rows.map((row) =>
    widths
      .map((width, column) => (row[column] ?? '').padEnd(width))
      .join('  ')
      .trimEnd(),
  )
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [lines[0], rule, ...lines.slice(1)].map((line) => `  ${line}`).join('\n')
}
