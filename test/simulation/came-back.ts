import type { CameBack, ToldRefund } from '../../src/domain/outcome.ts'
import type { Gateway } from '../../src/ports.ts'

/** Something that came back at the gateway. */
export interface CameBackThere extends CameBack {
  /** A refund that others made with the names of one of ours; not there: it names nothing. */
  readonly ours?: ToldRefund['ours']
  /** It failed after all, so the money never went. */
  readonly failed?: true
}

/** What came back at the gateway, by payment, in order: its own witness of that. */
export type BackThere = Map<bigint, CameBackThere[]>

/** What a gateway has said by itself: nothing yet. */
export function nothingThere() {
  const back: BackThere = new Map()
  return { back, saidYes: new Set<bigint>() }
}

/** A gateway that tells whoever looks at a payment what came back of it. */
export function tellingBack(real: Gateway, back: BackThere): Gateway {
  return {
    ...real,
    async lookup(operation, signal) {
      const made = await real.lookup(operation, signal)
      if (operation.watched !== true || made.outcome.kind !== 'success') return made
      const own = back.get(operation.paymentId) ?? []
      const returns = own.filter(({ ours }) => ours === undefined)
      const refunds = own.flatMap(toldOf)
      return { ...made, outcome: { ...made.outcome, returns, refunds } }
    },
  }
}

/** A refund is told as it is now: made, or failed. */
function toldOf({ ours, failed, ...one }: CameBackThere): ToldRefund[] {
  if (ours === undefined) return []
  const { ref, amount, at } = one
  const undone = { ref: failedRefOf(ref), amount, at, kind: 'dispute_won', undoes: ref } as const
  const made = failed !== true
  return [{ ref, ours, made, back: made ? { ...one, besidesRefund: true } : undone }]
}

/** Under which name it is booked that a refund failed. */
export function failedRefOf(ref: string): string {
  return `${ref}:failed`
}

/** What came back of a payment so far, less what was won in disputes. */
export function returnedThere(back: readonly CameBackThere[]): bigint {
  return back
    .filter(({ failed }) => failed !== true)
    .reduce((sum, { kind, amount }) => (kind === 'dispute_won' ? sum - amount : sum + amount), 0n)
}
