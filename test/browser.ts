import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { chromium, type Page } from 'playwright-core'

const PROGRAMS = [
  process.env.CHROMIUM_PATH ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** The browser of this machine; null: there is none. `CHROMIUM_PATH` names another one. */
const PROGRAM = PROGRAMS.find((path) => path !== '' && existsSync(path)) ?? null

/** Why the tests with a browser are left out; false where there is one. */
export const noBrowser = PROGRAM === null && 'there is no Chromium here; CHROMIUM_PATH may name one'

const FLAGS = [
  ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ['--disable-background-networking', '--disable-component-update', '--disable-sync'],
].flat()

/** How long anything may take before the test fails: not a promise, but an end. */
const DEADLINE_MS = 300_000

/** A page of a browser with a profile of its own, and what its console complained of. */
export async function openPage(
  t: TestContext,
  viewport: { readonly width: number; readonly height: number },
): Promise<{ readonly page: Page; readonly complaints: readonly string[] }> {
  const profile = mkdtempSync(join(tmpdir(), 'payments-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    ...(PROGRAM === null ? {} : { executablePath: PROGRAM }),
    args: FLAGS,
    viewport,
    timeout: DEADLINE_MS,
  })
  t.after(async () => {
    await context.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  const page = await context.newPage()
  page.setDefaultTimeout(DEADLINE_MS)
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  return { page, complaints }
}
