import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import { timelineBody, TimelineBody } from './bodies.ts'
import type { Timeline } from './timeline.ts'

/** `GET /payments/{id}/timeline`. `read` is null for an id that no payment has. */
export function timelineRoutes(options: {
  readonly read: (id: bigint) => Promise<Timeline | null>
}): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Payments'],
    operationId: 'getTimeline',
    summary: 'See everything known about a payment, and why it is in its state',
    description:
      'Every piece of evidence in order: acceptance, hold, each call of the gateway, lost ' +
      'workers, postings, dead letters, actions of operators. `explanation` is one sentence for ' +
      'people.',
    params: IdParams('The payment id.'),
    response: {
      200: TimelineBody,
      ...refusals(404, 503),
    },
  }
  return async (app) => {
    app.get('/payments/:id/timeline', { schema }, async (request, reply) => {
      const id = parseId(request.params.id)
      const story = id === null ? null : await options.read(id)
      if (story === null) return refuse(reply, { code: 'payment_not_found' })
      return reply.send(timelineBody(story))
    })
  }
}
