import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusals } from '../http/problem.ts'
import { nullable, Time } from '../http/schemas.ts'
import { NO_QUERY } from '../http/page.ts'
import type { Global } from '../ports.ts'
import { listProcesses } from './store.ts'

const ProcessBody = Type.Object(
  {
    process: Type.String({ description: 'Its name, for as long as it lives.' }),
    role: Type.String({ description: '`all`, `api` or `worker`.' }),
    version: Type.String(),
    host: Type.String(),
    pid: Type.Integer(),
    started_at: Time,
    seen_at: Time,
    alive: Type.Boolean({ description: 'False: it was killed, or the database was away.' }),
  },
  { title: 'Process' },
)

const LIST = {
  tags: ['Operations'],
  operationId: 'listProcesses',
  summary: 'The processes of the service, those that began last first',
  description:
    'Each says every ten seconds that it lives, and leaves the list when it ends. One that was ' +
    'killed stays for a day. A mock gateway by itself has no database and is not listed.',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(ProcessBody) }, { title: 'Processes' }),
    ...refusals(400, 503),
  },
}

const SettingBody = Type.Object(
  {
    name: Type.String({ description: 'The environment variable.' }),
    group: Type.String(),
    value: nullable('string', {
      description: 'As it is in force; null: absent, or a secret, which is never shown.',
    }),
    set: Type.Boolean({ description: 'False: it is the default.' }),
    secret: Type.Boolean(),
    description: Type.String(),
  },
  { title: 'EffectiveSetting' },
)

const CONFIGURATION = {
  tags: ['Operations'],
  operationId: 'getConfiguration',
  summary: 'The settings that this process goes by',
  description:
    'Secrets are not shown. Settings of gateways with a name of their own are not among them.',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(SettingBody) }, { title: 'Configuration' }),
    ...refusals(400, 503),
  },
}

/** A setting as it is shown. */
interface ShownSetting {
  readonly name: string
  readonly group: string
  readonly value: string | null
  readonly set: boolean
  readonly secret: boolean
  readonly doc: string
}

/** `GET /processes`, `GET /configuration`. */
export function processRoutes(world: {
  readonly db: Global
  readonly settings: readonly ShownSetting[]
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/processes', { schema: LIST }, async (_request, reply) => {
      const all = await listProcesses(world.db)
      return reply.send({
        data: all.map(({ id, role, version, host, pid, startedAt, seenAt, alive }) => ({
          process: id,
          role,
          version,
          host,
          pid,
          started_at: startedAt.toISOString(),
          seen_at: seenAt.toISOString(),
          alive,
        })),
      })
    })
    app.get('/configuration', { schema: CONFIGURATION }, async (_request, reply) =>
      reply.send({
        data: world.settings.map(({ doc, ...setting }) => ({ ...setting, description: doc })),
      }),
    )
  }
}
