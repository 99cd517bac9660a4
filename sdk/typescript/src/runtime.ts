// Not every runtime has these, and none of them has all.
declare const document: unknown
declare const WorkerGlobalScope: unknown
declare const navigator: { readonly userAgent?: string; readonly product?: string } | undefined

/** Throw in a browser: what an API key may do, whoever opens the page could do as well. */
export function refuseBrowsers(): void {
  const page = typeof document !== 'undefined'
  const worker = typeof WorkerGlobalScope !== 'undefined'
  const { userAgent = '', product } = typeof navigator === 'undefined' ? {} : navigator
  // React Native runs in an app that anybody may take apart.
  const app = product === 'ReactNative'
  if (!page && !app && !(worker && userAgent.startsWith('Mozilla/'))) return
  throw new Error(
    'This must not run in a browser or an app: everybody who opens it could read the API key and ' +
      'move money with it. Call the service from your own server, and let the page ask that.',
  )
}

/** Web Crypto; Node.js 18 has it as a module only. */
export async function webCrypto(): Promise<typeof crypto> {
  if (typeof crypto !== 'undefined') return crypto
  // Not a literal, so that bundlers for other runtimes leave it alone.
  const name = 'node:crypto'
  const { webcrypto } = (await import(name)) as { webcrypto: typeof crypto }
  return webcrypto
}
