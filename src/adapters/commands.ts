import { once } from 'node:events'
import { InvalidArgumentError } from 'commander'
import { holdsCardNumber } from '../domain/card.ts'
import type { Operator } from '../domain/operator.ts'
import { REFUSALS, type Refusal } from '../domain/refusal.ts'
import { isReason } from '../domain/words.ts'
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

/** How a command ends that is refused: its code, and what the API says with it. */
export function refusedAs(code: Refusal['code']): Error {
  return refusedBy({ code })
}

/** The same, with what the caller needs where there is more to say: a time, or which field. */
export function refusedBy({ code, until }: Pick<Refusal, 'code' | 'until'>, field = ''): Error {
  const more = until === undefined ? field : `until ${until.toISOString()}`
  const [, sentence] = REFUSALS[code]
  const named = more === '' ? code : `${code} (${more})`
  return new Error(`Refused: ${named}. ${sentence} See docs/errors.md.`)
}

/** Ids have at most 15 digits, as in the API. */
const ID = /^[1-9]\d{0,14}$/

export function parseIdArgument(text: string): bigint {
  if (!ID.test(text)) throw new InvalidArgumentError('It is a whole number of at most 15 digits.')
  return BigInt(text)
}

export function parseReason(text: string): string {
  const reason = text.trim()
  if (holdsCardNumber(reason)) {
    throw new InvalidArgumentError('It holds what looks like the number of a payment card.')
  }
  if (isReason(reason)) return reason
  throw new InvalidArgumentError('It has 1 to 500 characters.')
}

/** A gateway's own reference. */
export function parseRef(text: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('It has 1 to 200 visible ASCII characters.')
}
