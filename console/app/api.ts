import { signal } from '@preact/signals'
import { readAnswer, type Answer } from '../exact/answer.ts'
import { isStraight } from '../exact/route.ts'

const API = '/api/v1'
/** How long a reading may take: after that nobody is taken to answer. */
const READ_MS_MAX = 10_000
/** The same of an act, and of what is asked at a gateway. */
const ACT_MS_MAX = 60_000

/** Whether the API answers; what the banner shows. */
export const reachable = signal(true)
/** Whether the API wants a key that nobody has given. */
export const signedOut = signal(false)
/** Whether the API said only that there was too much: whoever asks may be signed out by now. */
export const inDoubt = signal(false)

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
  return ask<T>(path, { method: 'GET', headers }, READ_MS_MAX)
}

/** Read from the API what it has to ask a gateway for. */
export function getFromGateway<T>(path: string): Promise<Answer<T>> {
  return ask<T>(path, { method: 'GET' }, ACT_MS_MAX)
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
  const text = body === null ? null : JSON.stringify(body)
  return ask<T>(path, { method, headers, body: text }, ACT_MS_MAX)
}

/** Take something away. What is not there is gone, as when an answer before was lost. */
export async function remove(path: string): Promise<Answer<unknown>> {
  const answer = await send('DELETE', path)
  const isGone = answer.kind === 'refused' && answer.problem.status === 404
  return isGone ? { kind: 'ok', data: {}, etag: null } : answer
}

type Init = RequestInit & { readonly method: string }

async function ask<T>(path: string, init: Init, limitMs: number): Promise<Answer<T>> {
  // An id that leads elsewhere would read, and do, what nobody has chosen.
  if (!isStraight(path)) throw new Error(`${path} leads elsewhere`)
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), limitMs)
  const answer = await fetched<T>(path, { ...init, signal: limit.signal })
  clearTimeout(timer)
  reachable.value = answer.kind !== 'away'
  const status = answer.kind === 'refused' ? answer.problem.status : 0
  if (status === 401) signedOut.value = true
  if (status === 429) inDoubt.value = true
  return answer
}

async function fetched<T>(path: string, init: Init): Promise<Answer<T>> {
  try {
    const response = await fetch(API + path, { credentials: 'same-origin', ...init })
    const { status, headers } = response
    const text = status === 304 ? '' : await response.text()
    const [type, etag] = [headers.get('content-type'), headers.get('etag')]
    return readAnswer<T>({ method: init.method, status, type, etag, text })
  } catch {
    return { kind: 'away' }
  }
}

/** A key for one intent. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
