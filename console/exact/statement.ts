import type { Transaction, User } from '../app/shapes.ts'
import { groupBy } from './group.ts'
import { exponentOf, fromMinor, toMinor } from './money.ts'

/** What a month did to an account. */
interface Month {
  /** A moment in it. */
  readonly at: number
  readonly entries: number
  readonly in: string
  readonly out: string
  readonly commission: string
}

/** What came in and went out of what can be spent, by month of the viewer's zone, newest first. */
export function monthsOf(entries: readonly Transaction[], currency: string): Month[] {
  const exponent = exponentOf(currency)
  const months = groupBy(entries, ({ created_at: at }) => {
    const day = new Date(at)
    return `${day.getFullYear()} ${day.getMonth()}`
  })
  return [...months.values()].map((those): Month => {
    const moved = those.map(({ balance }) => toMinor(balance, exponent))
    const sum = (all: readonly bigint[]) => all.reduce((total, one) => total + one, 0n)
    const fees = those.map(({ commission }) => toMinor(commission, exponent))
    return {
      at: Date.parse(those[0]?.created_at ?? ''),
      entries: those.length,
      in: fromMinor(sum(moved.filter((one) => one > 0n)), exponent),
      out: fromMinor(sum(moved.filter((one) => one < 0n)), exponent),
      commission: fromMinor(sum(fees), exponent),
    }
  })
}

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
