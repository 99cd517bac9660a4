import type { CameBack } from '../../src/domain/outcome.ts'
import type { Gateway } from '../../src/ports.ts'

/** What came back at the gateway, by payment, in order: its own witness of that. */
export type BackThere = Map<bigint, CameBack[]>

/** A gateway that tells whoever looks at a payment what came back of it. */
export function tellingBack(real: Gateway, back: BackThere): Gateway {
  return {
    ...real,
    async lookup(operation, signal) {
      const made = await real.lookup(operation, signal)
      if (operation.watched !== true || made.outcome.kind !== 'success') return made
      const returns = [...(back.get(operation.paymentId) ?? [])]
      return { ...made, outcome: { ...made.outcome, returns } }
    },
  }
}

/** What came back of a payment so far, less what was won in disputes. */
export function returnedThere(back: readonly CameBack[]): bigint {
  return back.reduce(
    (sum, { kind, amount }) => (kind === 'dispute_won' ? sum - amount : sum + amount),
    0n,
  )
}
