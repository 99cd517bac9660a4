import assert from 'node:assert/strict'

/** As much of an OpenAPI document as is looked at. */
export interface OpenApi {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly responses: Readonly<Record<string, Answer>> }
}

interface Operation {
  readonly tags?: readonly string[]
  readonly summary?: string
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly required?: boolean
    readonly schema?: object
  }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema?: object }>> }
  readonly responses: Readonly<Record<string, Answer>>
}

interface Answer {
  readonly $ref?: string
  readonly description?: string
  readonly content?: Readonly<Record<string, { readonly schema?: object }>>
}

const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'trace']

/** Check that a document is OpenAPI 3.1, refers to what it has, and leaves nothing out. */
export function complete(document: OpenApi): void {
  assert.equal(document.openapi, '3.1.0')
  assert.ok(document.info.title && document.info.version)
  const paths = Object.entries(document.paths)
  assert.ok(paths.length >= 10)
  const known = new Set(document.tags.map(({ name }) => name))
  const shared = document.components.responses
  const problems: string[] = []
  for (const [path, operations] of paths) {
    for (const [method, stated] of Object.entries(operations)) {
      const operation = { ...stated, responses: resolved(stated.responses, shared) }
      const told = [
        ...operationProblems(operation, known),
        ...parameterProblems(path, operation),
        ...errorProblems(operation),
      ]
      if (!METHODS.includes(method)) told.push('is no method')
      problems.push(...told.map((problem) => `${method} ${path} ${problem}`))
    }
  }
  problems.push(...references(document, document))
  assert.deepEqual(problems, [])
}

/** The answers of an operation with the shared ones in place of the references to them. */
function resolved(
  answers: Operation['responses'],
  shared: OpenApi['components']['responses'],
): Operation['responses'] {
  const entries = Object.entries(answers).map(([status, answer]): [string, Answer] => {
    const name = answer.$ref?.replace('#/components/responses/', '')
    return [status, name === undefined ? answer : (shared[name] ?? {})]
  })
  return Object.fromEntries(entries)
}

function operationProblems(operation: Operation, known: ReadonlySet<string>): string[] {
  const { tags = [], summary = '', responses } = operation
  const good = Object.keys(responses).filter((status) => /^2\d\d$/.test(status))
  return [
    ...(tags.length > 0 && tags.every((tag) => known.has(tag)) ? [] : ['has no known tag']),
    ...(summary === '' ? ['has no summary'] : []),
    ...(good.length === 0 ? ['never succeeds'] : []),
    ...Object.entries(responses)
      .filter(([, { description }]) => description === undefined)
      .map(([status]) => `does not describe ${status}`),
  ]
}

/** Every parameter of the path is declared as required, and no other. */
function parameterProblems(path: string, { parameters = [] }: Operation): string[] {
  const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name)
  const declared = parameters.filter((parameter) => parameter.in === 'path')
  return [
    ...inPath
      .filter((name) => !declared.some((one) => one.name === name && one.required === true))
      .map((name) => `does not declare {${name}}`),
    ...declared
      .filter(({ name }) => !inPath.includes(name))
      .map(({ name }) => `declares {${name}} in vain`),
    ...parameters.filter(({ schema }) => !schema).map(({ name }) => `has no schema for ${name}`),
  ]
}

/** What is read can be wrong: an operation with input documents a 4xx, as a problem document. */
function errorProblems(operation: Operation): string[] {
  const { parameters = [], requestBody, responses } = operation
  const errors = Object.entries(responses).filter(([status]) => /^[45]\d\d$/.test(status))
  const refusals = errors.filter(([status]) => status.startsWith('4'))
  const input = parameters.length > 0 || requestBody !== undefined
  return [
    ...(input && refusals.length === 0 ? ['documents no refusal'] : []),
    ...errors
      .filter(([, { content }]) => !content || !Object.values(content).every((one) => one.schema))
      .map(([status]) => `has no schema for ${status}`),
  ]
}

/** Every `$ref` leads somewhere, and every required property is one. */
function references(document: object, node: unknown, at = '#'): string[] {
  if (typeof node !== 'object' || node === null) return []
  const { $ref, required, properties } = node as {
    $ref?: unknown
    required?: unknown
    properties?: object
  }
  const own: string[] = []
  if (typeof $ref === 'string' && !resolves(document, $ref)) own.push(`${at} refers to ${$ref}`)
  if (Array.isArray(required) && properties !== undefined) {
    const missing = required.filter((name) => !Object.hasOwn(properties, String(name)))
    own.push(...missing.map((name) => `${at} requires ${String(name)}, which it has not`))
  }
  const below = Object.entries(node).flatMap(([name, child]) =>
    references(document, child, `${at}/${name.replaceAll('/', '~1')}`),
  )
  return [...own, ...below]
}

function resolves(document: object, reference: string): boolean {
  if (!reference.startsWith('#/')) return false
  let node: unknown = document
  for (const part of reference.slice(2).split('/')) {
    const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, name)) return false
    node = (node as Record<string, unknown>)[name]
  }
  return true
}
