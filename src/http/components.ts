import assert from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { SHOWN } from './schemas.ts'

type Node = Record<string, unknown>

/** Members whose values are data: nothing in them is a schema. */
const DATA = new Set(['example', 'examples', 'default', 'enum', 'const'])

/** How a schema of any names is written: as a pattern that every name has. */
const ANY_NAME = '^.*$'

/**
 * A copy of a part of the document as other programs read it: every schema with a title is a
 * reference to the component of that name in `schemas`, what differs on the wire is shown as it is
 * meant (`SHOWN`), every object says whether it may have more members, and patterns are written in
 * what all dialects of regular expressions have in common.
 */
export function named(node: unknown, schemas: Node): unknown {
  if (Array.isArray(node)) return node.map((item) => named(item, schemas))
  if (typeof node !== 'object' || node === null) return node
  const shown = (node as Node)[SHOWN]
  if (shown !== undefined) return named(inPlaceOf(node as Node, shown as Node), schemas)
  const members = Object.entries(node)
    .filter(([member, value]) => value !== undefined && member !== 'title')
    .map(([member, value]) => [member, memberOf(member, value, schemas)])
  const copy = stated(Object.fromEntries(members) as Node)
  const { title } = node as Node
  if (typeof title !== 'string') {
    return title === undefined ? copy : { ...copy, title: named(title, schemas) }
  }
  keep(schemas, title, copy)
  return { $ref: `#/components/schemas/${title}` }
}

/** What is shown, with the description of what it stands for. */
function inPlaceOf({ description }: Node, shown: Node): Node {
  return { ...shown, ...(description === undefined ? {} : { description }) }
}

function memberOf(member: string, value: unknown, schemas: Node): unknown {
  if (DATA.has(member)) return value
  return member === 'pattern' && typeof value === 'string' ? portable(value) : named(value, schemas)
}

/**
 * Objects that say nothing else may have more members: answers grow. What is read as a request says
 * `false` by itself, where it is checked.
 */
function stated(schema: Node): Node {
  const { patternProperties, ...rest } = schema
  const values = (patternProperties as Node | undefined)?.[ANY_NAME]
  if (values !== undefined) return { ...rest, additionalProperties: values }
  const isObject = [schema['type']].flat().includes('object')
  return isObject ? { additionalProperties: true, ...schema } : schema
}

/**
 * The pattern without classes of Unicode, which not every reader of the document knows. No JSON
 * that is read here has half a character, and white space is named beside the separators.
 */
function portable(pattern: string): string {
  return pattern
    .replaceAll('\\p{Cs}', '')
    .replaceAll('\\p{Z}', '')
    .replaceAll('\\p{Cc}', CONTROLS)
    .replaceAll('\\p{C}', `${CONTROLS}${FORMATS}`)
}

const CONTROLS = '\\u0000-\\u001f\\u007f-\\u009f'
/** Marks that nobody sees, and what everybody may use for something else. */
const FORMATS =
  '\\u00ad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u08e2\\u180e\\u200b-\\u200f\\u202a-\\u202e' +
  '\\u2060-\\u206f\\ue000-\\uf8ff\\ufeff\\ufff9-\\ufffb'

/** Keep a named schema. The same name is always the same schema, described and shown once. */
function keep(schemas: Node, title: string, schema: Node): void {
  const known = schemas[title] as Node | undefined
  assert(known === undefined || isDeepStrictEqual(bare(known), bare(schema)), `two are ${title}`)
  schemas[title] = { ...schema, ...known }
}

/** A schema without what is only said about it. */
function bare(schema: Node): Node {
  return { ...schema, description: undefined, examples: undefined }
}
