import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { fill, openConsole, PHONE, settled } from './console-kit.ts'

const API = '**/api/v1/**'

test(
  'a console says that the API hangs, on a phone too, and goes on when it is well',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success } = await fill(service)
    await page.setViewportSize(PHONE)
    await page.clock.install()
    await visit(`/payments/${success}`)
    await page.route(API, () => undefined)
    await page.clock.runFor(20_000)
    await page.getByRole('status').getByText('Shown is what was known at').waitFor()
    await page.unroute(API)
    await page.clock.runFor(20_000)
    await page.locator('.banner.none').waitFor({ state: 'attached' })
    assert.equal(await page.locator('#nav .fresh-state.live').count(), 1)
  },
)

test(
  'a part of a screen that hangs is told as old, however well the rest of it answers',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { success } = await fill(service)
    await page.clock.install()
    await visit(`/payments/${success}`)
    await page.route('**/timeline', () => undefined)
    await page.clock.runFor(20_000)
    const heard = page.waitForResponse(`**/api/v1/payments/${success}`)
    await page.clock.runFor(6_000)
    await heard
    await page.getByRole('status').getByText('has not answered for a while').waitFor()
    await page.unroute('**/timeline')
    await page.clock.runFor(20_000)
    await page.locator('.banner.none').waitFor({ state: 'attached' })
  },
)

test(
  'an answer that does not come from the API is none, and is gone with the next that does',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { success } = await fill(service)
    await visit(`/payments/${success}`)
    const amount = page.getByText('200.50').first()
    await amount.waitFor()
    const login = { status: 200, contentType: 'text/html', body: '<h1>Sign in to the proxy</h1>' }
    await page.route(API, (route) => route.fulfill(login))
    await page.getByRole('status').getByText('The API does not answer').waitFor()
    assert.ok(await amount.isVisible())
    assert.equal(await page.getByText('undefined').count(), 0)
    await page.unroute(API)
    await page.locator('.banner.none').waitFor({ state: 'attached' })
    assert.deepEqual(await complaints(), [])
  },
)

test(
  'a screen that was left while it asked is not asked for again',
  { skip: noBrowser },
  async (t) => {
    const { page, visit } = await openConsole(t)
    await page.clock.install()
    await visit('/users')
    let asked = 0
    const held: (() => void)[] = []
    await page.route('**/api/v1/users?**', async (route) => {
      asked += 1
      await new Promise<void>((resolve) => held.push(resolve))
      await route.continue()
    })
    const begun = page.waitForRequest('**/api/v1/users?**')
    await page.clock.runFor(6_000)
    await begun
    await page.locator('#side').getByRole('link', { name: 'Ledger' }).click()
    const answered = page.waitForResponse('**/api/v1/users?**')
    held.forEach((go) => go())
    await answered
    await settled(page)
    const more = page.waitForResponse('**/api/v1/ledger')
    await page.clock.runFor(12_000)
    await more
    assert.equal(asked, 1)
  },
)

test(
  'no address makes the console ask for anything but what its screen shows',
  { skip: noBrowser },
  async (t) => {
    const { page, visit, complaints } = await openConsole(t)
    const paths: string[] = []
    page.on('request', (request) => paths.push(new URL(request.url()).pathname))
    for (const id of ['../../overview', '../../keys', '..%2f..%2fkeys', '1/../../1', '-1', '1x']) {
      await visit(`/dead-letters?run=${encodeURIComponent(id)}`)
      await visit(`/webhooks/1?replay=${encodeURIComponent(id)}`)
    }
    const known = /^\/console|^\/api\/v1\/(session|dlq|dlq\/groups|webhook-endpoints\/1(\/.*)?)$/
    assert.deepEqual(
      paths.filter((path) => !known.test(path) || /replays|redrives/.test(path)),
      [],
    )
    // The endpoint is not there, which the browser notes.
    assert.deepEqual(
      (await complaints()).filter((said) => !/404/.test(said)),
      [],
    )
  },
)
