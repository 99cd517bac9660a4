import type { Transaction, User } from '../app/shapes.ts'
import { exponentOf, fromMinor, toMinor } from './money.ts'

/** A balance at a moment; `level` is for drawing, `balance` is exact. */
interface Level {
  readonly at: number
  readonly balance: string
  readonly level: number
}

/** The balance after each entry, oldest first: from what it is now, backwards. */
export function levelsOf(user: User, entries: readonly Transaction[]): Level[] {
  const exponent = exponentOf(user.currency)
  const newestFirst = entries.toSorted(
    (one, other) => Date.parse(other.created_at) - Date.parse(one.created_at),
  )
  let left = toMinor(user.balance, exponent)
  const levels = newestFirst.map(({ created_at: at, balance }): Level => {
    const level = { at: Date.parse(at), balance: fromMinor(left, exponent), level: Number(left) }
    left -= toMinor(balance, exponent)
    return level
  })
  return levels.toReversed()
}
