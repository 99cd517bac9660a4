/**
 * What a terminal obeys instead of showing, or shows somewhere else: controls, bidirectional marks.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}\p{Co}]/gu

/** Enough of a text from outside to know what it is. */
const LENGTH_MAX = 200

/**
 * A text from outside as it may stand on one line of a terminal or a report: what a terminal would
 * obey is written as its code, and the rest of a long text is left out.
 */
export function printable(text: string): string {
  const shown = text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}…` : text
  return shown.replace(UNPRINTABLE, code)
}

/**
 * The same for a message of ours that may have a text from outside in it: lines and length stay.
 */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, (char) => (char === '\n' ? char : code(char)))
}

function code(char: string): string {
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`
}
