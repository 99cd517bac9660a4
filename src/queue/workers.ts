import type { Worker } from './worker.ts'

/** Several loops as one worker. */
export interface Workers<Name> extends Worker {
  /** Let one loop look for due jobs now, or all of them. */
  wake(name?: Name): void
}

/**
 * How many jobs one of `loops` loops may handle beside the `others` that the other loops handle. It
 * may use all room that they leave, and is always sure of its part: jobs of another loop that hang
 * never take that. So together there are at most `total` jobs and, while a loop gets its part back,
 * those of the other parts once more.
 */
export function roomBeside(total: number, loops: number, others: number): number {
  return Math.max(Math.ceil(total / loops), total - others)
}

/** Run loops side by side, so that none waits behind another's jobs. */
export function together<Name>(loops: ReadonlyMap<Name, Worker>): Workers<Name> {
  const all = [...loops.values()]
  return {
    wake(name) {
      if (name !== undefined) return loops.get(name)?.wake()
      for (const each of all) each.wake()
    },
    running: () => all.reduce((sum, each) => sum + each.running(), 0),
    turnedMs: () => Math.min(...all.map((each) => each.turnedMs())),
    async stop() {
      await Promise.all(all.map((each) => each.stop()))
    },
  }
}
