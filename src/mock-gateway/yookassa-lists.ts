import { failure, shown, type Answer, type Books, type Made } from './yookassa-objects.ts'

/** Pages have so many objects, unless they are asked for others, and at most so many. */
const PAGE_SIZE = 10
const PAGE_SIZE_MAX = 100

/** The bounds of the time at which an object was made. */
const BOUNDS: Readonly<Record<string, (madeMs: number, ms: number) => boolean>> = {
  'created_at.gte': (madeMs, ms) => madeMs >= ms,
  'created_at.gt': (madeMs, ms) => madeMs > ms,
  'created_at.lte': (madeMs, ms) => madeMs <= ms,
  'created_at.lt': (madeMs, ms) => madeMs < ms,
}

/** A page of a list: the newest first. The cursor is the id of its last object. */
export function listOf(books: Books, kind: Made['kind'], query: string): Answer {
  const asked = new URLSearchParams(query)
  const limit = Number(asked.get('limit') ?? PAGE_SIZE)
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_SIZE_MAX) {
    return failure(400, 'invalid_request', 'The limit is out of range', 'limit')
  }
  const known = ['limit', 'cursor', 'status', 'payment_id', ...Object.keys(BOUNDS)]
  const stray = [...asked.keys()].find((name) => !known.includes(name))
  if (stray !== undefined) {
    return failure(400, 'invalid_request', 'There is no such parameter', stray)
  }
  const all = [...books.all.values()].filter((made) => made.kind === kind).toReversed()
  const cursor = asked.get('cursor')
  const start = cursor === null ? 0 : all.findIndex(({ id }) => id === cursor) + 1
  const found = all.slice(start).filter((made) => fits(books, made, asked))
  const page = found.slice(0, limit)
  const next = found.length > limit ? { next_cursor: page.at(-1)?.id } : {}
  const items = page.map((made) => shown(books, made))
  return { status: 200, body: { type: 'list', items, ...next } }
}

function fits(books: Books, made: Made, asked: URLSearchParams): boolean {
  const status = asked.get('status')
  const parent = asked.get('payment_id')
  if (status !== null && shown(books, made)['status'] !== status) return false
  if (parent !== null && made.parent?.id !== parent) return false
  return Object.entries(BOUNDS).every(([name, isWithin]) => {
    const time = asked.get(name)
    return time === null || isWithin(made.createdMs, Date.parse(time))
  })
}
