import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { EVENT_NAMES, EVENT_TYPES } from '../src/domain/event.ts'
import { query } from './databases.ts'
import { serve, type Served } from './serve.ts'
import { ROOT } from './sources.ts'

interface Shown {
  readonly id: string
  readonly type: string
  readonly payment_id: number
  readonly sequence: number
  readonly data: { readonly amount: number; readonly status: string }
}

async function paid({ call }: Served): Promise<number> {
  const user = await call('POST', '/users/', { balance: 1_000 })
  const body = { user_id: user.body['id'], deposit: 200 }
  const payment = await call('POST', '/payments/deposit', body)
  const id = Number(payment.body['payment_id'])
  const { body: ended } = await call('GET', `/payments/${id}?wait=20`)
  assert.match(String(ended['status']), /success|failed/)
  return id
}

/** Poll behind a cursor until an event is there; the cursors go on from page to page. */
async function nextEvents(
  { call }: Served,
  type: string | null,
  after: string | null = null,
): Promise<[Shown[], string]> {
  for (let cursor = after; ;) {
    const asked = new URLSearchParams({
      ...(type === null ? {} : { type }),
      ...(cursor === null ? {} : { after: cursor }),
    })
    const { status, body } = await call('GET', `/events?${asked}`)
    assert.equal(status, 200)
    cursor = String(body['next_cursor'])
    if ((body['data'] as Shown[]).length > 0) return [body['data'] as Shown[], cursor]
  }
}

test('who subscribes and polls sees every end of a payment, and goes on where the page ended', async (t) => {
  const service = await serve(t, { SHARDS: '2' })
  const { call } = service
  await call('PUT', '/mock-gateway/faults', NO_FAULTS)
  const made = await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  assert.equal(made.status, 201, made.text)
  assert.equal(made.headers.get('location'), '/api/v1/webhook-endpoints/1')
  const { secret, ...shown } = made.body
  assert.equal(secret, null, 'nobody is called')
  assert.deepEqual((await call('GET', '/webhook-endpoints/1')).body, shown)
  const id = await paid(service)
  const [events, next] = await nextEvents(service, null)
  assert.deepEqual(
    events.map(({ type, payment_id: of, sequence, data }) => [type, of, sequence, data.status]),
    [['payment.succeeded', id, 1, 'success']],
  )
  const { body: own } = await call('GET', `/payments/${id}/events`)
  assert.deepEqual(own['data'], events)
  const { body: empty } = await call('GET', `/events?after=${next}`)
  assert.deepEqual([empty['data'], empty['more']], [[], false])
  const second = await paid(service)
  const [more] = await nextEvents(service, null, String(empty['next_cursor']))
  assert.deepEqual(
    more.map(({ payment_id: of }) => of),
    [second],
  )
})

test('events are read by type, and a cursor goes on only with the list that gave it', async (t) => {
  const service = await serve(t)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', { ...NO_FAULTS, decline: 1 })
  await call('POST', '/webhook-endpoints', { types: ['payment.*', 'dead_letter.opened'] })
  await paid(service)
  const [letters, next] = await nextEvents(service, 'dead_letter.*')
  assert.deepEqual(
    letters.map(({ type }) => type),
    ['dead_letter.opened'],
  )
  const elsewhere = await call('GET', `/events?after=${next}`)
  assert.deepEqual([elsewhere.status, elsewhere.body['code']], [400, 'cursor_invalid'])
  const unknown = await call('GET', '/events?type=payment.gone')
  assert.deepEqual([unknown.status, unknown.body['code']], [400, 'query_invalid'])
})

test('what is no subscription is refused, with the field at fault', async (t) => {
  const { call } = await serve(t)
  const refused: readonly (readonly [body: object, pointer: string])[] = [
    [{}, '/types'],
    [{ types: [] }, '/types'],
    [{ types: ['payment.gone'] }, '/types/0'],
    [{ types: ['payment.*'], description: '' }, '/description'],
    [{ types: ['payment.*'], more: 1 }, '/more'],
  ]
  for (const [body, pointer] of refused) {
    const answer = await call('POST', '/webhook-endpoints', body)
    assert.equal(answer.status, 400, answer.text)
    const errors = answer.body['errors'] as { pointer: string }[]
    assert.ok(
      errors.some((error) => error.pointer === pointer),
      answer.text,
    )
  }
  const { body } = await call('GET', '/webhook-endpoints')
  assert.deepEqual(body['data'], [])
})

