import { claimWatched, endWatched, watch, type WatchWorld } from '../../src/charging/watch.ts'
import type { CameBack } from '../../src/domain/outcome.ts'
import { watchNoticed } from '../../src/queue/watches-store.ts'
import { tellingBack } from './came-back.ts'
import { LEASE_MS } from '../harness.ts'
import { PAYMENTS, show, type History } from './history.ts'

/** When final payments of a history are looked at, in milliseconds. */
export const WATCH_MS: readonly number[] = [3_000, 300_000]

/** A notice about any payment, perhaps of another kind than it says. */
async function noticeOne({ db, between, pick, succeeded }: History): Promise<string> {
  const known = between(0, 4) > 0 && succeeded.length > 0
  const id = known ? pick(succeeded.slice(-8)) : BigInt(between(1, PAYMENTS))
  const gateway = pick(['http', 'http', 'other'])
  const operation = pick(['charge', 'payout', 'refund'] as const)
  const noNewsOf = pick([[], [], ['failed'], ['success'], ['success', 'failed']] as const)
  const told = { cameBack: between(0, 3) === 0, noNewsOf }
  return show([id, await watchNoticed(db.of(id), id, { gateway, operation }, told)])
}

/** Look at what is due; some workers die before they can tell, and some tell it late. */
async function lookSome(history: History): Promise<string> {
  const { db, pick, between, world, elsewhere, gateway, policies } = history
  const told: unknown[] = []
  for (const { gateway: own } of [world, elsewhere]) {
    gateway.lookups = pick([null, null, null, { kind: 'no_answer', reason: 'timeout' }])
    const back = new Map<bigint, CameBack[]>()
    const seeing: WatchWorld = {
      db,
      gateway: tellingBack({ ...own, lookup: gateway.lookup }, back),
      ...policies,
      leaseMs: LEASE_MS,
      onWatched: (seen) => void told.push(seen),
    }
    const claims = await claimWatched(seeing, 100)
    const inOrder = claims.toSorted((one, other) => (one.payment.id < other.payment.id ? -1 : 1))
    for (const claimed of inOrder) {
      if (between(0, 5) === 0) continue
      const { id, type } = claimed.payment
      const kind = type === 'deposit' ? 'charged_back' : 'payout_returned'
      const amount = BigInt(pick([1, 20, 777]))
      const ref = `watched-${between(0, 3)}`
      back.set(id, between(0, 2) === 0 ? [{ ref, amount, kind, at: null }] : [])
      history.unended.push(await watch(seeing, claimed))
    }
    told.push(inOrder.map((claimed) => claimed.watch))
  }
  // In the order in which it was looked at.
  const ends = history.unended.filter(() => between(0, 4) > 0)
  await endWatched({ db }, ends)
  history.unended = history.unended.filter((one) => !ends.includes(one))
  return show(told)
}

/** What becomes of final payments that may come back. */
export const WATCHING = [noticeOne, noticeOne, lookSome, lookSome] as const
