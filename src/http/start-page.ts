import type { FastifyPluginAsync } from 'fastify'
import { escapeHtml } from '../domain/escape-html.ts'
import { page, PAGE_HEADERS } from './html-page.ts'

/** What the start page and the index of the API need to know. */
interface StartPage {
  readonly title: string
  readonly version: string
  /** Where the API lives. */
  readonly api: string
  /** Where the console is; null: nowhere. */
  readonly console: string | null
  /** Where the mock gateway lives; null: in another process, or nowhere. */
  readonly mockGateway: string | null
}

/** A name for programs, a path, and what is there. */
type Link = readonly [name: string, path: string, what: string]

/** `GET /`: what there is, for people; `GET` of the API's prefix: the same for programs. */
export function startPage(options: StartPage): FastifyPluginAsync {
  const links = linksOf(options)
  const html = page(options.title, body(options, links))
  const index = {
    name: options.title,
    version: options.version,
    links: Object.fromEntries(links.map(([name, path]) => [name, path])),
  }
  return async (app) => {
    app.get('/', { schema: { hide: true } }, (_request, reply) =>
      reply.headers(PAGE_HEADERS).send(html),
    )
    app.get(options.api, { schema: { hide: true } }, () => index)
  }
}

function linksOf({ api, console: pages, mockGateway }: StartPage): readonly Link[] {
  const links: readonly Link[] = [
    ...(pages === null ? [] : [['console', pages, 'The console: look, understand, act.'] as const]),
    ['docs', '/docs', 'Swagger UI: every operation, to read and to try.'],
    ['openapi', '/openapi.json', 'The OpenAPI 3.1 document.'],
    ['errors', '/docs/errors', 'Every code of an error.'],
    ['payments', `${api}/payments`, 'The newest payments.'],
    ['dead_letters', `${api}/dlq`, 'What failed or could not be finished.'],
    ['ledger', `${api}/ledger`, 'The trial balance.'],
    ['health', `${api}/health`, 'Health of this process and its database.'],
    ['counters', `${api}/metrics`, 'Counters over all processes.'],
    ['metrics', '/metrics', 'The same and more, for Prometheus.'],
  ]
  if (mockGateway === null) return links
  return [...links, ['mock_gateway', mockGateway, 'A gateway with adjustable faults.']]
}

function body({ title, version }: StartPage, links: readonly Link[]): string {
  const rows = links.map(
    ([, path, what]) =>
      '<tr><td><a ' +
      `href="${path}"><code>${path.replaceAll('/', '/<wbr>')}</code></a></td><td>${what}</td></tr>`,
  )
  return `<h1>${escapeHtml(title)}</h1>
<p>Version ${escapeHtml(version)}. Begin with <a href="/docs">the documentation</a>:
every operation can be tried there.</p>
<table><tbody>${rows.join('\n')}</tbody></table>`
}
