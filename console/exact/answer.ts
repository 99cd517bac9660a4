import type { Problem } from '../app/shapes.ts'
import { readJson } from './json.ts'

/** What a request came to. A refusal is a value; `away`: the API did not answer. */
export type Answer<T> =
  | { readonly kind: 'ok'; readonly data: T; readonly etag: string | null }
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly problem: Problem }
  | { readonly kind: 'away' }

/** What the console itself refuses, in the form of what the API refuses. */
export function refusedHere(detail: string): Answer<never> {
  return { kind: 'refused', problem: { status: 422, code: '', title: '', detail } }
}

/** What came back, before anybody has read it. */
interface Reply {
  readonly method: string
  readonly status: number
  readonly type: string | null
  readonly etag: string | null
  readonly text: string
}

/**
 * Read a reply. What does not come from the API, but from what is before it, is `away`: a page
 * instead of JSON, whatever its status, JSON that is cut short, and a refusal without a code.
 */
export function readAnswer<T>({ method, status, type, etag, text }: Reply): Answer<T> {
  if (status === 304) return { kind: 'same' }
  const ok = status >= 200 && status < 300
  // An act may have nothing to say.
  if (ok && text === '' && method !== 'GET') return { kind: 'ok', data: {} as T, etag }
  const data = /json/.test(type ?? '') ? parsed(text) : null
  if (typeof data !== 'object' || data === null) return { kind: 'away' }
  // The shapes are the API's own document; a test compares what the console reads of it.
  if (ok) return { kind: 'ok', data: data as T, etag }
  return refusal(status, data)
}

function refusal(status: number, told: Partial<Problem>): Answer<never> {
  const { code = '', title = '', detail = '', errors = [] } = told
  if (code === '') return { kind: 'away' }
  return { kind: 'refused', problem: { status, code, title, detail, errors } }
}

function parsed(text: string): unknown {
  try {
    return readJson(text)
  } catch {
    return null
  }
}
