import { createInterface } from 'node:readline/promises'
import { InvalidArgumentError } from 'commander'
import { progress } from '../adapters/terminal.ts'
import { isReason } from '../domain/words.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import type { Clock } from '../ports.ts'
import { cancel, RATE_MAX, step } from './run.ts'
import { readRun } from './read-store.ts'
import type { Run } from './store.ts'

/** What the commands about runs share: what they demand of a call, and how a run is carried out. */

/** The exit code of a wrong call. */
const MISUSED = 2

/** How often the run is looked at while another process, or the next second, is awaited. */
const LOOK_MS = 100

interface Call {
  readonly dryRun?: boolean
  readonly reason?: string
  readonly yes?: boolean
  readonly json?: boolean
}

/** Whether a call is wrong, before anything is opened; it has been said why then. */
export function isMisused(call: Call): boolean {
  const problem = misuse(call)
  if (problem === null) return false
  process.stderr.write(`${problem}\n`)
  process.exitCode = MISUSED
  return true
}

function misuse(call: Call): string | null {
  if (call.dryRun) return null
  // The same text that the API takes.
  if (!isReason(call.reason?.trim() ?? '')) {
    return 'Say why with --reason, 1 to 500 characters, or look first with --dry-run.'
  }
  const asks = process.stdin.isTTY === true && call.json !== true
  return call.yes || asks ? null : 'Nobody can be asked here: confirm with --yes.'
}

/**
 * Do the steps of a run until it ends, and show how far it is; `label` null: show nothing. Running
 * services take steps as well, so what is shown is the run's own progress. The first signal cancels
 * the run.
 */
export async function carryOut(
  world: ActWorld & { readonly clock: Clock },
  begun: Run,
  actor: string,
  label: string | null,
): Promise<Run> {
  const { id, endpointId } = begun
  const bar = label === null ? null : progress(label, begun.total)
  const interrupted = () => void cancel(world, id, actor, endpointId).catch(() => undefined)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  let current = begun
  try {
    while (current.state === 'running') {
      const done = await step(world, id)
      const now = (await readRun(world.db.global, id, endpointId)) ?? current
      bar?.tick(now.position - current.position)
      current = now
      if (done === null) await world.clock.sleep(LOOK_MS)
    }
  } finally {
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
  }
  bar?.done()
  return current
}

/** Ask whoever sits at the terminal. */
export async function confirmed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}

export function parseTime(text: string): Date {
  const at = new Date(text)
  const year = at.getUTCFullYear()
  if (!(year >= 1970 && year <= 9999)) throw new InvalidArgumentError('It is not a time.')
  return at
}

export function parseRate(text: string): number {
  const rate = Number(text)
  if (/^\d{1,4}$/.test(text) && rate >= 1 && rate <= RATE_MAX) return rate
  throw new InvalidArgumentError(`It is a whole number from 1 to ${RATE_MAX}.`)
}
