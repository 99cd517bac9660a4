import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { fill, flaws, openConsole } from './console-kit.ts'
import { CALM } from './process-kit.ts'
import { receiver, status } from './webhooks-kit.ts'

test(
  'an endpoint that is not reached is told apart, and every attempt with what was answered',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const hooks = await receiver(t, status(503))
    await service.call('PUT', '/mock-gateway/faults', { ...CALM })
    const types = ['payment.succeeded']
    const made = await service.call('POST', '/webhook-endpoints', { url: hooks.url, types })
    const { body: user } = await service.call('POST', '/users', { balance: 100 })
    await service.call('POST', '/payments/deposit', { user_id: user['id'], deposit: 20 })
    await visit('/webhooks')
    await page.getByText('Not reached').waitFor()
    await page.getByText('1 event on the way').waitFor()
    assert.deepEqual(await flaws(page), [])
    await visit(`/webhooks/${String(made.body['id'])}`)
    await page.locator('main summary').first().click()
    await page.locator('.attempts li').getByText('HTTP 503').first().waitFor()
    assert.deepEqual(await flaws(page), [])

    await visit('/ledger')
    await page.getByRole('region', { name: 'Journal' }).getByText('Settle').first().waitFor()
    assert.deepEqual(await complaints(), [])
  },
)

test('a month of a statement is that month wherever it is read', { skip: noBrowser }, async (t) => {
  const { service, page, visit } = await openConsole(t)
  const { user } = await fill(service)
  const { body } = await service.call('GET', `/users/${user}/statement?by=month`)
  const [{ from } = { from: '' }] = body['periods'] as { from: string }[]
  const named = new Intl.DateTimeFormat('en-GB', {
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  })
  const session = await page.context().newCDPSession(page)
  for (const timezoneId of ['America/New_York', 'Pacific/Kiritimati']) {
    await session.send('Emulation.setTimezoneOverride', { timezoneId })
    await visit(`/users/${user}`)
    const shown = page.getByRole('rowheader', { name: named.format(Date.parse(from)) })
    await shown.waitFor()
    assert.equal(await shown.count(), 1, timezoneId)
  }
})
