import type { FastifyPluginAsync } from 'fastify'
import { escapeHtml } from '../domain/escape-html.ts'
import { REFUSALS } from '../domain/refusal.ts'
import { breakable, page, PAGE_HEADERS } from './html-page.ts'

/** `GET /docs/errors`: where the `type` of every problem document leads, one row per code. */
export function errorsPage(title: string): FastifyPluginAsync {
  const html = page(`Errors · ${title}`, table())
  return async (app) => {
    app.get('/docs/errors', { schema: { hide: true } }, (_request, reply) =>
      reply.headers(PAGE_HEADERS).send(html),
    )
  }
}

function table(): string {
  const rows = Object.entries(REFUSALS).map(
    ([code, [status, detail]]) =>
      `<tr id="${code}"><td><code>${breakable(code)}</code></td>` +
      `<td>${status}</td><td>${escapeHtml(detail)}</td></tr>`,
  )
  return `<h1>Errors</h1>
<p>Every error is a problem document (RFC 9457); programs go by its <code>code</code>.</p>
<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`
}
