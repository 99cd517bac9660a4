import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { newKey } from '../src/domain/api-key.ts'
import { insertKey, revokeKey } from '../src/keys/store.ts'
import { noBrowser, openPage } from './browser.ts'
import { DESKTOP, settled } from './console-kit.ts'
import { openDb } from './harness.ts'
import { serve } from './serve.ts'

/** A service that asks for keys, its console in a browser, and who may sign in there. */
async function guarded(t: TestContext) {
  const service = await serve(t, { HOST: '0.0.0.0' })
  const { global: db } = openDb(t, service.database)
  const { page } = await openPage(t, DESKTOP)
  return {
    service,
    db,
    page,
    /** Make a key with these scopes. */
    async made(name: string, scopes: Parameters<typeof insertKey>[3]) {
      const key = newKey(randomBytes)
      await insertKey(db, key, name, scopes)
      return key
    },
    visit: (path: string) =>
      page.goto(`http://localhost:${new URL(service.url).port}/console${path}`),
    async enter(token: string) {
      await page.getByLabel('API key').fill(token)
      await page.getByRole('button', { name: 'Sign in' }).click()
    },
  }
}

const ALL = ['read', 'write', 'refund', 'operate'] as const

test(
  'a key opens a session, its scopes decide which buttons there are, and its end is seen',
  { skip: noBrowser },
  async (t) => {
    const { db, page, made, visit, enter } = await guarded(t)
    const reader = await made('reader', ['read'])
    const operator = await made('operator', ALL)

    await visit('/webhooks')
    await enter(`${reader.token}x`)
    await page.getByText('No key is this one, or it was revoked.').waitFor()
    await enter(reader.token)
    await page.getByRole('heading', { name: 'Webhooks' }).waitFor()
    await settled(page)
    assert.equal(await page.getByRole('button', { name: 'Add an endpoint' }).count(), 0)

    // What anybody may press who may look; nothing of it changes anything.
    const looks = /^(15 min|1 hour|24 hours|7 days|Save as CSV|All|Processing|Pending|Success)$/
    const more = /^(Failed|Unknown|Open|Redriven|Resolved|Older|Find|Copy|Sign out|Close)$/
    for (const path of ['', '/payments', '/dead-letters', '/users', '/ledger', '/gateways']) {
      await visit(path)
      await settled(page)
      const names = await page.locator('main').getByRole('button').allInnerTexts()
      const acts = names.filter((name) => !looks.test(name) && !more.test(name))
      assert.deepEqual(acts, [], path)
      for (const dial of await page.getByRole('slider').all()) {
        if ((await dial.getAttribute('type')) === 'range') assert.ok(await dial.isDisabled(), path)
      }
    }

    await page.locator('#side').getByRole('button', { name: 'Sign out' }).click()
    await enter(operator.token)
    await page.locator('#side').getByRole('button', { name: 'Sign out' }).waitFor()
    await visit('/webhooks')
    await page.getByRole('button', { name: 'Add an endpoint' }).waitFor()

    await revokeKey(db, operator.id)
    await page.getByLabel('API key').waitFor()
    assert.equal(await page.getByRole('heading', { name: 'Webhooks' }).count(), 0)
  },
)

test(
  'a session that ends is seen though its address has sent too many wrong tokens',
  { skip: noBrowser },
  async (t) => {
    const { service, db, page, made, visit, enter } = await guarded(t)
    const reader = await made('reader', ['read'])
    await visit('/webhooks')
    await enter(reader.token)
    await page.getByRole('heading', { name: 'Webhooks' }).waitFor()

    const wrong = { authorization: 'Bearer wrong' }
    let limited = 0
    // The page never gets the 401 that there is at the start of each minute.
    await page.route('**/api/v1/**', async (route) => {
      let response = await route.fetch()
      while (response.status() === 401) {
        while ((await service.call('GET', '/payments', undefined, wrong)).status !== 429);
        response = await route.fetch()
      }
      if (response.status() === 429) limited += 1
      await route.fulfill({ response })
    })
    // Nor does it hear by itself that nobody is signed in, before it asks because of a 429.
    const own = await page.evaluate<string>(`fetch('/api/v1/session').then((all) => all.text())`)
    await page.route('**/api/v1/session', (route) =>
      limited > 0
        ? route.continue()
        : route.fulfill({ body: own, contentType: 'application/json' }),
    )
    await revokeKey(db, reader.id)
    await page.getByLabel('API key').waitFor()
    assert.notEqual(limited, 0)
    assert.equal(await page.getByRole('heading', { name: 'Webhooks' }).count(), 0)
  },
)

