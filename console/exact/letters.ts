import type { DeadLetter } from '../app/shapes.ts'
import { groupBy } from './group.ts'
import { sumOf } from './money.ts'

/** Dead letters that have the same thing wrong with them. */
export interface Group {
  readonly class: DeadLetter['class']
  readonly error: string
  readonly count: number
  /** The sum by currency, since sums are never made across currencies. */
  readonly sums: readonly { readonly currency: string; readonly amount: string }[]
  /** When the oldest of them was written. */
  readonly oldest: string
}

/** Letters by what is wrong, those first that concern most. */
export function groupsOf(letters: readonly DeadLetter[]): Group[] {
  const groups = groupBy(letters, ({ class: kind, error }) => `${kind} ${error}`)
  return [...groups.values()]
    .map((members): Group => {
      const [first] = members
      const currencies = groupBy(members, ({ currency }) => currency)
      const sums = [...currencies].map(([currency, those]) => ({
        currency,
        amount: sumOf(
          those.map(({ amount }) => amount),
          currency,
        ),
      }))
      const oldest = members.map(({ created_at: at }) => at).toSorted()[0] ?? ''
      return {
        class: first?.class ?? 'failed',
        error: first?.error ?? '',
        count: members.length,
        sums,
        oldest,
      }
    })
    .toSorted((one, other) => other.count - one.count)
}
