import { crashPoint } from '../crash-points.ts'
import {
  decideBatch,
  keyOf,
  type Answer,
  type Books,
  type Draft,
  type Verdict,
} from '../domain/acceptance.ts'
import type { Fee } from '../domain/fee.ts'
import { byShard } from '../domain/shard.ts'
import type { Clock, Db, Runner } from '../ports.ts'
import { lockUsers, readUsers } from '../users/store.ts'
import { paymentsByKeys, takePaymentIds, writeAccepted } from './store.ts'

export interface AcceptWorld {
  readonly db: Db
  readonly clock: Clock
  readonly shards: number
  readonly fee: Fee
  /** Told after each commit how many tasks were put in the queue. */
  readonly onEnqueued?: (count: number) => void
}

/**
 * Make the operation that accepts payments: N drafts in, N answers out, in order.
 *
 * The drafts of a shard are one transaction of two round trips, whatever N: lock and read what the
 * decisions depend on; decide in pure functions; write payments, tasks and holds together, so an
 * accepted payment is always in the queue and an answered key never hangs "in progress". Throws
 * `Unavailable` (nothing was written) or `CommitUnknown` (it may have been; the retry finds out).
 *
 * `onDecided` is called when everything has been read and the writes are on their way. The next drafts
 * may be accepted from then on: where they depend on these, they wait for the locks of these. It is
 * called again when the transaction has to be repeated.
 */
export function acceptor(
  world: AcceptWorld,
): (drafts: readonly Draft[], onDecided?: () => void) => Promise<readonly Answer[]> {
  // Ids that a batch took and did not use, kept for the next one so that replays leave no gaps; and how
  // many batches have begun, because ids that are older than those of another batch would come too late.
  const spare = new Map<number, bigint[]>()
  let begun = 0

  const acceptInShard = async (
    shard: number,
    drafts: readonly Draft[],
    onDecided: () => void,
  ): Promise<Verdict> => {
    const turn = (begun += 1)
    const kept = spare.get(shard)?.splice(0, drafts.length) ?? []
    const at = world.clock.database()
    let ids: readonly bigint[] = kept
    const verdict = await world.db.transaction(async (tx) => {
      const missing = drafts.length - ids.length
      const [books, taken] = await Promise.all([
        readBooks(tx, shard, drafts),
        takePaymentIds(tx, missing, world.shards, shard),
      ])
      ids = [...ids, ...taken]
      const decided = decideBatch(drafts, { ...books, ids }, world.fee)
      writeAccepted(tx, shard, decided, world.fee.bps, at)
      crashPoint('accept.before_commit')
      onDecided()
      return decided
    })
    crashPoint('accept.after_commit')
    const unused = ids.slice(verdict.idsUsed)
    spare.set(shard, turn === begun ? [...unused, ...(spare.get(shard) ?? [])] : [])
    const queued = verdict.payments.filter((payment) => payment.refusedFor === null).length
    if (queued > 0) world.onEnqueued?.(queued)
    return verdict
  }

  return async (drafts, onDecided = () => undefined) => {
    if (world.shards === 1) return (await acceptInShard(0, drafts, onDecided)).answers
    const numbered = drafts.map((draft, index) => ({ draft, index }))
    const groups = [...byShard(numbered, ({ draft }) => draft.userId, world.shards)]
    const answers: Answer[] = []
    for (const [shard, group] of groups) {
      const own = group.map(({ draft }) => draft)
      const last = group === groups.at(-1)?.[1]
      const verdict = await acceptInShard(shard, own, last ? onDecided : () => undefined)
      verdict.answers.forEach((answer, place) => (answers[group[place]?.index ?? 0] = answer))
    }
    return answers
  }
}

/**
 * Lock and read what a batch depends on. Users are locked where money is held or a key must be
 * unique: then no other batch can decide on the same balance or key. Key lookups come after the
 * locks, as a statement of their own, so they see what the lock's last holder committed.
 */
async function readBooks(
  tx: Runner,
  shard: number,
  drafts: readonly Draft[],
): Promise<Omit<Books, 'ids'>> {
  const locked = new Set<bigint>()
  const keys = new Map<string, { userId: bigint; key: string }>()
  for (const { userId, type, idempotencyKey: key } of drafts) {
    if (type === 'withdraw' || key !== null) locked.add(userId)
    if (key !== null) keys.set(keyOf(userId, key), { userId, key })
  }
  const free = new Set<bigint>()
  for (const { userId } of drafts) if (!locked.has(userId)) free.add(userId)

  const [lockedUsers, freeUsers, earlier] = await Promise.all([
    lockUsers(tx, shard, [...locked]),
    readUsers(tx, shard, [...free]),
    paymentsByKeys(tx, shard, [...keys.values()]),
  ])
  return {
    available: new Map([...lockedUsers, ...freeUsers].map((user) => [user.id, user.available])),
    earlier: new Map(
      earlier.map((payment) => [keyOf(payment.userId, payment.idempotencyKey ?? ''), payment]),
    ),
  }
}
