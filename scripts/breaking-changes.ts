/** As much of a document of the API as is looked at. */
type Node = Readonly<Record<string, unknown>>

/** Which way a schema goes: a request, which callers write, or an answer, which they read. */
type Way = 'request' | 'answer'

interface Pair {
  readonly before: Node
  readonly after: Node
}

/** What is compared: both documents, and references that were compared already. */
interface Comparison {
  readonly documents: Pair
  readonly seen: Set<string>
}

/** Enums of answers that say themselves that more may come. */
const OPEN = '#/components/schemas/ErrorCode'

/**
 * What of a document breaks programs that were written for an earlier one, a line for each change.
 * What was added, and is not demanded, breaks nobody.
 */
export function breakingChanges(before: object, after: object): string[] {
  const documents: Pair = { before: before as Node, after: after as Node }
  const comparison = { documents, seen: new Set<string>() }
  const old = operationsOf(documents.before)
  const now = new Map(operationsOf(documents.after))
  return old.flatMap(([name, operation]) => {
    const other = now.get(name)
    if (other === undefined) return [`${name} is gone`]
    return operationChanges(comparison, { before: operation, after: other }).map(
      (change) => `${name}: ${change}`,
    )
  })
}

function operationsOf(document: Node): [string, Node][] {
  return Object.entries(document['paths'] as Record<string, Node>).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Node>).map(([method, operation]): [string, Node] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )
}

function operationChanges(comparison: Comparison, { before, after }: Pair): string[] {
  const renamed = before['operationId'] !== after['operationId']
  return [
    ...(renamed ? [`${text(before['operationId'])} is now ${text(after['operationId'])}`] : []),
    ...parameterChanges(comparison, { before, after }),
    ...bodyChanges(comparison, { before, after }),
    ...answerChanges(comparison, { before, after }),
  ]
}

function parameterChanges(comparison: Comparison, { before, after }: Pair): string[] {
  const named = (operation: Node) => {
    const list = (operation['parameters'] ?? []) as readonly Node[]
    return new Map(list.map((one) => [`${text(one['in'])} ${text(one['name'])}`, one]))
  }
  const [old, now] = [named(before), named(after)]
  const changed = [...old].flatMap(([name, parameter]) => {
    const other = now.get(name)
    if (other === undefined) return [`${name} is gone`]
    const demanded = parameter['required'] !== true && other['required'] === true
    const schemas = { before: parameter['schema'] as Node, after: other['schema'] as Node }
    return [
      ...(demanded ? [`${name} is now required`] : []),
      ...schemaChanges(comparison, schemas, 'request', name),
    ]
  })
  const added = [...now].filter(([name, { required }]) => required === true && !old.has(name))
  return [...changed, ...added.map(([name]) => `${name} is new and required`)]
}

function bodyChanges(comparison: Comparison, { before, after }: Pair): string[] {
  const bodyOf = (operation: Node) =>
    (operation['requestBody'] ?? {}) as { content?: Record<string, Node>; required?: boolean }
  const schemaOf = (operation: Node) =>
    bodyOf(operation).content?.['application/json']?.['schema'] as Node | undefined
  const [old, now] = [schemaOf(before), schemaOf(after)]
  // One that may be left out breaks nobody who leaves it out.
  if (old === undefined) return bodyOf(after).required === true ? ['has a body now'] : []
  if (now === undefined) return ['takes no body any more']
  return schemaChanges(comparison, { before: old, after: now }, 'request', 'body')
}

function answerChanges(comparison: Comparison, { before, after }: Pair): string[] {
  const now = after['responses'] as Record<string, Node>
  const old = Object.entries(before['responses'] as Record<string, Node>)
  return old.flatMap(([status, answer]) => {
    const other = now[status]
    // A refusal that is no longer made breaks nobody.
    if (other === undefined) return status.startsWith('2') ? [`${status} is gone`] : []
    const [olds, nows] = [
      contentOf(comparison.documents.before, answer),
      contentOf(comparison.documents.after, other),
    ]
    return Object.entries(olds).flatMap(([type, { schema }]) => {
      const its = nows[type]?.['schema']
      if (its === undefined) return [`${status} ${type} is gone`]
      const schemas = { before: schema as Node, after: its as Node }
      return schemaChanges(comparison, schemas, 'answer', status)
    })
  })
}

function contentOf(document: Node, answer: Node): Record<string, Node> {
  return (resolve(document, answer)['content'] ?? {}) as Record<string, Node>
}

