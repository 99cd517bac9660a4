import type pg from 'pg'

/** What PostgreSQL understood of a text: a node, a list or a word; null: nothing is there. */
export type Tree = Node | readonly Tree[] | string | null

export interface Node {
  readonly kind: string
  readonly fields: Readonly<Record<string, Tree>>
}

/** PostgreSQL's own catalogue, by the numbers that trees name. */
export interface Catalogue {
  /** i: immutable, s: stable, v: volatile. */
  readonly functions: ReadonlyMap<string, { readonly name: string; readonly changes: string }>
  /** The functions that make a type's values from text, and text from them. */
  readonly types: ReadonlyMap<string, readonly string[]>
  readonly tables: ReadonlyMap<string, string>
}

/**
 * Have PostgreSQL parse statements, without running them. The body of a function is kept as a tree
 * that knows which function every sign stands for.
 */
export async function parseTrees(client: pg.Client, texts: readonly string[]): Promise<Tree[]> {
  const together = (one: (text: string, index: number) => string) =>
    client.query(texts.map(one).join(';\n'))
  await client.query('begin')
  try {
    await together((text, index) => `prepare parsed_${index} as ${text}`)
    const { rows } = await client.query<{ name: string; types: string }>(
      `select name, array_to_string(parameter_types, ',') as types from pg_prepared_statements`,
    )
    const types = new Map(rows.map((row) => [row.name, row.types]))
    await together((text, index) => {
      const name = `parsed_${index}`
      return `create function ${name}(${types.get(name)}) returns void language sql
        begin atomic ${text}; end`
    })
    const made = await client.query<{ name: string; body: string }>(
      `select proname as name, prosqlbody::text as body from pg_proc where proname like 'parsed\\_%'`,
    )
    const bodies = new Map(made.rows.map(({ name, body }) => [name, body]))
    return texts.map((_, index) => readTree(bodies.get(`parsed_${index}`) ?? '<>'))
  } finally {
    await client.query('rollback')
    await client.query('deallocate all')
  }
}

export async function readCatalogue(client: pg.Client): Promise<Catalogue> {
  const functions = await client.query<{ id: string; name: string; changes: string }>(
    'select oid::text as id, proname as name, provolatile::text as changes from pg_proc',
  )
  const types = await client.query<{ id: string; made: string; told: string }>(
    `select oid::text as id, typinput::oid::text as made, typoutput::oid::text as told
     from pg_type`,
  )
  const tables = await client.query<{ id: string; name: string }>(
    'select oid::text as id, relname as name from pg_class',
  )
  return {
    functions: new Map(functions.rows.map((row) => [row.id, row])),
    types: new Map(types.rows.map(({ id, made, told }) => [id, [made, told]])),
    tables: new Map(tables.rows.map(({ id, name }) => [id, name])),
  }
}

/** Read `{KIND :field value …}`, `(…)` and `<>`, as PostgreSQL writes trees. */
export function readTree(text: string): Tree {
  const words = text.match(/[(){}]|(?:\\.|[^\s(){}\\])+/gs) ?? []
  let at = 0
  const value = (): Tree => {
    const word = words[at++]
    if (word === '{') return node()
    if (word === '(') return list()
    return word === undefined || word === '<>' ? null : word.replace(/\\(.)/gs, '$1')
  }
  const list = (): Tree[] => {
    const items: Tree[] = []
    while (at < words.length && words[at] !== ')') items.push(value())
    at += 1
    return items
  }
  const node = (): Node => {
    const kind = words[at++] ?? ''
    const fields: Record<string, Tree> = {}
    while (at < words.length && words[at] !== '}') {
      const name = (words[at++] ?? '').slice(1)
      fields[name] = value()
      // A constant is several words: its length and its bytes.
      while (at < words.length && !/^[:}]/.test(words[at] ?? '')) value()
    }
    at += 1
    return { kind, fields }
  }
  return value()
}

export function isNode(tree: Tree | undefined): tree is Node {
  return typeof tree === 'object' && tree !== null && 'kind' in tree
}

/** The nodes of a list, or of all fields of a node. */
export function nodesBelow(tree: Tree | undefined): Node[] {
  if (isNode(tree)) return Object.values(tree.fields).flatMap(nodesOf)
  return Array.isArray(tree) ? tree.flatMap(nodesOf) : []
}

function nodesOf(tree: Tree): Node[] {
  return isNode(tree) ? [tree] : nodesBelow(tree)
}

/** All nodes, from the outside in. */
export function* everyNode(tree: Tree | undefined): Generator<Node> {
  if (isNode(tree)) yield tree
  for (const node of nodesBelow(tree)) yield* everyNode(node)
}
