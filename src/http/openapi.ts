import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { SCOPES } from '../domain/api-key.ts'
import { writeJson } from '../domain/exact-json.ts'
import { scopeOf } from './scopes.ts'
import { named } from './components.ts'
import { docsPage } from './docs-page.ts'
import { errorsPage } from './errors-page.ts'
import { sharedRefusals, SHARED_RESPONSES } from './problem.ts'

interface DocumentOptions {
  readonly title: string
  readonly version: string
  /** Whether API keys are asked for: only then does the document speak of them. */
  readonly keys: boolean
  /** What the service sends by itself: path items by name, with schemas that have titles. */
  readonly webhooks: object
}

const DESCRIPTION =
  'Accept deposits and withdrawals with a commission, and refunds; answer at once, charge the ' +
  'gateway in the background.\n\n**Amounts** are decimal, with at most as many places as the ' +
  'currency of the account; send them as JSON numbers or as strings. Zeros at the end do not ' +
  'count: `1.000` and `"1.000"` are 1. More decimals are refused, never ' +
  'rounded.\n\n**Idempotency.** Send an `Idempotency-Key` with every payment: the same request ' +
  'under the same key is carried out once and answered the same. A key belongs to its user: two ' +
  'users may use the same one, and it serves deposits, withdrawals and refunds alike. Keys are ' +
  'kept for good.\n\n**Polling.** An answer to a GET has an `ETag`. Sent back as ' +
  '`If-None-Match`, it gets 304 without a body while the answer is the same.\n\n**Errors** are ' +
  'problem documents (RFC 9457). Programs should read `code`. A path that does not take a ' +
  'method answers 405 with `Allow`, and `OPTIONS` tells the same.'

const TAGS = [
  { name: 'Payments', description: 'Deposits, withdrawals and what became of them.' },
  { name: 'Users', description: 'Balances and their history.' },
  { name: 'Events', description: 'What becomes of payments, told to whoever asked for it.' },
  { name: 'Dead letters', description: 'What failed or could not be finished.' },
  { name: 'Gateways', description: 'What gateways can do, how they are, and what they send.' },
  { name: 'Keys', description: 'API keys, and who is signed in with them.' },
  { name: 'Operations', description: 'Health and counters.' },
  { name: 'Mock gateway', description: 'A gateway with adjustable faults.' },
]

const API_KEY = {
  type: 'http',
  scheme: 'bearer',
  description: 'An API key, made with `payments keys create`.',
} as const

/**
 * Serve the OpenAPI document at /openapi.json and Swagger UI at /docs. The document is made from
 * the schemas that validate; `finish` gives its parts names.
 */
export async function document(app: FastifyInstance, options: DocumentOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: options.title,
        version: options.version,
        description: DESCRIPTION,
        contact: { name: 'Whoever runs this service' },
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This server' }],
      tags: TAGS,
      ...(options.keys && { components: { securitySchemes: { apiKey: API_KEY } } }),
      ...(options.keys && { security: [{ apiKey: [] }] }),
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) =>
        typeof json['$id'] === 'string' ? json['$id'] : `schema-${index}`,
    },
    transform: ({ schema, url, route }) => ({
      schema: options.keys ? withScope(schema, url, [route.method].flat()[0] ?? 'GET') : schema,
      url,
    }),
    transformObject: (made) =>
      finish('openapiObject' in made ? made.openapiObject : {}, options.webhooks),
  })
  void app.register(docsPage(options.title))
  void app.register(errorsPage(options.title))
  // Made once: anybody may ask for it, as often as they like, without reading the answers.
  let text: Buffer | null = null
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    text ??= Buffer.from(writeJson(app.swagger()))
    return reply.type('application/json; charset=utf-8').send(text)
  })
}

/** The scope that a key needs for a route, in its description; none for what is public. */
function withScope<Schema extends object>(schema: Schema, url: string, method: string): Schema {
  const scope = scopeOf(url, method)
  if (!SCOPES.some((one) => one === scope)) return { ...schema, security: [] }
  const { description = '' } = schema as { description?: string }
  return {
    ...schema,
    description: `${description} Needs a key with the scope \`${scope}\`.`.trim(),
  }
}

type Node = Record<string, unknown>

/**
 * Finish the document: what differs on the wire is shown as it is meant (`SHOWN`), each schema with
 * a title becomes a component of that name, and the refusals that operations share become
 * components.
 */
function finish(made: object, sent: object): object {
  const openapi = made as Node & { paths: Node; components: { schemas: Node } }
  const schemas: Node = {}
  const paths = named(openapi.paths, schemas) as Record<string, Record<string, Node>>
  for (const [known, schema] of Object.entries(openapi.components.schemas)) {
    schemas[known] = named(schema, schemas)
  }
  const webhooks = named(sent, schemas)
  for (const operation of Object.values(paths).flatMap(Object.values)) {
    operation['parameters'] = (operation['parameters'] as Node[] | undefined)?.map(capitalized)
    operation['requestBody'] = demanded(operation['requestBody'] as Body | undefined, schemas)
    operation['responses'] = described(operation['responses'] as Record<string, Node>)
  }
  const sorted = Object.fromEntries(
    Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
  const components = { ...openapi.components, schemas: sorted, responses: SHARED_RESPONSES }
  return { ...openapi, paths, webhooks, components }
}

interface Body {
  readonly required: boolean
  readonly content: Readonly<Record<string, { readonly schema?: { readonly $ref?: string } }>>
}

/** A body may be left out where its schema has a default. */
function demanded(body: Body | undefined, schemas: Node): Body | undefined {
  const name = body?.content['application/json']?.schema?.$ref?.split('/').at(-1) ?? ''
  const { default: unsaid } = (schemas[name] ?? {}) as { readonly default?: unknown }
  return body === undefined || unsaid === undefined ? body : { ...body, required: false }
}

/** Headers are read whatever their case, and are known by their capitals. */
function capitalized(parameter: Node): Node {
  if (parameter['in'] !== 'header') return parameter
  const written = String(parameter['name']).replace(/(^|-)[a-z]/g, (first) => first.toUpperCase())
  return { ...parameter, name: written }
}

/** What a good answer says, where its schema does not. */
const GOOD: Readonly<Record<string, string>> = {
  200: 'Done.',
  201: 'Created.',
  202: 'Accepted; it goes on in the background.',
  204: 'Done, and there is nothing to say.',
}

function described(answers: Readonly<Record<string, Node>>): Record<string, object> {
  const good = Object.entries(answers).map(([status, answer]) => {
    const silent = answer['description'] === 'Default Response'
    const said = silent ? (GOOD[status] ?? 'As the answer says.') : undefined
    return [status, said === undefined ? answer : { ...answer, description: said }]
  })
  return sharedRefusals(Object.fromEntries(good) as Record<string, Node>)
}
