/**
 * Walk through the first minutes of a new user: `npm run walk`, with Chromium. Starts the service
 * as `npm start` does on a new database, opens the printed link, makes a payment, turns a fault of
 * the mock gateway on, watches what it does, turns it off, and sees why. Writes a picture of each
 * step to .data/walk, and those that docs/console.md shows to docs/console/walk. CHROMIUM_PATH
 * names the browser.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = join(ROOT, '.data/walk')
const DOCS = join(ROOT, 'docs/console/walk')
/** The pictures that docs/console.md shows. */
const SHOWN = new Set(['payment-failing', 'payment-recovered'])
/** Longer than anything here takes: then something is not there. */
const WAIT_MS_MAX = 30_000
const VIEWPORT = { width: 1_100, height: 720 }
/** A fault of which the gateway executes nothing, as the console calls it. */
const FAULT = 'answers 502'

/** No network but the service, and no sandbox, so that it also runs as root in a container. */
const FLAGS = [
  ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ['--disable-background-networking', '--disable-component-update', '--disable-sync'],
].flat()

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The link that the service prints, as soon as it does. */
async function linkOf(child: ChildProcess): Promise<string> {
  let said = ''
  for await (const part of child.stdout ?? []) {
    said += String(part)
    const link = /Console\s+(http\S+)/.exec(said)?.[1]
    if (link !== undefined) return link
  }
  throw new Error(`the service ended: ${said}`)
}

let steps = 0

/** Take a picture of the page, named by what it shows, when nothing is loading any more. */
async function see(page: Page, name: string): Promise<void> {
  await page.locator('main :is(h1, h2)').first().waitFor()
  await page.locator('.loading').first().waitFor({ state: 'detached' })
  steps += 1
  const path = SHOWN.has(name) ? join(DOCS, `${name}.png`) : join(FOLDER, `${steps}-${name}.png`)
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' })
  console.log(path.slice(ROOT.length))
}

async function walk(page: Page, link: string): Promise<void> {
  page.setDefaultTimeout(WAIT_MS_MAX)
  const to = (screen: string) => page.locator(`#side a[href='/console/${screen}']`).click()
  await page.goto(link)
  await see(page, 'overview-empty')
  await to('payments')
  await page.getByRole('button', { name: 'Open a user and deposit 200' }).waitFor()
  await see(page, 'payments-empty')
  await page.getByRole('button', { name: 'Open a user and deposit 200' }).click()
  await page.locator('.sentence').getByText('it is final').waitFor()
  await see(page, 'payment-done')

  await to('gateways')
  await page.locator('.dial', { hasText: FAULT }).first().locator('input').focus()
  await page.keyboard.press('End')
  await page.locator('.dial.on', { hasText: FAULT }).first().waitFor()
  await see(page, 'gateway-with-fault')
  await page.getByRole('button', { name: 'New payment' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Amount').fill('25')
  await see(page, 'payment-form')
  await dialog.getByRole('button').last().click()
  await page.locator('.sentence').getByText('http_5').waitFor()
  await see(page, 'payment-failing')

  await to('gateways')
  await page.getByRole('button', { name: 'Reset faults' }).click()
  const turned = page.locator('.dial', { hasText: FAULT }).first()
  await turned.getByText('100 %').waitFor({ state: 'detached' })
  await see(page, 'gateway-without-fault')
  await page.locator('.mock .relatives a').first().click()
  await page.locator('.sentence').getByText('it is final').waitFor()
  await see(page, 'payment-recovered')
  await to('')
  await see(page, 'overview')
}

const data = mkdtempSync(join(tmpdir(), 'payments-walk-'))
for (const folder of [FOLDER, DOCS]) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
}
const env = { ...process.env, PORT: `${await freePort()}`, DATA_DIR: data, MOCK_GATEWAY_SEED: '1' }
// What `npm start` runs: npm itself hands no signal on.
const START = ['--enable-source-maps', 'scripts/bootstrap.mjs', 'build', '--then', 'dist/main.js']
const service = spawn(process.execPath, [...START, 'start'], {
  cwd: ROOT,
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'
const browser = await chromium.launch({ executablePath, args: FLAGS })
try {
  const page = await browser.newPage({ viewport: VIEWPORT, locale: 'en-US', timezoneId: 'UTC' })
  await walk(page, await linkOf(service))
} finally {
  await browser.close()
  service.kill('SIGTERM')
  await once(service, 'exit')
  rmSync(data, { recursive: true, force: true, maxRetries: 5 })
}
