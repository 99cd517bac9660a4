import { readFileSync } from 'node:fs'

/** Where Linux says what a process may hold. */
const LIMITS = '/proc/self/limits'

/**
 * How many files and connections this process may have open, or null where the system does not say.
 */
export function openFilesMax(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(LIMITS, 'utf8')) ?? []
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}
