/** What bodies of notices may take of the memory of a process at once, in bytes. */
const TOTAL_MAX = 16 * 1_024 * 1_024
/** And those of one caller: who sends slowly takes no room from others. */
const CALLER_MAX = 1_024 * 1_024

/** Room for bodies that are being read. */
interface NoticeRoom {
  /** Take room for a body; null: there is none. What it returns gives it back, once. */
  take(gateway: string, caller: string, bytes: number): (() => void) | null
}

/**
 * So much is read at once of each caller, and of each gateway its share of all: what is sent in the
 * name of one takes no room from the others. However many there are, each has room for one caller.
 */
export function noticeRoom(gateways: number): NoticeRoom {
  const share = Math.max(CALLER_MAX, Math.floor(TOTAL_MAX / Math.max(1, gateways)))
  const callers = usedBytes(CALLER_MAX)
  const shares = usedBytes(share)
  return {
    take(gateway, caller, bytes) {
      if (!callers.fits(caller, bytes) || !shares.fits(gateway, bytes)) return null
      callers.add(caller, bytes)
      shares.add(gateway, bytes)
      let taken = true
      return () => {
        if (!taken) return
        taken = false
        callers.add(caller, -bytes)
        shares.add(gateway, -bytes)
      }
    },
  }
}

/** The bytes that each of some names uses, of `max` each. */
function usedBytes(max: number) {
  const used = new Map<string, number>()
  const of = (name: string): number => used.get(name) ?? 0
  return {
    fits: (name: string, bytes: number): boolean => of(name) + bytes <= max,
    add(name: string, bytes: number): void {
      const left = of(name) + bytes
      if (left > 0) used.set(name, left)
      else used.delete(name)
    },
  }
}
