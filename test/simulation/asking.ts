import { Busy, CommitUnknown, Unavailable } from '../../src/ports.ts'
import type { Api, World } from './world-types.ts'

/** Whoever asked cannot tell what became of it. */
export class Lost extends Error {}

/** Wait a little, as people and clients do. */
export function nap({ steps, faults }: World, msMax = 2_000): Promise<void> {
  const atMs = steps.nowMs() + faults.between(50, msMax)
  return steps.step(steps.spawn('client'), 'tries again', { atMs })
}

/** What an API process answers, or `Lost` when it dies first or is dead already. */
export function untilDeath<T>({ process }: Api, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (process.dead) reject(new Lost('the process is not there'))
    process.onDeath.push(() => reject(new Lost('the process died')))
    answer.then(resolve, reject)
  })
}

/** Whether an operation may throw this; anything else is a bug. */
export function expected(error: unknown): boolean {
  const passing = [Unavailable, CommitUnknown, Busy]
  return passing.some((kind) => error instanceof kind)
}

/** Ask until answered, by whatever process is there. */
export async function insist<T>(world: World, ask: (api: Api) => Promise<T>): Promise<T> {
  for (;;) {
    const api = world.faults.pick(world.apis)
    try {
      return await untilDeath(api, ask(api))
    } catch (error) {
      if (!expected(error) && !(error instanceof Lost)) throw error
    }
    await nap(world)
  }
}
