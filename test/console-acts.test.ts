import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser } from './browser.ts'
import { fill, flaws, openConsole } from './console-kit.ts'
import { query } from './databases.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { serve, type Served } from './serve.ts'
import { receiver, status } from './webhooks-kit.ts'

const NAME = `(document.activeElement?.innerText || document.activeElement?.name || '').trim()`

const TWO_FRAMES = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))'

/** Go on by the keyboard until what is wanted has the focus. */
async function tabTo(page: Page, wanted: string): Promise<void> {
  for (let steps = 0; steps < 80; steps += 1) {
    if ((await page.evaluate(NAME)) === wanted) return
    await page.keyboard.press('Tab')
  }
  assert.fail(`${wanted} cannot be reached by the keyboard`)
}

test('dead letters are redriven by the keyboard alone', { skip: noBrowser }, async (t) => {
  const { service, page, visit, complaints } = await openConsole(t)
  const { failed } = await fill(service)
  await service.call('PUT', '/mock-gateway/faults', { ...CALM, lookup_errors: 0 })
  await visit('/payments')
  await page.keyboard.press('g')
  await page.keyboard.press('d')
  await page.getByRole('heading', { name: 'Dead letters' }).waitFor()
  await page.getByText('declined by the gateway').first().waitFor()

  await page.getByRole('button', { name: 'declined by the gateway' }).waitFor()
  await tabTo(page, 'declined by the gateway')
  await tabTo(page, 'Redrive all')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').getByText('Nothing has happened yet').waitFor()
  assert.equal((await service.call('GET', '/dlq?state=redriven')).text, '[]')

  await tabTo(page, 'reason')
  await page.keyboard.type('card was replaced')
  await tabTo(page, 'Start')
  await page.keyboard.press('Enter')
  await page.getByRole('region', { name: /^Redrive \d+$/ }).waitFor()
  await page.getByText('1 of 1 done, 1 redriven').waitFor()

  const [letter] = JSON.parse((await service.call('GET', '/dlq?state=redriven')).text)
  assert.equal(letter.payment_id, failed)
  assert.equal(letter.closed_reason, 'card was replaced')
  assert.deepEqual(await complaints(), [])
})

test('every act of a payment says what it will do, and does it', { skip: noBrowser }, async (t) => {
  const { service, page, visit } = await openConsole(t)
  const { success, unknown } = await fill(service)
  await service.call('PUT', '/mock-gateway/faults', { ...CALM })

  await visit(`/payments/${success}`)
  await page.getByRole('button', { name: 'Refund' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('At most 150.25 USD can go back').waitFor()
  await dialog.getByLabel('Amount, USD').fill('1.005')
  await dialog.getByLabel('Reason').fill('asked for')
  await dialog.getByRole('button', { name: 'Refund' }).click()
  await dialog.getByText('This is no amount of USD.').waitFor()
  await dialog.getByLabel('Amount, USD').fill('100')
  await dialog.getByRole('button', { name: 'Refund' }).click()
  await page.getByText('Of payment').waitFor()
  await page.getByText('100.00').first().waitFor()

  await visit(`/payments/${unknown}`)
  await page.getByRole('button', { name: 'Resolve' }).click()
  await dialog.getByLabel('What happened at the gateway').selectOption('success')
  await dialog.getByLabel('Reason').fill('on the statement')
  await dialog.getByRole('button', { name: 'Resolve' }).click()
  await until('the payment is resolved', async () => {
    return (await service.call('GET', `/payments/${unknown}`)).body['status'] === 'success'
  })
  await page.locator('.figure').getByText('Success').waitFor()
})

test(
  'the search finds a payment, and a filter stays in the address',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success, failed } = await fill(service)
    await visit('/')
    await page.keyboard.press('/')
    await page.keyboard.type('order-7001')
    await page.keyboard.press('Enter')
    await page.waitForURL(/q=order-7001/)
    await page.getByRole('link', { name: `Deposit ${success}` }).waitFor()
    assert.equal(await page.getByRole('link', { name: `Withdrawal ${failed}` }).count(), 0)

    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('main').click()
    await page.keyboard.press('/')
    await page.keyboard.type(String(failed))
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: `Payment ${failed}` }).waitFor()
  },
)

