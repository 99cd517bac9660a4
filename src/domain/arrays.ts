/**
 * The text of a PostgreSQL array of numbers, as one parameter: `{1,2,3}`. Much cheaper than leaving
 * each element to the driver, which quotes and escapes it.
 */
export function numbers(values: readonly (bigint | number | null)[]): string {
  let text = '{'
  for (let index = 0; index < values.length; index += 1) {
    if (index > 0) text += ','
    text += values[index] ?? 'null'
  }
  return text + '}'
}

/**
 * An array of texts as a parameter. The driver quotes and escapes each one; where there are only nulls,
 * as for payments without keys, there is nothing to quote.
 */
export function texts(values: readonly (string | null)[]): readonly (string | null)[] | string {
  for (const value of values) if (value !== null) return values
  return numbers(values as readonly null[])
}
