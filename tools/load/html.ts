import { escapeHtml } from '../../src/domain/escape-html.ts'
import { htmlPage, htmlRow, htmlTable } from '../html.ts'
import { bars, curves } from './charts.ts'
import { barRows, MEASURE_HEAD, passes, rowOf, type Report, type Scenario } from './report.ts'

/** The whole report as one HTML page. */
export function htmlReport(report: Report): string {
  const facts = Object.entries(report.machine).map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`,
  )
  const quick = report.quick ? '<p class="miss">A quick run: figures are indicative.</p>' : ''
  const body = `
<p>${escapeHtml(report.startedAt.slice(0, 16).replace('T', ' '))} UTC,
commit ${escapeHtml(report.commit)}</p>
${quick}
<dl>${facts.join('')}</dl>
${report.bars.length === 0 ? '' : barSection(report)}
${report.scenarios.map(section).join('\n')}`
  return htmlPage({ title: report.title, style: STYLE, body })
}

function barSection(report: Report): string {
  const [head = [], ...rows] = barRows(report.bars)
  const body = rows.map((row, index) => {
    const bar = report.bars[index]
    const passed = bar === undefined ? null : passes(bar)
    const kind = passed === null ? 'none' : passed ? 'pass' : 'miss'
    return htmlRow(row, kind)
  })
  return `<h2>What it must show</h2>\n${htmlTable(head, body)}`
}

function section(scenario: Scenario): string {
  const { measures, facts, books } = scenario
  const rows = measures.map((measure) => htmlRow(rowOf(measure)))
  const parts = [`<h2>${escapeHtml(scenario.title)}</h2>`]
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
    parts.push(htmlTable(MEASURE_HEAD, rows))
  }
  if (facts.length > 0)
    parts.push(`<ul>${facts.map((fact) => `<li>${escapeHtml(fact)}</li>`).join('')}</ul>`)
  if (books !== null) {
    parts.push(`<p class="${books.right ? 'pass' : 'miss'}">Books: ${escapeHtml(books.text)}</p>`)
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

const STYLE = `
:root { --ours: #2f6fdb; --baseline: #b0742f; --limit: #6b7280; --echo: #9ca3af }
@media (prefers-color-scheme: dark) { :root { --ours: #6ea3ff; --baseline: #e0a35c;
  --limit: #9ca3af; --echo: #6b7280 } }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dd { margin: 0 }
dt { opacity: .7 }
.ours { fill: var(--ours); stroke: var(--ours) }
.baseline { fill: var(--baseline); stroke: var(--baseline) }
.limit { fill: var(--limit); stroke: var(--limit) } .echo { fill: var(--echo); stroke: var(--echo) }
path { stroke-width: 2 } .grid { stroke: var(--line) } .faint { opacity: .65 }
`
