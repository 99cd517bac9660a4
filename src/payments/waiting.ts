import type { Clock, Db } from '../ports.ts'
import { eachPart } from '../each-shard.ts'
import { every, type Background } from '../queue/every.ts'
import { finalPayments } from './list-store.ts'

/** How often those who wait are looked after, in milliseconds. */
const LOOK_MS = 250
/** So many may wait; who comes later is answered at once. */
const WAITING_MAX = 2_000

interface Waiter {
  readonly id: bigint
  readonly untilMs: number
  readonly resolve: () => void
}

/** Waits for payments to become final. */
interface Waiting {
  /** Resolves when the payment is final, there is no such payment, or the time is over. */
  final(id: bigint, waitMs: number): Promise<void>
  /** Lets everybody go. Resolves when no look is in progress. */
  stop(): Promise<void>
}

interface World {
  readonly db: Db
  readonly clock: Clock
  /** False while the process stops: then everybody is let go, and nobody waits any more. */
  readonly open: () => boolean
}

/**
 * Wait for payments to become final: one statement per shard and look, however many wait. Where a
 * shard cannot be looked at, those who wait for its payments are let go: they read their payment
 * themselves, and are told what is wrong. The others wait on.
 */
export function waiting({ db, clock, open }: World): Waiting {
  let waiters: Waiter[] = []
  let looking: Background | null = null

  const release = (done: (waiter: Waiter) => boolean): void => {
    const left = waiters
    waiters = left.filter((waiter) => !done(waiter))
    for (const waiter of left) if (done(waiter)) waiter.resolve()
  }

  const look = async (): Promise<void> => {
    const ids = [...new Set(waiters.map(({ id }) => id))]
    const places = await db.find('payment', ids)
    const { done, failed } = await eachPart(places, ids, (id) => id, finalPayments)
    const final = new Set(done.flatMap(({ value }) => value))
    const ill = new Set(failed.map(({ shard }) => shard))
    const nowMs = clock.elapsedMs()
    release(({ id, untilMs }) => final.has(id) || ill.has(places.of(id)) || untilMs <= nowMs)
  }

  const turn = async (): Promise<void> => {
    if (open()) await look()
    if (!open()) release(() => true)
    if (waiters.length > 0 || looking === null) return
    // It waits for this turn, so nobody can wait for it here.
    void looking.stop()
    looking = null
  }

  return {
    final(id, waitMs) {
      if (!open() || waiters.length >= WAITING_MAX) return Promise.resolve()
      return new Promise((resolve) => {
        waiters.push({ id, untilMs: clock.elapsedMs() + waitMs, resolve })
        looking ??= every(clock, LOOK_MS, turn)
      })
    },
    async stop() {
      release(() => true)
      await looking?.stop()
    },
  }
}
