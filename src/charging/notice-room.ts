/** What bodies of notices may take of the memory of a process at once, in bytes. */
const TOTAL_MAX = 16 * 1_024 * 1_024
/** And those of one caller: who sends slowly takes no room from others. */
const OWN_MAX = 1_024 * 1_024

/** Room for bodies that are being read. */
interface NoticeRoom {
  /** Take room for a body; null: there is none. What it returns gives it back, once. */
  take(caller: string, bytes: number): (() => void) | null
}

/** So much is read at once of each caller, and of all together. */
export function noticeRoom(): NoticeRoom {
  const ofCaller = new Map<string, number>()
  let total = 0
  const add = (caller: string, bytes: number): void => {
    total += bytes
    const left = (ofCaller.get(caller) ?? 0) + bytes
    if (left > 0) ofCaller.set(caller, left)
    else ofCaller.delete(caller)
  }
  return {
    take(caller, bytes) {
      if (total + bytes > TOTAL_MAX || (ofCaller.get(caller) ?? 0) + bytes > OWN_MAX) return null
      add(caller, bytes)
      let taken = true
      return () => {
        if (taken) add(caller, -bytes)
        taken = false
      }
    },
  }
}
