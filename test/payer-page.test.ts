import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser, openPage } from './browser.ts'
import { FAULTS_NONE } from './mock-server.ts'
import { query } from './databases.ts'
import { run } from './programs.ts'
import { serve, untilShown } from './serve.ts'

const SIZE = { width: 800, height: 600 }

/** A service whose gateway asks payers, and a deposit that waits for its own. */
async function waiting(t: TestContext, env: Record<string, string> = {}) {
  const service = await serve(t, env)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', { ...FAULTS_NONE, asks_payer: 1 })
  const user = await call('POST', '/users/', { balance: 0 })
  const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const id = Number(made.body['payment_id'])
  const shown = await untilShown(service, id, ({ status }) => status === 'pending')
  const action = shown['action'] as { type: string; url: string }
  assert.equal(action.type, 'redirect')
  return { ...service, id, url: action.url }
}

async function answered(page: Page, url: string, answer: 'yes' | 'no'): Promise<void> {
  await page.goto(url)
  assert.match((await page.textContent('h1')) ?? '', /Confirm a payment/)
  await page.click(`button[name=${answer}]`)
  await page.waitForSelector('text=You can close this page')
}

test(
  'a payer who says yes on the page of the gateway ends the payment, by a notice',
  { skip: noBrowser },
  async (t) => {
    const service = await waiting(t)
    const { page, complaints } = await openPage(t, SIZE)
    await answered(page, service.url, 'yes')
    const done = await untilShown(service, service.id, ({ finished_at: at }) => at !== null)
    assert.deepEqual([done['status'], done['action']], ['success', null])
    const [task] = await query(service.database, 'select from payment_tasks')
    assert.equal(task, undefined)
    // A page that is over says so, and asks nobody again.
    await page.goto(service.url)
    assert.match((await page.textContent('h1')) ?? '', /Nothing to confirm/)
    assert.deepEqual(
      complaints.filter((one) => !/404/.test(one)),
      [],
    )
  },
)

test(
  'a payer who says no fails it with the word of the gateway',
  { skip: noBrowser },
  async (t) => {
    const service = await waiting(t)
    const { page } = await openPage(t, SIZE)
    await answered(page, service.url, 'no')
    const done = await untilShown(service, service.id, ({ finished_at: at }) => at !== null)
    assert.deepEqual([done['status'], done['last_error']], ['failed', 'authentication_failed'])
  },
)

test(
  'a payer whose notice is lost is found out by the schedule all the same',
  { skip: noBrowser },
  async (t) => {
    const service = await waiting(t)
    const { page } = await openPage(t, SIZE)
    // It is to be asked about tomorrow already, so the notice changes nothing: as if it were lost.
    await query(service.database, `update payment_tasks set asked_at = now() + interval '1 day'`)
    await answered(page, service.url, 'yes')
    await query(service.database, `update payment_tasks set run_at = now()`)
    const done = await untilShown(service, service.id, ({ finished_at: at }) => at !== null)
    assert.equal(done['status'], 'success')
  },
)

test('a payer who does nothing is canceled at the gateway, and the payment expires', async (t) => {
  const service = await waiting(t, { GATEWAY_PENDING_MAX_SECONDS: '1' })
  const done = await untilShown(service, service.id, ({ finished_at: at }) => at !== null)
  assert.deepEqual([done['status'], done['last_error']], ['failed', 'expired'])
  const late = await fetch(`${service.url}/yes`, { method: 'POST' })
  assert.equal(late.status, 404, 'nobody can pay any more')
  const audit = await service.call('GET', '/mock-gateway/audit')
  assert.deepEqual([audit.body['executed'], audit.body['declined']], [0, 1])
})

