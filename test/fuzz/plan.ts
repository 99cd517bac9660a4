import { exampleOf, type Operation, type Parameter } from '../hostile/document.ts'
import type { Wire } from '../hostile/wire.ts'
import { changeAt, leaf, placesOf, toText, toTree, type Tree } from './tree.ts'
import { HEADERS, JSON_VALUES, NAMES, POSITIONS, TEXT_VALUES } from './values.ts'

export type Random = () => number

/** Where a request was changed. */
export type Place = 'body' | 'path' | 'query' | 'header'

/** A request to send, and what was done to it. */
export interface Plan {
  readonly operation: Operation
  readonly request: Wire
  /** Empty: the request is valid as far as the document tells. */
  readonly places: readonly Place[]
  /** The hostile values in it, as texts: no answer may repeat them. */
  readonly values: readonly string[]
}

/** A cursor of each list that hands them out, by the list's path. */
export type Cursors = ReadonlyMap<string, string>

/** A request before it is written down. */
interface Draft {
  path: string
  query: [name: string, value: string][]
  headers: [name: string, value: string][]
  body: Tree | null
  /** What is done to the body's bytes at the end. */
  damage: ((bytes: Buffer) => Buffer) | null
}

/** One member of a list. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

/**
 * Plan a request to the operation with `changes` hostile changes. The same chances, the same plan.
 */
export function plan(
  operation: Operation,
  changes: number,
  random: Random,
  cursors: Cursors = new Map(),
): Plan {
  const draft = validDraft(operation, random)
  const cursor = cursors.get(operation.path)
  if (cursor !== undefined && changes > 0 && random() < 0.5) {
    const [name, value] = ['cursor', forge(cursor, random)]
    draft.query = [[name, value]]
    return { operation, request: write(operation, draft), places: ['query'], values: [value] }
  }
  const places: Place[] = []
  const values: string[] = []
  for (let change = 0; change < changes; change += 1) {
    const place = pick(random, placesIn(operation))
    places.push(place)
    values.push(...CHANGES[place](draft, operation, random))
  }
  return { operation, request: write(operation, draft), places, values }
}

/** A cursor with one part replaced: it is only encoded, so anybody can write one. */
function forge(cursor: string, random: Random): string {
  const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  if (!Array.isArray(parts)) return `${cursor}x`
  const at = Math.floor(random() * parts.length)
  const value = pick(random, random() < 0.5 ? POSITIONS : TEXT_VALUES).slice(0, 200)
  const forged = parts.map((part: unknown, index) => (index === at ? value : part))
  return Buffer.from(JSON.stringify(forged)).toString('base64url')
}

/** Bodies are where most of the reading is done, so they get most of the changes. */
function placesIn({ parameters, body, path }: Operation): Place[] {
  const places: Place[] = ['header', 'query']
  if (body !== null) places.push('body', 'body', 'body', 'body', 'body', 'body')
  if (path.includes('{')) places.push('path', 'path')
  if (parameters.some((one) => one.in === 'query')) places.push('query', 'query', 'query')
  return places
}

function validDraft({ path, parameters, body }: Operation, random: Random): Draft {
  const ofKind = (kind: Parameter['in']) => parameters.filter((one) => one.in === kind)
  const filled = ofKind('path').reduce(
    (text, { name }) => text.replace(`{${name}}`, String(1 + Math.floor(random() * 9))),
    path,
  )
  const headers = ofKind('header').filter(() => random() < 0.4)
  return {
    path: filled,
    query: ofKind('query')
      .filter(({ schema }) => random() < 0.4 && hasExample(schema))
      .map(({ name, schema }) => [name, String(exampleOf(schema))]),
    headers: headers.map(({ name }) => [name, `fuzz-${Math.floor(random() * 2_000)}`]),
    body: body === null ? null : toTree(bodyOf(body, random)),
    damage: null,
  }
}

function hasExample({ examples, enum: values }: Parameter['schema']): boolean {
  return Array.isArray(examples) || Array.isArray(values)
}

function bodyOf(schema: Parameter['schema'], random: Random): unknown {
  const { anyOf } = schema
  const one = Array.isArray(anyOf) ? (pick(random, anyOf) as Parameter['schema']) : schema
  return exampleOf(one, random() < 0.5)
}

/** Makes one change to a draft, and tells the values it put in. */
type Change = (draft: Draft, operation: Operation, random: Random) => string[]

