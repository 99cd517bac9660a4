import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser } from './browser.ts'
import { fill, flaws, openConsole } from './console-kit.ts'
import { query } from './databases.ts'
import { CALM } from './process-kit.ts'
import { untilShown } from './serve.ts'

/** Press a key of a keyboard that writes another alphabet. */
function press(page: Page, key: string, code: string): Promise<unknown> {
  const event = JSON.stringify({ key, code, bubbles: true, cancelable: true })
  return page.evaluate(`document.body.dispatchEvent(new KeyboardEvent('keydown', ${event}))`)
}

test(
  'the keyboard goes to screens from a Russian layout too, and past the links at once',
  { skip: noBrowser },
  async (t) => {
    const { page, visit, complaints } = await openConsole(t)
    await visit('/')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.className'), 'skip')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await press(page, 'п', 'KeyG')
    await press(page, 'г', 'KeyU')
    await page.getByRole('heading', { name: 'Users', level: 1 }).waitFor()
    await press(page, '.', 'Slash')
    assert.equal(await page.evaluate('document.activeElement.id'), 'search')
    assert.deepEqual(await complaints(), [])
  },
)

const ILL = { title: 'Unavailable', detail: 'The database is away.', status: 503, code: 'ill' }

test(
  'what was known stays while the service cannot answer, which is said, as is an act that failed',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { unknown } = await fill(service)
    await visit(`/payments/${unknown}`)
    const sentence = page.locator('.sentence')
    await sentence.waitFor()
    const fulfil = { status: 503, contentType: 'application/problem+json', json: ILL }
    await page.route('**/api/v1/payments/**', (route) => route.fulfill(fulfil))
    await page.getByRole('status').getByText('The database is away.').waitFor()
    assert.ok(await sentence.isVisible())
    await page.getByRole('button', { name: 'Ask the gateway' }).click()
    await page.getByRole('dialog').getByText('The database is away.').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.unroute('**/api/v1/payments/**')
    await page.getByRole('status').getByText('The database is away.').waitFor({ state: 'detached' })
    assert.ok(await sentence.isVisible())
  },
)

test(
  'an operator who has looked at the evidence can insist, once the API asks for it',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { unknown } = await fill(service)
    const refusal = {
      ...ILL,
      status: 409,
      code: 'evidence_contradicts',
      detail: 'It speaks against.',
    }
    const bodies: unknown[] = []
    await page.route('**/api/v1/dlq/*/resolve', async (route) => {
      bodies.push(route.request().postDataJSON())
      if (bodies.length > 1) return route.continue()
      return route.fulfill({ status: 409, contentType: 'application/problem+json', json: refusal })
    })
    await visit(`/payments/${unknown}`)
    await page.getByRole('button', { name: 'Resolve' }).click()
    const dialog = page.getByRole('dialog')
    assert.equal(await dialog.getByRole('checkbox').count(), 0, 'nobody is asked to insist before')
    await dialog.getByLabel('Reason').fill('on the statement')
    await dialog.getByRole('button', { name: 'Resolve' }).click()
    await dialog.getByLabel('I have looked at the evidence').check()
    assert.deepEqual(await flaws(page), [])
    await dialog.getByRole('button', { name: 'Resolve' }).click()
    await dialog.waitFor({ state: 'detached' })
    const [first, second] = bodies as { against_evidence?: boolean }[]
    assert.deepEqual([first?.against_evidence, second?.against_evidence], [undefined, true])
  },
)

