import { lookup, type LookupAddress } from 'node:dns'

/** The addresses of a name; rejects where there are none, or nobody says. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>

/**
 * Names that the system resolves at a time: each may take one of the four threads of the process
 * for as long as a name server is silent, and the names of gateways need these threads as well. Of
 * those that are quick, as names in its file of hosts are, and of those that were slow.
 */
const AT_ONCE_MAX = 3
const QUICK_MAX = 2
const SLOW_MAX = 1

/** A name that takes longer is slow, in milliseconds. */
const SLOW_MS = 1_000
/** So many slow names are remembered: more than there are endpoints. */
const REMEMBERED_MAX = 1_000

/** What the system says; one that takes a thread for long. */
function askSystem(hostname: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, found) => {
      if (error === null) resolve(found)
      else reject(error)
    })
  })
}

interface Waiting {
  readonly hostname: string
  readonly go: () => void
}

/**
 * What the system says of names, of a few at a time, the others in turn. A name that was slow waits
 * for other slow ones alone, and takes no place of those that are quick. `ask` asks the system.
 */
export function systemNames(ask: ResolveName = askSystem): ResolveName {
  const slow = new Set<string>()
  const under = { quick: 0, slow: 0 }
  const waiting: Waiting[] = []
  const kindOf = (hostname: string) => (slow.has(hostname) ? 'slow' : 'quick')
  const mayGo = (kind: 'quick' | 'slow'): boolean =>
    under.quick + under.slow < AT_ONCE_MAX &&
    under[kind] < (kind === 'quick' ? QUICK_MAX : SLOW_MAX)

  /** Let those begin that may, in the order in which they came. */
  const next = (): void => {
    for (const one of waiting.splice(0)) {
      const kind = kindOf(one.hostname)
      if (mayGo(kind)) {
        under[kind] += 1
        one.go()
      } else waiting.push(one)
    }
  }
  const remember = (hostname: string): void => {
    if (slow.size >= REMEMBERED_MAX) slow.clear()
    slow.add(hostname)
  }

  return async (hostname) => {
    await new Promise<void>((go) => {
      waiting.push({ hostname, go })
      next()
    })
    let kind: 'quick' | 'slow' = kindOf(hostname)
    let isLate = false
    const late = setTimeout(() => {
      isLate = true
      remember(hostname)
      if (kind === 'slow') return
      under.quick -= 1
      under.slow += 1
      kind = 'slow'
      next()
    }, SLOW_MS)
    try {
      return await ask(hostname)
    } finally {
      clearTimeout(late)
      under[kind] -= 1
      if (!isLate) slow.delete(hostname)
      next()
    }
  }
}
