import { createHmac } from 'node:crypto'

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
