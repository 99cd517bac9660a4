/** Run `cut` when `signal` aborts; the function returned ends the watch. */
type AbortWatch = (signal: AbortSignal, cut: () => void) => () => void

/**
 * One listener per signal, however many calls share it: adding and removing a listener takes time
 * in proportion to the listeners there are, and Node warns of a leak from the eleventh on.
 */
export function abortWatch(): AbortWatch {
  const watchers = new WeakMap<AbortSignal, Set<() => void>>()
  return (signal, cut) => {
    const cuts = watchers.get(signal) ?? new Set()
    if (!watchers.has(signal)) {
      watchers.set(signal, cuts)
      signal.addEventListener('abort', () => cuts.forEach((each) => each()), { once: true })
    }
    cuts.add(cut)
    return () => cuts.delete(cut)
  }
}
