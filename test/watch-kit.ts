import assert from 'node:assert/strict'
import { claimWatched, endWatched, watch, type WatchSeen } from '../src/charging/watch.ts'
import type { CameBack, ToldRefund, UnreadReturn } from '../src/domain/outcome.ts'
import type { Gateway } from '../src/ports.ts'
import { LEASE_MS, type TestWorld } from './harness.ts'
import { profileOf } from './profiles.ts'

/** A day, in milliseconds. */
export const DAY_MS = 86_400_000

/** A gateway of which things come back, and the looks at final payments of a world. */
export function watching(world: TestWorld, watchMs: readonly number[] = []) {
  const { gateway, db } = world
  const returns = new Map<bigint, CameBack[]>()
  const unread: UnreadReturn[] = []
  const refunds: ToldRefund[] = []
  const watched: bigint[] = []
  const seen: WatchSeen[] = []
  const profile = profileOf(gateway.profile, { watchMs })
  const telling: Gateway = {
    ...gateway,
    profile,
    async lookup(operation, signal) {
      watched.push(operation.paymentId)
      assert.equal(operation.watched, true)
      const made = await gateway.lookup(operation, signal)
      if (made.outcome.kind !== 'success') return made
      const own = returns.get(operation.paymentId) ?? []
      return { ...made, outcome: { ...made.outcome, returns: own, unread, refunds } }
    },
  }
  // What carries payments out knows when they are looked at.
  Object.assign(gateway, { profile })
  const own = {
    db,
    gateway: telling,
    refundFee: 'keep',
    returnFee: 'keep',
    leaseMs: LEASE_MS,
    onWatched: (one: WatchSeen) => void seen.push(one),
  } as const
  return {
    own,
    seen,
    /** What the gateway tells of every payment, and nobody can read. */
    unread,
    /** The refunds that it tells as ours, of every payment. */
    refunds,
    /** The payments that the gateway was asked about, in order. */
    watched,
    came: (id: bigint, ...more: CameBack[]) =>
      void returns.set(id, [...(returns.get(id) ?? []), ...more]),
    claim: () => claimWatched(own, 100),
    /** Look at everything that is due. Returns what it came to. */
    async look(): Promise<string[]> {
      const claims = await claimWatched(own, 100)
      const before = seen.length
      const ends = await Promise.all(claims.map((claimed) => watch(own, claimed)))
      if (ends.length > 0) assert.deepEqual(await endWatched(own, ends), [])
      const fresh = seen.slice(before).toSorted((a, b) => (a.paymentId < b.paymentId ? -1 : 1))
      return fresh.map(({ what }) => what)
    },
    rows: () =>
      world.sql<{ payment_id: bigint; looked: boolean; leased: boolean; in_ms: number }>(
        `select payment_id, looked, leased,
           (extract(epoch from run_at - $1::timestamptz) * 1000)::float8 as in_ms
         from payment_watches
         order by payment_id`,
        [world.clock.now()],
      ),
  }
}

export function back(ref: string, amount: bigint, kind: CameBack['kind'] = 'charged_back') {
  return { ref, amount, kind, at: null } satisfies CameBack
}
