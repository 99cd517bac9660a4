/**
 * Characters that a text of one person must not hold where another reads it: control characters,
 * among them line ends and escapes of terminals; and those that turn the direction of writing or
 * break lines, so that a text reads as another than it is.
 */
export const MISLEADING = '\\p{Cc}\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069'

/** Why somebody did something, as one pattern for the API and the command line: not blank. */
export const REASON_PATTERN = `^[^${MISLEADING}]*[^\\s${MISLEADING}][^${MISLEADING}]*$`
export const REASON_LENGTH_MAX = 500

const REASON = new RegExp(REASON_PATTERN, 'u')

/** Whether a text can be kept as the reason of an act. */
export function isReason(text: string): boolean {
  return text.length <= REASON_LENGTH_MAX && REASON.test(text)
}
