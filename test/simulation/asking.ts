import type { Api, World } from './world.ts'

/** Whoever asked cannot tell what became of it. */
export class Lost extends Error {}

/** Wait a little, as people and clients do. */
export function nap({ steps, faults }: World): Promise<void> {
  const atMs = steps.nowMs() + faults.between(50, 2_000)
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
