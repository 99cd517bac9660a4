import { webCrypto } from './runtime.ts'

/** Keeps the key of each intent, so that it outlives the process that made it. */
export interface KeyStore {
  /**
   * The key of an intent. Where none is kept yet, keep `fresh`, durably, and return it. Of several
   * who ask at the same time all must get the same one. What throws here ends the call before
   * anything is sent.
   */
  keyOf(intent: string, fresh: string): string | Promise<string>
}

/** What names a request: one of the two, or nothing for a key that lives as long as the call. */
export interface Named {
  /** An Idempotency-Key of your own, such as the id of an order: at most 255 visible characters. */
  readonly key?: string
  /**
   * What this payment is for, in your words: `order-4711`. Its key is in the `KeyStore`, so the
   * same intent is carried out once, even if this process dies in between.
   */
  readonly intent?: string
  /**
   * No earlier request under this name is under way any more: there was none, or the last one was
   * sent so long ago that it cannot arrive now. Nobody but you can know that. Then a refusal that
   * the service keeps with no key, such as `not_refundable`, is the answer; without it the call
   * throws `OutcomeUnknown`, unless the intent is new.
   */
  readonly noneUnderWay?: boolean
}

/** What the service takes for a key; a quote would be the beginning of another spelling. */
const KEY = /^[\x21\x23-\x7e]{1,255}$/

/**
 * The key of one call, made once; `old` says that it may have been sent before, and `quiet` that
 * nothing that was is under way any more. A key of an intent
 * says for what `scope` it was made: where that is another now, such as another user, to whom the
 * service would know no such key, nothing is sent.
 */
export async function keyFor(
  named: Named,
  keys: KeyStore | undefined,
  scope: string,
): Promise<{ readonly key: string; readonly old: boolean; readonly quiet: boolean }> {
  const { key, intent, noneUnderWay: quiet = false } = named
  for (const name of ['key', 'intent'] as const) {
    if (!(name in named) || named[name] !== undefined) continue
    throw new TypeError(`The ${name} is undefined. Leave it out where each call is one of its own`)
  }
  if (key !== undefined && intent !== undefined) {
    throw new TypeError('A call has a key or an intent: of two names nobody knows which counts')
  }
  if (key !== undefined) return { key: checked(key, 'The key'), old: true, quiet }
  const uuid = (await webCrypto()).randomUUID()
  if (intent === undefined) return { key: uuid, old: false, quiet }
  if (typeof intent !== 'string' || intent === '') {
    throw new TypeError('An intent is a text that says what the payment is for')
  }
  if (keys === undefined) throw new TypeError('An intent needs `keys`: somewhere to keep its key')
  const mark = await markOf(scope)
  const fresh = uuid.replace(UUID, `$1-8$2${mark}`)
  const kept = checked(await keys.keyOf(intent, fresh), 'What the KeyStore returned')
  if (MARKED.test(kept) && !kept.endsWith(mark)) {
    throw new TypeError(`The intent ${intent} is kept for something else: for another user or call`)
  }
  return { key: kept, old: kept !== fresh, quiet }
}

/** A UUID up to its version, and from there up to its last part. */
const UUID = /^(.{13})-4(.{3}-.{4}-).*/

/** A UUID of version 8, whose last part is ours to choose. Keys that were kept before have none. */
const MARKED = /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/

/** Twelve digits that stand for a scope. */
async function markOf(scope: string): Promise<string> {
  const { subtle } = await webCrypto()
  const hash = new Uint8Array(await subtle.digest('SHA-256', new TextEncoder().encode(scope)))
  return [...hash.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Without a key, or with one that the service does not read, each try could be a payment of its
 * own: a store that finds nothing must not come to that.
 */
function checked(key: unknown, what: string): string {
  if (typeof key === 'string' && KEY.test(key)) return key
  throw new TypeError(`${what} is no Idempotency-Key: 1 to 255 visible ASCII characters, no quotes`)
}
