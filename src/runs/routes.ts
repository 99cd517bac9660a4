import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { ActHeaders, ActorHeaders, actorOf, readActing } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { CarriedTypes, Id, IdParams, Money, parseId } from '../http/schemas.ts'
import { tracePlace } from '../http/traced.ts'
import { DeadLetterBody, letterBody, LetterClass } from '../dead-letters/bodies.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import type { DeadLetter, RedriveFilter } from '../dead-letters/store.ts'
import {
  amountsBody,
  OtherAmounts,
  parseTimes,
  planRequest,
  refuseTime,
  RunBody,
  RunStarted,
  runBody,
  startRequest,
} from './bodies.ts'
import { LETTERS_MAX, plan, type Sum } from './letters.ts'
import { cancel, RATE_DEFAULT, start } from './run.ts'
import { readRun } from './read-store.ts'

type App = Parameters<FastifyPluginAsyncTypebox>[0]

const FilterBody = Type.Object(
  {
    class: Type.Optional(LetterClass),
    error: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,100}$', examples: ['http_502', 'timeout'] }),
    ),
    payment_type: Type.Optional(CarriedTypes),
    user_id: Type.Optional(Id),
    created_before: Type.Optional(Type.String({ format: 'date-time' })),
    created_after: Type.Optional(Type.String({ format: 'date-time' })),
  },
  {
    title: 'RedriveFilter',
    additionalProperties: false,
    description: 'Open letters that match all of it; {}: all.',
  },
)

const WORDS = {
  title: 'Redrive',
  items: 'letters',
  dryRun: 'change nothing',
  start: 'redrive exactly the letters of a snapshot',
  rate: RATE_DEFAULT,
}

const NAMED = Type.Optional(
  Type.String({ description: 'Named where it is not the currency of the books.' }),
)

const SumFields = {
  count: Type.Integer(),
  amount: Money('The sum of their amounts.'),
  currency: NAMED,
}

const Sample = Type.Object(
  { ...DeadLetterBody.properties, currency: NAMED },
  { title: 'SampledDeadLetter' },
)

const PlanAnswer = Type.Object(
  {
    snapshot: Type.Integer({
      description: 'Start it within 15 minutes; then it is the redrive’s id.',
    }),
    count: Type.Integer({ description: `Letters of the snapshot, at most ${LETTERS_MAX}.` }),
    amount: Money('The sum of the amounts of those in the currency of the books.'),
    matching: Type.Integer({ description: 'Letters that match, beyond the limit too.' }),
    by_class: Type.Array(
      Type.Object({ class: LetterClass, ...SumFields }, { title: 'RedriveClassSum' }),
    ),
    would_refuse: Type.Array(
      Type.Object(
        { code: Type.String({ description: 'Why, as an error code.' }), ...SumFields },
        { title: 'RedriveRefusalSum' },
      ),
      { description: 'Letters of the snapshot that would be refused as things are.' },
    ),
    sample: Type.Array(Sample, { description: 'The oldest of them.' }),
    other_amounts: Type.Optional(OtherAmounts),
  },
  { title: 'RedrivePlan' },
)

const RunId = IdParams('The redrive id.')

/** `POST /dlq/redrive`, `GET /dlq/redrives/{id}`, `POST /dlq/redrives/{id}/cancel`. */
export function runRoutes(world: ActWorld): FastifyPluginAsyncTypebox {
  return async (app) => {
    startRoute(app, world)
    readRoute(app, world)
    cancelRoute(app, world)
  }
}

function startRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'redriveDeadLetters',
    summary: 'Redrive many dead letters',
    description:
      'In two steps. `{"filter": …, "dry_run": true}` answers 200 with how many letters match, ' +
      'their amount and a snapshot. `{"snapshot": …, "reason": …}` answers 202 and redrives ' +
      'exactly those letters, so many per second; see `GET /dlq/redrives/{id}` for its ' +
      'progress. Under an `Idempotency-Key` a snapshot is started once, and a repetition has ' +
      'the first answer; a dry run changes nothing and keeps none.',
    headers: ActHeaders,
    body: Type.Union([planRequest(FilterBody, WORDS), startRequest(WORDS)], {
      title: 'RedriveDeadLettersRequest',
      examples: [
        { filter: { class: 'unknown', error: 'timeout' }, dry_run: true },
        { snapshot: 1, reason: 'The gateway is back', rate_per_second: 10 },
      ],
    }),
    response: { 200: PlanAnswer, 202: RunStarted, ...refusals(400, 404, 409, 413, 415, 422, 503) },
  }
  app.post('/dlq/redrive', { schema }, async (request, reply) => {
    const acting = readActing(request)
    if (!acting.ok) return refuse(reply, acting.refusal)
    const { actor, key } = acting
    const { body } = request
    if ('filter' in body) return answerPlan(reply, world, body.filter, actor)
    const answer = await start(world, BigInt(body.snapshot), {
      actor,
      reason: body.reason,
      requestId: request.id,
      ratePerSecond: body.rate_per_second ?? RATE_DEFAULT,
      under: key === null ? null : { apiKey: request.keyId ?? '', key },
      ...tracePlace(request),
    })
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (answer.replayed) void reply.header('idempotent-replayed', 'true')
    void reply.code(202).header('location', `${API}/dlq/redrives/${answer.run.id}`)
    return reply.send(runBody(answer.run, world.db.currency))
  })
}

async function answerPlan(
  reply: FastifyReply,
  world: ActWorld,
  filter: Static<typeof FilterBody>,
  actor: string,
): Promise<FastifyReply> {
  const parsed = parseFilter(filter)
  if ('wrong' in parsed) return refuseTime(reply, parsed.wrong)
  const { run, matching, byClass, refused, sample } = await plan(world, parsed, actor)
  const books = world.db.currency
  const { amount, ...others } = amountsBody(run, books)
  return reply.code(200).send({
    snapshot: Number(run.id),
    count: run.total,
    amount,
    matching,
    by_class: byClass.map((part) => ({ class: part.class, ...sumBody(part, books) })),
    would_refuse: refused.map((part) => ({ code: part.code, ...sumBody(part, books) })),
    sample: sample.map((letter) => sampleBody(letter, books)),
    ...others,
  })
}

/** What letters of one currency come to; it is named where it is not the books'. */
function sumBody({ currency, count, amount }: Sum, books: string) {
  const sum = { count, amount: toWire(amount, exponentIn(currency, books)) }
  return currency === null ? sum : { ...sum, currency }
}

/** A letter of a sample names its currency where it is not the books'. */
function sampleBody(letter: DeadLetter, books: string) {
  const { currency, ...shown } = letterBody(letter, books)
  return letter.currency === null ? shown : { ...shown, currency }
}

function parseFilter(filter: Static<typeof FilterBody>): RedriveFilter | { wrong: string } {
  const times = parseTimes(filter)
  if ('wrong' in times) return times
  return {
    class: filter.class ?? null,
    error: filter.error ?? null,
    type: filter.payment_type ?? null,
    userId: filter.user_id === undefined ? null : BigInt(filter.user_id),
    ...times,
  }
}

function readRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'getRedrive',
    summary: 'See how far a redrive has come',
    params: RunId,
    response: { 200: RunBody, ...refusals(404, 503) },
  }
  app.get('/dlq/redrives/:id', { schema }, async (request, reply) => {
    const id = parseId(request.params.id)
    const run = id === null ? null : await readRun(world.db.global, id)
    if (run === null) return refuse(reply, { code: 'redrive_not_found' })
    return reply.send(runBody(run, world.db.currency))
  })
}

function cancelRoute(app: App, world: ActWorld): void {
  const schema = {
    tags: ['Dead letters'],
    operationId: 'cancelRedrive',
    summary: 'Cancel a redrive',
    description: 'Letters whose turn has not come stay open; what was redriven goes on.',
    headers: ActorHeaders,
    params: RunId,
    response: { 200: RunBody, ...refusals(400, 404, 409, 503) },
  }
  app.post('/dlq/redrives/:id/cancel', { schema }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const id = parseId(request.params.id)
    if (id === null) return refuse(reply, { code: 'redrive_not_found' })
    const answer = await cancel(world, id, actor)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    return reply.send(runBody(answer.run, world.db.currency))
  })
}
