import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { noBrowser } from './browser.ts'
import { fill, openConsole } from './console-kit.ts'
import { until } from './process-kit.ts'

/** Hold what the page asks with this method; answers how to let one go, the first first. */
async function held(page: Page, paths: string, method: string): Promise<() => Promise<void>> {
  const waiting: (() => void)[] = []
  await page.route(paths, async (route) => {
    if (route.request().method() === method) {
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    await route.continue()
  })
  return async () => (await until('it is asked', () => waiting.shift() ?? null))()
}

test(
  'what is told late takes nothing away that is being told, as a secret that is shown once',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const made = { url: 'http://127.0.0.1:1/hook', types: ['payment.*'] }
    const { body } = await service.call('POST', '/webhook-endpoints', made)
    await visit(`/webhooks/${String(body['id'])}`)
    const letGo = await held(page, '**/test', 'POST')
    const answered = page.waitForResponse('**/test')
    await page.getByRole('button', { name: 'Test' }).click()
    assert.ok(await page.getByRole('button', { name: 'Working' }).isDisabled())
    await page.getByRole('button', { name: 'New secret' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'New secret' }).click()
    const secret = dialog.getByText('whsec_')
    await secret.waitFor()
    await letGo()
    await (await answered).finished()
    // What has been answered is read by then.
    await page.evaluate('new Promise((done) => setTimeout(done))')
    assert.ok(await secret.isVisible())
    await dialog.getByRole('button', { name: 'Close' }).click()
    await dialog.getByRole('heading', { name: 'Test' }).waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'a dial stays where it was turned to last, however slowly the API answers',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const faults = async () => (await service.call('GET', '/mock-gateway/faults')).body
    await service.call('PUT', '/mock-gateway/faults', { decline: 0, rejected: 0 })
    await visit('/gateways')
    const letGo = await held(page, '**/faults', 'PUT')
    const [declines, rejects] = ['declines for good', 'rejects the request'].map((name) =>
      page.getByRole('slider', { name }),
    )
    assert(declines !== undefined && rejects !== undefined)
    const dials = async () => [await declines.inputValue(), await rejects.inputValue()]
    for (let pressed = 0; pressed < 3; pressed += 1) await declines.press('ArrowRight')
    await rejects.press('ArrowRight')
    assert.deepEqual(await dials(), ['0.15', '0.05'])
    const read = page.waitForResponse(
      (answer) => answer.url().endsWith('/faults') && answer.request().method() === 'GET',
    )
    await letGo()
    await (await read).finished()
    await letGo()
    assert.deepEqual(await dials(), ['0.15', '0.05'])
    await letGo()
    await until('the API has both', async () => {
      const { decline, rejected } = await faults()
      return decline === 0.15 && rejected === 0.05
    })
    assert.deepEqual(await dials(), ['0.15', '0.05'])
  },
)

test(
  'what was started is shown where it belongs, though its screen was left meanwhile',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    await fill(service)
    await visit('/payments')
    await page.keyboard.press('g')
    await page.keyboard.press('d')
    await page.getByRole('button', { name: 'Redrive all' }).first().click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('the gateway is back')
    const letGo = await held(page, '**/dlq/redrive', 'POST')
    await dialog.getByRole('button', { name: 'Start' }).click()
    await dialog.getByRole('button', { name: 'Working' }).waitFor()
    await page.goBack()
    await letGo()
    await page.getByRole('region', { name: /^Redrive \d+$/ }).waitFor()
    assert.match(page.url(), /\/console\/dead-letters\?run=\d+$/)
    assert.deepEqual(await complaints(), [])
  },
)
