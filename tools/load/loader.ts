import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LoadMessage } from './load-process.ts'
import type { LoadResult, Plan } from './plan.ts'

/** A load generator in a process of its own, so that it neither slows nor waits for this one. */
export interface Loader {
  readonly pid: number
  /** Carry out a plan; one at a time. `onDone` is told now and then how much was done since. */
  run(plan: Plan, onDone?: (count: number) => void): Promise<LoadResult>
  stop(): void
}

const PROGRAM = new URL('./load-process.ts', import.meta.url)

export function startLoader(): Loader {
  const child = fork(fileURLToPath(PROGRAM), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return {
    pid: child.pid ?? 0,
    run(plan, onDone = () => undefined) {
      return new Promise((resolve, reject) => {
        const end = (settle: () => void): void => {
          child.off('message', hear)
          child.off('exit', gone)
          settle()
        }
        const gone = (): void => end(() => reject(new Error('the load generator died')))
        const hear = (message: LoadMessage): void => {
          if (message.kind === 'done') return onDone(message.count)
          if (message.kind === 'result') return end(() => resolve(message.result))
          end(() => reject(new Error(message.message)))
        }
        child.on('message', hear)
        child.on('exit', gone)
        child.send(plan)
      })
    },
    stop() {
      if (child.connected) child.disconnect()
    },
  }
}
