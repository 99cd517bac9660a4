import { format, resolveConfig } from 'prettier'

type Node = Readonly<Record<string, unknown>>

/** As much of the OpenAPI document as is read. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Node>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Node>> }
}

/** Operations whose bodies and answers the SDK hands on. */
const OPERATIONS = `
  createDeposit createWithdrawal createRefund cancelPayment getPayment updatePayment listPayments
  getTimeline createUser getUser updateUser listUsers listTransactions getDeadLetter
  listDeadLetters listEvents redriveDeadLetter resolveDeadLetter correctDeadLetter
  createWebhookEndpoint listWebhookEndpoints getWebhookEndpoint updateWebhookEndpoint
  rotateWebhookSecret testWebhookEndpoint listWebhookDeliveries listWebhookAttempts
  retryWebhookDelivery replayWebhookEvents listWebhookReplays getWebhookReplay
  cancelWebhookReplay`
  .trim()
  .split(/\s+/)

const WIDTH = 98

const DECIMAL = '/** A decimal number such as `200` or `10.50`: money is never a float. */'

/**
 * Files of `sdk/typescript/src` by what is in them: what callers write, hear of, are refused with,
 * and read.
 */
const FILES = [
  ['requests.ts', /Request$|Update$|Change$|^List|^ReplayFilter$/],
  ['events.ts', /^Event|EventData$|^BrokenRule$/],
  ['endpoints.ts', /^(Webhook|Replay)/],
  ['problems.ts', /^(Problem|ErrorCode|FieldError)$/],
  ['answers.ts', /./],
] as const

type TypeFiles = Readonly<Record<(typeof FILES)[number][0], string>>

/**
 * The types of the SDK for an OpenAPI document, which is made of the schemas that the service
 * checks with. Amounts become decimal strings: the SDK reads and writes them so.
 */
export async function typesOf(document: Document): Promise<TypeFiles> {
  const operations = Object.values(document.paths)
    .flatMap((methods) => Object.values(methods))
    .filter(({ operationId }) => OPERATIONS.includes(String(operationId)))
  const schemas = reached(document, operations).map(
    (name) => [name, document.components.schemas[name] ?? {}] as const,
  )
  const filters = operations.flatMap((operation) => {
    const { operationId, parameters } = operation as { operationId: string; parameters?: Node[] }
    const query = (parameters ?? []).filter((one) => one['in'] === 'query')
    return operationId.startsWith('list') && operationId !== 'listEvents' && query.length > 0
      ? [[capital(operationId), filterOf(query)] as const]
      : []
  })
  const all = [...schemas, ...filters].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const money = [...new Set(schemas.flatMap(([, schema]) => moneyIn(schema)))].toSorted()
  const files = FILES.map(async ([file]) => {
    const own = all.filter(([name]) => fileOf(name) === file)
    const texts = own.map(([name, schema]) => declared(name, schema))
    if (file === 'answers.ts') {
      const set = `/** Members whose numbers are amounts. */\nexport const MONEY = ${setOf(money)}`
      return [file, await written([`${DECIMAL}\nexport type Decimal = string`, ...texts, set])]
    }
    const used = ['Decimal', ...all.map(([name]) => name)]
      .filter((name) => fileOf(name) === 'answers.ts')
      .filter((name) => texts.some((text) => new RegExp(`: .*\\b${name}\\b`).test(text)))
    const imported = `import type { ${used.join(', ')} } from './answers.ts'`
    return [file, await written(used.length === 0 ? texts : [imported, ...texts])]
  })
  // A text for each of FILES.
  return Object.fromEntries(await Promise.all(files)) as TypeFiles
}

function fileOf(name: string): string {
  return FILES.find(([, names]) => names.test(name))?.[0] ?? ''
}

async function written(parts: readonly string[]): Promise<string> {
  const head = '// Written by `npm run sdk-types` from docs/openapi.json; do not edit.'
  const style = await resolveConfig(new URL(import.meta.url))
  return format([head, ...parts].join('\n\n'), { ...style, parser: 'typescript' })
}

function setOf(words: readonly string[]): string {
  return `new Set([${words.map((word) => `'${word}'`).join(', ')}])`
}

