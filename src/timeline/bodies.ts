import { Type } from 'typebox'
import type { Exponent } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { Id, Money, nullable, oneOf, Time } from '../http/schemas.ts'
import type { Timeline, TimelineEvent } from './timeline.ts'

const optional = Type.Optional

const Event = Type.Object(
  {
    at: Time,
    event: Type.String({
      description:
        '`accepted`, `refused`; `charge`, `lookup` (a call of the gateway with its evidence), ' +
        '`worker_lost`; `hold`, `settle`, `release`, `settle_late` (postings); `dead_letter`, ' +
        '`dead_letter_closed`; `redrive`, `resolve`, `cancel`, `return`, `correct`, `edit` (acts ' +
        'of operators); `refund`, `came_back` (what goes back of it, or what this one is).',
    }),
    amount: optional(Money('What was asked for.')),
    commission: optional(Money('The commission, or what of it a posting earned.')),
    repeats: optional(nullable('integer', { description: 'The failed payment that it repeats.' })),
    fence: optional(Type.Integer({ description: 'The number of the claim.' })),
    call: optional(Type.Integer({ description: 'The number of the call within the claim.' })),
    outcome: optional(Type.String()),
    reason: optional(nullable('string')),
    sent: optional(Type.Boolean({ description: 'False: not a byte of it left.' })),
    http_status: optional(nullable('integer')),
    took_ms: optional(Type.Integer()),
    late: optional(Type.Boolean({ description: 'It came after its claim was lost.' })),
    effect: optional(
      nullable('string', {
        description: 'What evidence did that came late; null: it was in time.',
      }),
    ),
    balance: optional(Money('By how much the posting changed what can be spent.')),
    held: optional(Money('By how much the posting changed what is held.')),
    losses: optional(Money('What of the posting nobody could pay; not there: nothing.')),
    payment_id: optional(Type.Integer({ description: 'The refund or the return.' })),
    parent_id: optional(Type.Integer({ description: 'The payment that it is of.' })),
    return_kind: optional(nullable('string', { description: 'How it came back.' })),
    letter_id: optional(nullable('integer', { description: 'The dead letter it is about.' })),
    class: optional(oneOf(['failed', 'unknown'])),
    error: optional(Type.String()),
    actor: optional(nullable('string')),
    request_id: optional(Type.String()),
    redrive_id: optional(nullable('integer', { description: 'The run it was a part of.' })),
    before: optional(Type.Record(Type.String(), nullable('string'))),
    after: optional(Type.Record(Type.String(), nullable('string'))),
  },
  {
    title: 'TimelineEvent',
    examples: [{ at: '2030-01-01T00:00:00.000Z', event: 'hold', balance: -51, held: 51 }],
  },
)

export const TimelineBody = Type.Object(
  {
    payment_id: Id,
    status: oneOf(['new', 'success', 'failed', 'unknown'], { description: 'As it is stored.' }),
    explanation: Type.String({
      description: 'Why it is in its state, and what happens next, when.',
      examples: ['The gateway executed it within 1 attempt; it is final and nothing happens.'],
    }),
    events: Type.Array(Event),
  },
  { title: 'Timeline' },
)

/** A timeline as the API and `payments payment --json` show it. */
export function timelineBody({ payment, exponent, explanation, events }: Timeline) {
  return {
    payment_id: Number(payment.id),
    status: payment.status,
    explanation,
    events: events.map((event) => ({
      at: event.at.toISOString(),
      ...eventBody(event, exponent),
    })),
  }
}

function eventBody(event: TimelineEvent, exponent: Exponent) {
  switch (event.kind) {
    case 'accepted':
    case 'refused': {
      const { amount, commission } = event.payment
      const money = { amount: toWire(amount, exponent), commission: toWire(commission, exponent) }
      return { event: event.kind, ...money, repeats: number(event.repeats) }
    }
    case 'call':
    case 'worker_lost': {
      const { fence, call, kind, outcome, reason, sent, httpStatus, tookMs, late } = event.attempt
      const what = event.kind === 'call' ? kind : event.kind
      const evidence = { sent, http_status: httpStatus, took_ms: tookMs, late }
      return { event: what, fence, call, outcome, reason, ...evidence, effect: event.effect }
    }
    case 'posting': {
      const { kind, user, held, fees, losses } = event.posting
      const moved = { balance: toWire(user, exponent), held: toWire(held, exponent) }
      const lost = losses === 0n ? {} : { losses: toWire(losses, exponent) }
      return { event: kind, ...moved, commission: toWire(fees, exponent), ...lost }
    }
    case 'letter_opened': {
      const { id, class: kind, error } = event.letter
      return { event: 'dead_letter', letter_id: Number(id), class: kind, error }
    }
    case 'letter_closed': {
      const { id, closedBy, closedReason } = event.letter
      const who = { actor: closedBy, reason: closedReason }
      return { event: 'dead_letter_closed', letter_id: Number(id), ...who }
    }
    case 'back': {
      const { id, parentId, type, amount, kind } = event.back
      const ids = { payment_id: Number(id), parent_id: Number(parentId) }
      const what = { amount: toWire(amount, exponent), return_kind: kind }
      return { event: type === 'refund' ? 'refund' : 'came_back', ...what, ...ids }
    }
    case 'act': {
      const { act, letterId, actor, reason, requestId, redriveId, before, after } = event.act
      const who = { actor, reason, request_id: requestId, redrive_id: number(redriveId) }
      return { event: act, letter_id: number(letterId), ...who, before, after }
    }
  }
}

function number(id: bigint | null): number | null {
  return id === null ? null : Number(id)
}
