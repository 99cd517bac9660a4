import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser, openPage } from './browser.ts'
import { serve } from './serve.ts'

const DESKTOP = { width: 1_280, height: 900 }
const PHONE = { width: 360, height: 740 }

/** Open an operation of Swagger UI. */
async function unfold(page: Page, operation: string) {
  const block = page.locator(`#operations-${operation}`)
  await block.locator('.opblock-summary-control').click()
  await block.locator('.execute').waitFor()
  return block
}

/** Send an operation as Swagger UI fills it in: the status of its answer. */
async function execute(page: Page, operation: string): Promise<string> {
  const block = await unfold(page, operation)
  await block.locator('.execute').click()
  const status = block.locator('.live-responses-table .response-col_status').last()
  return (await status.innerText()).trim().slice(0, 3)
}

test(
  'Swagger UI can be clicked through as it is filled in, and its console stays silent',
  {
    skip: noBrowser,
  },
  async (t) => {
    const service = await serve(t)
    const { page, complaints } = await openPage(t, DESKTOP)
    await page.goto(service.url)
    await page.getByRole('link', { name: 'the documentation' }).click()
    await page.locator('#operations-Users-createUser').waitFor()
    assert.equal(await page.locator('.authorization__btn, .btn.authorize').count(), 0)

    assert.equal(await execute(page, 'Users-createUser'), '201')
    assert.equal(await execute(page, 'Payments-createDeposit'), '202')
    assert.equal(await execute(page, 'Payments-createWithdrawal'), '202')
    assert.equal(await execute(page, 'Payments-createPayments'), '202')
    assert.equal(await execute(page, 'Payments-getPayment'), '200')
    assert.equal(await execute(page, 'Payments-listPayments'), '200')
    assert.deepEqual(complaints, [])
  },
)

test('where keys are asked for, Swagger UI takes one', { skip: noBrowser }, async (t) => {
  const service = await serve(t, { HOST: '0.0.0.0' })
  const { page, complaints } = await openPage(t, DESKTOP)
  await page.goto(`${service.url}/docs`)
  await page.locator('.btn.authorize').waitFor()
  assert.deepEqual(complaints, [])
})

test(
  'pages fit on a phone, and no code breaks in the middle of a word',
  {
    skip: noBrowser,
  },
  async (t) => {
    const service = await serve(t)
    const { page, complaints } = await openPage(t, PHONE)
    for (const path of ['/', '/docs/errors']) {
      await page.goto(service.url + path)
      assert.equal(await page.evaluate(WIDTH), PHONE.width, path)
    }
    assert.deepEqual(await page.evaluate(BROKEN), [])
    assert.deepEqual(complaints, [])
  },
)

/** Run in the page, which has names of its own. */
const WIDTH = 'document.documentElement.scrollWidth'

/** The parts of codes, as `<wbr>` divides them, that stand on more than one line. */
const BROKEN = `[...document.querySelectorAll('code')]
  .flatMap((code) => [...code.childNodes])
  .filter((part) => part.nodeType === Node.TEXT_NODE)
  .filter((part) => {
    const range = document.createRange()
    range.selectNodeContents(part)
    return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1
  })
  .map((part) => part.textContent)`