test(
  'the end of a session is seen on a screen that shows nothing of the service',
  { skip: noBrowser },
  async (t) => {
    const { db, page, made, visit, enter } = await guarded(t)
    await visit('/settings')
    for (const name of ['reader of today', 'reader of tomorrow']) {
      const key = await made(name, ['read'])
      await enter(key.token)
      await page.locator('main').getByText(name).waitFor()
      await revokeKey(db, key.id)
      await page.getByLabel('API key').waitFor()
    }
  },
)

test(
  'the end of a session is seen while updates are paused, and nothing else is asked for then',
  { skip: noBrowser },
  async (t) => {
    const { db, page, made, visit, enter } = await guarded(t)
    const key = await made('reader', ['read'])
    await visit('/users')
    await enter(key.token)
    await page.getByRole('heading', { name: 'Users', exact: true }).waitFor()
    await settled(page)
    await page.locator('#side').getByRole('button', { name: 'Pause' }).click()
    const asked: string[] = []
    page.on('request', (request) => asked.push(new URL(request.url()).pathname))
    await page.waitForRequest('**/api/v1/session')
    await revokeKey(db, key.id)
    await page.getByLabel('API key').waitFor()
    assert.deepEqual([...new Set(asked)], ['/api/v1/session'])
  },
)

test(
  'whoever signs in next is shown nothing that was for who was there before, and told of what was under way',
  { skip: noBrowser },
  async (t) => {
    const { service, db, page, made, visit, enter } = await guarded(t)
    const first = await made('first', ALL)
    const second = await made('second', ALL)
    const reader = await made('reader', ['read'])
    const post = async (path: string, body: object) => {
      const headers = { authorization: `Bearer ${first.token}`, 'content-type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      const answer = await fetch(`${service.url}/api/v1${path}`, init)
      assert.equal(answer.status, 201)
      return (await answer.json()) as { id: number }
    }
    const endpoint = await post('/webhook-endpoints', {
      url: 'https://a.test/',
      types: ['books.*'],
    })
    const user = await post('/users', { balance: 100 })
    const signOut = page.locator('#side').getByRole('button', { name: 'Sign out' })

    await visit(`/webhooks/${endpoint.id}`)
    await enter(first.token)
    await page.getByRole('button', { name: 'New secret' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'New secret' }).click()
    await page.getByText('whsec_').waitFor()
    await revokeKey(db, first.id)
    await page.getByLabel('API key').waitFor()
    await enter(reader.token)
    await signOut.waitFor()
    assert.equal(await page.getByRole('dialog').count(), 0)
    assert.doesNotMatch(await page.content(), /whsec_|a\.test/)
    await signOut.click()

    await enter(second.token)
    await signOut.waitFor()
    await visit(`/users/${user.id}`)
    // It is carried out, its answer is late, and meanwhile the session ends.
    await page.route('**/api/v1/payments/deposit', async (route) => {
      await route.fetch()
      await revokeKey(db, second.id)
      await page.getByLabel('API key').waitFor()
      await route.abort()
    })
    await page.getByRole('button', { name: 'New payment' }).click()
    await page.getByRole('dialog').getByLabel('Amount').fill('7')
    await page.getByRole('dialog').getByRole('button', { name: 'Make' }).click()
    await page.getByLabel('API key').waitFor()
    await enter(reader.token)
    await page.getByRole('dialog').getByText('It may have been done').waitFor()
    assert.equal(await page.getByRole('dialog').getByLabel('Amount').count(), 0)
  },
)

test(
  'an act that the end of its own session refused is not said to have been done perhaps',
  { skip: noBrowser },
  async (t) => {
    const { page, made, visit, enter } = await guarded(t)
    const key = await made('writer', ALL)
    await visit('/payments')
    await enter(key.token)
    await page.getByRole('heading', { name: 'Payments', exact: true }).waitFor()
    await page.getByRole('button', { name: 'New payment' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('User').fill('1')
    await dialog.getByLabel('Amount').fill('7')
    await page.route('**/api/v1/users/1', (route) => {
      const body = JSON.stringify({ status: 401, code: 'unauthorized', title: '', detail: '' })
      return route.fulfill({ status: 401, contentType: 'application/problem+json', body })
    })
    await dialog.getByRole('button', { name: 'Make' }).click()
    await page.getByLabel('API key').waitFor()
    await enter(key.token)
    await page.locator('#side').getByRole('button', { name: 'Sign out' }).waitFor()
    assert.equal(await dialog.count(), 0)
  },
)
