import type { Clock } from '../ports.ts'
import { restEnd } from '../domain/beat.ts'

/** Work that goes on in the background. */
export interface Background {
  /** Let the next turn begin now rather than when its time has come. */
  wake(): void
  /** Begin no more turns. Resolves when the one in progress has ended. */
  stop(): Promise<void>
}

/**
 * Do `turn` at once, and again `ms` after each time it ended; at once if it returns true, as there
 * is more to do, and after as many milliseconds as it returns. Rests of a second and more of all
 * loops of a process end together. Outlives every error: it is told to `onError`, and the next turn
 * comes in its time.
 */
export function every(
  clock: Clock,
  ms: number,
  turn: (stopping: AbortSignal) => Promise<boolean | number | void>,
  onError: (error: unknown) => void = () => undefined,
): Background {
  const stopping = new AbortController()
  let bell = new AbortController()

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      // Before the turn, so that whoever wakes it meanwhile is heard.
      bell = new AbortController()
      let more: boolean | number | void = false
      try {
        more = await turn(stopping.signal)
      } catch (error) {
        onError(error)
      }
      if (more === true || stopping.signal.aborted) continue
      const nowMs = clock.elapsedMs()
      // A timer knows whole milliseconds only, and is not to be early.
      const restMs = Math.ceil(restEnd(nowMs, typeof more === 'number' ? more : ms) - nowMs)
      await clock.sleep(restMs, bell.signal)
    }
  }
  const running = run()

  return {
    // With a reason of its own none is made.
    wake: () => bell.abort('woken'),
    async stop() {
      stopping.abort()
      bell.abort()
      await running
    },
  }
}
