import { webCrypto } from './runtime.ts'

/** Keeps the key of each intent, so that it outlives the process that made it. */
export interface KeyStore {
  /**
   * The key of an intent. Where none is kept yet, keep `fresh`, durably, and return it. Of several
   * who ask at the same time all must get the same one.
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
}

/** The key of one call, made once; `old` says that it may have been sent before. */
export async function keyFor(
  { key, intent }: Named,
  keys: KeyStore | undefined,
): Promise<{ readonly key: string; readonly old: boolean }> {
  if (key !== undefined) return { key, old: true }
  const fresh = (await webCrypto()).randomUUID()
  if (intent === undefined) return { key: fresh, old: false }
  if (keys === undefined) throw new TypeError('An intent needs `keys`: somewhere to keep its key')
  const kept = await keys.keyOf(intent, fresh)
  return { key: kept, old: kept !== fresh }
}
