import type { IncomingMessage } from 'node:http'

export type Key = { readonly ok: true; readonly key: string | null } | { readonly ok: false }

const VISIBLE_ASCII = /^[\x21-\x7e]{1,255}$/

/**
 * The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header), or null without
 * one, as Node has read it. Bare or as a quoted Structured Field string (RFC 8941): both are the
 * same key. Sent twice, empty, longer than 255 or with anything but visible ASCII it is no key.
 */
export function keyOfHeaders(request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>): Key {
  const value = request.headers['idempotency-key']
  if (value === undefined) return { ok: true, key: null }
  // Node joins repeated headers with a comma, which a key may contain: only the raw list tells.
  const names = request.rawHeaders.filter(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'idempotency-key',
  )
  if (names.length !== 1 || typeof value !== 'string') return { ok: false }
  return readKey(value)
}

/** Read a key's text: bare, or quoted, and then the quotes are no part of it. */
export function readKey(value: string): Key {
  const quoted = value.length >= 2 && value.startsWith('"') && value.endsWith('"')
  const key = quoted ? value.slice(1, -1) : value
  return VISIBLE_ASCII.test(key) && !key.includes('"') ? { ok: true, key } : { ok: false }
}
