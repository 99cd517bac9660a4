import type { Marks } from './money.ts'

/** A number with marks between thousands, and the language's own mark before its decimals. */
export function formatCount(value: number, marks: Marks): string {
  const [whole = '', decimals] = String(value).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, marks.group)
  return decimals === undefined ? grouped : `${grouped}${marks.decimal}${decimals}`
}

/** How often a second: whole from a hundred on, two digits where it is less. */
export function formatRate(value: number, marks: Marks): string {
  return formatCount(value >= 100 ? Math.round(value) : Number(value.toPrecision(2)), marks)
}
