import { once } from 'node:events'
import { CommanderError } from 'commander'
import { ConfigError } from '../config/config-error.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { Operator } from '../domain/operator.ts'
import { shortestMoney } from '../domain/money.ts'
import { detailOf, type Refusal } from '../domain/refusal.ts'
import { userName } from './terminal.ts'

/** What a command works with while it runs. */
export type Opened<World> = World & { close(): Promise<void> }

/** Open what a command works with, work, and close it whatever happens. */
export async function withOpen<World, Result>(
  open: () => Promise<Opened<World>>,
  work: (world: World) => Promise<Result>,
): Promise<Result> {
  const world = await open()
  try {
    return await work(world)
  } finally {
    await world.close()
  }
}

/** Results go to stdout, which can be piped. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/**
 * Print a part of a long result, as fast as it is read at the other end. Throws when nobody reads
 * there any more.
 */
export async function printPart(text: string): Promise<void> {
  try {
    if (!process.stdout.writable) throw process.stdout.errored ?? new Error('stdout is closed')
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
    throw new Error('Nobody reads any more: not everything was printed.', { cause: error })
  }
}

/** The operator at this terminal, for the record. */
export function operatorHere(reason: string): Operator {
  return { actor: `cli:${userName()}`, reason, requestId: 'cli', redriveId: null }
}

/** A command that is refused, as the API refuses. */
class CommandRefused extends Error {
  override readonly name = 'CommandRefused'
  readonly refusal: Refusal
  readonly about: string
  readonly detail: string

  /** `sentence`: what a person is told, instead of what the API says. */
  constructor(refusal: Refusal, about: string, sentence?: string) {
    const { code, until, exponent } = refusal
    const more = until === undefined ? about : `until ${until.toISOString()}`
    const named = more === '' ? code : `${code} (${more})`
    const { errors = [] } = refusal
    const detail = detailOf({ code, errors, ...(exponent === undefined ? {} : { exponent }) })
    super(sentence ?? `Refused: ${named}. ${detail} See docs/errors.md.`)
    this.refusal = refusal
    this.detail = sentence ?? detail
    this.about = about
  }
}

/** A command line that means nothing: it ends with 2. */
export class CommandMisused extends Error {
  override readonly name = 'CommandMisused'
}

/** How a command ends that is refused: its code, and what the API says with it. */
export function refusedAs(code: Refusal['code']): Error {
  return refusedBy({ code })
}

/** The same, with what the API would say beside it: what is left, which payment, which field. */
export function refusedBy(refusal: Refusal, about = ''): Error {
  return new CommandRefused(refusal, about === '' ? aboutOf(refusal) : about)
}

function aboutOf({ atMost, paymentId, evidence, exponent = 2 }: Refusal): string {
  const parts: string[] = []
  if (atMost !== undefined) parts.push(`at most ${shortestMoney(atMost, exponent)}`)
  if (paymentId !== undefined) parts.push(`payment ${paymentId}`)
  if (evidence !== undefined) parts.push(`evidence: ${evidence}`)
  return parts.join(', ')
}

/** The same, told in a sentence of its own. */
export function refusedSaying(code: Refusal['code'], sentence: string): Error {
  return new CommandRefused({ code }, '', sentence)
}

/** Whether what is asked for is to be said as JSON. */
export function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? args.length : end).includes('--json')
}

/**
 * Why a command ended with a code that is not 0, as one JSON object in a line. What is no refusal
 * of the API has a code of its own: `configuration_invalid`, `call_invalid` or `failed`.
 */
export function failureJson(error: unknown, exitCode: number): string {
  return writeJson({ ...failure(error), exit_code: exitCode })
}

function failure(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof CommandRefused) {
    const { code, until } = error.refusal
    const { detail } = error
    const about = error.about === '' ? {} : { about: error.about }
    return {
      code,
      detail,
      ...about,
      ...(until === undefined ? {} : { until: until.toISOString() }),
    }
  }
  const detail = (error instanceof Error ? error.message : String(error)).replace(/^error: /, '')
  if (error instanceof ConfigError) return { code: 'configuration_invalid', detail }
  const isCall = error instanceof CommanderError || error instanceof CommandMisused
  return { code: isCall ? 'call_invalid' : 'failed', detail }
}
