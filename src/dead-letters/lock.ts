import {
  lockParents,
  readWhole,
  type StoredParent,
  type WholePayment,
} from '../payments/back-store.ts'
import { isLocked, type Shard, type Tx } from '../ports.ts'
import { lockFreeTasks, lockTasks, type LockedTask } from './tasks-store.ts'
import { readTasks } from '../queue/store.ts'
import { lockFreeUsers, lockUsers } from '../users/store.ts'
import { lockFreeLetters, lockLetters, readLetters, type DeadLetter } from './store.ts'

/** Letters and all that an act on them depends on, as they stay until the transaction ends. */
export interface Locked {
  readonly letters: ReadonlyMap<bigint, DeadLetter>
  readonly payments: ReadonlyMap<bigint, WholePayment>
  /** Of refunds: the deposits that they give back. */
  readonly parents: ReadonlyMap<bigint, StoredParent>
  /** Tasks by payment id; a payment that has left the queue has none. */
  readonly tasks: ReadonlyMap<bigint, LockedTask>
  /** What the users can spend, in minor units. */
  readonly available: ReadonlyMap<bigint, bigint>
  /** Letters that nobody can act on now, because somebody else has locked what they depend on. */
  readonly busy: ReadonlySet<bigint>
}

/** An act on letters, as they were before anything is locked; `lock` locks what it depends on. */
type Act<T> = (tx: Tx, letters: readonly DeadLetter[], lock: () => Promise<Locked>) => Promise<T>

/**
 * How long an operator's act waits for locks, in milliseconds, before it leaves out who is locked.
 */
const LOCK_MS = 500

/**
 * Carry out an act on letters in a transaction. Where somebody else holds locks for longer, it is
 * carried out on the others: an act says of each letter that is `busy` that it was.
 */
export async function whereFree<T>(
  shard: Shard,
  requests: readonly { readonly letterId: bigint }[],
  act: Act<T>,
): Promise<T> {
  const ids = requests.map(({ letterId }) => letterId)
  // Which payment and user a letter is about never changes, so this needs no lock.
  const letters = await readLetters(shard, ids)
  const actBehind = (lock: typeof lockFor) =>
    shard.transaction((tx) => act(tx, letters, () => lock(tx, letters)), LOCK_MS)
  try {
    return await actBehind(lockFor)
  } catch (error) {
    if (!isLocked(error)) throw error
    return await actBehind(lockFreeFor)
  }
}

const NONE: ReadonlySet<bigint> = new Set()

/**
 * Lock what an act on letters depends on, in the order of every settlement: tasks, users, letters.
 *
 * The task's lock keeps workers out. A payment that has no task is worked on by nobody, and two
 * operators meet at the user's lock. The letters and payments are read behind those locks, each by
 * a statement of its own, so they are what the locks' last holders left.
 */
async function lockFor(tx: Tx, about: readonly DeadLetter[]): Promise<Locked> {
  const { paymentIds, userIds, ids } = idsOf(about)
  const [tasks, users, letters, payments] = await Promise.all([
    lockTasks(tx, paymentIds),
    lockUsers(tx, userIds),
    lockLetters(tx, ids),
    readWhole(tx, paymentIds),
  ])
  return {
    tasks,
    parents: await parentsOf(tx, payments),
    available: new Map(users.map((user) => [user.id, user.available])),
    letters: new Map(letters.map((letter) => [letter.id, letter])),
    payments: new Map(payments.map((payment) => [payment.id, payment])),
    busy: NONE,
  }
}

/** The same without waiting for anybody: what depends on somebody else's lock is `busy`. */
async function lockFreeFor(tx: Tx, about: readonly DeadLetter[]): Promise<Locked> {
  const { paymentIds, userIds, ids } = idsOf(about)
  const [tasks, users, letters, all, payments] = await Promise.all([
    lockFreeTasks(tx, paymentIds),
    lockFreeUsers(tx, userIds),
    lockFreeLetters(tx, ids),
    readTasks(tx, paymentIds),
    readWhole(tx, paymentIds),
  ])
  const available = new Map(users.map((user) => [user.id, user.available]))
  const locked = new Map(letters.map((letter) => [letter.id, letter]))
  const busy = about.filter(({ id, paymentId, userId }) => {
    const task = tasks.has(paymentId) || !all.has(paymentId)
    return !task || !available.has(userId) || !locked.has(id)
  })
  return {
    tasks,
    parents: await parentsOf(
      tx,
      payments.filter(({ userId }) => available.has(userId)),
    ),
    available,
    letters: locked,
    payments: new Map(payments.map((payment) => [payment.id, payment])),
    busy: new Set(busy.map(({ id }) => id)),
  }
}

/** Lock what refunds give back: behind the users, who are the same. */
async function parentsOf(
  tx: Tx,
  payments: readonly WholePayment[],
): Promise<ReadonlyMap<bigint, StoredParent>> {
  const ids = payments.flatMap(({ type, parentId }) => (type === 'refund' ? [parentId ?? 0n] : []))
  const parents = await lockParents(tx, [...new Set(ids)])
  return new Map(parents.map((parent) => [parent.id, parent]))
}

function idsOf(about: readonly DeadLetter[]) {
  return {
    paymentIds: [...new Set(about.map((letter) => letter.paymentId))],
    userIds: [...new Set(about.map((letter) => letter.userId))],
    ids: about.map((letter) => letter.id),
  }
}
