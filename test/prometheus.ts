/** One sample of a scrape. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The samples of a text that Prometheus reads. */
export function samplesOf(text: string): Sample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => {
    const [, name = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    return { name, labels: labelsOf(labels), value: Number(value.replace('Inf', 'Infinity')) }
  })
}

function labelsOf(text: string): Record<string, string> {
  const pairs = text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value]))
}

/** What `promtool check metrics` would say of a text, as far as it can happen here. */
export function lint(text: string): string[] {
  const types = new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]),
  )
  const helps = new Set([...text.matchAll(/^# HELP (\w+) \S/gm)].map(([, name]) => name))
  const problems: string[] = []
  for (const [name = '', type = ''] of types) {
    if (!helps.has(name)) problems.push(`${name} has no help`)
    problems.push(...namingOf(name, type).map((what) => `${name} ${what}`))
  }
  return [...problems, ...samplesWrong(text, types)]
}

/** What is wrong with the name of a metric of this type. */
function namingOf(name: string, type: string): string[] {
  const problems: string[] = []
  const wrong = (what: string) => problems.push(what)
  if ((type === 'counter') !== name.endsWith('_total')) wrong('is a counter or ends in _total')
  if (/[A-Z:]/.test(name)) wrong('is not in snake case')
  if (/_(counter|gauge|histogram|summary)(_|$)/.test(name)) wrong('names its type')
  if (/_(count|sum|bucket)$/.test(name)) wrong('ends as a part of a histogram does')
  if (/_(ms|milliseconds?|minutes?|hours?|days?|kb|mb|kilobytes?|percent)(_|$)/.test(name)) {
    wrong('is not in a base unit')
  }
  return problems
}

function samplesWrong(text: string, types: ReadonlyMap<string | undefined, string | undefined>) {
  const problems: string[] = []
  const seen = new Set<string>()
  for (const { name, labels } of samplesOf(text)) {
    const series = `${name}${JSON.stringify(labels)}`
    if (seen.has(series)) problems.push(`${series} comes twice`)
    seen.add(series)
    const type = types.get(name) ?? types.get(name.replace(/_(bucket|sum|count)$/, ''))
    if (type === undefined) problems.push(`${name} has no type`)
    if ('quantile' in labels && type !== 'summary') problems.push(`${name} has the label quantile`)
    if ('le' in labels && type !== 'histogram') problems.push(`${name} has the label le`)
  }
  return problems
}

/**
 * The value of an alert's expression between two scrapes, up to its comparison; NaN where a sample
 * is missing. It knows the forms that deploy/prometheus/rules.yaml uses and throws for any other.
 */
export function valueOf(
  expression: string,
  before: readonly Sample[],
  after: readonly Sample[],
): number {
  const [over, under] = expression.split(' / ')
  if (under !== undefined) return valueOf(over ?? '', before, after) / valueOf(under, before, after)
  const slow = /^histogram_quantile\((0\.\d+), sum by \(le\) \(rate\((.+)\[\w+\]\)\)\)$/.exec(
    expression,
  )
  if (slow !== null) return quantile(Number(slow[1]), slow[2] ?? '', before, after)
  const [, how = '', change, selector = '', plain = ''] =
    /^(max|min|sum)\((?:(increase|delta)\((.+)\[\w+\]\)|(\w+(?:\{.*\})?))\)$/.exec(expression) ?? []
  if (how === '') throw new Error(`not understood: ${expression}`)
  const values = change
    ? differences(selector, before, after)
    : select(plain, after).map(({ value }) => value)
  return combined(how, values)
}

function combined(how: string, values: readonly number[]): number {
  if (how === 'sum') return values.reduce((sum, value) => sum + value, 0)
  if (values.length === 0) return Number.NaN
  return how === 'max' ? Math.max(...values) : Math.min(...values)
}

function select(selector: string, samples: readonly Sample[]): Sample[] {
  const [, name = '', text = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(selector) ?? []
  if (name === '') throw new Error(`not understood: ${selector}`)
  const wanted = Object.entries(labelsOf(text))
  return samples.filter(
    (sample) =>
      sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value),
  )
}

function differences(
  selector: string,
  before: readonly Sample[],
  after: readonly Sample[],
): number[] {
  const key = ({ name, labels }: Sample) => name + JSON.stringify(labels)
  const earlier = new Map(select(selector, before).map((sample) => [key(sample), sample.value]))
  return select(selector, after).map((sample) => sample.value - (earlier.get(key(sample)) ?? 0))
}

/** The bound of the first bucket that holds the share `of` of what was added to a histogram. */
function quantile(
  of: number,
  selector: string,
  before: readonly Sample[],
  after: readonly Sample[],
) {
  const added = differences(selector, before, after)
  const bounds = select(selector, after).map(({ labels }) =>
    Number(labels['le']?.replace('+Inf', 'Infinity')),
  )
  const all = added.at(-1) ?? 0
  return all === 0
    ? Number.NaN
    : (bounds[added.findIndex((count) => count >= of * all)] ?? Number.NaN)
}
