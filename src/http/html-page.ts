import { createHash } from 'node:crypto'
import { escapeHtml } from '../domain/escape-html.ts'

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0;
    border-bottom: 1px solid #8884 }
  tr:target { background: #fd05 }
  code { font-size: .95em }
  td:last-child { overflow-wrap: anywhere }
  @media (max-width: 30rem) { body { padding: 0 .5rem } th, td { padding-right: .4rem } }`

/** A page allows its own style and nothing else. */
const PAGE_POLICY =
  `default-src 'none'; style-src ` +
  `'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The headers of a page. */
export const PAGE_HEADERS = {
  'content-security-policy': PAGE_POLICY,
  'cache-control': 'public, max-age=300',
  'content-type': 'text/html; charset=utf-8',
} as const

/** A plain page of HTML; `body` is HTML already. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body>${body}</body></html>`
}

/** A name that may break behind its underscores on a narrow screen, and nowhere else. */
export function breakable(name: string): string {
  return escapeHtml(name).replaceAll('_', '_<wbr>')
}