const CHANGES: Readonly<Record<Place, Change>> = {
  body: changeBody,
  path(draft, { path }, random) {
    const value = pick(random, TEXT_VALUES).slice(0, 4_000)
    const text = value === '' ? '%' : encodeURIComponent(value)
    draft.path = path.replace(/\{[^}]+\}/, () => (random() < 0.1 ? `${text}%ff` : text))
    return [value]
  },
  query(draft, { parameters }, random) {
    const known = parameters.filter((one) => one.in === 'query').map(({ name }) => name)
    const name = known.length > 0 && random() < 0.8 ? pick(random, known) : pick(random, NAMES)
    const value = pick(random, TEXT_VALUES).slice(0, 4_000)
    if (random() < 0.9) draft.query = draft.query.filter(([other]) => other !== name)
    draft.query.push([name, value])
    return [value]
  },
  header(draft, { parameters }, random) {
    const known = parameters.filter((one) => one.in === 'header').map(({ name }) => name)
    const name = known.length > 0 && random() < 0.6 ? pick(random, known) : pick(random, HEADERS)
    // A line end would begin another header, or another request: that is the caller's own.
    const value = pick(random, TEXT_VALUES).slice(0, 9_000)
    const bytes = Buffer.from(value, 'latin1')
      .toString('latin1')
      .replace(/[\r\n]/g, '?')
    if (random() < 0.9) draft.headers = draft.headers.filter(([other]) => other !== name)
    draft.headers.push([name, bytes])
    return [value]
  },
}

function changeBody(draft: Draft, _operation: Operation, random: Random): string[] {
  const { body } = draft
  if (body === null) return []
  const chance = random()
  if (chance < 0.06) {
    draft.damage = pick(random, DAMAGES)(random)
    return []
  }
  const place = Math.floor(random() * placesOf(body))
  if (chance < 0.7) {
    const text = pick(random, JSON_VALUES)
    draft.body = changeAt(body, place, () => leaf(text))
    return [textOf(text)]
  }
  const name = pick(random, NAMES)
  draft.body = changeAt(body, place, (at) => changeMembers(at, name, random))
  return []
}

/** Leave a member out, rename one, repeat one, or add one. */
function changeMembers(at: Tree, name: string, random: Random): Tree {
  if (at.kind !== 'object') return at
  const { members } = at
  const [first, ...rest] = members
  const chance = random()
  if (first === undefined || chance < 0.4) {
    const added = [name, leaf(pick(random, JSON_VALUES))] as const
    return { kind: 'object', members: [...members, added] }
  }
  if (chance < 0.6) return { kind: 'object', members: rest }
  if (chance < 0.8) return { kind: 'object', members: [...rest, [name, first[1]]] }
  return { kind: 'object', members: [...members, first] }
}

/** What can happen to the bytes of a body. */
const DAMAGES: readonly ((random: Random) => (bytes: Buffer) => Buffer)[] = [
  (random) => (bytes) => bytes.subarray(0, Math.floor(random() * bytes.length)),
  (random) => (bytes) => Buffer.concat([bytes, Buffer.from(pick(random, [' x', '{}', ',', '\0']))]),
  () => (bytes) => Buffer.concat([Buffer.from('\ufeff'), bytes]),
  () => (bytes) => Buffer.from(bytes.toString('utf8'), 'utf16le'),
  (random) => (bytes) => {
    const copy = Buffer.from(bytes)
    copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256)
    return copy
  },
  (random) => (bytes) => {
    const at = Math.floor(random() * bytes.length)
    const wrong = pick(random, [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x80], [0]])
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(wrong), bytes.subarray(at)])
  },
]

function textOf(json: string): string {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'string' ? value : json
  } catch {
    return json
  }
}

function write({ method }: Operation, draft: Draft): Wire {
  const { path, query, headers, body, damage } = draft
  const pairs = query.map(([name, value]) => `${safe(name)}=${safe(value)}`)
  const bytes = body === null ? null : Buffer.from(toText(body))
  return {
    method,
    path: pairs.length === 0 ? path : `${path}?${pairs.join('&')}`,
    headers,
    ...(bytes === null ? {} : { body: damage === null ? bytes : damage(bytes) }),
  }
}

/** Percent-encoded; half a character has no UTF-8, and stands as its replacement. */
function safe(text: string): string {
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'))
}
