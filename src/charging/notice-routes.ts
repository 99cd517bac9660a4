import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Caller } from '../http/caller.ts'
import { refusals, refuse } from '../http/problem.ts'
import { allowance } from '../http/rate-limit.ts'
import type { Clock } from '../ports.ts'
import { noticeRoom } from './notice-room.ts'
import { takeNotice, type NoticeWorld } from './notices.ts'

interface NoticeRoutes extends NoticeWorld {
  readonly clock: Pick<Clock, 'elapsedMs'>
  /** Where a request comes from, behind trusted proxies. */
  readonly callerOf: (request: FastifyRequest['raw']) => Caller
}

/** The largest body of a notice. */
const BYTES_MAX = 256 * 1_024

/**
 * Notices that nobody has signed are looked into so often a second, of each caller that is not
 * known to be the gateway.
 */
const HINTS_MAX = 5
/** And of all callers together, for each gateway: one of them cannot use up what is the others'. */
const HINTS_TOTAL_MAX = 50
const HINTS_MS = 1_000

const schema = {
  tags: ['Gateways'],
  operationId: 'sendGatewayNotice',
  summary: 'What a gateway sends by itself',
  description:
    'For the gateway alone, whose own signature or address is checked; no API key is asked for. ' +
    'A notice never ends a payment: the payment that it names is asked about sooner. What is ' +
    'signed by nobody is looked into fifty times a second at most for each gateway, and five ' +
    'times for each caller that is not known to be the gateway.',
  params: Type.Object({
    name: Type.String({ description: 'The gateway, as `GATEWAYS` names it.' }),
  }),
  response: {
    200: Type.Object({ received: Type.Literal(true) }, { title: 'NoticeTaken' }),
    ...refusals(400, 404, 413, 429, 503),
  },
}

/** `POST /gateways/{name}/notices`. */
export function noticeRoutes(world: NoticeRoutes): FastifyPluginAsync {
  const take = hintLimits(world.clock)
  const room = noticeRoom(takers(world))
  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    const options = { schema, bodyLimit: BYTES_MAX }
    // Before any of the body is read.
    app.addHook<{ Params: { name: string } }>('onRequest', async (request, reply) => {
      const refusal = unread(world, request, (caller, bytes) => {
        const leave = room.take(request.params.name, caller, bytes)
        if (leave !== null) reply.raw.once('close', leave)
        return leave !== null
      })
      if (refusal === 'rate_limited') void reply.header('retry-after', '1')
      return refusal === null ? undefined : refuse(reply, { code: refusal })
    })
    app.post<{ Params: { name: string } }>(PATH, options, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const { address, network } = world.callerOf(request.raw)
      const raw = { source: address, headers: request.headers, body }
      const taken = await takeNotice(world, request.params.name, raw, (name) => {
        // What the gateway itself may have sent comes from a few addresses of its own.
        const known = world.gateways.get(name)?.sendsFrom?.(address) === true
        return take(name, known ? null : network)
      })
      if (taken.kind === 'refused') return refuse(reply, { code: taken.code })
      if (taken.kind === 'taken') return reply.send({ received: true })
      void reply.header('retry-after', String(Math.ceil(taken.waitMs / 1_000)))
      return refuse(reply, { code: 'rate_limited' })
    })
  }
}

/** How many gateways can send notices. */
function takers({ gateways }: NoticeRoutes): number {
  return [...gateways.values()].filter(({ readNotice }) => readNotice !== undefined).length
}

/** Why a notice is refused by what is known before its body; null: it is read. */
function unread(
  { gateways, callerOf, onNotice }: NoticeRoutes,
  { params: { name }, raw }: FastifyRequest<{ Params: { name: string } }>,
  take: (caller: string, bytes: number) => boolean,
) {
  const gateway = gateways.get(name)
  if (gateway?.readNotice === undefined) return 'gateway_not_found'
  const { address, network } = callerOf(raw)
  if (gateway.sendsFrom?.(address) === false) {
    onNotice(name, 'refused')
    return 'notice_refused'
  }
  const length = Number(raw.headers['content-length'] ?? BYTES_MAX)
  // What says that it is larger is refused as such.
  if (length > BYTES_MAX || take(network, length)) return null
  onNotice(name, 'crowded')
  return 'rate_limited'
}

/**
 * Take a hint of a caller for a gateway; how long it has to wait otherwise. Null: of the gateway
 * itself, by where it comes from.
 */
function hintLimits({ elapsedMs }: Pick<Clock, 'elapsedMs'>) {
  const ofEach = allowance({ max: HINTS_MAX, windowMs: HINTS_MS, elapsedMs })
  const all = allowance({ max: HINTS_TOTAL_MAX, windowMs: HINTS_MS, elapsedMs })
  return (gateway: string, network: string | null): number => {
    if (network === null) return all.take(gateway)
    const key = `${gateway} ${network}`
    const waitMs = ofEach.take(key)
    if (waitMs > 0) return waitMs
    const sharedMs = all.take(gateway)
    if (sharedMs > 0) ofEach.giveBack(key)
    return sharedMs
  }
}

const PATH = '/gateways/:name/notices'
