import type { Clock } from '../src/ports.ts'
import { manualClock } from './harness.ts'

/** A clock on which a wait lasts until the time has come, or until its signal aborts. */
export interface WaitingClock extends Clock {
  /** Move the time, end the waits that it ends, and let everything run that can. */
  advance(ms: number): Promise<void>
  /** How long each of those who wait now wanted to wait, in milliseconds. */
  waits(): number[]
}

export function waitingClock(): WaitingClock {
  const time = manualClock()
  const waiting = new Map<() => void, { readonly ms: number; readonly untilMs: number }>()
  return {
    now: time.now,
    elapsedMs: time.elapsedMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const end = (): void => {
          waiting.delete(end)
          resolve()
        }
        if (signal?.aborted) return resolve()
        waiting.set(end, { ms, untilMs: time.elapsedMs() + ms })
        signal?.addEventListener('abort', end)
      }),
    async advance(ms) {
      time.advance(ms)
      for (const [end, { untilMs }] of waiting) if (untilMs <= time.elapsedMs()) end()
      await quiet()
    },
    waits: () => [...waiting.values()].map(({ ms }) => ms),
  }
}

/** Wait until all that is ready to run has run. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done))
}
