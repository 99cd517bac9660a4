import { createInterface } from 'node:readline/promises'
import { InvalidArgumentError, type Command } from 'commander'
import { JSON_OPTION, type AsJson } from '../adapters/command-options.ts'
import { CommandMisused, operatorHere, print, refusedBy } from '../adapters/commands.ts'
import { progress } from '../adapters/terminal.ts'
import { isReason } from '../domain/words.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import type { Clock } from '../ports.ts'
import { cancel, RATE_MAX, start, step } from './run.ts'
import { readRun } from './read-store.ts'
import type { Run } from './store.ts'

/** What the commands about runs share: what they demand of a call, and how they go on. */

/** How often the run is looked at while another process, or the next second, is awaited. */
const LOOK_MS = 100

/** The exit code: some of it was not done. */
const INCOMPLETE = 1

/** What such a command needs. */
export interface RunWorld extends ActWorld {
  readonly clock: Clock
}

/** How such a command is called, beside what it filters by. */
export interface RunCall extends AsJson {
  readonly before?: Date
  readonly after?: Date
  readonly rate: number
  readonly dryRun?: boolean
  readonly reason?: string
  readonly yes?: boolean
}

/** How a command calls what it goes through, and what it does to it. */
interface Words {
  /** Such as `letters`. */
  readonly items: string
  /** Such as `change nothing`. */
  readonly dryRun: string
  /** Such as `opened`, of what the times are. */
  readonly made: string
  readonly rate: number
}

/** Add the options that every such command has. */
export function withRunOptions(command: Command, { items, dryRun, made, rate }: Words): Command {
  return command
    .option('--after <time>', `only ${made} then or later, such as 2030-01-31T12:00Z`, parseTime)
    .option('--before <time>', `only ${made} before this moment`, parseTime)
    .option('--dry-run', `say how many match and ${dryRun}`)
    .option('--rate <n>', `${items} per second, 1 to ${RATE_MAX}`, parseRate, rate)
    .option('--reason <text>', 'why; kept in the record for good')
    .option('--yes', 'do not ask')
    .option(...JSON_OPTION)
}

/** What a dry run found, and how it is told of. */
interface Planned {
  readonly snapshot: bigint
  readonly count: number
  /** The endpoint whose events are sent again; not there: letters are redriven. */
  readonly endpointId?: bigint
  /** The schemas of the API are loaded where they are needed: help does without. */
  readonly json: () => Promise<string>
  readonly text: () => string
  readonly question: string
  /** Said where the question is answered with no. */
  readonly declined: string
  /** Stands before the bar. */
  readonly label: string
  readonly ended: {
    readonly json: (run: Run) => Promise<string>
    readonly text: (run: Run) => string
    readonly isWhole: (run: Run) => boolean
  }
}

/**
 * Show what a dry run found, ask whoever sits there, carry it out and say how it ended. Exit code
 * 1: some of it was not done.
 */
export async function planned(world: RunWorld, call: RunCall, plan: Planned): Promise<void> {
  if (call.dryRun || plan.count === 0) return print(call.json ? await plan.json() : plan.text())
  if (!call.json) print(plan.text())
  if (!call.yes && !(await confirmed(plan.question))) return print(plan.declined)
  const { snapshot, endpointId, ended, label } = plan
  const by = { ...operatorHere(call.reason?.trim() ?? ''), ratePerSecond: call.rate }
  const to = endpointId === undefined ? {} : { endpointId }
  const answer = await start(world, snapshot, { ...by, ...to })
  if (answer.kind === 'refused') throw refusedBy(answer.refusal)
  const run = await carryOut(world, answer.run, by.actor, call.json ? null : label)
  print(call.json ? await ended.json(run) : ended.text(run))
  if (run.state !== 'done' || !ended.isWhole(run)) process.exitCode = INCOMPLETE
}

/** Refuse a call that is wrong, before anything is opened. */
export function demandCall(call: RunCall): void {
  const problem = misuse(call)
  if (problem !== null) throw new CommandMisused(problem)
}

function misuse(call: RunCall): string | null {
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
async function carryOut(
  world: RunWorld,
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
async function confirmed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}

function parseTime(text: string): Date {
  const at = new Date(text)
  const year = at.getUTCFullYear()
  if (!(year >= 1970 && year <= 9999)) throw new InvalidArgumentError('It is not a time.')
  return at
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (/^\d{1,4}$/.test(text) && rate >= 1 && rate <= RATE_MAX) return rate
  throw new InvalidArgumentError(`It is a whole number from 1 to ${RATE_MAX}.`)
}
