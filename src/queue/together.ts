import type { Worker } from './worker.ts'

/** Several loops as one worker: each has its own room, so that none waits behind another's jobs. */
export function together(workers: readonly Worker[]): Worker {
  return {
    wake() {
      for (const each of workers) each.wake()
    },
    running: () => workers.reduce((sum, each) => sum + each.running(), 0),
    turnedMs: () => Math.min(...workers.map((each) => each.turnedMs())),
    async stop() {
      await Promise.all(workers.map((each) => each.stop()))
    },
  }
}
