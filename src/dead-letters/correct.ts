import { decideCorrection } from '../domain/returns.ts'
import { correctedPayments } from '../ledger/store.ts'
import type { Shard } from '../ports.ts'
import {
  actOnEach,
  actUnderKey,
  newVerdict,
  writeEnds,
  type ActWorld,
  type Refused,
  type Verdict,
} from './letter-act.ts'
import { whereFree, type Locked } from './lock.ts'
import type { Operator } from '../domain/operator.ts'
import { readLetters } from './store.ts'

/** The money of a failed payment is booked; its status stays. */
interface Corrected {
  readonly kind: 'corrected'
  readonly letterId: bigint
  readonly paymentId: bigint
}

type CorrectAnswer = Corrected | Refused

/**
 * Correct failed payments that the gateway turned out to have executed: N letters in, N answers
 * out, in order; one transaction per shard. What moved there is booked here, once, and the letter
 * is closed. A withdrawal gave back its hold, so the user pays as far as the balance goes, and the
 * rest is a loss.
 */
export async function correct(
  world: Pick<ActWorld, 'db'>,
  by: Operator,
  letterIds: readonly bigint[],
): Promise<CorrectAnswer[]> {
  const requests = letterIds.map((letterId) => ({ letterId }))
  return actOnEach(world.db, requests, (shard, own) =>
    correctInShard(
      shard,
      by,
      own.map(({ letterId }) => letterId),
    ),
  )
}

/** Correct one, once for the key of a request; null: it has none. */
export function correctUnderKey(
  world: Pick<ActWorld, 'db'>,
  { letterId, key }: { readonly letterId: bigint; readonly key: string | null },
  by: Operator,
) {
  return actUnderKey<Corrected>(world.db, 'correct', by, {
    letterId,
    key,
    fields: { reason: by.reason },
    act: (operator) => correct(world, operator, [letterId]),
    again: ({ paymentId }) => ({ kind: 'corrected', letterId, paymentId: paymentId ?? 0n }),
  })
}

async function correctInShard(
  shard: Shard,
  by: Operator,
  letterIds: readonly bigint[],
): Promise<Verdict<Corrected>> {
  // Which payment and user a letter is about never changes, so this needs no lock.
  const found = await readLetters(shard, letterIds)
  return whereFree(shard, async (tx, lock) => {
    const locked = await lock(tx, found)
    // Behind the locks: two operators book it once.
    const userIds = [...new Set(found.map(({ userId }) => userId))]
    const corrected = await correctedPayments(tx, userIds, [...locked.payments.keys()])
    const verdict = decide(letterIds, locked, new Set(corrected))
    await writeEnds(tx, verdict, 'correct', by)
    return verdict
  })
}

/** Decide every letter in order: earlier ones use up what users have before later ones. */
function decide(
  letterIds: readonly bigint[],
  locked: Locked,
  corrected: Set<bigint>,
): Verdict<Corrected> {
  const verdict = newVerdict<Corrected>(locked.busy)
  const available = new Map(locked.available)
  for (const letterId of letterIds) {
    const letter = locked.letters.get(letterId)
    if (letter === undefined || verdict.answers.has(letterId)) continue
    const { paymentId, userId } = letter
    const payment = locked.payments.get(paymentId)
    if (payment === undefined) continue
    const seen = {
      payment,
      letter: letter.state === 'open' ? letter.error : null,
      corrected: corrected.has(paymentId),
    }
    const decision = decideCorrection(seen, available.get(userId) ?? 0n)
    if (decision.kind === 'refused') {
      verdict.answers.set(letterId, { kind: 'refused', refusal: decision.refusal })
      continue
    }
    verdict.answers.set(letterId, { kind: 'corrected', letterId, paymentId })
    if (decision.kind === 'corrected') continue
    const { entry } = decision
    corrected.add(paymentId)
    available.set(userId, (available.get(userId) ?? 0n) + entry.user)
    verdict.entries.push(entry)
    const before = { payment: payment.status, letter: letter.state }
    const after = { payment: payment.status, letter: 'resolved' }
    verdict.acts.push({ paymentId, letterId, before, after })
  }
  return verdict
}
