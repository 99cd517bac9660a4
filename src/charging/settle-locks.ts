import type { Decision } from '../domain/charge-decision.ts'
import type { Tx } from '../ports.ts'
import { lockFreeOwned, lockOwned, type ClaimSeen, type LockedClaims } from './settle-store.ts'
import { lockFreeUsers, lockUsers } from '../users/store.ts'
import type { Settlement } from './charge.ts'

/** What settlements have locked, and which of them cannot be written for somebody else's locks. */
interface SettleLocks extends LockedClaims {
  readonly busy: ReadonlySet<Settlement>
}

const NONE: ReadonlySet<Settlement> = new Set()

/** Lock what settlements depend on: tasks before users, both in id order, like everybody. */
export async function lockAll(tx: Tx, settlements: readonly Settlement[]): Promise<SettleLocks> {
  const [locked] = await Promise.all([
    lockOwned(tx, settlements.map(seen)),
    lockUsers(tx, usersOf(settlements)),
  ])
  return { ...locked, busy: NONE }
}

/**
 * The same without waiting for anybody. A settlement that may change something, and whose task or
 * user somebody else has locked, is busy. A lost claim that saw no yes needs no lock: it leaves
 * evidence.
 */
export async function lockFree(tx: Tx, settlements: readonly Settlement[]): Promise<SettleLocks> {
  const [{ busy: busyTasks, ...locked }, users] = await Promise.all([
    lockFreeOwned(tx, settlements.map(seen)),
    lockFreeUsers(tx, usersOf(settlements)),
  ])
  const free = new Set(users.map(({ id }) => id))
  const busy = settlements.filter((settlement) => {
    const { id, userId } = settlement.claim.payment
    if (busyTasks.has(id)) return true
    const changes = locked.owned.has(id) || seen(settlement).yes
    return changes && mayMoveMoney(settlement.decision) && !free.has(userId)
  })
  return { ...locked, busy: new Set(busy) }
}

function seen({ claim: { task }, decision }: Settlement): ClaimSeen {
  return { paymentId: task.paymentId, fence: task.fence, yes: decision.step === 'succeed' }
}

function usersOf(settlements: readonly Settlement[]): bigint[] {
  const userIds = new Set<bigint>()
  for (const { claim, decision } of settlements) {
    if (mayMoveMoney(decision)) userIds.add(claim.payment.userId)
  }
  return [...userIds]
}

/** Whether a decision touches the user's balance; a failed deposit never held anything. */
export function movesMoney(decision: Decision): boolean {
  return decision.step === 'succeed' || decision.step === 'fail'
}

/** Whether a decision may touch the user's balance, by itself or by evidence against it. */
function mayMoveMoney(decision: Decision): boolean {
  return movesMoney(decision) || decision.step === 'doubt'
}
