const DAY_MS = 86_400_000

/** The three ways in which HTTP writes a time (RFC 9110 section 5.6.7), all of them in GMT. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
]

type Headers = Readonly<Record<string, unknown>>

/**
 * How long a reply asks to wait by `Retry-After`, in milliseconds, a day at most; null: it does not
 * say. A time counts from the reply's own `Date`, because clocks differ; where it has none, from
 * `otherwise`, and without that it says nothing. Of several the longest counts.
 */
export function askedWaitMs(headers: Headers, otherwise: Date | null): number | null {
  if (headers['retry-after'] === undefined) return null
  const sentMs = timeOf(textsOf(headers['date'])[0] ?? '') ?? otherwise?.getTime() ?? null
  const waits = textsOf(headers['retry-after']).flatMap((text) => waitsOf(text, sentMs))
  return waits.length === 0 ? null : Math.min(DAY_MS, Math.max(0, ...waits))
}

function textsOf(value: unknown): readonly string[] {
  return [value].flat().filter((one) => typeof one === 'string')
}

/** What one header says: several that were made one are separated by commas. */
function waitsOf(text: string, sentMs: number | null): readonly number[] {
  if (/^\d+( *, *\d+)*$/.test(text)) return text.split(',').map((part) => Number(part) * 1_000)
  const timeMs = timeOf(text)
  return timeMs === null || sentMs === null ? [] : [timeMs - sentMs]
}

function timeOf(text: string): number | null {
  if (!HTTP_DATES.some((form) => form.test(text))) return null
  const ms = Date.parse(text.endsWith(' GMT') ? text : `${text} GMT`)
  return Number.isNaN(ms) ? null : ms
}