test('a payment that waits for its payer is canceled by its gateway, when somebody asks for it', async (t) => {
  const { call, id, url, database } = await waiting(t)
  const path = `/payments/${id}/cancel`
  const reason = 'ordered by mistake'
  const key = { 'idempotency-key': 'c1' }
  await call('PUT', '/mock-gateway/faults', { lookup_errors: 1 })
  const silent = await call('POST', path, { reason }, key)
  assert.deepEqual([silent.status, silent.body['code']], [409, 'not_ended'])
  await call('PUT', '/mock-gateway/faults', { lookup_errors: 0 })
  const done = await call('POST', path, { reason }, key)
  const canceled = { payment_id: id, user_id: 1, status: 'failed', last_error: 'canceled' }
  assert.deepEqual([done.status, done.body], [200, canceled])
  const again = await call('POST', path, { reason }, key)
  assert.deepEqual([again.status, again.body], [200, canceled])
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  const other = await call('POST', path, { reason: 'another' }, key)
  assert.equal(other.body['code'], 'idempotency_key_reuse')
  assert.equal(
    (await fetch(`${url}/yes`, { method: 'POST' })).status,
    404,
    'nobody can pay any more',
  )
  assert.deepEqual(await query(database, 'select from dead_letters'), [])
  const acts = await query(database, 'select act, after from operator_acts')
  assert.deepEqual(acts, [{ act: 'cancel', after: { payment: 'new', wanted: 'canceled' } }])
})

test('what its payer paid meanwhile is not canceled', async (t) => {
  const { call, id, url, database } = await waiting(t)
  // The notice changes nothing, so nobody here knows.
  await query(database, `update payment_tasks set asked_at = now() + interval '1 day'`)
  assert.equal((await fetch(`${url}/yes`, { method: 'POST' })).status, 200)
  await query(database, `update payment_tasks set asked_at = null`)
  const late = await call('POST', `/payments/${id}/cancel`, { reason: 'too late' })
  assert.deepEqual([late.status, late.body['code']], [409, 'payment_final'])
  assert.equal((await call('GET', `/payments/${id}`)).body['status'], 'success')
})

test('payments cancel has the gateway end what it has in hand, on the database itself', async (t) => {
  const { id, url, database, call } = await waiting(t)
  const env = {
    DATABASE_URL: database,
    PAYMENT_GATEWAY_URL: new URL('/api/v1/mock-gateway', url).href,
  }
  const args = ['cancel', String(id), '--reason', 'ordered by mistake']
  const lost = await run(t, args, { ...env, PAYMENT_GATEWAY_URL: '' })
  assert.equal(lost.code, 1, lost.stderr)
  assert.match(lost.stderr, /The gateway http has no address in these settings/)
  const open = await call('GET', `/payments/${id}`)
  assert.equal(open.body['status'], 'pending', 'it goes on')

  const done = await run(t, args, env)
  assert.deepEqual([done.code, done.stdout], [0, `Payment ${id} is canceled.\n`], done.stderr)
  const shown = await call('GET', `/payments/${id}`)
  assert.deepEqual([shown.body['status'], shown.body['last_error']], ['failed', 'canceled'])
  const again = await run(t, [...args, '--json'], env)
  assert.deepEqual(JSON.parse(again.stdout), { payment_id: id, canceled: true })
  const [act] = await query(database, `select actor from operator_acts where act = 'cancel'`)
  assert.match(String((act as { actor: string }).actor), /^cli:/)
})

test('payments cancel ends with 1 when the payment is over, or none', async (t) => {
  const { database, call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', FAULTS_NONE)
  const user = await call('POST', '/users/', { balance: 0 })
  const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const id = Number(made.body['payment_id'])
  await untilShown({ call }, id, ({ finished_at: at }) => at !== null)
  for (const [payment, code] of [
    [id, `payment_final \\(payment ${id}\\)`],
    [999_999, 'payment_not_found'],
  ] as const) {
    const args = ['cancel', String(payment), '--reason', 'seen']
    const refused = await run(t, args, { DATABASE_URL: database })
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, new RegExp(`Refused: ${code}\\.`))
  }
})
