import type { Payment } from '../domain/payment.ts'
import { readPayments } from '../payments/store.ts'
import type { Tx } from '../ports.ts'
import { lockTasks, type LockedTask } from '../queue/acts/store.ts'
import { lockUsers } from '../users/store.ts'
import { lockLetters, type DeadLetter } from './store.ts'

/** Letters and all that an act on them depends on, as they stay until the transaction ends. */
export interface Locked {
  readonly letters: ReadonlyMap<bigint, DeadLetter>
  readonly payments: ReadonlyMap<bigint, Payment>
  /** Tasks by payment id; a payment that has left the queue has none. */
  readonly tasks: ReadonlyMap<bigint, LockedTask>
  /** What the users can spend, in minor units. */
  readonly available: ReadonlyMap<bigint, bigint>
}

/**
 * Lock what an act on letters depends on, in the order of every settlement: tasks, users, letters.
 *
 * The task's lock keeps workers out. A payment that has no task is worked on by nobody, and two
 * operators meet at the user's lock. The letters and payments are read behind those locks, each by a
 * statement of its own, so they are what the locks' last holders left.
 */
export async function lockFor(
  tx: Tx,
  shard: number,
  found: readonly DeadLetter[],
): Promise<Locked> {
  const paymentIds = [...new Set(found.map((letter) => letter.paymentId))]
  const userIds = [...new Set(found.map((letter) => letter.userId))]
  const ids = found.map((letter) => letter.id)
  const [tasks, users, letters, payments] = await Promise.all([
    lockTasks(tx, shard, paymentIds),
    lockUsers(tx, shard, userIds),
    lockLetters(tx, shard, ids),
    readPayments(tx, shard, paymentIds),
  ])
  return {
    tasks,
    available: new Map(users.map((user) => [user.id, user.available])),
    letters: new Map(letters.map((letter) => [letter.id, letter])),
    payments: new Map(payments.map((payment) => [payment.id, payment])),
  }
}