test(
  'a console says that the API is away, and goes on when it is back',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success } = await fill(service)
    await visit('/payments')
    await page.getByRole('link', { name: `Deposit ${success}` }).waitFor()
    await service.stop()
    await page.getByRole('status').getByText('The API does not answer').waitFor()
    // What was known stays, with the time at which it was.
    await page.getByText('Shown is what was known at').waitFor()
    await page.getByRole('link', { name: `Deposit ${success}` }).waitFor()

    const { port } = new URL(service.url)
    await serve(t, FAST, { database: service.database, port: Number(port) })
    await page.getByText('The API does not answer').waitFor({ state: 'detached' })
    await page.locator('#side').getByText('Live').waitFor()
  },
)

test(
  'the secret of an endpoint is shown once it is made, and once it is replaced',
  { skip: noBrowser },
  async (t) => {
    const { page, visit, complaints } = await openConsole(t)
    const dialog = page.getByRole('dialog')
    /** The secret in the dialog that tells it, which is then closed. */
    const told = async (): Promise<string> => {
      const said = await dialog.getByText(/whsec_/).innerText()
      // After two frames the page knows that the dialog before this one is closed.
      await page.evaluate(TWO_FRAMES)
      assert.equal(await dialog.getByText(said).count(), 1)
      await dialog.getByRole('button', { name: 'Close' }).click()
      await dialog.waitFor({ state: 'detached' })
      return /whsec_\S+/.exec(said)?.[0] ?? ''
    }
    await visit('/webhooks')
    await page.getByRole('button', { name: 'Add an endpoint' }).click()
    await dialog.getByLabel('URL').fill('https://example.com/hooks')
    await dialog.getByRole('button', { name: 'Add an endpoint' }).click()
    const first = await told()

    await page.getByRole('button', { name: 'New secret' }).click()
    await dialog.getByRole('button', { name: 'New secret' }).click()
    const second = await told()
    assert.notEqual(first, second)
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'who was told of a payment is on its screen, and is told again',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const hooks = await receiver(t, status(204))
    await service.call('PUT', '/mock-gateway/faults', { ...CALM })
    const types = ['payment.succeeded']
    const hook = { url: hooks.url, types }
    const { body: endpoint } = await service.call('POST', '/webhook-endpoints', hook)
    const { body: user } = await service.call('POST', '/users', { balance: 100 })
    const draft = { user_id: user['id'], deposit: 20 }
    const { body: made } = await service.call('POST', '/payments/deposit', draft)
    await until('the webhook has come', () => Promise.resolve(hooks.received.length === 1))

    await visit(`/payments/${String(made['payment_id'])}`)
    const told = page.locator('.told')
    await told.getByText('Delivered').waitFor()
    assert.deepEqual(await flaws(page), [])
    await told.locator('summary').click()
    await told.getByText('HTTP 204').first().waitFor()
    await told.getByRole('button', { name: 'Send again' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(`payment.succeeded goes to ${hooks.url} at once`).waitFor()
    await dialog.getByText('the receiver gets it twice').waitFor()
    assert.equal(hooks.received.length, 1, 'nothing is sent before that is meant')
    await dialog.getByLabel('Reason').fill('it was lost there')
    await dialog.getByRole('button', { name: 'Send again' }).click()
    await until('it has come again', () => Promise.resolve(hooks.received.length === 2))
    assert.equal(hooks.received[0]?.id, hooks.received[1]?.id)
    const acts = await service.call('GET', `/webhook-endpoints/${String(endpoint['id'])}/acts`)
    assert.match(acts.text, /"reason":"it was lost there"/)
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'what happened at the gateway without us is booked, by amount, reference and reason',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { success, failed } = await fill(service)
    const dialog = page.getByRole('dialog')

    await visit(`/payments/${failed}`)
    await page.getByRole('button', { name: 'Correct' }).click()
    await dialog.getByText('The 19.90 USD and the commission are taken from the user').waitFor()
    await dialog.getByLabel('Gateway reference').fill('po_1')
    await dialog.getByLabel('Reason').fill('on the statement')
    await dialog.getByRole('button', { name: 'Correct' }).click()
    await dialog.getByRole('alert').getByText('evidence').waitFor()
    await dialog.getByLabel('I have looked at the evidence').check()
    await dialog.getByRole('button', { name: 'Correct' }).click()
    await dialog.waitFor({ state: 'detached' })
    const { body: story } = await service.call('GET', `/payments/${failed}/timeline`)
    const acts = story['events'] as { event: string; reason?: string }[]
    assert.equal(acts.find(({ event }) => event === 'correct')?.reason, 'on the statement')
    await page.getByRole('button', { name: 'Correct' }).waitFor({ state: 'detached' })

    await visit(`/payments/${success}`)
    await page.getByRole('button', { name: 'Book a return' }).click()
    await dialog.getByText('The user pays for it as far as the balance goes').waitFor()
    assert.equal(await dialog.getByLabel('Amount, USD').inputValue(), '150.25')
    await dialog.getByLabel('How it came back').selectOption('charged_back')
    await dialog.getByLabel('Amount, USD').fill('100.5')
    await dialog.getByLabel('Gateway reference').fill('cb_1')
    await dialog.getByLabel('Reason').fill('lost dispute')
    await dialog.getByRole('button', { name: 'Book a return' }).click()
    await dialog.waitFor({ state: 'detached' })
    const { body: parent } = await service.call('GET', `/payments/${success}`)
    assert.equal(parent['returned'], 100.5)
    // The browser tells of every refusal.
    const others = (await complaints()).filter((said) => !said.includes('409'))
    assert.deepEqual(others, [])
  },
)

test(
  'what may be a payment or refund of ours is booked once somebody has compared them',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success, failed } = await fill(service)
    const dialog = page.getByRole('dialog')
    const box = dialog.getByRole('checkbox')

    await service.call('PUT', '/mock-gateway/faults', { ...CALM, lookup_errors: 0 })
    const [letter] = JSON.parse((await service.call('GET', '/dlq?class=failed')).text)
    const again = await service.call('POST', `/dlq/${letter.id}/redrive`, { reason: 'again' })
    const repeat = Number(again.body['new_payment_id'])
    await reaches(service, repeat, 'success')
    // Not every gateway says what it calls a payment.
    await query(service.database, `update payments set gateway_ref = null where id = ${repeat}`)
    await visit(`/payments/${failed}`)
    await page.getByRole('button', { name: 'Correct' }).click()
    await dialog.getByLabel('Gateway reference').fill('po_1')
    await dialog.getByLabel('Reason').fill('on the statement')
    assert.equal(await box.count(), 0, 'nobody is asked what nobody doubts')
    await dialog.getByRole('button', { name: 'Correct' }).click()
    await dialog.getByLabel('none of the payments that repeated this one').check()
    assert.deepEqual(await flaws(page), [])
    await dialog.getByRole('button', { name: 'Correct' }).click()
    await dialog.getByLabel('I have looked at the evidence').check()
    assert.deepEqual(await flaws(page), [])
    await dialog.getByRole('button', { name: 'Correct' }).click()
    await dialog.waitFor({ state: 'detached' })

    await service.call('PUT', '/mock-gateway/faults', { error_after: 1, lookup_errors: 1 })
    const refund = { amount: 20, reason: 'asked for' }
    const doubted = await service.call('POST', `/payments/${success}/refunds`, refund)
    await reaches(service, Number(doubted.body['payment_id']), 'unknown')
    await visit(`/payments/${success}`)
    await page.getByRole('button', { name: 'Book a return' }).click()
    await dialog.getByLabel('How it came back').selectOption('refunded_there')
    await dialog.getByLabel('Amount, USD').fill('20')
    await dialog.getByLabel('Gateway reference').fill('re_1')
    await dialog.getByLabel('Reason').fill('on the statement')
    await dialog.getByRole('button', { name: 'Book a return' }).click()
    await dialog.getByLabel('none of our refunds of this payment').check()
    await dialog.getByRole('button', { name: 'Book a return' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.equal((await service.call('GET', `/payments/${success}`)).body['returned'], 20)
  },
)

async function reaches(service: Served, id: number, wanted: string): Promise<void> {
  await until(`payment ${id} is ${wanted}`, async () => {
    return (await service.call('GET', `/payments/${id}`)).body['status'] === wanted
  })
}

test(
  'events of a time are counted, sent to an endpoint again, and the run can be canceled',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const hooks = await receiver(t, status(204))
    await service.call('PUT', '/mock-gateway/faults', { ...CALM })
    const wanted = { url: hooks.url, types: ['payment.succeeded'] }
    const { body: endpoint } = await service.call('POST', '/webhook-endpoints', wanted)
    const { body: user } = await service.call('POST', '/users', { balance: 100 })
    for (let count = 0; count < 3; count += 1) {
      await service.call('POST', '/payments/deposit', { user_id: user['id'], deposit: 20 })
    }
    await until('all have come', () => Promise.resolve(hooks.received.length === 3))
    const dialog = page.getByRole('dialog')
    const plan = async (which: string): Promise<void> => {
      await page.getByRole('button', { name: 'Replay events' }).click()
      await dialog.getByLabel('From').fill('2020-01-31T12:00')
      await dialog.getByLabel('Which').selectOption({ label: which })
      assert.deepEqual(await flaws(page), [])
      await dialog.getByRole('button', { name: 'Count them' }).click()
    }
    await visit(`/webhooks/${String(endpoint['id'])}`)
    await plan('Those that have not arrived')
    await dialog.getByText('0 of 0 that match').waitFor()
    await dialog.getByRole('button', { name: 'Back' }).click()
    await dialog.waitFor({ state: 'detached' })

    await plan('All, those that have arrived too')
    await dialog.getByText('3 of 3 that match').waitFor()
    assert.equal(hooks.received.length, 3, 'nothing is sent before that is meant')
    await dialog.getByLabel('Per second').fill('500')
    await dialog.getByLabel('Reason').fill('the shop lost a day')
    await dialog.getByRole('button', { name: 'Start' }).click()
    await page.getByRole('region', { name: /^Replay \d+$/ }).waitFor()
    await page.getByText('3 of 3 sent, 3 arrived, 0 failed').waitFor()
    assert.deepEqual(await flaws(page), [])
    assert.equal(hooks.received.length, 6)
    await page.locator('.run').getByRole('button', { name: 'Close' }).click()
    await page.locator('.run').waitFor({ state: 'detached' })

    // One that is asked for what it cannot do before it is canceled: one event a second.
    await plan('All, those that have arrived too')
    await dialog.getByLabel('Per second').fill('1')
    await dialog.getByLabel('Reason').fill('once more')
    await dialog.getByRole('button', { name: 'Start' }).click()
    await page.locator('.run').getByRole('button', { name: 'Cancel the run' }).click()
    await page.locator('.run').getByText('Canceled').waitFor()
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'a list says which shards it leaves out, and says so no longer when none is',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    await fill(service)
    let missing = { missing_shards: [2, 5] as readonly number[] }
    // Only several shards, one of which is ill, would answer so.
    const paths = ['payments?*', 'users?*', 'dlq/groups', 'overview', 'gateways']
    for (const path of paths) {
      await page.route(`**/api/v1/${path}`, async (route) => {
        const { 'if-none-match': _known, ...headers } = route.request().headers()
        const answer = await route.fetch({ headers })
        const body = (await answer.json()) as object
        await route.fulfill({ response: answer, json: { ...body, ...missing } })
      })
    }
    for (const path of ['/payments', '/users', '/dead-letters', '/', '/gateways']) {
      await visit(path)
      await page.locator('main').getByText('is not shown: shards 2, 5.').waitFor()
      assert.deepEqual(await flaws(page), [])
    }
    missing = { missing_shards: [] }
    await visit('/payments')
    assert.equal(await page.locator('main').getByText('is not shown').count(), 0)
    assert.deepEqual(await complaints(), [])
  },
)
