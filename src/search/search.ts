import { readLetter } from '../dead-letters/list.ts'
import type { DeadLetter } from '../dead-letters/store.ts'
import type { Sought } from '../domain/search.ts'
import { ID_MAX } from '../domain/shard.ts'
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

/** How a payment is called, the surest first. */
const NAMES: readonly PaymentMatch[] = ['payment_id', 'idempotency_key', 'gateway_ref', 'reference']
/** Payments that a search shows. */
const SHOWN_MAX = 20

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
  const { text, id } = sought
  // One statement at a time, however many shards there are: other reading has its place as well.
  const parts = whole(
    await eachInTurn(db.shards, async (shard) => ({
      named: await referenced(shard, text),
      corrected: await correctedUnder(shard, text),
      recent: await recentMatches(shard, sought, db.currency),
    })),
  )
  const by = new Map<bigint, Set<PaymentMatch>>()
  const note = (one: bigint, match: PaymentMatch) => {
    by.set(one, (by.get(one) ?? new Set()).add(match))
  }
  if (id !== null) note(id, 'payment_id')
  for (const one of parts.flatMap(({ named }) => named)) note(one.id, 'reference')
  for (const one of parts.flatMap(({ corrected }) => corrected)) note(one, 'gateway_ref')
  for (const one of parts.flatMap(({ recent }) => recent)) note(one.id, one.by)
  const views = await viewPayments(db, [...by.keys()])
  const found = views
    .flatMap((view) => (view === null ? [] : [{ view, by: [...(by.get(view.payment.id) ?? [])] }]))
    .sort(newestFirst)
  return chosen(found).sort(bestFirst)
}

type FoundPayments = Found['payments']

function newestFirst(one: FoundPayments[number], other: FoundPayments[number]): number {
  return one.view.payment.id < other.view.payment.id ? 1 : -1
}

/** The one with the id first, then those that were found by a name of theirs, then the others. */
function bestFirst(one: FoundPayments[number], other: FoundPayments[number]): number {
  return rankOf(one) - rankOf(other) || newestFirst(one, other)
}

function rankOf({ by }: FoundPayments[number]): number {
  if (by.includes('payment_id')) return 0
  return by.every((match) => match === 'amount') ? 2 : 1
}

/**
 * Those that are shown: of each way in which something can be called so the newest, in turn, and
 * what only costs as much where there is room. Nothing that has the name is hidden by how many
 * others have it in another way.
 */
function chosen(found: FoundPayments): FoundPayments[number][] {
  const ways = NAMES.map((name) => found.filter(({ by }) => by.includes(name)))
  const most = Math.max(...ways.map((way) => way.length))
  const inTurn = Array.from({ length: most }, (_, at) =>
    ways.flatMap((way) => way.slice(at, at + 1)),
  )
  return [...new Set([...inTurn.flat(), ...found])].slice(0, SHOWN_MAX)
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