test(
  'a payment that its gateway has not finished says what its payer has to do, and can be ended',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { call } = service
    await call('PUT', '/mock-gateway/faults', { ...CALM, asks_payer: 1 })
    const user = (await call('POST', '/users', { balance: 100 })).body['id']
    const made = await call('POST', '/payments/deposit', { user_id: user, deposit: 20 })
    const id = Number(made.body['payment_id'])
    await untilShown(service, id, ({ status }) => status === 'pending')
    await visit(`/payments/${id}`)
    const payer = page.getByRole('link', { name: /mock-gateway/ })
    assert.match((await payer.getAttribute('href')) ?? '', /^http:/)
    await page.getByRole('button', { name: 'Ask the gateway' }).waitFor()
    assert.deepEqual(await flaws(page), [])
    await page.getByRole('button', { name: 'Cancel' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('It is asked to end it, and only its word does').waitFor()
    await dialog.getByLabel('Reason').fill('the payer went away')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await page.locator('.figure').getByText('Failed').waitFor()
    const { body } = await call('GET', `/payments/${id}`)
    assert.deepEqual([body['status'], body['last_error']], ['failed', 'canceled'])
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'a payment that was corrected says which other one has its reference by now',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { call } = service
    const user = (await call('POST', '/users', { balance: 100 })).body['id']
    const pay = async (faults: object, status: string) => {
      await call('PUT', '/mock-gateway/faults', { ...CALM, ...faults })
      const order = { user_id: user, deposit: 20, reference: 'order-1' }
      const made = await call('POST', '/payments/deposit', order)
      const id = Number(made.body['payment_id'])
      await untilShown(service, id, (shown) => shown.status === status)
      return id
    }
    const failed = await pay({ decline: 1 }, 'failed')
    const holder = await pay({ decline: 0 }, 'success')
    const [letter] = JSON.parse((await call('GET', '/dlq?class=failed')).text) as { id: number }[]
    const word = { reason: 'seen there', gateway_ref: 'po_1', against_evidence: true }
    const { body } = await call('POST', `/dlq/${letter?.id}/correct`, word)
    assert.equal(body['reference_taken_by'], holder)
    await visit(`/payments/${failed}`)
    const link = page.getByRole('link', { name: `reference taken by ${holder}` })
    assert.match((await link.getAttribute('href')) ?? '', new RegExp(`/payments/${holder}$`))
    assert.deepEqual(await flaws(page), [])
    assert.deepEqual(await complaints(), [])
  },
)

/** Letters as those of the first declined payment, more than a page of them, newer and older. */
const MANY = `
  insert into dead_letters
    (shard, id, payment_id, user_id, amount, commission, payment_type, class, error, attempts,
     state, created_at)
  select
    shard, 1000 + n, 1000 + n, user_id, amount, commission, payment_type, class,
    case when n = 0 then 'rare' else error end, attempts, 'open', created_at
  from dead_letters, generate_series(0, 119) n
  where class = 'failed'`

test(
  'the letters of a cause are found behind any number of others, and listed page by page',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    await fill(service)
    await query(service.database, MANY)
    await visit('/dead-letters')
    const letters = page.getByRole('region', { name: 'Letters' })
    assert.equal(await letters.locator('tbody tr').count(), 100)
    await page.getByRole('button', { name: 'Older' }).click()
    await page.waitForURL(/offset=100/)
    await letters.getByText('Withdrawal 1000').waitFor()
    await page.getByRole('button', { name: 'rare' }).click()
    await page.waitForURL(/error=rare/)
    await letters.locator('tbody tr').nth(1).waitFor({ state: 'detached' })
    await letters.getByText('Withdrawal 1000').waitFor()
    assert.doesNotMatch(page.url(), /offset/)
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'letters that were chosen are redriven although somebody was faster with one of them',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { failed, user } = await fill(service)
    // Lookups go on failing, or the letter of the payment that is unknown is resolved meanwhile.
    await service.call('PUT', '/mock-gateway/faults', { ...CALM, decline: 1 })
    const draft = { user_id: user, amount: '5' }
    const { body } = await service.call('POST', '/payments/withdraw', draft)
    await service.call('GET', `/payments/${String(body['payment_id'])}?wait=30`)
    await visit('/dead-letters')
    for (const box of await page.getByRole('checkbox').all()) await box.check()
    await page.getByRole('button', { name: 'Redrive 3 chosen' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('try again')
    const open = JSON.parse((await service.call('GET', '/dlq?state=open')).text) as Letter[]
    const theirs = open.find(({ payment_id: id }) => id === Number(body['payment_id']))
    await service.call('POST', `/dlq/${theirs?.id}/redrive`, { reason: 'mine' })
    await dialog.getByRole('button', { name: 'Redrive' }).click()
    await dialog.getByRole('alert').getByText('2 of 3 are redriven').waitFor()
    const redriven = JSON.parse((await service.call('GET', '/dlq?state=redriven')).text) as Letter[]
    assert.ok(redriven.some(({ payment_id: id }) => id === failed))
    assert.equal(redriven.length, 3)
  },
)

interface Letter {
  readonly id: number
  readonly payment_id: number
}
