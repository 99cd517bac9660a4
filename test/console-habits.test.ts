import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { fill, openConsole } from './console-kit.ts'

const TWO_FRAMES = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))'

test(
  'a browser that lets no page keep anything shows the console all the same',
  { skip: noBrowser },
  async (t) => {
    const { page, visit, complaints } = await openConsole(t)
    await page.addInitScript(`Object.defineProperty(window, 'localStorage', {
      get() { throw new DOMException('forbidden', 'SecurityError') },
    })`)
    await visit('/settings')
    await page.getByLabel('Language').selectOption('ru')
    await page.getByRole('heading', { name: 'Настройки', level: 1 }).waitFor()
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'going back turns a list to the page before, and closes what was asked on another screen',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { success } = await fill(service)
    for (let made = 0; made < 110; made += 1) await service.call('POST', '/users', { balance: 1 })
    const first = page.locator('main tbody tr').first().getByRole('link')
    const newest = async (id: string) => page.getByRole('link', { name: id, exact: true }).waitFor()
    await visit('/users')
    const top = Number(await first.textContent())
    await page.getByRole('button', { name: 'Older' }).click()
    await newest(String(top - 50))
    await page.getByRole('button', { name: 'Older' }).click()
    await newest(String(top - 100))
    await page.goBack()
    await newest(String(top - 50))
    await page.goBack()
    await newest(String(top))

    const box = page.getByRole('textbox', { name: 'User id or external id' })
    await box.fill('nobody')
    await box.press('Enter')
    await page.getByText('Nothing fits').waitFor()
    assert.equal(await box.inputValue(), 'nobody')
    await page.locator('#side').getByRole('link', { name: 'Users' }).click()
    await newest(String(top))
    assert.equal(await box.inputValue(), '')
    await page.goBack()
    await page.getByText('Nothing fits').waitFor()
    assert.equal(await box.inputValue(), 'nobody')

    await visit(`/payments/${success}`)
    await page.locator('#side').getByRole('link', { name: 'Users' }).click()
    await page.goBack()
    await page.getByRole('button', { name: 'Refund' }).click()
    await page.getByRole('dialog').getByText(`Refund payment ${success}`).waitFor()
    await page.goForward()
    await page.getByRole('heading', { name: 'Users', level: 1 }).waitFor()
    assert.equal(await page.getByRole('dialog').count(), 0)
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'an act that is being done keeps its dialog, which says how it ended',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success } = await fill(service)
    await visit(`/payments/${success}`)
    const answers: (() => void)[] = []
    await page.route('**/refunds', async (route) => {
      await new Promise<void>((resolve) => answers.push(resolve))
      const problem = { title: 'Refund too large', detail: 'No.', code: 'refund_too_large' }
      const type = 'application/problem+json'
      await route.fulfill({ status: 409, contentType: type, body: JSON.stringify(problem) })
    })
    await page.getByRole('button', { name: 'Refund' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('asked for')
    await dialog.getByRole('button', { name: 'Refund' }).click()
    await dialog.getByRole('button', { name: 'Working' }).waitFor()
    for (let pressed = 0; pressed < 3; pressed += 1) await page.keyboard.press('Escape')
    assert.ok(await dialog.getByRole('button', { name: 'Back' }).isDisabled())
    answers.forEach((answer) => answer())
    await dialog.getByText('Refund too large').waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  },
)

test(
  'a rate that the API would not take is refused with its bounds',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    await fill(service)
    await visit('/dead-letters')
    await page.getByRole('button', { name: 'Redrive all' }).first().click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('the gateway is back')
    for (const typed of ['0', 'abc', '501', '1.5', '10,5', '-1']) {
      await dialog.getByLabel('Per second').fill(typed)
      await dialog.getByRole('button', { name: 'Start' }).click()
      await dialog.getByRole('alert').getByText('A whole number from 1 to 500.').waitFor()
    }
    await dialog.getByLabel('Per second').fill('500')
    await dialog.getByRole('button', { name: 'Start' }).click()
    await page.getByRole('region', { name: /^Redrive \d+$/ }).waitFor()
  },
)

test(
  'who goes elsewhere is not asked about what was to be redriven, before the dry run or after it',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    await fill(service)
    const redriveAll = page.getByRole('button', { name: 'Redrive all' }).first()
    const dialog = page.getByRole('dialog')
    const goTo = async (letter: string, heading: string): Promise<void> => {
      await page.keyboard.press('g')
      await page.keyboard.press(letter)
      await page.getByRole('heading', { name: heading, level: 1 }).waitFor()
    }
    let answer: (() => void) | undefined
    await page.route('**/dlq/redrive', async (route) => {
      await new Promise<void>((resolve) => (answer = resolve))
      await route.continue()
    })
    await visit('/dead-letters')
    await redriveAll.click()
    await goTo('u', 'Users')
    const answered = page.waitForResponse('**/dlq/redrive')
    answer?.()
    await (await answered).finished()
    await page.evaluate(TWO_FRAMES)
    assert.equal(await dialog.count(), 0)

    await page.unroute('**/dlq/redrive')
    await goTo('d', 'Dead letters')
    await redriveAll.click()
    await dialog.getByText('Nothing has happened yet').waitFor()
    // Keys wait for the dialog, also while nothing in it has the focus.
    await page.evaluate('document.activeElement.blur()')
    for (const key of ['g', 'l']) await page.keyboard.press(key)
    assert.equal(await dialog.count(), 1)
    await page.goBack()
    await page.getByRole('heading', { name: 'Users', level: 1 }).waitFor()
    await dialog.waitFor({ state: 'detached' })
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'a run that is not there can be closed as any other, and leaves its screen',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const made = { url: 'http://127.0.0.1:1/hook', types: ['payment.*'] }
    const { body } = await service.call('POST', '/webhook-endpoints', made)
    for (const path of ['/dead-letters?run=9', `/webhooks/${String(body['id'])}?replay=9`]) {
      await visit(path)
      await page.getByText('There is no such thing.').waitFor()
      await page.getByRole('button', { name: 'Close' }).click()
      await page.getByText('There is no such thing.').waitFor({ state: 'detached' })
      assert.equal(new URL(page.url()).search, '')
    }
  },
)
