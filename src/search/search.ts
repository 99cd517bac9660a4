import { readLetter } from '../dead-letters/list.ts'
import type { DeadLetter } from '../dead-letters/store.ts'
import type { Sought } from '../domain/search.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import { correctedUnder } from '../payments/list-store.ts'
import { viewPayments, type PaymentView } from '../payments/read.ts'
import type { Db } from '../ports.ts'
import { pageOfUsers, viewUsers, type ShownUser } from '../users/read.ts'
import { recentMatches, referenced } from './store.ts'

/** By what a payment was found. */
export type PaymentMatch = 'payment_id' | 'reference' | 'idempotency_key' | 'gateway_ref' | 'amount'
/** By what a user was found. */
export type UserMatch = 'user_id' | 'external_id'

interface Found {
  readonly payments: readonly {
    readonly view: PaymentView
    readonly by: readonly PaymentMatch[]
  }[]
  readonly users: readonly { readonly user: ShownUser; readonly by: readonly UserMatch[] }[]
  readonly letters: readonly DeadLetter[]
}

/** Payments that a search shows. */
const SHOWN_MAX = 20
const ID_MAX = 9_223_372_036_854_775_807n

/**
 * Everything that is called so, over all shards: found by id, reference, external id, and the name
 * at the gateway under which it was corrected, however old it is, and by idempotency key, gateway
 * reference and amount among the newest payments. The same work whatever there is.
 */
export async function search(db: Db, sought: Sought): Promise<Found> {
  const [payments, users, letter] = await Promise.all([
    findPayments(db, sought),
    findUsers(db, sought),
    sought.id === null ? null : readLetter(db, sought.id),
  ])
  return { payments, users, letters: letter === null ? [] : [letter] }
}

async function findPayments(db: Db, sought: Sought): Promise<Found['payments']> {
  const { text, id, amounts } = sought
  const minors = [...new Set(amounts.values())]
  // One statement at a time, however many shards there are: other reading has its place as well.
  const parts = whole(
    await eachInTurn(db.shards, async (shard) => ({
      named: await referenced(shard, text),
      corrected: await correctedUnder(shard, text),
      recent: await recentMatches(shard, text, minors),
    })),
  )
  const by = new Map<bigint, Set<PaymentMatch>>()
  const note = (one: bigint, match: PaymentMatch) => {
    by.set(one, (by.get(one) ?? new Set()).add(match))
  }
  if (id !== null) note(id, 'payment_id')
  for (const one of parts.flatMap(({ named }) => named)) note(one.id, 'reference')
  for (const one of parts.flatMap(({ corrected }) => corrected)) note(one, 'gateway_ref')
  for (const one of parts.flatMap(({ recent }) => recent)) {
    if (one.byKey) note(one.id, 'idempotency_key')
    if (one.byRef) note(one.id, 'gateway_ref')
    // The decimals of its currency are known only with the payment.
    if (amounts.size > 0) note(one.id, 'amount')
  }
  const views = await viewPayments(db, [...by.keys()])
  return views
    .flatMap((view) => {
      if (view === null) return []
      const { id: found, amount } = view.payment
      const matches = new Set(by.get(found))
      if (amounts.get(view.exponent) !== amount) matches.delete('amount')
      return matches.size === 0 ? [] : [{ view, by: [...matches] }]
    })
    .sort(bestFirst)
    .slice(0, SHOWN_MAX)
}

/** Those that were found by a name of theirs first, and of these the newest. */
function bestFirst(one: Found['payments'][number], other: Found['payments'][number]): number {
  const rank = ({ by }: typeof one) => (by.every((match) => match === 'amount') ? 1 : 0)
  return rank(one) - rank(other) || (one.view.payment.id < other.view.payment.id ? 1 : -1)
}

async function findUsers(db: Db, { text, id }: Sought): Promise<Found['users']> {
  const named = { externalId: text, from: null, to: null }
  const [byId, byName] = await Promise.all([
    id === null ? [] : viewUsers(db, [id]),
    // No external id is longer.
    text.length > 100 ? null : pageOfUsers(db, named, ID_MAX, 1),
  ])
  const found = new Map<bigint, { user: ShownUser; by: UserMatch[] }>()
  for (const user of byId) {
    if (user === null) continue
    if ('error' in user) throw user.error
    found.set(user.id, { user, by: ['user_id'] })
  }
  for (const user of byName?.users ?? []) {
    const known = found.get(user.id)
    found.set(user.id, { user, by: [...(known?.by ?? []), 'external_id'] })
  }
  return [...found.values()]
}
