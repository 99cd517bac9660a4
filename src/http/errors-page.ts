import { createHash } from 'node:crypto'
import type { FastifyPluginAsync } from 'fastify'
import { REFUSALS } from '../domain/refusal.ts'

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .5rem .75rem; border-bottom: 1px solid #8884 }
  tr:target { background: #fd05 }
  code { font-size: .95em; overflow-wrap: anywhere }`

/** The page allows its own style and nothing else. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'`

/** `GET /docs/errors`: where the `type` of every problem document leads, one row per code. */
export function errorsPage(title: string): FastifyPluginAsync {
  const html = page(title)
  return async (app) => {
    app.get('/docs/errors', { schema: { hide: true } }, (_request, reply) =>
      reply
        .header('content-security-policy', POLICY)
        .header('cache-control', 'public, max-age=300')
        .type('text/html; charset=utf-8')
        .send(html),
    )
  }
}

function page(title: string): string {
  const rows = Object.entries(REFUSALS).map(
    ([code, [status, detail]]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${escape(detail)}</td></tr>`,
  )
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors · ${escape(title)}</title><style>${STYLE}</style></head>
<body><h1>Errors</h1>
<p>Every error is a problem document (RFC 9457); programs go by its <code>code</code>.</p>
<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></body></html>`
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
