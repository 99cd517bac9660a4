import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { serve, type Served } from './serve.ts'

const API = { roles: { api: true, worker: false, mockGateway: false } }

/** Somebody at a prompt of the database of a service. */
async function prompt(t: TestContext, { database }: Served): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database })
  // The database is dropped before this is told of the end.
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  return client
}

/** Whoever changes a row of the table loses the connection, as if the server had died. */
const dying = (table: string) => `
  create function lose_it() returns trigger language plpgsql as $$
  begin
    perform pg_terminate_backend(pg_backend_pid());
    perform pg_sleep(0.001);
    return new;
  end $$;
  create trigger loses_it before insert or update or delete on ${table}
  for each row execute function lose_it()`
const living = 'drop function lose_it() cascade'

async function made({ call }: Served): Promise<string> {
  const body = { types: ['payment.*'] }
  const { status, body: endpoint } = await call('POST', '/webhook-endpoints', body)
  assert.equal(status, 201)
  return `/webhook-endpoints/${String(endpoint['id'])}`
}

test('a change whose end nobody heard is not said to be undone, whatever is changed', async (t) => {
  const served = await serve(t, {}, API)
  const { call } = served
  const client = await prompt(t, served)
  const path = await made(served)
  await call('POST', '/users', { balance: 1 })
  const changes: readonly [table: string, method: string, path: string, body?: unknown][] = [
    ['webhook_endpoints', 'PATCH', path, { description: 'other' }],
    ['webhook_endpoints', 'DELETE', path],
    ['webhook_endpoints', 'POST', '/webhook-endpoints', { types: ['payment.*'] }],
    ['verifications', 'POST', '/ledger/verifications'],
    ['user_details', 'PATCH', '/users/1', { metadata: { shop: 'berlin' } }],
  ]
  for (const [table, method, where, body] of changes) {
    await client.query(dying(table))
    const answer = await call(method, where, body)
    assert.equal(answer.status, 503, answer.text)
    assert.equal(answer.body['code'], 'outcome_unknown', `${method} ${where}`)
    await client.query(living)
  }
  assert.equal((await call('PATCH', path, { description: 'other' })).status, 200)
})

test('a change that is stored and cannot be told to every shard is one that nobody knows', async (t) => {
  const served = await serve(t, {}, API)
  const { call } = served
  const client = await prompt(t, served)
  const path = await made(served)
  await client.query('begin')
  await client.query('select from event_wants for update')
  const changed = await call('PATCH', path, { types: ['payment.failed'] })
  assert.deepEqual([changed.status, changed.body['code']], [503, 'outcome_unknown'])
  const removed = await call('DELETE', path)
  assert.deepEqual([removed.status, removed.body['code']], [503, 'outcome_unknown'])
  await client.query('commit')
  assert.equal((await call('DELETE', path)).status, 204, 'it is removed, and now all know')
})

test('whoever asks again to remove an endpoint is told that it is removed', async (t) => {
  const served = await serve(t, {}, API)
  const path = await made(served)
  const remove = (one: string) => served.call('DELETE', one)
  assert.deepEqual((await remove(path)).status, 204)
  assert.deepEqual((await remove(path)).status, 204)
  assert.equal((await served.call('GET', path)).status, 404)
  const acts = (await served.call('GET', `${path}/acts`)).body['data'] as { act: string }[]
  assert.deepEqual(
    acts.map(({ act }) => act),
    ['remove', 'create'],
    'it was removed once',
  )
  const never = await remove('/webhook-endpoints/999')
  assert.deepEqual([never.status, never.body['code']], [404, 'endpoint_not_found'])
})
