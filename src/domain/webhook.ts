import { createHmac } from 'node:crypto'
import { writeJson } from './json.ts'

/** How a secret is written. What stands behind it is base64. */
const PREFIX = 'whsec_'

/** A secret of these bytes, as it is shown. */
export function secretText(bytes: Buffer): string {
  return `${PREFIX}${bytes.toString('base64')}`
}

/**
 * The headers of a message, as Standard Webhooks has them: each secret signs it, the newest first,
 * and whoever knows one of them can verify it. `at` is the time of the attempt.
 */
export function signedHeaders(
  message: { readonly id: string; readonly body: string },
  secrets: readonly string[],
  at: Date,
): Record<string, string> {
  const seconds = Math.floor(at.getTime() / 1_000)
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
    const text = `${message.id}.${seconds}.${message.body}`
    return `v1,${createHmac('sha256', key).update(text).digest('base64')}`
  })
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  }
}

const LENGTH_MAX = 2_048

/** A host that is this machine, whatever a resolver says. */
function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

/** Why a text cannot be the URL of an endpoint; null: it can. */
export function urlProblem(text: string, development: boolean): string | null {
  if (text.length > LENGTH_MAX) return 'too_long'
  if (!URL.canParse(text)) return 'malformed'
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'credentials'
  if (url.protocol === 'https:') return null
  const near = development && url.protocol === 'http:' && isLoopback(url.hostname)
  return near ? null : 'not_https'
}

/** The body without what is in the payment or letter: only what says which one it is. */
export function thinBody(body: string): string {
  const { type, timestamp, data } = JSON.parse(body) as {
    readonly type: string
    readonly timestamp: string
    readonly data: Readonly<Record<string, unknown>>
  }
  const kept = ['id', 'payment_id', 'endpoint_id', 'sequence'].filter((name) => name in data)
  const thin = Object.fromEntries(kept.map((name) => [name, data[name]]))
  return writeJson({ type, timestamp, data: thin })
}
