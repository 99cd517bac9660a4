/**
 * Take the screenshots of the documentation: `npx tsx scripts/screenshots.ts
 * http://localhost:8000`.
 *
 * Opens /docs of a running service in Chromium, expands one operation and writes
 * docs/images/docs-desktop.png and docs/images/docs-phone.png. CHROMIUM_PATH names the browser;
 * without it the usual ones are looked for. Fails when a picture is too large for a README.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser } from 'playwright-core'

/** What is photographed, in CSS pixels; a device scale factor of 1 keeps the files small. */
const PICTURES = [
  { name: 'docs-desktop.png', width: 1280, height: 960 },
  { name: 'docs-phone.png', width: 390, height: 844 },
] as const

/** The operation that is shown open, as Swagger UI names its element. */
const OPERATION = '#operations-Payments-createDeposit'

const BYTES_MAX = 200 * 1_024

/** No network but the service, and no sandbox, so that it also runs as root in a container. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const [url] = process.argv.slice(2)
if (url === undefined) {
  console.error('Usage: npx tsx scripts/screenshots.ts <url of a running service>')
  process.exit(2)
}

const folder = fileURLToPath(new URL('../docs/images/', import.meta.url))
mkdirSync(folder, { recursive: true })
const browser = await chromium.launch({ executablePath: findChromium(), args: FLAGS })
try {
  for (const picture of PICTURES) await take(browser, new URL('/docs', url).href, picture)
} finally {
  await browser.close()
}

async function take(
  opened: Browser,
  address: string,
  picture: (typeof PICTURES)[number],
): Promise<void> {
  const { name, width, height } = picture
  const page = await opened.newPage({ viewport: { width, height }, reducedMotion: 'reduce' })
  await page.goto(address)
  const operation = page.locator(OPERATION)
  const summary = operation.locator('.opblock-summary-control')
  await summary.click()
  await summary.blur()
  await operation.locator('.opblock-body').waitFor()
  // The title is worth less than the operation: begin at the group it belongs to.
  await operation.evaluate((element) => element.closest('.opblock-tag-section')?.scrollIntoView())
  const path = `${folder}${name}`
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' })
  await page.close()

  const { size } = statSync(path)
  console.log(`docs/images/${name}  ${width}x${height}  ${Math.ceil(size / 1_024)} KiB`)
  if (size > BYTES_MAX) throw new Error(`${name} is larger than ${BYTES_MAX / 1_024} KiB`)
}

/**
 * The browser's program: the one asked for, or the first of the usual ones. Throws if none is
 * there.
 */
function findChromium(): string {
  const asked = process.env['CHROMIUM_PATH']
  if (asked) return asked
  const usual = '/usr/bin/chromium'
  if (existsSync(usual)) return usual
  for (const name of ['chromium', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim()
    } catch {
      // Not this one.
    }
  }
  throw new Error('No Chromium was found: install it, or set CHROMIUM_PATH to its program.')
}
