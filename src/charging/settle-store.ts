import { columns } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'

/** A claim as its task knows it, and whether it saw the gateway say yes. */
export interface ClaimSeen {
  readonly paymentId: bigint
  readonly fence: number
  readonly yes: boolean
}

const CLAIMS = columns<ClaimSeen>({ paymentId: 'bigint', fence: 'int', yes: 'boolean' })

/** A task as the settlement of a claim finds it. */
interface OwnedTask {
  readonly paymentId: bigint
  /** Of the claim that asks. */
  readonly fence: number
  /** Whether that claim still owns it. */
  readonly owned: boolean
  readonly attempts: number
}

/** The tasks that claims still own, and those of claims that saw the gateway say yes. */
const IN_QUESTION = `
  from payment_tasks task
  join ${CLAIMS.unnest('claim', 2)}
    on task.payment_id = claim.payment_id
  where task.shard = $1 and (claim.yes or (task.leased and task.fence = claim.fence))`

const LOCK_OWNED = `
  select
    task.payment_id as "paymentId", claim.fence, task.attempts,
    task.leased and task.fence = claim.fence as "owned"${IN_QUESTION}
  order by task.payment_id
  for update of task`

/**
 * Lock, in id order, the tasks whose newest claim is still the one that asks (`owned`), and those
 * of claims that saw the gateway say yes, whoever holds them now. A claim that lost its lease to
 * another worker, that has been settled already, or whose task is finished owns nothing: so a
 * settlement that is repeated after a lost COMMIT changes nothing.
 */
const OWNED: Statement<OwnedTask> = {
  name: 'tasks_owned',
  text: LOCK_OWNED,
}

/** The same without waiting: tasks that somebody else has locked are not among the rows. */
const OWNED_FREE: Statement<OwnedTask> = {
  name: 'tasks_owned_free',
  text: `${LOCK_OWNED} skip locked`,
}

/** Which tasks those are that would be locked, locked by somebody else or not. */
const OWNED_READ: Statement<{ paymentId: bigint }> = {
  name: 'tasks_owned_read',
  text: `
  select task.payment_id as "paymentId"${IN_QUESTION}`,
}

/** Which tasks claims still own, and how many charges of each task may have been sent. */
export interface LockedClaims {
  readonly owned: ReadonlySet<bigint>
  readonly attempts: ReadonlyMap<bigint, number>
}

/** Lock the tasks that these claims still own, and those whose claim saw a yes. */
export async function lockOwned(tx: Runner, claims: readonly ClaimSeen[]): Promise<LockedClaims> {
  return lockedClaims(await tx.run(OWNED, CLAIMS.of(claims)))
}

/** The same without waiting for anybody, and which of those tasks somebody else has locked. */
export async function lockFreeOwned(
  tx: Runner,
  claims: readonly ClaimSeen[],
): Promise<LockedClaims & { readonly busy: ReadonlySet<bigint> }> {
  const values = CLAIMS.of(claims)
  // Read after locking, so that a claim that is lost meanwhile does not count as locked.
  const [rows, all] = await Promise.all([tx.run(OWNED_FREE, values), tx.run(OWNED_READ, values)])
  const locked = lockedClaims(rows)
  const busy = all.map((row) => row.paymentId).filter((id) => !locked.attempts.has(id))
  return { ...locked, busy: new Set(busy) }
}

function lockedClaims(rows: readonly OwnedTask[]): LockedClaims {
  return {
    owned: new Set(rows.filter((row) => row.owned).map((row) => row.paymentId)),
    attempts: new Map(rows.map((row) => [row.paymentId, row.attempts])),
  }
}
