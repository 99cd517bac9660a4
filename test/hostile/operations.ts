import { API } from './target.ts'
import type { Case } from './case.ts'
import type { Wire } from './wire.ts'

/** An operation that takes a body: where, and a body that would be accepted, as JSON texts. */
export interface Operation {
  readonly path: string
  readonly fields: Readonly<Record<string, string>>
  /** The field that is an amount. */
  readonly amount: string
  /** The largest body it takes, in bytes. */
  readonly bytesMax: number
}

const SMALL = 64 * 1_024

/** User 1 is opened by the suite with money enough. */
export const DEPOSIT: Operation = {
  path: `${API}/payments/deposit`,
  fields: { user_id: '1', deposit: '200' },
  amount: 'deposit',
  bytesMax: SMALL,
}

export const WITHDRAW: Operation = {
  path: `${API}/payments/withdraw`,
  fields: { user_id: '1', amount: '50' },
  amount: 'amount',
  bytesMax: SMALL,
}

export const OPEN: Operation = {
  path: `${API}/users`,
  fields: { balance: '1000' },
  amount: 'balance',
  bytesMax: SMALL,
}

export const BATCH: Operation = {
  path: `${API}/payments/batch`,
  fields: { payments: '[{"type":"deposit","user_id":1,"amount":200}]' },
  amount: 'payments',
  bytesMax: 8 * SMALL,
}

/** The operation's request with fields replaced or added; an undefined one is left out. */
export function requestOf(
  { path, fields }: Operation,
  change: Readonly<Record<string, string | undefined>> = {},
): Wire {
  const members = Object.entries({ ...fields, ...change })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return { method: 'POST', path, body: `{${members.join(',')}}` }
}

/** A case whose name is the body it sends, cut short. */
export function bodyCase(
  { path }: Operation,
  name: string,
  body: string | Uint8Array,
  answer: Pick<Case, 'status' | 'code'>,
): Case {
  return { name: `${path} ${name}`, request: { method: 'POST', path, body }, ...answer }
}

/** A text for people, cut short. */
export function short(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 40)}… (${text.length})`
}
