import type { RefusalCode } from '../domain/refusal.ts'

/** Nothing this service reads is deeper than four levels. */
const DEPTH_MAX = 8
/** A double holds any decimal of this many significant digits exactly enough to print it again. */
const DIGITS_MAX = 15
/** These names reach into the prototype of an object that is copied carelessly. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Half of a pair has no bytes in UTF-8: whoever stores it stores something else. */
const LONE_SURROGATE = /\p{Surrogate}/u
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|-?\d[\d.eE+-]*/g

export type Json =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: RefusalCode; readonly why: string }

/**
 * Read one JSON document strictly. What `JSON.parse` lets through although readers disagree on it is
 * refused: bytes that are not UTF-8, half a character, a byte order mark, a name twice in one object (RFC 8259 section 4
 * calls the result unpredictable), numbers that a double cannot hold, and absurd depth.
 */
export function readJson(body: Uint8Array): Json {
  let value: unknown
  let text: string
  try {
    text = decoder.decode(body)
    value = JSON.parse(text)
  } catch {
    return unreadable('not_json')
  }
  // JSON.parse accepted the text, so its tokens are well-formed and scanning them is enough.
  const why = suspicious(text)
  return why === null ? { ok: true, value } : unreadable(why)
}

function unreadable(why: string): Json {
  return { ok: false, code: 'body_unreadable', why }
}

function suspicious(text: string): string | null {
  // One set of names per open object, null per open array.
  const open: (Set<string> | null)[] = []
  let pending: string | null = null
  for (const [token] of text.matchAll(TOKEN)) {
    const kind = token.charAt(0)
    if (kind === '"') {
      if (token.includes('\\u') && LONE_SURROGATE.test(JSON.parse(token) as string)) {
        return 'lone_surrogate'
      }
      pending = token
    } else if (kind === ':') {
      const why = nameProblem(open.at(-1) ?? null, pending ?? '""')
      if (why !== null) return why
    } else if (kind === '{' || kind === '[') {
      if (open.length === DEPTH_MAX) return 'too_deep'
      open.push(kind === '{' ? new Set() : null)
    } else if (kind === '}' || kind === ']') {
      open.pop()
    } else if (kind !== ',' && digits(token) > DIGITS_MAX) {
      return 'number_too_precise'
    }
  }
  return null
}

function nameProblem(names: Set<string> | null, token: string): string | null {
  const name = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1)
  if (FORBIDDEN.has(name)) return 'name_forbidden'
  if (names?.has(name)) return 'name_twice'
  names?.add(name)
  return null
}

/** Significant digits of a JSON number: without sign, exponent and leading zeros. */
function digits(token: string): number {
  if (token.length <= DIGITS_MAX) return 0
  return token
    .replace(/[eE].*$/, '')
    .replace(/^-?0*\.?0*/, '')
    .replace('.', '').length
}
