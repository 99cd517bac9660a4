/** The forms of a Russian noun behind a number: 1 платёж, 2 платежа, 5 платежей. */
type RussianForms = readonly [one: string, few: string, many: string]

/** The form of a noun that stands behind a whole number in Russian. */
export function russian(count: number, [one, few, many]: RussianForms): string {
  const tens = Math.abs(count) % 100
  const units = tens % 10
  if (tens > 10 && tens < 20) return many
  if (units === 1) return one
  return units > 1 && units < 5 ? few : many
}

/** The form of a noun that stands behind a whole number in English. */
export function english(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? one : many
}
