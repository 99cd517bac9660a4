import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { fill, openConsole } from './console-kit.ts'
import { until } from './process-kit.ts'

test(
  'a screen is there after one request beside who is looking, and that is asked once',
  { skip: noBrowser },
  async (t) => {
    const { service, page } = await openConsole(t)
    const { success } = await fill(service)
    const asked: string[] = []
    page.on('request', (request) => {
      const { pathname } = new URL(request.url())
      if (pathname.startsWith('/api/')) asked.push(pathname.replace('/api/v1', ''))
    })
    // Who is looking is told after the screen was seen.
    let tell = () => {}
    const seen = new Promise<void>((resolve) => (tell = resolve))
    await page.route('**/api/v1/session', async (route) => {
      await seen
      await route.continue()
    })
    await page.goto(`${service.url}/console/payments`)
    await page.getByRole('link', { name: `Deposit ${success}` }).waitFor()
    assert.deepEqual(asked.slice(0, 2).toSorted(), ['/payments', '/session'])
    assert.equal(await page.getByRole('button', { name: 'New payment' }).count(), 0)
    tell()
    await page.getByRole('button', { name: 'New payment' }).waitFor()
    const polls = () => asked.filter((path) => path === '/payments').length
    await until('the list was asked for three times more', () => polls() > 4)
    assert.deepEqual(
      asked.filter((path) => path !== '/payments'),
      ['/session'],
      'where nobody signs in, nobody can be signed out',
    )
  },
)
