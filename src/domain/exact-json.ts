/** What `writeJson` writes as a number: a double that prints its decimal, or the decimal's text. */
export type JsonNumber = number | ExactNumber

/** A JSON number by its decimal text, which `writeJson` writes as it stands. */
interface ExactNumber {
  readonly text: string
  /** Throws: `JSON.stringify` cannot write it, and must not do so by mistake. */
  toJSON(): never
}

function onlyByWriteJson(): never {
  throw new TypeError('an exact number is written by writeJson')
}

/**
 * A JSON number whose digits are exactly `text`, such as 97019999999901.03, which no double holds.
 */
export function exactNumber(text: string): ExactNumber {
  return { text, toJSON: onlyByWriteJson }
}

/** Ten to the power of 0 to 4. */
const SCALES = [1, 10, 100, 1_000, 10_000]

/**
 * A double tells all decimals of fifteen digits apart, so the shortest text of the nearest one is
 * the decimal itself; and IEEE 754 rounds a quotient to the nearest.
 */
const FIFTEEN_DIGITS = 999_999_999_999_999n

/** The double that prints `unscaled` × 10^−`scale`; null: maybe none does. */
export function printingDouble(unscaled: bigint, scale: number): number | null {
  const fits = unscaled <= FIFTEEN_DIGITS && unscaled >= -FIFTEEN_DIGITS
  const power = SCALES[scale]
  return fits && power !== undefined ? Number(unscaled) / power : null
}

function isExact(value: object): value is ExactNumber {
  return (value as Partial<ExactNumber>).toJSON === onlyByWriteJson
}

/**
 * Write a value as JSON: what `JSON.stringify` writes, and exact numbers with all their digits. The
 * one writer of everything that leaves the process with an amount in it. Throws for a bare bigint,
 * because it does not say whether it is an id or minor units.
 */
export function writeJson(value: unknown): string {
  try {
    // Twice as fast, and exact numbers, which it refuses, are rare.
    return JSON.stringify(value) ?? 'null'
  } catch {
    return writeExact(value)
  }
}

function writeExact(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') return Number.isFinite(value) ? `${value}` : 'null'
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'bigint') throw new TypeError('a bigint is no JSON: make it an amount')
    return typeof value === 'boolean' ? `${value}` : 'null'
  }
  if (isExact(value)) return value.text
  if (Array.isArray(value)) return `[${value.map(writeExact).join(',')}]`
  // Dates and the like say themselves what they are in JSON.
  if ('toJSON' in value) return JSON.stringify(value)
  return objectText(value as Readonly<Record<string, unknown>>)
}

function objectText(value: Readonly<Record<string, unknown>>): string {
  let text = ''
  for (const name of Object.keys(value)) {
    const field = value[name]
    if (field === undefined) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${writeExact(field)}`
  }
  return `{${text}}`
}

/** Digits, with or without a point, that a double need not hold exactly; a sign is not counted. */
const LONG = /\d[\d.]{15,}/
/** An exponent that may make 0 of whatever stands in front of it. */
const TINY = /[eE]-\d{3}/
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * Read JSON without losing digits: a number that a double need not hold comes as its text, any
 * other as a number. Throws for what is not JSON.
 */
export function readExactJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (!LONG.test(text) && !TINY.test(text)) return value
  // The text is JSON, so its strings and numbers are found by their shape.
  const exact = text.replace(TOKENS, (token) =>
    token.startsWith('"') || !(LONG.test(token) || vanishes(token)) ? token : `"${token}"`,
  )
  return JSON.parse(exact)
}

/** What a text has in which some number may vanish. */
const VANISHING = /[eE]-\d{3}|0{200}/

/**
 * `JSON.parse`, but that no number becomes 0 which is not: it becomes the one next to it, and so is
 * as far out of every range as it was.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (!VANISHING.test(text)) return value
  const kept = text.replace(TOKENS, (token) =>
    token.startsWith('"') || !vanishes(token)
      ? token
      : token.startsWith('-')
        ? '-5e-324'
        : '5e-324',
  )
  return JSON.parse(kept)
}

/** Whether a JSON number is not 0, but so near to it that a double is. */
function vanishes(token: string): boolean {
  return Number(token) === 0 && /^[^eE]*[1-9]/.test(token)
}