test('a subscription is changed and ended, and what is not there is not found', async (t) => {
  const { call } = await serve(t)
  await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  const changed = await call('PATCH', '/webhook-endpoints/1', {
    types: ['payment.failed'],
    description: 'Shop',
  })
  assert.equal(changed.status, 200)
  assert.deepEqual(changed.body['types'], ['payment.failed'])
  const cleared = await call('PATCH', '/webhook-endpoints/1', { description: null })
  assert.deepEqual([cleared.body['types'], cleared.body['description']], [['payment.failed'], null])
  assert.equal((await call('DELETE', '/webhook-endpoints/1')).status, 204)
  assert.equal((await call('DELETE', '/webhook-endpoints/1')).status, 204, 'it is removed')
  for (const [method, id] of [
    ['GET', 1],
    ['DELETE', 2],
  ] as const) {
    const gone = await call(method, `/webhook-endpoints/${id}`)
    assert.deepEqual([gone.status, gone.body['code']], [404, 'endpoint_not_found'])
  }
  const nobody = await call('GET', '/payments/99/events')
  assert.deepEqual([nobody.status, nobody.body['code']], [404, 'payment_not_found'])
})

test('there are 100 subscriptions at most', async (t) => {
  const { call, database } = await serve(t)
  await query(
    database,
    `insert into webhook_endpoints (id, types, state, created_at, created_by, changed_at)
    select 1000 + n, '{payment.failed}', 'enabled', now(), 'jane', now()
    from generate_series(1, 100) n`,
  )
  const full = await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  assert.deepEqual([full.status, full.body['code']], [409, 'endpoints_full'])
})

test('docs/events.md lists every type of event as the catalogue has it', () => {
  const page = readFileSync(join(ROOT, 'docs/events.md'), 'utf8').replaceAll(/ +/g, ' ')
  for (const name of EVENT_NAMES) {
    assert.ok(page.includes(`| \`${name}\` | ${EVENT_TYPES[name].tells} |`), name)
  }
})

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }

test('the events of a payment are read page by page, each once and in order', async (t) => {
  const served = await serve(t)
  const { call } = served
  await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  const id = await paid(served)
  const other = await paid(served)
  await nextEvents(served, 'payment.*')
  await query(
    served.database,
    `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
     select shard, id + 1000000 + n, payment_id, type, sequence + n, body, created_at, 1000 + n
     from events, generate_series(1, 4) n
     where payment_id = ${id}`,
  )
  const whole = await call('GET', `/payments/${id}/events`)
  const all = (whole.body['data'] as Shown[]).map((event) => event.id)
  assert.equal(whole.body['next_cursor'], null)
  assert.ok(all.length >= 5)
  const read: string[] = []
  for (let cursor: unknown = ''; cursor !== null;) {
    const behind = cursor === '' ? '' : `&cursor=${String(cursor)}`
    const { status, body } = await call('GET', `/payments/${id}/events?limit=2${behind}`)
    assert.equal(status, 200)
    read.push(...(body['data'] as Shown[]).map((event) => event.id))
    cursor = body['next_cursor']
    if (cursor === null) continue
    const wrong = await call('GET', `/payments/${other}/events?cursor=${String(cursor)}`)
    assert.deepEqual([wrong.status, wrong.body['code']], [400, 'cursor_invalid'])
  }
  assert.deepEqual(read, all)
})

test('what a list does not know is refused, whether it has filters or none', async (t) => {
  const { call } = await serve(t)
  const { paths } = JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as {
    readonly paths: Readonly<Record<string, { readonly get?: { readonly operationId: string } }>>
  }
  const lists = Object.entries(paths).filter(([, { get }]) => get?.operationId.startsWith('list'))
  assert.ok(lists.length >= 18)
  for (const [path] of lists) {
    const one = path.replace(/^\/api\/v1/, '').replaceAll(/\{\w+\}/g, '1')
    const { status, body } = await call('GET', `${one}?nonsense=1`)
    assert.deepEqual([status, body['code']], [400, 'query_invalid'], path)
  }
})
