import type { Clock, Db } from '../ports.ts'
import { eachPart, whole } from '../each-shard.ts'
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
  /** Resolves when nobody waits. */
  idle(): Promise<void>
}

interface World {
  readonly db: Db
  readonly clock: Clock
  /** False while the process stops: then everybody is let go, and nobody waits any more. */
  readonly open: () => boolean
}

/**
 * Wait for payments to become final: one statement per shard and look, however many wait. A look
 * that fails lets everybody go: they read their payment themselves, and are told what is wrong.
 */
export function waiting({ db, clock, open }: World): Waiting {
  let waiters: Waiter[] = []
  let running: Promise<void> | null = null

  const release = (done: (waiter: Waiter) => boolean): void => {
    const left = waiters
    waiters = left.filter((waiter) => !done(waiter))
    for (const waiter of left) if (done(waiter)) waiter.resolve()
  }

  const look = async (): Promise<void> => {
    const ids = [...new Set(waiters.map(({ id }) => id))]
    const parts = await eachPart(db, ids, (id) => id, finalPayments)
    const final = new Set(whole(parts).flat())
    const nowMs = clock.elapsedMs()
    release(({ id, untilMs }) => final.has(id) || untilMs <= nowMs)
  }

  const run = async (): Promise<void> => {
    while (waiters.length > 0 && open()) {
      await look().catch(() => release(() => true))
      if (waiters.length > 0) await clock.sleep(LOOK_MS)
    }
    release(() => true)
    running = null
  }

  return {
    final(id, waitMs) {
      if (!open() || waiters.length >= WAITING_MAX) return Promise.resolve()
      return new Promise((resolve) => {
        waiters.push({ id, untilMs: clock.elapsedMs() + waitMs, resolve })
        running ??= run()
      })
    },
    idle: () => running ?? Promise.resolve(),
  }
}
