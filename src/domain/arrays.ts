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
