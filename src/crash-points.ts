import { writeSync } from 'node:fs'

/** Where the fault tests kill a process, in the order in which a payment comes by. */
export const CRASH_POINTS = [
  'accept.before_commit',
  'accept.after_commit',
  'claim.after_commit',
  'call.before_send',
  'call.after_reply',
  'settle.before_commit',
  'settle.after_commit',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

/** The point at which this process dies, and how often it still comes by alive. */
let armed: { readonly name: CrashPoint; left: number } | null = null

/**
 * Die by SIGKILL the `nth` time that `name` is reached. For fault tests: only a configuration of
 * the environment `test` leads here. Throws when there is no such point.
 */
export function armCrashPoint(name: string, nth: number): void {
  const point = CRASH_POINTS.find((known) => known === name)
  if (point === undefined) throw new Error(`there is no crash point ${name}`)
  armed = { name: point, left: nth }
}

/**
 * Die here if this point is armed: a real SIGKILL, after which no other line of ours runs. One
 * comparison with null otherwise.
 */
export function crashPoint(name: CrashPoint): void {
  if (armed === null || armed.name !== name) return
  armed.left -= 1
  if (armed.left > 0) return
  // Written at once, so that whoever watches can tell this death from any other.
  writeSync(2, `crash point ${name}\n`)
  process.kill(process.pid, 'SIGKILL')
}