/** The names of all schemas that these operations come to, and those that these come to. */
function reached(document: Document, operations: readonly Node[]): string[] {
  const names = new Set<string>()
  const open: unknown[] = operations.map(({ requestBody, responses }) => [requestBody, responses])
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (typeof node !== 'object' || node === null) continue
    const { $ref } = node as Node
    const parts = typeof $ref === 'string' ? $ref.split('/') : []
    const name = parts.at(-1) ?? ''
    if (parts[2] === 'responses') open.push({ $ref: '#/components/schemas/Problem' })
    else if (name !== '' && !names.has(name)) {
      names.add(name)
      open.push(document.components.schemas[name])
    }
    open.push(...Object.values(node).filter((value) => value !== null && value !== undefined))
  }
  const pages = /Page$|List$/
  return [...names].filter((name) => !pages.test(name))
}

/** A filter of a list as one object; the SDK follows the cursor itself. */
function filterOf(query: readonly Node[]): Node {
  const properties = query
    .filter(({ name }) => name !== 'cursor')
    .map(({ name, schema, description }) => [name, { ...(schema as Node), description }])
  return { type: 'object', properties: Object.fromEntries(properties) as Node }
}

function capital(name: string): string {
  return `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`
}

function moneyIn({ properties = {} }: { readonly properties?: unknown }): string[] {
  return Object.entries(properties as Record<string, Node>)
    .filter(([, { type }]) => [type].flat().includes('number'))
    .map(([name]) => name)
}

function declared(name: string, schema: Node): string {
  const {
    properties,
    required = [],
    description,
  } = schema as {
    readonly properties?: Record<string, Node>
    readonly required?: readonly string[]
    readonly description?: string
  }
  const comment = commentOf(description, '')
  if (properties === undefined) return `${comment}export type ${name} = ${typeOf(schema)}`
  const members = Object.entries(properties).map(([member, one]) => {
    const head = `  readonly ${member}${required.includes(member) ? '' : '?'}: `
    const said = (one as { description?: string }).description
    return `${commentOf(said, '  ')}${head}${typeOf(one)}\n`
  })
  return `${comment}export interface ${name} {\n${members.join('')}}`
}

/** A description as a comment of at most 100 columns. */
function commentOf(description: string | undefined, indent: string): string {
  if (description === undefined) return ''
  const one = `${indent}/** ${description} */`
  if (one.length <= WIDTH) return `${one}\n`
  const lines: string[] = []
  let line = `${indent} *`
  for (const word of description.split(/\s+/)) {
    if (line.length + word.length + 1 > WIDTH) {
      lines.push(line)
      line = `${indent} *`
    }
    line += ` ${word}`
  }
  return `${[`${indent}/**`, ...lines, line, `${indent} */`].join('\n')}\n`
}

function typeOf(schema: Node): string {
  const { $ref, type, anyOf, items, additionalProperties } = schema
  const words = schema['enum']
  if (typeof $ref === 'string') return $ref.split('/').at(-1) ?? ''
  if (Array.isArray(words)) return words.map(quoted).join(' | ')
  if ('const' in schema) return quoted(schema['const'])
  if (Array.isArray(anyOf)) return (anyOf as Node[]).map(typeOf).join(' | ')
  if (type === 'array') {
    const item = typeOf(items as Node)
    return `readonly ${item.includes('|') ? `(${item})` : item}[]`
  }
  const kinds = [type].flat()
  // A number or a text: an amount of a request, which is sent as a text.
  const plain = kinds.includes('number') ? kinds.filter((kind) => kind !== 'string') : kinds
  return plain
    .map((kind) => (kind === 'object' ? recordOf(additionalProperties) : PLAIN[String(kind)]))
    .join(' | ')
}

const PLAIN: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  integer: 'number',
  null: 'null',
  number: 'Decimal',
  string: 'string',
}

function recordOf(values: unknown): string {
  const value = typeof values === 'object' ? typeOf(values as Node) : 'unknown'
  return `Readonly<Record<string, ${value}>>`
}

function quoted(word: unknown): string {
  return typeof word === 'string' ? `'${word}'` : String(word)
}
