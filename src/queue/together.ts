import type { Worker } from './worker.ts'

/** Several loops as one worker. */
export interface Workers<Name> extends Worker {
  /** Let one loop look for due jobs now, or all of them. */
  wake(name?: Name): void
}

/** Run loops side by side: each has its own room, so that none waits behind another's jobs. */
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
