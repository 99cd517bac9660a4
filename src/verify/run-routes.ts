import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ActorHeaders, actorOf } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { NO_QUERY } from '../http/page.ts'
import {
  Id,
  IdParams,
  LOCATION,
  missingBody,
  MissingShards,
  nullable,
  oneOf,
  parseId,
  Time,
} from '../http/schemas.ts'
import type { Global } from '../ports.ts'
import { cancelVerifyRun, listRuns, readVerifyRun, type VerifyRun } from './runs-store.ts'
import type { VerifyRuns } from './runs.ts'

const SCOPES = ['recent', 'full'] as const
const STATES = ['running', 'done', 'failed'] as const

const RuleBody = Type.Object(
  {
    rule: Type.String(),
    severity: Type.String(),
    holds: Type.String({ description: 'What holds where it is not violated.' }),
    checked: Type.Integer({ description: 'Rows looked at.' }),
    violations: Type.Integer(),
    examples: Type.Array(Type.String(), { description: 'The first rows that violate it.' }),
  },
  { title: 'RuleResult' },
)

const Progress = Type.Object(
  { part: Type.String(), done: Type.Integer(), total: Type.Integer() },
  {
    title: 'VerificationProgress',
    description: 'What it is at while it runs; `total` is a guess. Null: it has ended.',
  },
)

const FIELDS = {
  verification_id: Id,
  scope: oneOf(SCOPES, {
    title: 'VerificationScope',
    description: '`recent`: what may have changed lately, as workers check every minute.',
  }),
  state: oneOf(STATES, { title: 'VerificationState' }),
  started_at: Time,
  started_by: Type.String(),
  ended_at: nullable('string', { format: 'date-time' }),
  progress: Type.Union([Progress, Type.Null()]),
  complete: Type.Unsafe<boolean | null>({
    type: ['boolean', 'null'],
    description: 'False: a bound was reached before everything in scope was looked at.',
  }),
  rules: nullable('integer', { description: 'How many rules were checked.' }),
  violations: nullable('integer', { description: 'How many rows violate one.' }),
  error: nullable('string', { description: 'Why it failed.' }),
  missing_shards: MissingShards,
}

const Summary = Type.Object(FIELDS, { title: 'Verification' })

const Whole = Type.Object(
  { ...FIELDS, results: Type.Array(RuleBody, { description: 'By rule; none while it runs.' }) },
  { title: 'VerificationResult' },
)

const tags = ['Operations']

const START = {
  tags,
  operationId: 'startVerification',
  summary: 'Check the books now',
  description:
    'Checks every rule on every row, in the background, in short snapshots beside the traffic. ' +
    'One runs at a time: where one is running already, this answers with it.',
  headers: ActorHeaders,
  response: {
    202: Type.Unsafe<unknown>(Type.Object(FIELDS, { title: 'Verification', headers: LOCATION })),
    ...refusals(400, 503),
  },
}

const LIST = {
  tags,
  operationId: 'listVerifications',
  summary: 'List checks of the books, newest first',
  description:
    'Those that were started here, and the newest of what workers check by themselves. What ' +
    '`payments verify` found is printed there and kept nowhere.',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(Summary) }, { title: 'Verifications' }),
    ...refusals(400, 503),
  },
}

const READ = {
  tags,
  operationId: 'getVerification',
  summary: 'See how far a check is, or what it found by rule',
  params: IdParams('The id of the check.'),
  response: { 200: Whole, ...refusals(404, 503) },
}

const CANCEL = {
  tags,
  operationId: 'cancelVerification',
  summary: 'Cancel a check of the books',
  description:
    'The check ends as `failed` within seconds, without a result. One that has ended stays as ' +
    'it is.',
  headers: ActorHeaders,
  params: IdParams('The id of the check.'),
  response: {
    200: Type.Unsafe<unknown>(Type.Object(FIELDS, { title: 'Verification' })),
    ...refusals(400, 404, 503),
  },
}

const PATH = '/ledger/verifications'

/** `POST`, `GET /ledger/verifications`, `GET …/{id}`, `POST …/{id}/cancel`. */
export function verificationRoutes(world: {
  readonly db: Global
  readonly runs: VerifyRuns
}): FastifyPluginAsyncTypebox {
  const { db, runs } = world
  return async (app) => {
    app.post(PATH, { schema: START }, async (request, reply) => {
      const actor = actorOf(request)
      if (actor === null) return refuse(reply, { code: 'actor_invalid' })
      const run = await runs.start(actor)
      void reply.header('location', `${API}${PATH}/${run.id}`)
      return reply.code(202).send(runBody(run))
    })
    app.get(PATH, { schema: LIST }, async (_request, reply) => {
      const all = await listRuns(db)
      return reply.send({ data: all.map(runBody) })
    })
    app.get(`${PATH}/:id`, { schema: READ }, async (request, reply) => {
      const id = parseId(request.params.id)
      const run = id === null ? null : await readVerifyRun(db, id)
      if (run === null) return refuse(reply, { code: 'verification_not_found' })
      const results = (run.report?.rules ?? []).map((rule) => ({
        rule: rule.rule,
        severity: rule.severity,
        holds: rule.holds,
        checked: rule.checked,
        violations: rule.violations,
        examples: rule.examples.map(({ name }) => name),
      }))
      return reply.send({ ...runBody(run), results })
    })
    app.post(`${PATH}/:id/cancel`, { schema: CANCEL }, async (request, reply) => {
      const actor = actorOf(request)
      if (actor === null) return refuse(reply, { code: 'actor_invalid' })
      const id = parseId(request.params.id)
      const run = id === null ? null : await cancelVerifyRun(db, id, actor)
      if (run === null) return refuse(reply, { code: 'verification_not_found' })
      return reply.send(runBody(run))
    })
  }
}

function runBody(run: VerifyRun) {
  const { report } = run
  return {
    verification_id: Number(run.id),
    scope: run.scope,
    state: run.state,
    started_at: run.startedAt.toISOString(),
    started_by: run.startedBy,
    ended_at: run.endedAt?.toISOString() ?? null,
    progress: run.state === 'running' ? run.progress : null,
    complete: report?.complete ?? null,
    rules: report?.rules.length ?? null,
    violations: report?.violations ?? null,
    error: run.error,
    ...missingBody(report?.missing_shards ?? []),
  }
}
