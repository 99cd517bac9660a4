import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { CALM, FAST, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve, type Served } from './serve.ts'
import { receiver, status } from './webhooks-kit.ts'

async function openUsers({ call }: Served, count: number): Promise<number[]> {
  const ids: number[] = []
  for (let index = 0; index < count; index += 1) {
    const opened = await call('POST', '/users/', { balance: 1_000 })
    assert.equal(opened.status, 201)
    ids.push(Number(opened.body['id']))
  }
  return ids
}

async function deposit({ call }: Served, user: number): Promise<number> {
  const answer = await call('POST', '/payments/deposit', { user_id: user, deposit: 10 })
  assert.equal(answer.status, 202, answer.text)
  return Number(answer.body['payment_id'])
}

/** All pages of a list, by its ids. */
async function listed({ call }: Served, path: string): Promise<number[]> {
  const ids: number[] = []
  for (let cursor: unknown = null, pages = 0; pages < 100; pages += 1) {
    const next = cursor === null ? '' : `&cursor=${String(cursor)}`
    const { body, text } = await call('GET', `${path}?limit=7${next}`)
    const { data } = body as { data: { id?: number; payment_id?: number }[] }
    assert.ok(Array.isArray(data), text)
    ids.push(...data.map((one) => one.payment_id ?? one.id ?? 0))
    cursor = body['next_cursor']
    if (cursor === null || cursor === undefined) return ids
  }
  throw new Error('a list without an end')
}

async function isStatus({ call }: Served, ids: readonly number[], wanted: string) {
  for (const id of ids) {
    const { body } = await call('GET', `/payments/${id}`)
    if (body['status'] !== wanted) return false
  }
  return true
}

/** A database of several shards, and the settings of a service on it. */
interface Sharded {
  readonly database: string
  readonly env: Readonly<Record<string, string>>
  readonly shards: number
  /** How many users live there. */
  readonly users: number
}

/**
 * What a service does wherever its shards are: it accepts, settles, lists, redrives, tells and
 * verifies. `placed` looks at the database once payments have ended.
 */
export async function wholeLife(
  t: TestContext,
  { database, env, shards, users: count }: Sharded,
  placed: () => Promise<void>,
): Promise<void> {
  const settings = { ...env, ...FAST, WEBHOOK_ALLOW_NETWORKS: '127.0.0.0/8' }
  const service = await serve(t, settings, { database })
  await service.call('PUT', '/mock-gateway/faults', CALM)
  const told = await receiver(t, status(200))
  const endpoint = await service.call('POST', '/webhook-endpoints', {
    url: told.url,
    types: ['payment.succeeded'],
  })
  assert.equal(endpoint.status, 201, endpoint.text)

  const users = await openUsers(service, count)
  assert.equal(new Set(users.map((id) => id % shards)).size, Math.min(count, shards))
  const ids: number[] = []
  for (const user of [...users, ...users]) ids.push(await deposit(service, user))
  assert.ok(ids.every((id, index) => id % shards === (users[index % users.length] ?? 0) % shards))
  assert.ok(ids.every((id) => Number.isSafeInteger(id)))
  assert.equal(new Set(ids).size, ids.length)
  await until('all are done', () => isStatus(service, ids, 'success'))
  const newestFirst = ids.toSorted((one, another) => another - one)
  assert.deepEqual(await listed(service, '/payments'), newestFirst)
  await until('each is told', () => new Set(told.received.map(({ id }) => id)).size === ids.length)
  await placed()

  await redriven(service, users)
  const paid = ids.length + users.length
  await until('all are paid again', () => told.received.length >= paid)
  const report = await run(t, ['verify', '--json'], { ...env })
  assert.equal(report.code, 0, report.stdout + report.stderr)
  const { violations, complete, checked } = JSON.parse(report.stdout) as Record<string, unknown>
  const { payment, sequence } = checked as Record<string, number>
  assert.deepEqual([violations, complete], [0, true])
  assert.deepEqual([payment, sequence], [paid + users.length, 3 * shards])
}

/** A deposit of each user is declined, and all are redriven when the gateway is back. */
async function redriven(service: Served, users: readonly number[]): Promise<void> {
  const { call } = service
  await call('PUT', '/mock-gateway/faults', { ...CALM, decline: 1 })
  const declined: number[] = []
  for (const user of users) declined.push(await deposit(service, user))
  await until('all are declined', () => isStatus(service, declined, 'failed'))
  await call('PUT', '/mock-gateway/faults', { ...CALM, decline: 0 })
  const dry = await call('POST', '/dlq/redrive', { filter: {}, dry_run: true })
  const plan = {
    snapshot: dry.body['snapshot'],
    reason: 'the gateway is back',
    rate_per_second: 500,
  }
  const begun = await call('POST', '/dlq/redrive', plan)
  assert.equal(begun.status, 202, begun.text)
  await until('the run is done', async () => {
    const { body } = await call('GET', `/dlq/redrives/${String(plan.snapshot)}`)
    return body['state'] === 'done'
  })
}
