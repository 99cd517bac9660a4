/** What waits to be in a batch, in order, with respect to what running batches hold. */
interface Line<Entry> {
  push(entry: Entry): void
  /** The entries of the next batch, which holds their keys from then on. */
  take(): Entry[]
  /** A batch has ended: its keys are free again. */
  release(batch: readonly Entry[]): void
  /** Entries that wait. */
  waiting(): number
  /** Those of them of which it is not known that they wait for a key. */
  takeable(): number
}

/** Make a line whose batches have at most `sizeMax` entries and never hold the same key. */
export function openLine<Entry>(
  sizeMax: number,
  keyOf: (entry: Entry) => bigint | null,
): Line<Entry> {
  const queue: Entry[] = []
  const keys = openKeys(keyOf)
  let waiting = 0
  return {
    push(entry) {
      queue.push(entry)
      waiting += 1
    },
    take() {
      const batch: Entry[] = []
      keys.takeFreed(batch, sizeMax)
      let seen = 0
      while (seen < queue.length && batch.length < sizeMax) {
        keys.takeOrPark(batch, queue[seen] as Entry)
        seen += 1
      }
      queue.splice(0, seen)
      waiting -= batch.length
      return batch
    },
    release: keys.release,
    waiting: () => waiting,
    takeable: () => waiting - keys.parked(),
  }
}

/** A key that a batch holds. */
interface Held<Entry> {
  readonly batch: readonly Entry[]
  /** What waits for it, in order; null: nothing, as for nearly all. */
  parked: Entry[] | null
}

/**
 * The keys that running batches hold. Entries that wait for a key stand aside until it is free, and
 * then in front of all others: so however many wait for one key, nobody searches among them.
 */
function openKeys<Entry>(keyOf: (entry: Entry) => bigint | null) {
  const held = new Map<bigint, Held<Entry>>()
  // By key, what waited for it when it became free.
  let freed: { readonly key: bigint; readonly entries: Entry[] }[] = []
  let parked = 0
  return {
    /** How many wait for keys that are held. */
    parked: () => parked,
    /** Put an entry into a batch, or aside if another one holds its key. */
    takeOrPark(batch: Entry[], entry: Entry): void {
      const key = keyOf(entry)
      const holder = key === null ? undefined : held.get(key)
      if (holder !== undefined && holder.batch !== batch) {
        if (holder.parked === null) holder.parked = [entry]
        else holder.parked.push(entry)
        parked += 1
        return
      }
      batch.push(entry)
      if (key !== null && holder === undefined) held.set(key, { batch, parked: null })
    },
    /** Put what waited for keys that are free again into a batch, as far as there is room. */
    takeFreed(batch: Entry[], sizeMax: number): void {
      const all = freed
      freed = []
      for (const each of all) {
        const { key, entries } = each
        if (batch.length === sizeMax) {
          freed.push(each)
          continue
        }
        batch.push(...entries.splice(0, sizeMax - batch.length))
        // The rest waits for this batch.
        held.set(key, { batch, parked: entries })
        parked += entries.length
      }
    },
    release(batch: readonly Entry[]): void {
      for (const entry of batch) {
        const key = keyOf(entry)
        const holder = key === null ? undefined : held.get(key)
        if (key === null || holder?.batch !== batch) continue
        held.delete(key)
        if (holder.parked === null) continue
        parked -= holder.parked.length
        if (holder.parked.length > 0) freed.push({ key, entries: holder.parked })
      }
    },
  }
}
