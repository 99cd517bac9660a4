import type { FastifyInstance } from 'fastify'
import { holdsCardNumber } from '../domain/card.ts'
import { refuse } from './problem.ts'

/**
 * Refuse card numbers in the reason of whatever is asked for: it is kept for good, and shown. What
 * else belongs to a payment or a user is looked at where it is read.
 */
export function refuseCardNumbers(app: FastifyInstance): void {
  app.addHook('preHandler', (request, reply, done) => {
    const reason = (request.body as { readonly reason?: unknown } | null | undefined)?.reason
    if (typeof reason !== 'string' || !holdsCardNumber(reason)) return done()
    const errors = [{ field: 'reason', code: 'card_number' }]
    void refuse(reply, { code: 'card_number', errors })
  })
}
