import { InvalidArgumentError, type Command } from 'commander'
import { holdsCardNumber } from '../domain/card.ts'
import { isReason } from '../domain/words.ts'

/** Ids have at most 15 digits, as in the API. */
const ID = /^[1-9]\d{0,14}$/

export function parseIdArgument(text: string): bigint {
  if (!ID.test(text)) throw new InvalidArgumentError('It is a whole number of at most 15 digits.')
  return BigInt(text)
}

function parseReason(text: string): string {
  const reason = text.trim()
  if (holdsCardNumber(reason)) {
    throw new InvalidArgumentError('It holds what looks like the number of a payment card.')
  }
  if (isReason(reason)) return reason
  throw new InvalidArgumentError('It has 1 to 500 characters.')
}

/** How many commands are told to answer programs. */
export const JSON_OPTION = ['--json', 'print JSON'] as const

/** How an operator says why, in the commands that change something. */
export const REASON_OPTION = [
  '--reason <text>',
  'why; kept in the record for good',
  parseReason,
] as const

/** What `JSON_OPTION` gives. */
export interface AsJson {
  readonly json?: boolean
}

/** What `withActOptions` gives. */
export interface ActOptions extends AsJson {
  readonly reason: string
}

/** Add the options of every act of an operator. */
export function withActOptions(command: Command): Command {
  return command.requiredOption(...REASON_OPTION).option(...JSON_OPTION)
}

/** A gateway's own reference. */
export function parseRef(text: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('It has 1 to 200 visible ASCII characters.')
}
