/** A set of 64-bit integers in 16 to 32 bytes each, where JavaScript's own set takes about 100. */
export interface IntegerSet {
  /** Put the integer of two 32-bit halves in. True if it was there already. */
  add(high: number, low: number): boolean
  has(high: number, low: number): boolean
  readonly size: number
}

const SLOTS_INITIAL = 1 << 12
/** An odd number without a pattern, which spreads neighbours over the table. */
const SPREAD = 0x9e3779b1

/** An empty set. Open addressing, at most half full; the integer 0 is kept beside the table. */
export function integerSet(): IntegerSet {
  // Two numbers a slot, the high and the low half; both 0 in a free one.
  let slots = new Uint32Array(SLOTS_INITIAL * 2)
  let used = 0
  let hasZero = false

  /** Where the integer is, or the free slot where it belongs. */
  const find = (table: Uint32Array, high: number, low: number): number => {
    const mask = table.length / 2 - 1
    let slot = (Math.imul(low ^ Math.imul(high, SPREAD), SPREAD) >>> 7) & mask
    for (;;) {
      const at = slot * 2
      if (table[at] === high && table[at + 1] === low) return at
      if (table[at] === 0 && table[at + 1] === 0) return at
      slot = (slot + 1) & mask
    }
  }
  const put = (table: Uint32Array, high: number, low: number): boolean => {
    const at = find(table, high, low)
    if (table[at] === high && table[at + 1] === low) return true
    table[at] = high
    table[at + 1] = low
    return false
  }
  const grow = (): void => {
    const larger = new Uint32Array(slots.length * 2)
    for (let at = 0; at < slots.length; at += 2) {
      const high = slots[at] ?? 0
      const low = slots[at + 1] ?? 0
      if (high !== 0 || low !== 0) put(larger, high, low)
    }
    slots = larger
  }

  return {
    add(high, low) {
      if (high === 0 && low === 0) {
        const known = hasZero
        hasZero = true
        return known
      }
      if (used * 4 >= slots.length) grow()
      const known = put(slots, high >>> 0, low >>> 0)
      if (!known) used += 1
      return known
    },
    has(high, low) {
      if (high === 0 && low === 0) return hasZero
      const at = find(slots, high >>> 0, low >>> 0)
      return slots[at] !== 0 || slots[at + 1] !== 0
    },
    get size() {
      return used + Number(hasZero)
    },
  }
}

/** The halves of an id. */
export function halves(id: bigint): [high: number, low: number] {
  return [Number(BigInt.asUintN(32, id >> 32n)), Number(BigInt.asUintN(32, id))]
}
