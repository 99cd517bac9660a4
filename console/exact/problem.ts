import { entryOf } from './entry.ts'

/** An error document, as far as it is shown. */
interface Told {
  readonly title: string
  readonly detail: string
  /** Which fields are wrong, and how. */
  readonly errors?: readonly { readonly pointer: string; readonly code: string }[]
}

/** Why the API, or without a title the console itself, refused; `faults` are words for codes. */
export function problemText(
  { title, detail, errors = [] }: Told,
  faults: Readonly<Record<string, string>>,
): string {
  const fields = errors.map(({ pointer, code }) => {
    return `${pointer.replace(/^\//, '')}: ${entryOf(faults, code) ?? code.replaceAll('_', ' ')}`
  })
  const where = fields.length === 0 ? '' : ` (${fields.join(', ')})`
  return (title === '' ? detail : `${title}. ${detail}`) + where
}

/**
 * Whether an answer says that the service cannot answer just now, and so nothing about what was
 * asked: what was known of that before is still the best that is known.
 */
export function isAilment(status: number): boolean {
  return status >= 500 || status === 429
}
