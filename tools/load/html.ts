import { bars, curves, escape } from './charts.ts'
import { barRows, MEASURE_HEAD, passes, rowOf, type Report, type Scenario } from './report.ts'

/** The whole report as one HTML page that needs nothing else: no network, no script. */
export function htmlReport(report: Report): string {
  const facts = Object.entries(report.machine).map(
    ([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`,
  )
  const quick = report.quick ? '<p class="miss">A quick run: figures are indicative.</p>' : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(report.title)}</title>
<style>${STYLE}</style>
<body>
<h1>${escape(report.title)}</h1>
<p>${escape(report.startedAt.slice(0, 16).replace('T', ' '))} UTC, commit ${escape(report.commit)}</p>
${quick}
<dl>${facts.join('')}</dl>
${report.bars.length === 0 ? '' : barSection(report)}
${report.scenarios.map(section).join('\n')}
</body>
</html>
`
}

function barSection(report: Report): string {
  const [head = [], ...rows] = barRows(report.bars)
  const body = rows.map((row, index) => {
    const bar = report.bars[index]
    const passed = bar === undefined ? null : passes(bar)
    const kind = passed === null ? 'none' : passed ? 'pass' : 'miss'
    return `<tr class="${kind}">${row.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`
  })
  return `<h2>What it must show</h2>\n${tableOf(head, body)}`
}

function section(scenario: Scenario): string {
  const { measures, facts, books } = scenario
  const rows = measures.map(
    (measure) =>
      `<tr>${rowOf(measure)
        .map((cell) => `<td>${escape(cell)}</td>`)
        .join('')}</tr>`,
  )
  const parts = [`<h2>${escape(scenario.title)}</h2>`]
  if (measures.length > 0) {
    const values = measures.map(({ name, system, median, runs, unit }) => {
      return { name, group: system, value: median, points: runs, unit }
    })
    parts.push(`<figure>${bars(values)}</figure>`)
    const lines = measures.flatMap(({ name, system, buckets }) =>
      buckets === undefined ? [] : [{ name, group: system, points: shares(buckets) }],
    )
    if (lines.length > 0) {
      parts.push(
        `<figure>${curves(lines, 'latency in ms', 'share of requests')}` +
          '<figcaption>Share of requests that were answered within a time</figcaption></figure>',
      )
    }
    parts.push(tableOf(MEASURE_HEAD, rows))
  }
  if (facts.length > 0)
    parts.push(`<ul>${facts.map((fact) => `<li>${escape(fact)}</li>`).join('')}</ul>`)
  if (books !== null) {
    parts.push(`<p class="${books.right ? 'pass' : 'miss'}">Books: ${escape(books.text)}</p>`)
  }
  return `<section>${parts.join('\n')}</section>`
}

/** Latency against the share of requests that stayed within it. */
function shares(buckets: readonly { upToMs: number; count: number }[]): [number, number][] {
  const total = buckets.reduce((sum, bucket) => sum + bucket.count, 0)
  let within = 0
  return buckets.map(({ upToMs, count }) => {
    within += count
    return [upToMs, within / total]
  })
}

function tableOf(head: readonly string[], rows: readonly string[]): string {
  const cells = head.map((cell) => `<th>${escape(cell)}</th>`).join('')
  return `<div class="wide"><table><thead><tr>${cells}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

const STYLE = `
:root { color-scheme: light dark; --ours: #2f6fdb; --baseline: #b0742f; --limit: #6b7280;
  --echo: #9ca3af; --line: #8884; --good: #1a7f37; --bad: #c9372c; }
@media (prefers-color-scheme: dark) { :root { --ours: #6ea3ff; --baseline: #e0a35c;
  --limit: #9ca3af; --echo: #6b7280; --good: #4ac26b; --bad: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dd { margin: 0 }
dt { opacity: .7 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line) }
.wide { overflow-x: auto } figure { margin: 1rem 0 } figcaption { opacity: .7; font-size: .85rem }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: currentColor } .pass td:last-child, p.pass { color: var(--good) }
.miss td:last-child, p.miss { color: var(--bad); font-weight: 600 }
.ours { fill: var(--ours); stroke: var(--ours) } .baseline { fill: var(--baseline); stroke: var(--baseline) }
.limit { fill: var(--limit); stroke: var(--limit) } .echo { fill: var(--echo); stroke: var(--echo) }
path { stroke-width: 2 } .grid { stroke: var(--line) } .faint { opacity: .65 }
`
