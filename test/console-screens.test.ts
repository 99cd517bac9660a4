import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { SCREENS } from '../console/exact/route.ts'
import { noBrowser } from './browser.ts'
import {
  DESKTOP,
  fill,
  flaws,
  openConsole,
  PHONE,
  SAID_MAX,
  settled,
  type Filled,
} from './console-kit.ts'
import { until } from './process-kit.ts'
import type { Served } from './serve.ts'
import { receiver } from './webhooks-kit.ts'

const COLOURS = ['color-contrast', 'link-in-text-block']

/** Every screen, with what is open on it. */
function pathsOf({ user, success, failed, unknown, endpoint }: Filled, busy: number): string[] {
  const lists = SCREENS.map((screen) => (screen === 'overview' ? '/' : `/${screen}`))
  const payments = [success, failed, unknown].map((id) => `/payments/${id}`)
  const filtered = ['/payments?status=failed&reference=nothing', '/dead-letters?state=resolved']
  const found = ['/payments?q=order-7001', '/payments?q=nothing']
  return [
    ...lists,
    ...payments,
    ...filtered,
    ...found,
    `/users/${user}`,
    `/webhooks/${endpoint}`,
    `/webhooks/${busy}`,
    '/lost/1',
  ]
}

/** An endpoint that takes nothing, and says `text` instead: its id. */
async function openBusy(t: TestContext, { call }: Served, text: string): Promise<number> {
  const { url } = await receiver(t, (response) => void response.writeHead(503).end(text))
  const types = ['payment.*', 'dead_letter.*']
  const description = text.slice(0, SAID_MAX)
  const made = await call('POST', '/webhook-endpoints', { url, types, description })
  assert.equal(made.status, 201, made.text)
  return Number(made.body['id'])
}

/** Open all that is folded, and wait for what is in it. */
async function unfold(page: Page): Promise<void> {
  await page.evaluate(
    `for (const one of document.querySelectorAll('main details')) one.open = true`,
  )
  await settled(page)
}

/** Once an endpoint is not reached. */
const failing = ({ call }: Served) =>
  until('an endpoint is not reached', async () => {
    const { webhooks } = (await call('GET', '/overview')).body as { webhooks: { failing: number } }
    return webhooks.failing === 1
  })

test(
  'every screen can be used by everybody, in both themes and languages, wide and narrow',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const busy = await openBusy(t, service, 'Try later')
    const paths = pathsOf(await fill(service), busy)
    await failing(service)
    const found: string[] = []
    for (const language of ['en', 'ru']) {
      await visit('/')
      await page.evaluate(`localStorage.setItem('console-language', '${language}')`)
      for (const path of paths) {
        await visit(path)
        await unfold(page)
        assert.equal(await page.evaluate('document.documentElement.lang'), language)
        for (const viewport of [DESKTOP, PHONE]) {
          await page.setViewportSize(viewport)
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme })
            await settled(page)
            const name = `${path} ${language} ${viewport.width} ${colorScheme}`
            // A theme changes colours, and nothing else that a rule could be about.
            const rules = colorScheme === 'light' ? null : COLOURS
            found.push(...(await flaws(page, rules)).map((flaw) => `${name} ${flaw}`))
          }
          const width = await page.evaluate('document.documentElement.scrollWidth')
          if (width !== viewport.width) found.push(`${path} ${language} is ${width} px wide`)
        }
        found.push(...(await complaints()).map((complaint) => `${path} ${complaint}`))
      }
    }
    assert.deepEqual(found, [])
  },
)

test('an empty database teaches what to do first, and does it', { skip: noBrowser }, async (t) => {
  const { page, visit, complaints } = await openConsole(t)
  await visit('/payments')
  await page.getByText('curl -X POST').first().waitFor()
  await page.getByRole('button', { name: 'Open a user and deposit 200' }).click()
  await page.getByRole('heading', { name: /^Payment \d+$/ }).waitFor()
  await page.getByText('200.00').first().waitFor()
  assert.deepEqual(await complaints(), [])
})

test('nothing that comes from outside is run or read as markup', { skip: noBrowser }, async (t) => {
  const attack = '<img/src=x/onerror=window.pwned=1>'
  const texts = [
    attack,
    '"><script>window.pwned=1</script>',
    "'onmouseover='window.pwned=1",
    'javascript:window.pwned=1',
    '{{window.pwned=1}}${window.pwned=1}',
    '<svg><use href="data:,x#a"/></svg><iframe srcdoc="<script>parent.pwned=1</script>">',
  ]
  const { service, page, visit, complaints } = await openConsole(t)
  const busy = await openBusy(t, service, texts.join(' '))
  const filled = await fill(service, { reference: attack, text: texts.join(' ') })
  await failing(service)
  for (const path of pathsOf(filled, busy)) {
    await visit(path)
    await unfold(page)
    assert.equal(await page.evaluate('window.pwned'), undefined, path)
    assert.equal(await page.locator('main :is(img, script, iframe, use)').count(), 0, path)
    assert.deepEqual(await complaints(), [], path)
  }
  await visit(`/payments/${filled.success}`)
  const shown = await page.locator('main').innerText()
  for (const text of texts) assert.ok(shown.includes(text), text)
  await visit(`/webhooks/${busy}`)
  await unfold(page)
  const replies = await page.locator('.attempts .reply').first().innerText()
  for (const text of texts) assert.ok(replies.includes(text), text)
})
