/** What of a key decides what it is for. */
interface Pressed {
  /** What it would write. */
  readonly key: string
  /** Where it is on the keyboard, by what stands there in the United States. */
  readonly code: string
  readonly shiftKey: boolean
}

/** What a Russian keyboard writes where others have a slash. */
const RUSSIAN_SLASH = /^[.,]$/

/**
 * What a key is called on a Latin keyboard. Whoever writes another alphabet presses the same keys
 * for a shortcut: there, the place of a key counts, and not what it writes.
 */
export function latinKey({ key, code, shiftKey }: Pressed): string {
  const [, letter] = /^Key([A-Z])$/.exec(code) ?? []
  if (letter !== undefined && key.length === 1 && key > '\u007f') return letter.toLowerCase()
  // On a Latin keyboard a stop is elsewhere.
  if (code === 'Slash' && RUSSIAN_SLASH.test(key)) return shiftKey ? '?' : '/'
  return key
}
