import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ActHeaders, readActing } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { PAGE_SIZE } from '../http/page.ts'
import {
  Id,
  IdParams,
  IntegerText,
  MADE_HEADERS,
  nullable,
  oneOf,
  parseId,
  parseInteger,
  Reason,
  REPLAYED_HEADER,
} from '../http/schemas.ts'
import { tracePlace } from '../http/traced.ts'
import { DeadLetterBody, letterBody, LetterClass, LetterState } from './bodies.ts'
import type { Db } from '../ports.ts'
import { listLetters, readLetter } from './list.ts'
import { LOOKED_AT_MAX } from './list-store.ts'
import type { ActWorld } from './letter-act.ts'
import { correctUnderKey, type Corrected } from './correct.ts'
import { redriveUnderKey } from './redrive.ts'
import { resolveUnderKey } from './resolve.ts'

/** A page reads what it skips; who needs more narrows the list down. */
const OFFSET = { min: 0, max: 10_000, fallback: 0 }

const LetterId = IdParams('The dead letter id.')

const PaymentWord = oneOf(['success', 'failed'], { description: 'What the payment is now.' })

const Redriven = Type.Object(
  {
    id: Id,
    state: oneOf(['redriven']),
    payment_id: Id,
    new_payment_id: nullable('integer', {
      description: 'The payment that repeats a failed one; null: the same payment goes on.',
    }),
  },
  {
    title: 'RedrivenDeadLetter',
    headers: MADE_HEADERS,
    examples: [{ id: 1, state: 'redriven', payment_id: 4, new_payment_id: null }],
  },
)

const Resolved = Type.Object(
  { id: Id, state: oneOf(['resolved']), payment_id: Id, payment: PaymentWord },
  {
    title: 'ResolvedDeadLetter',
    headers: REPLAYED_HEADER,
    examples: [{ id: 1, state: 'resolved', payment_id: 4, payment: 'success' }],
  },
)

const LetterList = Type.Array(DeadLetterBody, { title: 'DeadLetterList' })

const CorrectedState = oneOf(['resolved', 'redriven'], {
  description: 'Nothing is left to do about it. A letter that was redriven stays so in the list.',
})

const AgainstEvidence = Type.Optional(
  Type.Boolean({ description: 'You know what the evidence says, and insist. It is recorded.' }),
)

const BesidesRedrive = Type.Optional(
  Type.Boolean({
    description:
      'It is none of the redrives that succeeded without a reference of their own: you have ' +
      'compared them at the gateway.',
  }),
)

const GatewayRef = Type.Optional(
  Type.String({
    pattern: '^[\\x21-\\x7e]{1,200}$',
    description: "The gateway's own reference, where you know it.",
    examples: ['gw-4711'],
  }),
)

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/**
 * `GET /dlq`, `GET /dlq/{id}`, and `POST /dlq/{id}/redrive`, `…/resolve` and `…/correct`.
 */
export function deadLetterRoutes(
  world: ActWorld & { readonly reads: Db },
): FastifyPluginAsyncTypebox {
  return async (app) => {
    listRoute(app, world.reads)
    readRoute(app, world.db)
    redriveRoute(app, world)
    resolveRoute(app, world)
    correctRoute(app, world)
  }
}

/** Who asks for an act on which letter, under which key; or what is wrong with that. */
function readAsked(request: FastifyRequest<{ Params: { id: string } }>) {
  const acting = readActing(request)
  if (!acting.ok) return acting.refusal
  const id = parseId(request.params.id)
  if (id === null) return { code: 'letter_not_found' } as const
  return { actor: acting.actor, letterId: id, key: acting.key }
}

