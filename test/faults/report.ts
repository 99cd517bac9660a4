import { escapeHtml } from '../../src/domain/escape-html.ts'
import { htmlPage, htmlRow, htmlTable } from '../../tools/html.ts'
import type { Event, Result } from './scenario.ts'

/** A whole run of the suite. */
export interface Run {
  readonly results: readonly Result[]
  readonly seed: number
  readonly kills: number
  readonly tookMs: number
}

/** The figures that the suite as a whole has to reach. */
export function totals({ results }: Run): { kills: number; database: number; commits: number } {
  const sum = (fault: string) =>
    results.reduce((total, { fired }) => total + (fired[fault] ?? 0), 0)
  return {
    kills: sum('SIGKILLs of processes') + sum('PostgreSQL killed'),
    database: sum('PostgreSQL killed'),
    commits: sum('database: COMMIT replies lost'),
  }
}

/** SIGKILLs in each scenario of kills, where nothing else is asked for. */
export const KILLS_DEFAULT = 24

/**
 * What all scenarios together have to deliver, whatever each of them needs; with fewer kills in
 * each scenario of kills, as many fewer.
 */
const LEAST = { kills: 200, database: 10, commits: 500 } as const

/** What a whole run fell short of, in words. */
export function shortfalls(run: Run): string[] {
  const { kills, database, commits } = totals(run)
  const killsMin = Math.ceil((LEAST.kills * Math.min(run.kills, KILLS_DEFAULT)) / KILLS_DEFAULT)
  return [
    ...(kills < killsMin ? [`${kills} SIGKILLs, at least ${killsMin}`] : []),
    ...(database < LEAST.database ? [`PostgreSQL killed ${database} times`] : []),
    ...(commits < LEAST.commits ? [`${commits} COMMIT replies lost`] : []),
  ]
}

function verdict({ ok, skipped }: Result): 'ok' | 'FAILED' | 'skipped' {
  if (skipped !== null) return 'skipped'
  return ok ? 'ok' : 'FAILED'
}

function summary(run: Run): string {
  const { kills, database, commits } = totals(run)
  const payments = run.results.reduce((total, result) => total + result.payments, 0)
  const failed = run.results.filter(({ ok }) => !ok).length
  return (
    `${failed === 0 ? 'All green' : `${failed} FAILED`}: ${run.results.length} scenarios in ` +
    `${Math.round(run.tookMs / 1_000)} s, ${payments} payments accepted, ${kills} SIGKILLs ` +
    `(PostgreSQL ${database} times), ${commits} COMMIT replies lost. Seed ${run.seed}.`
  )
}

/** The run for a terminal. */
export function table(run: Run): string {
  const width = Math.max(...run.results.map(({ name }) => name.length))
  const lines = run.results.flatMap((result) => [
    `${verdict(result).padEnd(8)}${result.name.padEnd(width)} ` +
      `${(result.tookMs / 1_000).toFixed(1).padStart(6)} s ${String(result.payments).padStart(6)} payments  ` +
      (result.skipped ?? faultsOf(result)),
    ...result.checks
      .filter(({ ok }) => !ok)
      .map(({ name, detail }) => `          ${name}: ${detail}`),
  ])
  return `\n${lines.join('\n')}\n\n${summary(run)}\n`
}

function faultsOf({ fired }: Result): string {
  return Object.entries(fired)
    .map(([fault, times]) => `${times} x ${fault}`)
    .join(', ')
}

const STYLE = `
body { max-width: 70rem } table { width: 100% } .skipped { color: #6b7280 }
.badge { font-size: .85rem; margin-left: .5rem } svg { display: block }
.key span { margin-right: 1.2rem } .key i { display: inline-block; width: .7rem; height: .7rem;
  margin-right: .35rem; border-radius: 2px }
@media (prefers-color-scheme: dark) { svg { filter: brightness(1.1) } }`

const HEAD = ['Scenario', 'Verdict', 'Took', 'Payments', 'Faults that were done']

/** The run as one page. */
export function page(run: Run): string {
  const rows = run.results.map(
    (result) =>
      `<tr><td><a href="#${result.name}">${result.name}</a></td>` +
      `<td class="${verdict(result)}">${verdict(result)}</td>` +
      `<td>${(result.tookMs / 1_000).toFixed(1)} s</td><td>${result.payments}</td>` +
      `<td>${escapeHtml(result.skipped ?? faultsOf(result))}</td></tr>`,
  )
  const body = `
<p>${escapeHtml(summary(run))}</p>
${htmlTable(HEAD, rows)}
<p class="key">${KEY}</p>
${run.results.map(section).join('\n')}`
  return htmlPage({ title: 'Faults on real processes', style: STYLE, body })
}

/** What clients were told, from the ground up, with its colour. */
const ANSWERS = [
  { name: 'accepted (202)', colour: '#2f9e6e', is: (status: number) => status === 202 },
  { name: 'refused (402)', colour: '#9aa5b5', is: (status: number) => status === 402 },
  { name: 'later (503)', colour: '#e0a021', is: (status: number) => status === 503 },
  { name: 'no answer', colour: '#d1493f', is: (status: number) => status === 0 },
] as const

