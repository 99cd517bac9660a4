import type { LetterGroup } from '../app/shapes.ts'
import { groupBy } from './group.ts'
import { sumOf } from './money.ts'

/** Dead letters that have the same thing wrong with them, of whatever type and currency. */
export interface Cause {
  readonly class: LetterGroup['class']
  readonly error: string
  readonly count: number
  /** The sum by currency, since sums are never made across currencies. */
  readonly sums: readonly { readonly currency: string; readonly amount: string }[]
  /** When the oldest of them was written. */
  readonly oldest: string
}

/** Open letters by what is wrong, those first that are most. */
export function causesOf(groups: readonly LetterGroup[]): Cause[] {
  const causes = groupBy(groups, ({ class: kind, error }) => `${kind} ${error}`)
  return [...causes.values()]
    .map((members): Cause => {
      const [first] = members
      const sums = [...groupBy(members, ({ currency }) => currency)].map(([currency, those]) => {
        const amounts = those.map(({ amount }) => amount)
        return { currency, amount: sumOf(amounts, currency) }
      })
      return {
        class: first?.class ?? 'failed',
        error: first?.error ?? '',
        count: members.reduce((sum, one) => sum + one.count, 0),
        sums,
        oldest: members.map(({ oldest_at: at }) => at).toSorted()[0] ?? '',
      }
    })
    .toSorted((one, other) => other.count - one.count)
}
