import {
  everyNode,
  isNode,
  nodesBelow,
  type Catalogue,
  type Node,
  type Tree,
} from './parse-tree.ts'

/** How the parse tree calls what a query does. */
const UPDATE = '2'
const INSERT = '3'
const DELETE = '4'

/**
 * What of a statement Citus refuses to send to the server of a shard, in sentences: functions that
 * are not immutable, where a row that changes decides what they are called with. It evaluates all
 * others before, where the statement arrives.
 */
export function refused(tree: Tree, sharded: ReadonlySet<string>, catalogue: Catalogue): string[] {
  const of = (changes: RegExp) => (part: Tree | undefined) =>
    [...everyNode(part)].flatMap((node) => calledBy(node, catalogue, changes))
  const volatile = of(/v/)
  const mutable = of(/[sv]/)
  return [...everyNode(tree)].flatMap((query) => {
    const table = targetOf(query, catalogue)
    if (table === null || !sharded.has(table)) return []
    const { commandType, targetList, jointree, rtable, returningList, onConflict } = query.fields
    const said: string[] = []
    const say = (place: string, names: readonly string[]) =>
      said.push(...names.map((name) => `${place} of ${table}: ${name}`))
    const changed = (place: string, part: Tree | undefined) =>
      say(place, [...volatile(part), ...ofColumns(part, query, catalogue).wrong])
    if (commandType === UPDATE) changed('set', targetList)
    if (commandType === INSERT) say('values', askedInValues(rtable))
    if (commandType !== INSERT && isNode(jointree)) changed('where', jointree.fields['quals'])
    say('returning', mutable(returningList))
    if (isNode(onConflict)) say('on conflict', mutable(conflictOf(onConflict)))
    return said
  })
}

/**
 * Queries among the values that a SELECT gives to an INSERT: Citus takes the columns behind them
 * for others, and writes what is not theirs, or says that it is corrupt.
 */
function askedInValues(rtable: Tree | undefined): string[] {
  const given = nodesBelow(rtable)
    .map(({ fields }) => fields['subquery'] ?? null)
    .filter(isNode)
  const values = given.flatMap(({ fields }) => [...everyNode(fields['targetList'])])
  return values.some(({ kind }) => kind === 'SUBLINK') ? ['a query'] : []
}

function conflictOf({ fields }: Node): Tree {
  const { onConflictSet, onConflictWhere, arbiterWhere } = fields
  return [onConflictSet ?? null, onConflictWhere ?? null, arbiterWhere ?? null]
}

/**
 * Parts of a statement that read a table which a part before them writes. In PostgreSQL all see
 * what was there before the statement; on Citus each part is a statement that sees those before it.
 */
export function readAfterWrite(tree: Tree, catalogue: Catalogue): string[] {
  const query = [...everyNode(tree)].find(({ kind }) => kind === 'QUERY')
  if (query === undefined) return []
  const parts = nodesBelow(query.fields['cteList']).map(({ fields }) => ({
    name: String(fields['ctename']),
    query: fields['ctequery'] ?? null,
  }))
  const rest: Node = { ...query, fields: { ...query.fields, cteList: null } }
  const all = [...parts, { name: 'the end', query: rest }]
  return all.flatMap((part, index) => {
    const read = tablesOf(part.query, 'read', catalogue)
    return all.slice(0, index).flatMap((before) =>
      tablesOf(before.query, 'written', catalogue)
        .filter((table) => read.includes(table))
        .map((table) => `${part.name} reads ${table}, which ${before.name} writes`),
    )
  })
}

/** The tables that all queries of a part read, or write. An insert does not read its table. */
function tablesOf(part: Tree, how: 'read' | 'written', catalogue: Catalogue): string[] {
  const found = [...everyNode(part)].flatMap((query) => {
    const target = targetOf(query, catalogue)
    if (how === 'written') return target === null ? [] : [target]
    const own = target !== null && query.fields['commandType'] === INSERT
    return nodesBelow(query.fields['rtable']).flatMap((entry, index) => {
      const table = catalogue.tables.get(String(entry.fields['relid']))
      const isTarget = own && index === Number(query.fields['resultRelation']) - 1
      return table === undefined || isTarget ? [] : [table]
    })
  })
  return [...new Set(found)]
}

