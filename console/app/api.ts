import { signal } from '@preact/signals'
import { readJson } from '../exact/json.ts'
import type { Problem } from './shapes.ts'

const API = '/api/v1'

/** What a request came to. A refusal is a value; `away`: nobody answered, or only to say so. */
export type Answer<T> =
  | { readonly kind: 'ok'; readonly data: T; readonly etag: string | null }
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly problem: Problem }
  | { readonly kind: 'away' }

/** Whether the API answers; what the banner shows. */
export const reachable = signal(true)
/** Whether the API wants a key that nobody has given. */
export const signedOut = signal(false)
/** Whether the API said only that there was too much: whoever asks may be signed out by now. */
export const inDoubt = signal(false)

const AWAY = new Set([502, 503, 504])

/** How long a reading may take: after that nobody is taken to answer. */
const READ_MS_MAX = 10_000
/** The same of an act, and of what is asked at a gateway. */
const ACT_MS_MAX = 60_000

/**
 * Read from the API: a path below its prefix. With `etag`, an unchanged answer is `same`.
 * `polling`: the page asks by itself, so that the session is not taken for used.
 */
export async function get<T>(
  path: string,
  etag: string | null = null,
  polling = false,
): Promise<Answer<T>> {
  const known: Record<string, string> = etag === null ? {} : { 'if-none-match': etag }
  const headers = polling ? { ...known, 'x-polling': 'true' } : known
  return ask<T>(path, { headers }, READ_MS_MAX)
}

/** Read from the API what it has to ask a gateway for. */
export function getFromGateway<T>(path: string): Promise<Answer<T>> {
  return ask<T>(path, {}, ACT_MS_MAX)
}

/**
 * Ask the API to act. `key` is the idempotency key of the request, where it takes one: the same for
 * every try of one intent.
 */
export async function send<T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body: object | null = null,
  key: string | null = null,
): Promise<Answer<T>> {
  const headers: Record<string, string> = { 'x-actor': 'console' }
  if (body !== null) headers['content-type'] = 'application/json'
  if (key !== null) headers['idempotency-key'] = key
  const init = { method, headers, body: body === null ? null : JSON.stringify(body) }
  return ask<T>(path, init, ACT_MS_MAX)
}

async function ask<T>(path: string, init: RequestInit, limitMs: number): Promise<Answer<T>> {
  const answer = await heard<T>(path, init, limitMs)
  reachable.value = answer.kind !== 'away'
  return answer
}

async function heard<T>(path: string, init: RequestInit, limitMs: number): Promise<Answer<T>> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), limitMs)
  try {
    const { signal: ended } = limit
    const response = await fetch(API + path, { credentials: 'same-origin', ...init, signal: ended })
    return read<T>(response, response.status === 304 ? '' : await response.text())
  } catch {
    return { kind: 'away' }
  } finally {
    clearTimeout(timer)
  }
}

/** What was answered. What is no JSON does not come from the API, but from what is before it. */
function read<T>(response: Response, text: string): Answer<T> {
  const { status, headers } = response
  if (status === 304) return { kind: 'same' }
  if (status === 401) signedOut.value = true
  if (status === 429) inDoubt.value = true
  const isJson = /json/.test(headers.get('content-type') ?? '')
  if (text !== '' && !isJson) return { kind: 'away' }
  const data: unknown = text === '' ? {} : readJson(text)
  // The shapes are the API's own document; a test compares what the console reads of it.
  if (response.ok) return { kind: 'ok', data: data as T, etag: headers.get('etag') }
  const { code = '', title = '', detail = '', errors = [] } = data as Partial<Problem>
  if (AWAY.has(status) && code === '') return { kind: 'away' }
  return { kind: 'refused', problem: { status, code, title, detail, errors } }
}

/** A key for one intent. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
