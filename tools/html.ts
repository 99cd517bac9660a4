import { escapeHtml } from '../src/domain/escape-html.ts'

/** A report as one page that needs nothing else: no network, no script. `body` is HTML. */
export function htmlPage(page: {
  readonly title: string
  readonly style: string
  readonly body: string
}): string {
  const title = escapeHtml(page.title)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${STYLE}${page.style}</style>
<body>
<h1>${title}</h1>
${page.body}
</body>
</html>
`
}

/** A table; rows are HTML. */
export function htmlTable(head: readonly string[], rows: readonly string[]): string {
  const cells = head.map((cell) => `<th>${escapeHtml(cell)}</th>`).join('')
  const top = head.length === 0 ? '' : `<thead><tr>${cells}</tr></thead>`
  return `<div class="wide"><table>${top}<tbody>${rows.join('\n')}</tbody></table></div>`
}

/** A row of a table, of texts; `kind` is its class. */
export function htmlRow(cells: readonly string[], kind?: string): string {
  const row = cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')
  return `<tr${kind === undefined ? '' : ` class="${kind}"`}>${row}</tr>`
}

/** What all reports look like; a page adds the colours of what it draws. */
const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #c9372c }
@media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff7b72 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.5rem } a { color: inherit }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid var(--line) }
.wide { overflow-x: auto } figure { margin: 1rem 0 } figcaption { opacity: .7; font-size: .85rem }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif } svg text { fill: currentColor }
.pass td:last-child, p.pass, .ok { color: var(--good) }
.miss td:last-child, p.miss, .FAILED { color: var(--bad); font-weight: 600 }
`
