import { perCoreSecond, type Bar, type Measure, type Scenario } from '../tools/load/report.ts'

/** How figures of the suite are looked up: `NaN` is one that was not measured. */
function figuresOf(scenarios: readonly Scenario[]) {
  /** The best of the measures with such a name. */
  const best = (scenario: string, name: RegExp): Measure | undefined => {
    const found = scenarios.find((each) => each.name === scenario)?.measures ?? []
    const named = found.filter((measure) => name.test(measure.name))
    return named.toSorted((one, other) => other.median - one.median)[0]
  }
  const of = (scenario: string, name: RegExp): number => {
    return best(scenario, name)?.median ?? Number.NaN
  }
  const perCore = (scenario: string, name: RegExp): number => {
    const measure = best(scenario, name)
    return measure === undefined ? Number.NaN : perCoreSecond(measure)
  }
  const ratio = (scenario: string, one: RegExp, other: RegExp): [number, number] => [
    of(scenario, one) / of(scenario, other),
    perCore(scenario, one) / perCore(scenario, other),
  ]
  return { of, ratio }
}

function bar(
  scenario: string,
  text: string,
  limit: number,
  [value, cores]: readonly [number, number],
): Bar {
  const known = (figure: number): number | null => (Number.isNaN(figure) ? null : figure)
  const figures = { value: known(value), perCore: known(cores) }
  return { scenario, text, bound: 'at least', limit, unit: '×', ...figures }
}

function most(one: Bar, unit: Bar['unit'] = '×'): Bar {
  return { ...one, bound: 'at most', unit }
}

/** Latencies, memory and times are no rates. */
function alone(value: number): [number, number] {
  return [value, Number.NaN]
}

/** What the suite has to show, as ratios within one run. */
export function barsOf(scenarios: readonly Scenario[]): Bar[] {
  const { of, ratio } = figuresOf(scenarios)
  return [
    bar(
      'accept',
      'Accept, 128 connections, against the baseline',
      8,
      ratio('accept', /^ours, 128/, /^baseline/),
    ),
    bar(
      'accept',
      'Accept, 512 connections, against batch inserts over one connection',
      0.45,
      ratio('accept', /^ours, 512/, /^limit, 1/),
    ),
    bar(
      'bulk',
      'Bulk accept against batch inserts over one connection',
      0.75,
      ratio('bulk', /^ours/, /^limit, 1/),
    ),
    bar('drain', 'Drain against the baseline', 30, ratio('drain', /^ours/, /^baseline/)),
    bar(
      'arrival',
      'End to end: highest arrival rate against the baseline',
      400,
      ratio('arrival', /^ours/, /^baseline/),
    ),
    bar('hot', 'One hot user against 10,000 users', 0.8, ratio('hot', /^one user/, /^10,000/)),
    bar(
      'backlog',
      'Drain of a large backlog against one of 10,000',
      0.8,
      ratio('backlog', /^(?!backlog of 10,000$)/, /^backlog of 10,000$/),
    ),
    bar(
      'history',
      'Accept with a long history against an empty database',
      0.85,
      ratio('history', /^accept, full/, /^accept, empty/),
    ),
    bar(
      'history',
      'GET with a long history against an empty database',
      0.85,
      ratio('history', /^GET, full/, /^GET, empty/),
    ),
    most(
      bar(
        'latency',
        'p99 of accept at half the highest rate, in p50s',
        10,
        alone(ratio('latency', /^p99/, /^p50 at/)[0]),
      ),
    ),
    most(
      bar('memory', 'Resident memory under full load', 250, alone(of('memory', /^at its/))),
      'MB',
    ),
    most(
      bar('cold', 'Cold start to the first accepted payment', 3, alone(of('cold', /^first/))),
      's',
    ),
  ]
}