/** The schema itself, where a reference stands for it. */
function resolve(document: Node, node: Node): Node {
  const { $ref } = node
  if (typeof $ref !== 'string') return node
  let found: unknown = document
  for (const part of $ref.slice(2).split('/')) found = (found as Node | undefined)?.[part]
  return (found ?? {}) as Node
}

function schemaChanges(comparison: Comparison, pair: Pair, way: Way, at: string): string[] {
  const { documents, seen } = comparison
  const reference = text(pair.before['$ref'])
  const compared = `${way} ${reference} ${text(pair.after['$ref'])}`
  if (reference !== '' && seen.has(compared)) return []
  seen.add(compared)
  const where = reference === '' ? at : reference.replace('#/components/schemas/', '')
  const before = resolve(documents.before, pair.before)
  const after = resolve(documents.after, pair.after)
  const schemas = { before, after }
  return [
    ...wordChanges(schemas, way, reference === OPEN).map((change) => `${where} ${change}`),
    ...(way === 'request' ? boundChanges(schemas) : []).map((change) => `${where} ${change}`),
    ...memberChanges(comparison, schemas, way, where),
    ...partChanges(comparison, schemas, way, where),
  ]
}

/** Types, words and alternatives: a request must not lose any, an answer must not gain any. */
function wordChanges({ before, after }: Pair, way: Way, open: boolean): string[] {
  const kinds = open ? ['type'] : ['type', 'enum', 'const', 'anyOf']
  return kinds.flatMap((kind) => {
    const listOf = (schema: Node) => [schema[kind] ?? []].flat().map((one) => JSON.stringify(one))
    const [old, now] = [listOf(before), listOf(after)]
    const lost = old.filter((one) => !now.includes(one))
    const gained = now.filter((one) => !old.includes(one))
    // A list that is not there takes everything.
    if (way === 'request' && now.length > 0) {
      const taken = old.length === 0 ? ['anything'] : lost
      return taken.map((one) => `does not take ${one} any more`)
    }
    if (way === 'answer' && old.length > 0) {
      const given = now.length === 0 ? ['anything'] : gained
      return given.map((one) => `may be ${one} now`)
    }
    return []
  })
}

const UPPER = ['maximum', 'maxLength', 'maxItems', 'maxProperties']
const LOWER = ['minimum', 'minLength', 'minItems', 'minProperties']

function boundChanges({ before, after }: Pair): string[] {
  const numberOf = (schema: Node, name: string, none: number) => (schema[name] as number) ?? none
  const tighter = [
    ...UPPER.filter((name) => numberOf(after, name, Infinity) < numberOf(before, name, Infinity)),
    ...LOWER.filter((name) => numberOf(after, name, -Infinity) > numberOf(before, name, -Infinity)),
    ...['pattern', 'format'].filter(
      (name) => after[name] !== undefined && after[name] !== before[name],
    ),
  ]
  return tighter.map((name) => `has another ${name}: ${text(before[name])}, ${text(after[name])}`)
}

function memberChanges(comparison: Comparison, pair: Pair, way: Way, at: string): string[] {
  const propertiesOf = (schema: Node) => (schema['properties'] ?? {}) as Record<string, Node>
  const requiredOf = (schema: Node) => (schema['required'] ?? []) as readonly string[]
  const now = propertiesOf(pair.after)
  const old = Object.entries(propertiesOf(pair.before))
  const demanded = requiredOf(pair.after).filter((name) => !requiredOf(pair.before).includes(name))
  const promised = requiredOf(pair.before).filter((name) => !requiredOf(pair.after).includes(name))
  return [
    ...(way === 'request' ? demanded : []).map((name) => `${at}/${name} is now required`),
    ...(way === 'answer' ? promised : [])
      .filter((name) => Object.hasOwn(now, name))
      .map((name) => `${at}/${name} may be missing now`),
    ...old.flatMap(([name, before]) => {
      const after = now[name]
      if (after === undefined) return [`${at}/${name} is gone`]
      return schemaChanges(comparison, { before, after }, way, `${at}/${name}`)
    }),
  ]
}

/** What an array is of, and what a member of any name is. */
function partChanges(comparison: Comparison, pair: Pair, way: Way, at: string): string[] {
  return ['items', 'additionalProperties'].flatMap((name) => {
    const [before, after] = [pair.before[name], pair.after[name]]
    const closed = way === 'request' && after === false && before !== false
    if (closed) return [`${at} takes no other members any more`]
    if (typeof before !== 'object' || typeof after !== 'object') return []
    return schemaChanges(comparison, { before, after } as Pair, way, `${at}/*`)
  })
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
