import { isAscii } from 'node:buffer'
import { parseJson } from '../domain/exact-json.ts'
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
/** Names of an object are compared one by one up to here; beyond it they are looked up in a set. */
const NAMES_COMPARED_MAX = 16

type Json =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: RefusalCode; readonly why: string }

/**
 * Read one JSON document strictly. What `JSON.parse` lets through although readers disagree on it
 * is refused: bytes that are not UTF-8, half a character, a byte order mark, a name twice in one
 * object (RFC 8259 section 4 calls the result unpredictable), numbers that a double cannot hold,
 * and absurd depth.
 */
export function readJson(body: Uint8Array): Json {
  let value: unknown
  let text: string
  try {
    // ASCII, as nearly every body is, needs no decoding.
    text = isAscii(body) ? ascii(body) : decoder.decode(body)
    value = parseJson(text)
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

function ascii(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
}

const [QUOTE, COMMA, MINUS, ZERO, NINE] = [...'",-09'].map((char) => char.charCodeAt(0))
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [...'{}[]'].map((char) =>
  char.charCodeAt(0),
)

/**
 * Go through the tokens of a text that JSON.parse has accepted, character by character: a pattern
 * that matches them one by one costs several times as much as the parsing.
 */
function suspicious(text: string): string | null {
  // The names of each open object so far, null for an open array.
  const open: (Names | null)[] = []
  let nameNext = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) {
      const end = stringEnd(text, at)
      const why = stringProblem(text.slice(at, end + 1), nameNext ? open.at(-1) : null)
      if (why !== null) return why
      nameNext = false
      at = end
    } else if (char === COMMA) {
      nameNext = open.at(-1) !== null
    } else if (char === OPEN_OBJECT || char === OPEN_ARRAY) {
      if (open.length === DEPTH_MAX) return 'too_deep'
      nameNext = char === OPEN_OBJECT
      open.push(nameNext ? { few: [], many: null } : null)
    } else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) {
      open.pop()
      nameNext = false
    } else if (beginsNumber(char)) {
      const end = numberEnd(text, at)
      if (isTooPrecise(text, at, end)) return 'number_too_precise'
      at = end - 1
    }
  }
  return null
}

function beginsNumber(char: number): boolean {
  return char === MINUS || (char >= (ZERO ?? 0) && char <= (NINE ?? 0))
}

/** Whether the number from `start` to `end` has more digits than a double keeps. */
function isTooPrecise(text: string, start: number, end: number): boolean {
  return end - start > DIGITS_MAX && digits(text.slice(start, end)) > DIGITS_MAX
}

/** The index of the quote that ends the string which begins at `start`. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charAt(end - 1 - escapes) === '\\') escapes += 1
    // A quote behind an odd number of backslashes is part of the string.
    if (escapes % 2 === 0) return end
  }
}

/** The index behind the number that begins at `start`. */
function numberEnd(text: string, start: number): number {
  let end = start + 1
  while (end < text.length && '0123456789.eE+-'.includes(text.charAt(end))) end += 1
  return end
}

/**
 * The names of an object: most have a few, and a set for each would cost more than all the rest.
 */
interface Names {
  readonly few: string[]
  many: Set<string> | null
}

/** What is wrong with a string, which is a name if the names before it are given. */
function stringProblem(token: string, names: Names | null | undefined): string | null {
  const escaped = token.includes('\\')
  const value = escaped ? (JSON.parse(token) as string) : token.slice(1, -1)
  if (escaped && LONE_SURROGATE.test(value)) return 'lone_surrogate'
  if (names === null || names === undefined) return null
  if (FORBIDDEN.has(value)) return 'name_forbidden'
  if (names.many?.has(value) ?? names.few.includes(value)) return 'name_twice'
  if (names.many !== null) names.many.add(value)
  else if (names.few.push(value) > NAMES_COMPARED_MAX) names.many = new Set(names.few)
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
