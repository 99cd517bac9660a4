import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser, openPage } from './browser.ts'
import { FAULTS_NONE } from './mock-server.ts'
import { query } from './databases.ts'
import { serve, type Served } from './serve.ts'

const SIZE = { width: 800, height: 600 }

/** How often it is asked until a payment is shown so; each answer may take a second. */
const ROUNDS_MAX = 200

/** Wait until a payment is shown so. */
async function until(
  { call }: Pick<Served, 'call'>,
  id: number,
  is: (body: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const { body } = await call('GET', `/payments/${id}?wait=1`)
    if (is(body)) return body
  }
  throw new Error(`payment ${id} is not shown so`)
}

/** A service whose gateway asks payers, and a deposit that waits for its own. */
async function waiting(t: TestContext, env: Record<string, string> = {}) {
  const service = await serve(t, env)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', { ...FAULTS_NONE, asks_payer: 1 })
  const user = await call('POST', '/users/', { balance: 0 })
  const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const id = Number(made.body['payment_id'])
  const shown = await until(service, id, ({ status }) => status === 'pending')
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
    const done = await until(service, service.id, ({ finished_at: at }) => at !== null)
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
    const done = await until(service, service.id, ({ finished_at: at }) => at !== null)
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
    const done = await until(service, service.id, ({ finished_at: at }) => at !== null)
    assert.equal(done['status'], 'success')
  },
)

test('a payer who does nothing is canceled at the gateway, and the payment expires', async (t) => {
  const service = await waiting(t, { GATEWAY_PENDING_MAX_SECONDS: '1' })
  const done = await until(service, service.id, ({ finished_at: at }) => at !== null)
  assert.deepEqual([done['status'], done['last_error']], ['failed', 'expired'])
  const late = await fetch(`${service.url}/yes`, { method: 'POST' })
  assert.equal(late.status, 404, 'nobody can pay any more')
  const audit = await service.call('GET', '/mock-gateway/audit')
  assert.deepEqual([audit.body['executed'], audit.body['declined']], [0, 1])
})
