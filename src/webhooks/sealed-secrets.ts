import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { secretText } from '../domain/webhook-signature.ts'

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16
const SECRET_BYTES = 32
/** What is sealed is bound to what it is: nothing else that the key seals opens as a secret. */
const ABOUT = Buffer.from('payments webhook secret')

/** A new secret, as its owner is shown it once. */
export function newSecret(): string {
  return secretText(randomBytes(SECRET_BYTES))
}

/** Seal a secret for the database: without the key it says nothing. */
export function seal(secret: string, key: Buffer): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv).setAAD(ABOUT)
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')
}

/** Open a sealed secret; null: the key is another, or what is sealed was changed. */
export function unseal(text: string, key: Buffer): string | null {
  const bytes = Buffer.from(text, 'base64')
  try {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES))
      .setAAD(ABOUT)
      .setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const opened = [decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]
    return Buffer.concat(opened).toString('utf8')
  } catch {
    return null
  }
}
