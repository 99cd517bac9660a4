/** A type of event: what it tells, and of what. */
interface EventType {
  readonly about: 'payment' | 'letter' | 'endpoint' | 'books'
  readonly tells: string
}

/**
 * Every type of event there is. The page of the documentation, the schemas and what may be
 * subscribed to come from here.
 */
export const EVENT_TYPES = {
  'payment.succeeded': {
    about: 'payment',
    tells: 'The payment was executed, by the word of the gateway or of an operator. It is final.',
  },
  'payment.failed': {
    about: 'payment',
    tells: 'The payment was not executed, and never will be. It is final.',
  },
  'payment.pending': {
    about: 'payment',
    tells: 'The gateway has taken the payment and not finished it.',
  },
  'payment.unknown': {
    about: 'payment',
    tells: 'Nobody knows whether the gateway executed the payment. Its hold stays.',
  },
  'payment.resolved': {
    about: 'payment',
    tells: 'A payment that was `unknown` has ended. How is told by the event that follows.',
  },
  'payment.refunded': {
    about: 'payment',
    tells: 'A refund of the payment succeeded: `refunded` is what has gone back so far.',
  },
  'payment.returned': {
    about: 'payment',
    tells: 'Money came back by itself, or was won back: `returned` is what has come back so far.',
  },
  'dead_letter.opened': {
    about: 'letter',
    tells: 'A payment failed or could not be finished, and left a dead letter.',
  },
  'dead_letter.closed': {
    about: 'letter',
    tells: 'The dead letter was redriven, resolved, corrected, or answered by the gateway.',
  },
  'webhook_endpoint.disabled': {
    about: 'endpoint',
    tells: 'An endpoint is not called any more: it is gone, or nothing arrives there.',
  },
  'books.broken': {
    about: 'books',
    tells: 'A check of the books found something that it had not found a minute before.',
  },
} as const satisfies Record<string, EventType>

export type EventTypeName = keyof typeof EVENT_TYPES

/** All types, in the order of the catalogue. */
// Object.keys forgets the keys' type.
export const EVENT_NAMES = Object.keys(EVENT_TYPES) as readonly EventTypeName[]

/** What may be subscribed to: types, and all of a kind. */
export const WANTABLE: readonly string[] = [
  ...EVENT_NAMES,
  ...new Set(EVENT_NAMES.map((name) => name.replace(/\..*/, '.*'))),
]

/** So many types and kinds may be named at once. */
export const WANTED_MAX = 50

/** The types that a list of types and kinds comes to, in the order of the catalogue. */
export function wantedTypes(wanted: readonly string[]): EventTypeName[] {
  return EVENT_NAMES.filter(
    (name) => wanted.includes(name) || wanted.includes(name.replace(/\..*/, '.*')),
  )
}

/** An event's id as receivers know it; the same for every attempt to deliver it. */
export function messageId(id: bigint): string {
  return `msg_${id}`
}

/** The number of an event by its id as receivers know it; null: it is the id of none. */
export function messageNumber(id: string): bigint | null {
  const [, digits] = /^msg_([1-9]\d{0,17})$/.exec(id) ?? []
  return digits === undefined ? null : BigInt(digits)
}
