import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import { escapeHtml } from '../domain/escape-html.ts'

/** Where the files of Swagger UI are; of the package only they are used. */
const FOLDER = join(createRequire(import.meta.url).resolve('@fastify/swagger-ui'), '..', 'static')

const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'index.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
}

/** Draws the document in the page; a file, because the policy allows no script in the page. */
const INITIALIZER = `window.onload = () => {
  window.ui = SwaggerUIBundle({
    url: '/openapi.json',
    dom_id: '#swagger-ui',
    deepLinking: true,
    docExpansion: 'list',
    tryItOutEnabled: true,
    displayRequestDuration: true,
    validatorUrl: null,
  })
}
`

/**
 * The page's own files and requests to this service, nothing else: no frame, no form, no other
 * site, and nothing that stands in the page itself. The style sheet of Swagger UI brings images as
 * data.
 */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * `GET /docs`: Swagger UI. Each file is a route and one buffer that all answers share, so that no
 * name is looked for on the disk and unread answers hold nothing but a reference.
 */
export function docsPage(title: string): FastifyPluginAsync {
  const assets: readonly (readonly [path: string, type: string, content: Buffer])[] = [
    ['/docs', 'text/html; charset=utf-8', Buffer.from(page(title))],
    ['/docs/static/initializer.js', 'text/javascript; charset=utf-8', Buffer.from(INITIALIZER)],
    ...Object.entries(FILES).map(
      ([name, type]) => [`/docs/static/${name}`, type, readFileSync(join(FOLDER, name))] as const,
    ),
  ]
  return async (app) => {
    for (const [path, type, content] of assets) {
      app.get(path, { schema: { hide: true } }, (_request, reply) =>
        reply
          .header('content-security-policy', POLICY)
          .header('cache-control', 'public, max-age=300')
          .type(type)
          .send(content),
      )
    }
  }
}

function page(title: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css">
<link rel="stylesheet" href="/docs/static/index.css">
<link rel="icon" type="image/png" href="/docs/static/favicon-32x32.png">
</head>
<body><div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/static/initializer.js"></script>
</body>
</html>
`
}
