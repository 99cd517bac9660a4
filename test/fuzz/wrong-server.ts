import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { parseMoney } from '../../src/domain/money.ts'
import { Problem, refusals, refuse } from '../../src/http/problem.ts'
import { Amount, Id, SHOWN } from '../../src/http/schemas.ts'
import { systemClock } from '../../src/adapters/clock.ts'
import { openGuards } from '../../src/http/auth.ts'
import { buildServer } from '../../src/http/server.ts'
import { open } from '../hostile/wire.ts'
import type { FuzzTarget } from './run.ts'

/** How a server is wrong, one way at a time; `defaults` is Fastify as it comes. */
export type Wrong =
  | 'nothing'
  | 'defaults'
  | 'stores_before_it_checks'
  | 'breaks_on_large_ids'
  | 'answers_what_it_does_not_document'
  | 'answers_another_shape'
  | 'repeats_values'

interface Body {
  readonly user_id: number
  readonly deposit: number | string
}

/**
 * One operation with the schema of ours and rows in memory, on our own HTTP server, or, for
 * `defaults`, on Fastify's default reading: values are converted, unknown fields dropped, repeated
 * names forgotten.
 */
export async function wrongServer(
  wrong: Wrong,
): Promise<{ target: FuzzTarget; close(): Promise<void> }> {
  const app = wrong === 'defaults' ? await defaultServer() : await ownServer()
  const rows = { payments: 0 }
  await app.register(async (routes) => payments(routes, wrong, rows), { prefix: '/api/v1' })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const connection = open(port)
  const target: FuzzTarget = {
    port,
    async json(method, path) {
      const answer = await connection.ask({ method, path })
      return JSON.parse(answer?.body ?? 'null') as unknown
    },
    rows: async () => ({ ...rows }),
    quiet: async () => undefined,
  }
  const close = async () => {
    connection.close()
    await app.close()
  }
  return { target, close }
}

async function defaultServer(): Promise<FastifyInstance> {
  const app = fastify({ ajv: { customOptions: { keywords: [SHOWN] } } })
  app.addSchema(Problem)
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'wrong', version: '0' } },
    refResolver: { buildLocalReference: (json) => String(json['$id']) },
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  return app
}

function ownServer(): Promise<FastifyInstance> {
  return buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 65_536,
    version: '0',
    title: 'wrong',
    documented: true,
    guards: openGuards(systemClock),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    onAnswer: () => undefined,
  })
}

function payments(app: FastifyInstance, wrong: Wrong, rows: { payments: number }): void {
  const schema = {
    body: {
      type: 'object',
      required: ['user_id', 'deposit'],
      properties: { user_id: Id, deposit: Amount('What to charge.', [200]) },
      additionalProperties: false,
      examples: [{ user_id: 1, deposit: 200 }],
    },
    response: {
      202: { type: 'object', required: ['user_id'], properties: { user_id: Id } },
      ...refusals(400, 413, 415, 422),
    },
  }
  app.post<{ Body: Body }>('/payments/deposit', { schema }, async (request, reply) => {
    const { user_id: userId, deposit } = request.body
    if (wrong === 'stores_before_it_checks') rows.payments += 1
    const money = parseMoney(deposit, 1n, 2)
    if (!money.ok) {
      if (wrong === 'repeats_values') return reply.code(422).send(echo(request.id, String(deposit)))
      return refuse(reply, { code: 'amount_range' })
    }
    if (wrong === 'breaks_on_large_ids' && userId > 1e12) throw new Error('out of range for bigint')
    if (wrong === 'answers_what_it_does_not_document' && userId > 1) return reply.code(204).send()
    if (wrong !== 'stores_before_it_checks') rows.payments += 1
    const body = wrong === 'answers_another_shape' ? { user_id: -1 } : { user_id: userId }
    return reply.code(202).send(body)
  })
}

function echo(instance: string, value: string): object {
  const problem = { type: '/docs/errors#amount_range', title: 'Amount range', status: 422 }
  return { ...problem, detail: `${value} is no amount.`, instance, code: 'amount_range' }
}
