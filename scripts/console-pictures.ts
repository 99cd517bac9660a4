/**
 * Take the pictures of the console: `npm run screenshots -- http://localhost:8000`, with a service
 * that has the mock gateway and a new database.
 *
 * Makes some payments, with a few faults turned on, and writes docs/console/<screen>-<theme>.png.
 * CHROMIUM_PATH names the browser. Fails when a picture is too large for a README.
 */
import { once } from 'node:events'
import { mkdirSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'

const VIEWPORT = { width: 1_100, height: 720 }
const PHONE = { width: 360, height: 740 }
/** The screens that are shown on a phone as well. */
const ON_PHONE = ['overview', 'payments', 'payment', 'dead-letters']
const BYTES_MAX = 160 * 1_024
const THEMES = ['light', 'dark'] as const

/** No network but the service, and no sandbox, so that it also runs as root in a container. */
const FLAGS = [
  ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ['--disable-background-networking', '--disable-component-update', '--disable-sync'],
].flat()

const [url] = process.argv.slice(2)
if (url === undefined) {
  console.error('Usage: npm run screenshots -- <url of a running service>')
  process.exit(2)
}

interface Made {
  readonly payment_id: number
  readonly id: number
  readonly status: string
}

const JSON_BODY = { 'content-type': 'application/json' }

async function call(method: string, path: string, body?: object): Promise<Made> {
  const answer = await fetch(new URL(`/api/v1${path}`, url), {
    method,
    headers: { 'x-actor': 'jane', ...(body === undefined ? {} : JSON_BODY) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as Made
}

async function pay(type: 'deposit' | 'withdraw', user: number, at: number): Promise<number> {
  const amount = `${(at * 37) % 180}.${10 + ((at * 7) % 90)}`
  const more = { reference: `order-${7_000 + at}`, description: `Invoice ${300 + at}` }
  const wanted = { user_id: user, [type === 'deposit' ? type : 'amount']: amount, ...more }
  return (await call('POST', `/payments/${type}`, wanted)).payment_id
}

/** Ask until a payment is as it should be. */
async function reaches(id: number, ...wanted: readonly string[]): Promise<void> {
  for (;;) {
    const { status } = await call('GET', `/payments/${id}?wait=5`)
    if (wanted.includes(status)) return
    await new Promise((done) => setTimeout(done, 200))
  }
}

/** The port of what is told of events; any would do, but a picture shows it. */
const SHOP_PORT = 4_100

/** A shop that understands most of what it is told, and says so. */
async function openShop(): Promise<Server> {
  let told = 0
  const server = createServer((request, response) => {
    request.resume()
    told += 1
    const busy = told % 9 === 4
    response.writeHead(busy ? 503 : 200).end(busy ? 'Try later' : 'Thank you')
  }).listen(SHOP_PORT, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Payments of every kind: what is shown, by screen. */
async function fill(): Promise<Readonly<Record<string, string>>> {
  await call('DELETE', '/mock-gateway/faults')
  await call('POST', '/webhook-endpoints', { types: ['payment.*', 'dead_letter.*'] })
  const shop = {
    url: `http://127.0.0.1:${SHOP_PORT}/payments`,
    types: ['payment.succeeded', 'payment.failed'],
    description: 'The shop',
  }
  const endpoint = (await call('POST', '/webhook-endpoints', shop)).id
  const mail = { ...shop, url: `http://127.0.0.1:${SHOP_PORT + 1}/mail`, description: 'Receipts' }
  await call('POST', '/webhook-endpoints', mail)
  const users: number[] = []
  for (const at of [0, 1, 2, 3, 4, 5]) {
    const account = { balance: `${1_000 + 350 * at}`, external_id: `customer-${1_000 + at}` }
    users.push((await call('POST', '/users', account)).id)
  }
  const userOf = (at: number) => users[(at * 5) % users.length] ?? 1
  const made: number[] = []
  for (let at = 1; at <= 40; at += 1) {
    made.push(await pay(at % 3 === 0 ? 'withdraw' : 'deposit', userOf(at), at))
  }
  for (const id of made) await reaches(id, 'success', 'failed', 'unknown')
  await call('PUT', '/mock-gateway/faults', { decline: 1 })
  for (let at = 41; at <= 45; at += 1)
    await reaches(await pay('withdraw', userOf(at), at), 'failed')
  await call('PUT', '/mock-gateway/faults', { decline: 0, error_after: 1, lookup_errors: 1 })
  const doubted = await pay('withdraw', userOf(46), 46)
  await pay('deposit', userOf(47), 47)
  await reaches(doubted, 'unknown')
  await call('POST', '/ledger/verifications')
  return {
    overview: '/?span=15m',
    payments: '/payments',
    payment: `/payments/${doubted}`,
    'dead-letters': '/dead-letters',
    users: '/users',
    user: `/users/${userOf(46)}`,
    ledger: '/ledger',
    webhooks: '/webhooks',
    'webhook-endpoint': `/webhooks/${endpoint}`,
    gateways: '/gateways',
    settings: '/settings',
  }
}

async function take(page: Page, name: string, path: string): Promise<void> {
  await page.goto(new URL(`/console${path}`, url).href)
  await page.locator('main h1').waitFor()
  await page.waitForLoadState('networkidle')
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const file = `${folder}${name}-${colorScheme}.png`
    await page.screenshot({ path: file, animations: 'disabled', caret: 'hide' })
    const { size } = statSync(file)
    console.log(`docs/console/${name}-${colorScheme}.png  ${Math.ceil(size / 1_024)} KiB`)
    if (size > BYTES_MAX) throw new Error(`${file} is larger than ${BYTES_MAX / 1_024} KiB`)
  }
}

const folder = fileURLToPath(new URL('../docs/console/', import.meta.url))
mkdirSync(folder, { recursive: true })
const shop = await openShop()
const screens = await fill()
const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'
const browser = await chromium.launch({ executablePath, args: FLAGS })
try {
  const page = await browser.newPage({ viewport: VIEWPORT, locale: 'en-US', timezoneId: 'UTC' })
  for (const [name, path] of Object.entries(screens)) await take(page, name, path)
  await page.setViewportSize(PHONE)
  for (const name of ON_PHONE) await take(page, `phone-${name}`, screens[name] ?? '/')
} finally {
  await browser.close()
  shop.close()
}
