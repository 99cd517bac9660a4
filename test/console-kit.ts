import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { openPage } from './browser.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { serve, type Served } from './serve.ts'

export const DESKTOP = { width: 1_280, height: 900 }
export const PHONE = { width: 360, height: 740 }

/** Loaded before the page's own scripts, by the browser: no policy of the page forbids it. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const WATCH = `window.violations = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample)
  })`

/** A service, and its console in a browser that keeps what is wrong with it. */
export interface Opened {
  readonly service: Served
  readonly page: Page
  /** Go to a path of the console, and wait until it shows what it knows. */
  visit(path: string): Promise<void>
  /** What the browser complained of since it was asked last: errors, and what a policy forbade. */
  complaints(): Promise<readonly string[]>
}

export async function openConsole(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
): Promise<Opened> {
  const service = await serve(t, { ...FAST, MOCK_GATEWAY_SEED: '1', ...env })
  const { page, complaints: said } = await openPage(t, DESKTOP)
  await page.addInitScript(`${WATCH}\n${AXE}`)
  let heard = 0
  return {
    service,
    page,
    async visit(path) {
      await page.goto(`${service.url}/console${path}`)
      await settled(page)
    },
    async complaints() {
      const fresh = said.slice(heard)
      heard = said.length
      const forbidden = await page.evaluate<string[]>('window.violations.splice(0)')
      return [...fresh, ...forbidden]
    },
  }
}

/** Wait until nothing on the page is being read any more. */
export async function settled(page: Page): Promise<void> {
  await page.locator('main :is(h1, h2)').first().waitFor()
  await page.locator('.loading').first().waitFor({ state: 'detached' })
}

/** What axe-core finds wrong with the page as it is, in words; `rules` are all, or some by name. */
export function flaws(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  const only = rules === null ? {} : { runOnly: rules }
  const options = JSON.stringify({ resultTypes: ['violations'], ...only })
  return page.evaluate<string[]>(`axe.run(document, ${options}).then(
    ({ violations }) => violations.map(({ id, nodes }) =>
      id + ': ' + nodes.map(({ html, any }) => html + ' ' + (any[0]?.message ?? '')).join('\\n')))`)
}

/** The ids of one payment in each state that stays, and of who made them. */
export interface Filled {
  readonly user: number
  readonly success: number
  readonly failed: number
  readonly unknown: number
  readonly endpoint: number
}

/** Texts from outside, where the API takes some. */
export interface Texts {
  readonly reference: string
  readonly text: string
}

/** The longest description of an endpoint. */
export const SAID_MAX = 200

const PLAIN: Texts = { reference: 'order-7001', text: 'Invoice 300' }

/** Make payments that succeed, fail and stay unknown, a refund, and an endpoint. */
export async function fill({ call }: Served, { reference, text }: Texts = PLAIN): Promise<Filled> {
  const faults = (set: object) => call('PUT', '/mock-gateway/faults', set)
  const number = (body: Record<string, unknown>, name: string) => {
    assert.ok(Number.isSafeInteger(body[name]), JSON.stringify(body))
    return Number(body[name])
  }
  const pay = async (type: string, body: object) => {
    const made = await call('POST', `/payments/${type}`, body)
    return number(made.body, 'payment_id')
  }
  const reaches = (id: number, status: string) =>
    until(`payment ${id} is ${status}`, async () => {
      const { body } = await call('GET', `/payments/${id}`)
      return body['status'] === status
    })
  await faults({ ...CALM })
  const webhook = { types: ['payment.*', 'dead_letter.*'], description: text.slice(0, SAID_MAX) }
  const endpoint = number((await call('POST', '/webhook-endpoints', webhook)).body, 'id')
  const opened = { balance: '1234567.89', external_id: reference, metadata: { note: text } }
  const user = number((await call('POST', '/users', opened)).body, 'id')
  const details = { user_id: user, reference, description: text, metadata: { note: text } }
  const success = await pay('deposit', { ...details, deposit: '200.50' })
  await reaches(success, 'success')
  const refund = { amount: '50.25', reason: text }
  const made = await call('POST', `/payments/${success}/refunds`, refund)
  await reaches(number(made.body, 'payment_id'), 'success')
  await faults({ decline: 1 })
  const failed = await pay('withdraw', { user_id: user, amount: '19.90' })
  await reaches(failed, 'failed')
  await faults({ decline: 0, error_after: 1, lookup_errors: 1 })
  const unknown = await pay('withdraw', { user_id: user, amount: '42', description: text })
  await reaches(unknown, 'unknown')
  return { user, success, failed, unknown, endpoint }
}
