import { InvalidArgumentError } from 'commander'
import { messageNumber, WANTABLE, WANTED_MAX } from '../domain/event.ts'
import { plainUrlProblem, URL_PROBLEMS } from '../domain/webhook-url.ts'

/** What options of the commands about webhooks may say. */

export function parseTypes(text: string): string[] {
  const given = text.split(',').map((type) => type.trim())
  if (given.length > WANTED_MAX) throw new InvalidArgumentError(`At most ${WANTED_MAX} types.`)
  const unknown = given.filter((type) => !WANTABLE.includes(type))
  if (unknown.length === 0) return given
  throw new InvalidArgumentError(
    `Unknown: ${unknown.join(', ')}. There are ${WANTABLE.join(', ')}.`,
  )
}

/** It may be empty: none. */
export function parseDescription(text: string): string {
  if (/^[^\p{C}]{0,200}$/u.test(text)) return text
  throw new InvalidArgumentError('It has at most 200 printable characters.')
}

export function parseEvent(text: string): bigint {
  const number = messageNumber(text)
  if (number === null) throw new InvalidArgumentError('It is the id of an event, such as msg_1.')
  return number
}

export function parseDeliveries(text: string): number {
  return wholeNumber(text, 1, 500)
}

export function parseOverlap(text: string): number {
  return wholeNumber(text, 0, 604_800)
}

export function parseRate(text: string): number {
  return wholeNumber(text, 1, 1_000)
}

function wholeNumber(text: string, min: number, max: number): number {
  const number = Number(text)
  if (/^\d{1,9}$/.test(text) && number >= min && number <= max) return number
  throw new InvalidArgumentError(`It is a whole number of ${min} to ${max}.`)
}

/** Where events are forwarded to; unlike an endpoint it may be anywhere. */
export function parseUrl(text: string): string {
  const problem = plainUrlProblem(text)
  if (problem === null) return text
  throw new InvalidArgumentError(`It must be an http or https URL. ${URL_PROBLEMS[problem]}`)
}

export function parseSecret(text: string): string {
  if (/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/.test(text)) return text
  throw new InvalidArgumentError('It is whsec_ and at least 24 bytes in Base64.')
}
