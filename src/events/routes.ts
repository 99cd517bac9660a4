import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { WANTABLE, wantedTypes } from '../domain/event.ts'
import { refusals, refuse } from '../http/problem.ts'
import { readCursor, writeCursor } from '../http/cursor.ts'
import { IdParams, IntegerText, parseId, parseInteger } from '../http/schemas.ts'
import { Cursor, pageOf } from '../http/page.ts'
import type { Db } from '../ports.ts'
import { EventBody, eventBody } from './bodies.ts'
import { pageOfEvents } from './read.ts'
import { eventsOfPayment } from './store.ts'

const PAGE = { min: 1, max: 500, fallback: 100 }

const LIST = {
  tags: ['Events'],
  operationId: 'listEvents',
  summary: 'List events, oldest first',
  description:
    'Events are kept where somebody wants them: see `POST /webhook-endpoints`. Go on with ' +
    '`next_cursor` for good: an empty page means that nothing has happened since. No event is ' +
    'ever left out, however many are written meanwhile, but those older than ' +
    '`EVENTS_KEEP_DAYS`: `dropped` says so. A page of one type looks at 10,000 events of each ' +
    'shard at most, so it may be short, or empty, although there are more: `more` says so.',
  querystring: Type.Object(
    {
      after: Type.Optional(
        Type.String({ maxLength: 4_000, description: 'The `next_cursor` of the page before.' }),
      ),
      type: Type.Optional(
        Type.String({
          pattern: '^[a-z_]+\\.([a-z_]+|\\*)$',
          description: 'Only events of this type, or of all of a kind, such as `payment.*`.',
        }),
      ),
      limit: IntegerText('Events per page.', PAGE),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        data: Type.Array(EventBody),
        next_cursor: Type.String({ description: 'Where to go on; there for good.' }),
        more: Type.Boolean({ description: 'Whether there may be more right now.' }),
        dropped: Type.Boolean({
          description:
            'Whether events behind `after` are no longer kept, or were lost because the ' +
            'database was restored from a backup: what happened meanwhile may have to be read ' +
            'from the payments. False without `after`.',
        }),
      },
      { title: 'EventPage' },
    ),
    ...refusals(400, 503),
  },
}

/** Before there were pages, so many were shown. */
const OF_PAYMENT_PAGE = { min: 1, max: 1_000, fallback: 1_000 }

const OF_PAYMENT = {
  tags: ['Events'],
  operationId: 'listPaymentEvents',
  summary: 'List the events of a payment, oldest first',
  params: IdParams('The payment.'),
  querystring: Type.Object(
    { cursor: Cursor, limit: IntegerText('Events per page.', OF_PAYMENT_PAGE) },
    { additionalProperties: false },
  ),
  response: {
    200: pageOf('PaymentEvents', EventBody),
    ...refusals(400, 404, 503),
  },
}

interface EventRoutes {
  readonly db: Db
  /** Whether there is such a payment. */
  readonly exists: (id: bigint) => Promise<boolean>
}

/** `GET /events` and `GET /payments/{id}/events`. */
export function eventRoutes({ db, exists }: EventRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/events', { schema: LIST }, async (request, reply) => {
      const { after, type } = request.query
      const limit = parseInteger('limit', request.query.limit, PAGE)
      if (!limit.ok) return refuse(reply, limit.refusal)
      if (type !== undefined && !WANTABLE.includes(type)) {
        const errors = [{ field: 'type', code: 'unknown' }]
        return refuse(reply, { code: 'query_invalid', errors })
      }
      const list = type === undefined ? 'events' : `events ${type}`
      const positions = await positionsOf(db, list, after)
      if (positions === null) return refuse(reply, { code: 'cursor_invalid' })
      const types = type === undefined ? null : wantedTypes([type])
      const { events, next, dropped } = await pageOfEvents(db, positions, types, limit.value)
      const moved = next.some((position, index) => position !== positions[index])
      return reply.send({
        data: events.map(eventBody),
        next_cursor: writeCursor(list, next.map(String)),
        more: moved,
        dropped: after !== undefined && dropped,
      })
    })
    app.get('/payments/:id/events', { schema: OF_PAYMENT }, async (request, reply) => {
      const limit = parseInteger('limit', request.query.limit, OF_PAYMENT_PAGE)
      if (!limit.ok) return refuse(reply, limit.refusal)
      const id = parseId(request.params.id)
      if (id === null || !(await exists(id))) return refuse(reply, { code: 'payment_not_found' })
      const list = `events of ${id}`
      const after = positionIn(list, request.query.cursor)
      if (after === null) return refuse(reply, { code: 'cursor_invalid' })
      const shard = (await db.find('payment', [id])).of(id)
      const found = await eventsOfPayment(shard, id, after, limit.value + 1)
      const events = found.slice(0, limit.value)
      const last = found.length > events.length ? events.at(-1) : undefined
      return reply.send({
        data: events.map(eventBody),
        next_cursor: last === undefined ? null : writeCursor(list, [String(last.position)]),
      })
    })
  }
}

/** The position that a page of one payment lies behind; null: by a cursor of another list. */
function positionIn(list: string, cursor: string | undefined): bigint | null {
  return cursor === undefined ? 0n : parseId(readCursor(list, cursor, 1)?.[0] ?? '')
}

/**
 * The positions of a cursor; the beginning without one, null where it is none of this list. One of
 * before there were more shards is good for those that came from each of its own: their events have
 * the positions that they had there.
 */
async function positionsOf(
  db: Db,
  list: string,
  cursor: string | undefined,
): Promise<bigint[] | null> {
  const count = db.shards.length
  if (cursor === undefined) return Array.from({ length: count }, () => 0n)
  const before = (await db.growth())?.from ?? count
  // Each time it got more, they were a multiple of what there were.
  for (let length = before; length <= count; length += before) {
    const texts = count % length === 0 ? readCursor(list, cursor, length) : null
    if (texts === null) continue
    if (!texts.every((text) => /^(0|[1-9]\d{0,17})$/.test(text))) return null
    return Array.from({ length: count }, (_, index) => BigInt(texts[index % length] ?? 0))
  }
  return null
}