function listRoute(app: App, db: Db): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'listDeadLetters',
    summary: 'List what failed or could not be finished, newest first',
    description:
      'A plain array. Closed letters stay in the list; `state=open` leaves them out. What is in ' +
      'shards that cannot be read is left out, and the header `Missing-Shards` names them.',
    querystring: Type.Object(
      {
        limit: IntegerText('Letters per page.', PAGE_SIZE),
        offset: IntegerText('Letters to skip.', OFFSET),
        class: Type.Optional(LetterClass),
        state: Type.Optional(LetterState),
        error: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 200,
            description:
              'With this error, as `GET /dlq/groups` names it. With `class` and `state`, of ' +
              'which ' +
              `the newest ${LOOKED_AT_MAX.toLocaleString('en')} of each shard are looked at.`,
          }),
        ),
      },
      { additionalProperties: false },
    ),
    response: { 200: LetterList, ...refusals(400, 503) },
  }
  app.get('/dlq', { schema }, async (request, reply) => {
    const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
    if (!limit.ok) return refuse(reply, limit.refusal)
    const offset = parseInteger('offset', request.query.offset, OFFSET)
    if (!offset.ok) return refuse(reply, offset.refusal)
    const { class: kind = null, state = null, error = null } = request.query
    const missed = { class: kind, state }
    const errors = Object.entries(missed)
      .filter(([, value]) => error !== null && value === null)
      .map(([field]) => ({ field, code: 'required' }))
    if (errors.length > 0) return refuse(reply, { code: 'query_invalid', errors })
    const filter = { class: kind, state, error }
    const { known, missing } = await listLetters(db, filter, limit.value, offset.value)
    // A plain array has no other place for it.
    if (missing.length > 0) void reply.header('missing-shards', missing.join(', '))
    return reply.send(known.map((letter) => letterBody(letter, db.currency)))
  })
}

function readRoute(app: App, db: Db): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'getDeadLetter',
    summary: 'Read a dead letter',
    params: LetterId,
    response: { 200: DeadLetterBody, ...refusals(404, 503) },
  }
  app.get('/dlq/:id', { schema }, async (request, reply) => {
    const id = parseId(request.params.id)
    const letter = id === null ? null : await readLetter(db, id)
    if (letter === null) return refuse(reply, { code: 'letter_not_found' })
    return reply.send(letterBody(letter, db.currency))
  })
}

function redriveRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'redriveDeadLetter',
    summary: 'Redrive a dead letter',
    description:
      'A payment of unknown outcome starts over: it is looked up first, and sent again only ' +
      'under its own key; where neither is possible, 409 `redrive_impossible`. If some call saw ' +
      'a yes, it succeeds by that. A failed payment is final, so a new payment repeats it, or ' +
      'is refused with 402, which a key keeps, and the letter stays open; 409 `maybe_executed` ' +
      'where the evidence does not rule out that it was executed. A letter that is not open is ' +
      'refused with 409.',
    headers: ActHeaders,
    params: LetterId,
    body: Type.Object(
      { reason: Reason, against_evidence: AgainstEvidence },
      {
        title: 'RedriveRequest',
        additionalProperties: false,
        examples: [{ reason: 'The gateway is back' }],
      },
    ),
    response: {
      202: Redriven,
      ...refusals(400, 402, 404, 409, 413, 415, 422, 503),
    },
  }
  app.post('/dlq/:id/redrive', { schema }, async (request, reply) => {
    const asked = readAsked(request)
    if ('code' in asked) return refuse(reply, asked)
    const { actor, letterId, key } = asked
    const { reason, against_evidence: againstEvidence = false } = request.body
    const by = { actor, reason, requestId: request.id, redriveId: null, ...tracePlace(request) }
    const letter = { letterId, delayMs: 0, againstEvidence }
    const { answer, replayed } = await redriveUnderKey(world, { letter, key }, by)
    if (replayed) void reply.header('idempotent-replayed', 'true')
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    const { paymentId, newPaymentId } = answer
    return reply
      .code(202)
      .header('location', `${API}/payments/${newPaymentId ?? paymentId}`)
      .send({
        id: Number(letterId),
        state: 'redriven',
        payment_id: Number(paymentId),
        new_payment_id: newPaymentId === null ? null : Number(newPaymentId),
      })
  })
}

function resolveRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'resolveDeadLetter',
    summary: 'Resolve a dead letter by your word',
    description:
      'Ends a payment of unknown outcome as you say, with its postings; its hold is paid out or ' +
      'given back. A letter about a failed payment is only closed, and its outcome is `failed`. ' +
      'A word against what the gateway said is refused with 409 `evidence_contradicts`, unless ' +
      '`against_evidence` says that it is meant so; the record keeps that. `failed` for a ' +
      'letter `charged_after_failed` of a deposit or withdrawal, whose late yes is not booked, ' +
      'is such a word: correct it instead.',
    headers: ActHeaders,
    params: LetterId,
    body: Type.Object(
      {
        outcome: oneOf(['success', 'failed']),
        reason: Reason,
        gateway_ref: GatewayRef,
        against_evidence: AgainstEvidence,
      },
      {
        title: 'ResolveRequest',
        additionalProperties: false,
        examples: [{ outcome: 'success', reason: 'Seen on the statement', gateway_ref: 'gw-4711' }],
      },
    ),
    response: {
      200: Resolved,
      ...refusals(400, 404, 409, 413, 415, 422, 503),
    },
  }
  app.post('/dlq/:id/resolve', { schema }, async (request, reply) => {
    const asked = readAsked(request)
    if ('code' in asked) return refuse(reply, asked)
    const { actor, letterId, key } = asked
    const { outcome, reason, gateway_ref: gatewayRef = null } = request.body
    const { against_evidence: againstEvidence = false } = request.body
    const by = { actor, reason, requestId: request.id, redriveId: null }
    const word = { letterId, outcome, gatewayRef, againstEvidence }
    const { answer, replayed } = await resolveUnderKey(world, { word, key }, by)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (replayed) void reply.header('idempotent-replayed', 'true')
    const payment = Number(answer.paymentId)
    return reply.send({
      id: Number(letterId),
      state: 'resolved',
      payment_id: payment,
      payment: outcome,
    })
  })
}

function correctRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'correctDeadLetter',
    summary: 'Book a failed payment that the gateway executed',
    description:
      'For letters with the error `charged_after_failed`, and for any failed payment that you ' +
      'have found at the gateway, under the `gateway_ref` that it has there: what moved is ' +
      'booked, once, and the letter is closed. The payment stays `failed`. A withdrawal is paid ' +
      'by the user as far as the balance goes, and the rest is a loss. It gets its reference ' +
      'back, unless another payment has it by now, which `reference_taken_by` names. A word ' +
      'against what the gateway said is refused with 409 `evidence_contradicts`, unless ' +
      '`against_evidence` says that it is meant so. What may be a redrive of the payment is ' +
      'refused with 409 `redrive_open` or `correction_is_redrive`: that is booked by itself. ' +
      'What is booked already is answered the same, and refused with 409 `correction_differs` ' +
      'under another `gateway_ref`. Anything else is refused with 409 `not_correctable`; a ' +
      'refund that was made after all is a return of its deposit.',
    headers: ActHeaders,
    params: LetterId,
    body: Type.Object(
      {
        reason: Reason,
        gateway_ref: GatewayRef,
        against_evidence: AgainstEvidence,
        besides_redrive: BesidesRedrive,
      },
      {
        title: 'CorrectRequest',
        additionalProperties: false,
        examples: [{ reason: 'Seen on the statement', gateway_ref: 'gw-4711' }],
      },
    ),
    response: {
      200: Type.Object(
        {
          id: Id,
          state: CorrectedState,
          payment_id: Id,
          payment: oneOf(['failed']),
          reference_taken_by: Type.Optional(Id),
        },
        {
          title: 'CorrectedDeadLetter',
          headers: REPLAYED_HEADER,
          examples: [{ id: 1, state: 'resolved', payment_id: 4, payment: 'failed' }],
        },
      ),
      ...refusals(400, 404, 409, 413, 415, 422, 503),
    },
  }
  app.post('/dlq/:id/correct', { schema }, async (request, reply) => {
    const asked = readAsked(request)
    if ('code' in asked) return refuse(reply, asked)
    const { actor, letterId, key } = asked
    const { reason, gateway_ref: gatewayRef = null, ...said } = request.body
    const { against_evidence: againstEvidence = false, besides_redrive: besidesRedrive = false } =
      said
    const by = { actor, reason, requestId: request.id, redriveId: null }
    const word = { letterId, gatewayRef, againstEvidence, besidesRedrive }
    const { answer, replayed } = await correctUnderKey(world, { request: word, key }, by)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (replayed) void reply.header('idempotent-replayed', 'true')
    return reply.send(correctedBody(answer))
  })
}

/** A letter whose payment is corrected, as the API shows it. */
function correctedBody({ letterId, letter, paymentId, referenceTakenBy }: Corrected) {
  const holder = referenceTakenBy === null ? {} : { reference_taken_by: Number(referenceTakenBy) }
  const payment_id = Number(paymentId)
  return { id: Number(letterId), state: letter, payment_id, payment: 'failed' as const, ...holder }
}
