import type { Statement, Transaction } from '../app/shapes.ts'
import { exponentOf, fromMinor, toMinor } from './money.ts'

/** A balance at a moment; `level` is for drawing, `balance` is exact. */
export interface Level {
  readonly at: number
  readonly balance: string
  readonly level: number
}

/** Entries in the order of their times, the newest first: they are listed by payment. */
export function newestFirst(entries: readonly Transaction[]): Transaction[] {
  return entries.toSorted((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at))
}

/** The balance after each entry, oldest first, where all entries of an account are known. */
export function levelsOf(currency: string, entries: readonly Transaction[]): Level[] {
  const exponent = exponentOf(currency)
  let balance = 0n
  return newestFirst(entries)
    .toReversed()
    .map(({ created_at: at, balance: change }) => {
      balance += toMinor(change, exponent)
      return levelAt(Date.parse(at), balance, exponent)
    })
}

const DAY_MS = 86_400_000

/** The balance at the end of each day on which something happened, or now; oldest first. */
export function dailyLevels(currency: string, { periods }: Statement, nowMs: number): Level[] {
  const exponent = exponentOf(currency)
  return periods
    .map(({ from, available }) => {
      const at = Math.min(Date.parse(from) + DAY_MS - 1, nowMs)
      return levelAt(at, toMinor(available, exponent), exponent)
    })
    .toReversed()
}

function levelAt(at: number, exact: bigint, exponent: number): Level {
  return { at, balance: fromMinor(exact, exponent), level: Number(exact) }
}
