import { columns, numbers } from '../domain/array-parameters.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** A user's money in minor units. */
export interface User {
  readonly id: bigint
  readonly available: bigint
  readonly held: bigint
  /** The currency of the account, for its whole life; null: that of the books. */
  readonly currency: string | null
}

/** What a payment of a user is decided on. */
export type Spendable = Omit<User, 'held'>

/** A user to be, with the currency of its account; null: that of the books. */
type NewUser = Pick<User, 'id' | 'currency'>

const USERS = columns<NewUser>({ id: 'bigint', currency: 'text' })

/** Insert users without money; their opening balance is a posting like any other. */
const INSERT: Statement<never> = {
  name: 'users_insert',
  ...timed`
  insert into users (shard, id, available, held, currency, created_at)
  select $1::int, id, 0, 0, currency, ${NOW}
  from ${USERS.unnest('draft', 3)}`,
}

/**
 * Lock users in id order, so that two batches never wait for each other in a circle, and read what
 * they can spend. What is read stays true until the transaction ends.
 */
const LOCK: Statement<Spendable> = {
  name: 'users_lock',
  text: `
  select id, available, currency
  from users
  where shard = $1 and id = any ($2::bigint[])
  order by id
  for no key update`,
}

/**
 * Lock those users that nobody else has locked, in id order, and wait for none. Who is not among
 * the rows is locked by somebody else, or does not exist.
 */
const LOCK_FREE: Statement<Spendable> = {
  name: 'users_lock_free',
  text: `${LOCK.text} skip locked`,
}

/** Read users without a lock: enough to know that they exist, and to show their balances. */
const READ: Statement<User> = {
  name: 'users_read',
  text: `
  select id, available, held, currency
  from users
  where shard = $1 and id = any ($2::bigint[])`,
}

/** Insert users with nothing on their accounts. */
export function insertUsers(tx: Tx, users: readonly NewUser[]): void {
  tx.write(INSERT, USERS.of(users))
}

/** Lock users in id order and read what they can spend; users that do not exist are left out. */
export async function lockUsers(tx: Runner, ids: readonly bigint[]): Promise<Spendable[]> {
  return ids.length === 0 ? [] : tx.run(LOCK, [numbers(ids)])
}

/** Lock those users that nobody else has locked, without waiting. */
export async function lockFreeUsers(tx: Runner, ids: readonly bigint[]): Promise<Spendable[]> {
  return ids.length === 0 ? [] : tx.run(LOCK_FREE, [numbers(ids)])
}

/** Read users of a shard; users that do not exist are left out. */
export async function readUsers(shard: Runner, ids: readonly bigint[]): Promise<User[]> {
  return ids.length === 0 ? [] : shard.run(READ, [numbers(ids)])
}