const MARKS: Readonly<Record<Event['kind'], string>> = {
  kill: '#a02c8f',
  fault: '#3b6fd4',
  healed: '#8794a6',
}

const KEY = [
  ...ANSWERS.map(({ name, colour }) => [name, colour] as const),
  ['SIGKILL', MARKS.kill] as const,
  ['fault', MARKS.fault] as const,
  ['healed', MARKS.healed] as const,
]
  .map(([name, colour]) => `<span><i style="background:${colour}"></i>${name}</span>`)
  .join('')

function section(result: Result): string {
  const checks = result.checks.map(({ name, ok, detail }) =>
    htmlRow([name, detail, ok ? 'ok' : 'FAILED'], ok ? 'pass' : 'miss'),
  )
  const word = verdict(result)
  return `<h2 id="${result.name}">${result.name} <span class="badge ${word}">${word}</span></h2>
<p>${escapeHtml(result.title)}</p>
${result.skipped === null ? timeline(result) : `<p class="skipped">${escapeHtml(result.skipped)}</p>`}
${htmlTable([], checks)}`
}

const WIDTH = 1_000
const BARS_HEIGHT = 90
const MARKS_HEIGHT = 22
const BARS = 200

/** Answers over time as bars, and above them a mark for each fault, which names itself. */
function timeline({ answers, events, tookMs }: Result): string {
  const lastMs = Math.max(1, ...answers.map(({ atMs }) => atMs), ...events.map(({ atMs }) => atMs))
  const spanMs = Math.min(tookMs, lastMs)
  const x = (ms: number) => (Math.min(ms, spanMs) / spanMs) * WIDTH
  const counts = ANSWERS.map(() => Array.from({ length: BARS }, () => 0))
  for (const { atMs, status } of answers) {
    const bar = Math.min(BARS - 1, Math.floor((atMs / spanMs) * BARS))
    const kind = counts[ANSWERS.findIndex(({ is }) => is(status))]
    if (kind !== undefined) kind[bar] = (kind[bar] ?? 0) + 1
  }
  const tallest = Math.max(
    1,
    ...Array.from({ length: BARS }, (_, bar) =>
      counts.reduce((sum, kind) => sum + (kind[bar] ?? 0), 0),
    ),
  )
  const height = MARKS_HEIGHT + BARS_HEIGHT
  return `<svg viewBox="0 0 ${WIDTH} ${height + 18}" role="img" aria-label="Timeline">
${bars(counts, tallest)}
${marks(events, x)}
${seconds(spanMs, x, height)}
</svg>`
}

function bars(counts: readonly (readonly number[])[], tallest: number): string {
  const width = WIDTH / BARS
  const parts: string[] = []
  for (let bar = 0; bar < BARS; bar += 1) {
    let y = MARKS_HEIGHT + BARS_HEIGHT
    for (const [kind, { colour }] of ANSWERS.entries()) {
      const height = ((counts[kind]?.[bar] ?? 0) / tallest) * BARS_HEIGHT
      if (height === 0) continue
      y -= height
      const at = `x="${(bar * width).toFixed(1)}" y="${y.toFixed(1)}"`
      parts.push(
        `<rect ${at} width="${(width - 0.5).toFixed(1)}" height="${height.toFixed(1)}" fill="${colour}"/>`,
      )
    }
  }
  return parts.join('')
}

/** Marks that would lie on each other are one; its title names them all, up to a few. */
function marks(events: readonly Event[], x: (ms: number) => number): string {
  const places = new Map<string, { at: number; kind: Event['kind']; labels: string[] }>()
  for (const { atMs, kind, label } of events) {
    const at = Math.round(x(atMs) / 2) * 2
    const key = `${at} ${kind}`
    const place = places.get(key) ?? { at, kind, labels: [] }
    place.labels.push(`${(atMs / 1_000).toFixed(1)} s ${label}`)
    places.set(key, place)
  }
  return [...places.values()]
    .map(({ at, kind, labels }) => {
      const more = labels.length > 8 ? `\n… ${labels.length - 8} more` : ''
      const title = escapeHtml(labels.slice(0, 8).join('\n') + more)
      return `<rect x="${at - 1}" y="2" width="2.5" height="${MARKS_HEIGHT - 6}" fill="${MARKS[kind]}"><title>${title}</title></rect>`
    })
    .join('')
}

function seconds(spanMs: number, x: (ms: number) => number, y: number): string {
  const step = spanMs > 40_000 ? 10_000 : spanMs > 12_000 ? 5_000 : 1_000
  const parts: string[] = []
  for (let ms = 0; ms < spanMs; ms += step) {
    const at = `x="${x(ms).toFixed(1)}" y="${y + 14}"`
    parts.push(`<text ${at} font-size="11" fill="#7b8797">${ms / 1_000} s</text>`)
  }
  return parts.join('')
}
