import { againstRepeat } from '../domain/correction.ts'
import { againstRedrive, NO_EVIDENCE, type KnownEvidence } from '../domain/evidence.ts'
import type { Refusal } from '../domain/refusal.ts'
import type { WholePayment } from '../payments/back-store.ts'
import { referencesLeft } from '../payments/details-store.ts'
import { childrenOf } from '../payments/returns-store.ts'
import type { Runner } from '../ports.ts'
import { knownOf } from './known-store.ts'
import type { ActWorld } from './letter-act.ts'
import { relativesOf } from './relatives-store.ts'
import type { DeadLetter } from './store.ts'

/** What is known of the payments of letters, by payment. */
export interface Facts {
  readonly known: ReadonlyMap<bigint, KnownEvidence>
  /** References of failed payments, and who has them now. */
  readonly left: Awaited<ReturnType<typeof referencesLeft>>
  /** The other payments of the chains of redrives of failed ones. */
  readonly relatives: Awaited<ReturnType<typeof relativesOf>>
  /** What went back of the deposits that refunds give back. */
  readonly children: Awaited<ReturnType<typeof childrenOf>>
}

/** Read what it depends on whether letters may be redriven. */
export async function readFacts(shard: Runner, payments: Iterable<WholePayment>): Promise<Facts> {
  const all = [...payments]
  const ids = all.map(({ id }) => id)
  // A payment that is not failed has its reference still, and nothing was booked in its place.
  const failed = all.filter(({ status }) => status === 'failed').map(({ id }) => id)
  const parents = new Set(all.flatMap(({ parentId }) => parentId ?? []))
  const [known, left, relatives, children] = await Promise.all([
    knownOf(shard, ids),
    referencesLeft(shard, failed),
    relativesOf(shard, failed),
    childrenOf(shard, [...parents]),
  ])
  return { known, left, relatives, children }
}

/**
 * What speaks against redriving an open letter, whatever its user has left; null: nothing does. The
 * same for a dry run as for a redrive.
 */
export function againstLetter(
  letter: Pick<DeadLetter, 'class'>,
  payment: WholePayment,
  { known: all, relatives, children: wentBack }: Facts,
  termsOf: ActWorld['terms'],
): Refusal | null {
  const { id: paymentId, status } = payment
  // A failed payment that the gateway charged after all has moved money: it is never sent again.
  const isRepeated = status === 'failed' && letter.class === 'failed'
  if (status !== 'unknown' && !isRepeated) return { code: 'payment_final' }
  const known = all.get(paymentId) ?? NO_EVIDENCE
  const terms = termsOf(payment.gateway)
  const refusal =
    status === 'unknown'
      ? againstRedrive('unknown', known, terms)
      : againstRepeat(payment, {
          known,
          relatives: relatives.get(paymentId) ?? [],
          wentBack,
          terms,
        })
  return refusal === null ? null : { paymentId, ...refusal }
}
