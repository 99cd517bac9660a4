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
  return ask<T>(path, { headers: polling ? { ...known, 'x-polling': 'true' } : known })
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
  return ask<T>(path, { method, headers, body: body === null ? null : JSON.stringify(body) })
}

async function ask<T>(path: string, init: RequestInit): Promise<Answer<T>> {
  try {
    const response = await fetch(API + path, { credentials: 'same-origin', ...init })
    const text = response.status === 304 ? '' : await response.text()
    reachable.value = !AWAY.has(response.status) || text.includes('"code"')
    return read<T>(response, text)
  } catch {
    reachable.value = false
    return { kind: 'away' }
  }
}

function read<T>(response: Response, text: string): Answer<T> {
  if (response.status === 304) return { kind: 'same' }
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  const data: unknown = isJson && text !== '' ? readJson(text) : {}
  // The shapes are the API's own document; a test compares what the console reads of it.
  if (response.ok) return { kind: 'ok', data: data as T, etag: response.headers.get('etag') }
  const { code = '', title = '', detail = '', errors = [] } = data as Partial<Problem>
  if (response.status === 401) signedOut.value = true
  if (response.status === 429) inDoubt.value = true
  if (AWAY.has(response.status) && code === '') return { kind: 'away' }
  return { kind: 'refused', problem: { status: response.status, code, title, detail, errors } }
}

/** A key for one intent. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