/** The table that a query changes; null: none. */
function targetOf({ kind, fields }: Node, { tables }: Catalogue): string | null {
  const { commandType, rtable, resultRelation } = fields
  if (kind !== 'QUERY' || ![UPDATE, INSERT, DELETE].includes(String(commandType))) return null
  const entry = nodesBelow(rtable)[Number(resultRelation) - 1]
  return tables.get(String(entry?.fields['relid'])) ?? null
}

/** Fields with the number of the function that a node calls. */
const CALLS = ['funcid', 'opfuncid', 'aggfnoid', 'winfnoid']

/** Names of the functions that a node itself calls, of those that change so. */
function calledBy(node: Node, { functions, types }: Catalogue, changes: RegExp): string[] {
  if (node.kind === 'NEXTVALUEEXPR') return changes.test('v') ? ['nextval'] : []
  if (node.kind === 'SQLVALUEFUNCTION') return changes.test('s') ? ['current_timestamp'] : []
  const numbers = CALLS.flatMap((field) => node.fields[field] ?? []).map(String)
  if (node.kind === 'COERCEVIAIO') {
    const [made = ''] = types.get(String(node.fields['resulttype'])) ?? []
    const [, told = ''] = types.get(typeOf(node.fields['arg'])) ?? []
    numbers.push(made, told)
  }
  return numbers.flatMap((number) => {
    const called = functions.get(number)
    return called !== undefined && changes.test(called.changes) ? [called.name] : []
  })
}

/** Fields that are numbers of no type. */
const OTHER_TYPES = new Set(['jointype', 'subLinkType', 'commandType', 'minmaxop'])

/** The number of the type of an expression: a field of its own, or of what it is made of. */
function typeOf(tree: Tree | undefined): string {
  for (const { fields } of everyNode(tree)) {
    for (const [name, value] of Object.entries(fields)) {
      const own = name.endsWith('type') && !OTHER_TYPES.has(name)
      if (own && typeof value === 'string' && /^\d{2,}$/.test(value)) return value
    }
  }
  return ''
}

/** What makes PostgreSQL leave a query in FROM apart, rather than put its expressions in place. */
const APART = [
  'cteList',
  'distinctClause',
  'groupClause',
  'havingQual',
  'limitCount',
  'limitOffset',
  'rowMarks',
  'setOperations',
  'sortClause',
]
const APART_IF = ['hasAggs', 'hasForUpdate', 'hasTargetSRFs', 'hasWindowFuncs']

interface OfColumns {
  readonly column: boolean
  readonly wrong: readonly string[]
}

/**
 * Stable functions of columns of a query, and any that are called only in some cases. A column of
 * a simple query in FROM is what that query says of it.
 */
function ofColumns(tree: Tree | undefined, query: Node, catalogue: Catalogue): OfColumns {
  const found = (isNode(tree) ? [tree] : nodesBelow(tree)).map((node): OfColumns => {
    // What is asked for in a query of its own is known before.
    if (node.kind === 'QUERY') return { column: false, wrong: [] }
    if (node.kind === 'VAR') return ofColumn(node, query, catalogue)
    if (/^(?:COALESCE|CASE)/.test(node.kind)) {
      return { column: true, wrong: inCases(node, catalogue) }
    }
    const below = ofColumns(nodesBelow(node), query, catalogue)
    const own = below.column ? calledBy(node, catalogue, /s/) : []
    return { column: below.column, wrong: [...own, ...below.wrong] }
  })
  return {
    column: found.some(({ column }) => column),
    wrong: found.flatMap(({ wrong }) => wrong),
  }
}

function ofColumn({ fields }: Node, query: Node, catalogue: Catalogue): OfColumns {
  const entry = nodesBelow(query.fields['rtable'])[Number(fields['varno']) - 1]
  const from = entry?.fields['subquery']
  const own = { column: true, wrong: [] }
  if (!isNode(from)) return own
  const apart =
    APART.some((part) => (from.fields[part] ?? null) !== null) ||
    APART_IF.some((is) => from.fields[is] === 'true')
  const target = nodesBelow(from.fields['targetList'])[Number(fields['varattno']) - 1]
  return apart || target === undefined ? own : ofColumns(target, from, catalogue)
}

function inCases(node: Node, catalogue: Catalogue): string[] {
  return [...everyNode(node)].flatMap((one) => calledBy(one, catalogue, /s/))
}
