import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { newKey } from '../src/domain/api-key.ts'
import { insertKey, revokeKey } from '../src/keys/store.ts'
import { noBrowser, openPage } from './browser.ts'
import { DESKTOP, settled } from './console-kit.ts'
import { openDb } from './harness.ts'
import { serve } from './serve.ts'

test(
  'a key opens a session, its scopes decide which buttons there are, and its end is seen',
  { skip: noBrowser },
  async (t) => {
    const service = await serve(t, { HOST: '0.0.0.0' })
    const { global: db } = openDb(t, service.database)
    const [reader, operator] = [newKey(randomBytes), newKey(randomBytes)]
    await insertKey(db, reader, 'reader', ['read'])
    await insertKey(db, operator, 'operator', ['read', 'write', 'refund', 'operate'])
    const { page } = await openPage(t, DESKTOP)
    const console_ = `http://localhost:${new URL(service.url).port}/console`
    const enter = async (token: string) => {
      await page.getByLabel('API key').fill(token)
      await page.getByRole('button', { name: 'Sign in' }).click()
    }

    await page.goto(`${console_}/webhooks`)
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
      await page.goto(`${console_}${path}`)
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
    await page.goto(`${console_}/webhooks`)
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
    const service = await serve(t, { HOST: '0.0.0.0' })
    const { global: db } = openDb(t, service.database)
    const reader = newKey(randomBytes)
    await insertKey(db, reader, 'reader', ['read'])
    const { page } = await openPage(t, DESKTOP)
    await page.goto(`http://localhost:${new URL(service.url).port}/console/webhooks`)
    await page.getByLabel('API key').fill(reader.token)
    await page.getByRole('button', { name: 'Sign in' }).click()
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
    const service = await serve(t, { HOST: '0.0.0.0' })
    const { global: db } = openDb(t, service.database)
    const [first, second] = [newKey(randomBytes), newKey(randomBytes)]
    const { page } = await openPage(t, DESKTOP)
    await page.goto(`http://localhost:${new URL(service.url).port}/console/settings`)
    for (const key of [first, second]) {
      await insertKey(db, key, key.id, ['read'])
      await page.getByLabel('API key').fill(key.token)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.locator('main').getByText(key.id).waitFor()
      await revokeKey(db, key.id)
      await page.getByLabel('API key').waitFor()
    }
  },
)

test(
  'the end of a session is seen while updates are paused, and nothing else is asked for then',
  { skip: noBrowser },
  async (t) => {
    const service = await serve(t, { HOST: '0.0.0.0' })
    const { global: db } = openDb(t, service.database)
    const key = newKey(randomBytes)
    await insertKey(db, key, 'reader', ['read'])
    const { page } = await openPage(t, DESKTOP)
    await page.goto(`http://localhost:${new URL(service.url).port}/console/users`)
    await page.getByLabel('API key').fill(key.token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Users' }).waitFor()
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
