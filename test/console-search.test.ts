import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { flaws, openConsole, settled } from './console-kit.ts'

test(
  'users and payments are found by names that look like an id or a field',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit } = await openConsole(t)
    const { call } = service
    const open = async (name: string) => {
      const { body } = await call('POST', '/users', { balance: 100, external_id: name })
      return String(body['id'])
    }
    const first = await open('plain')
    const digits = await open('555777')
    const same = await open(first)
    const prefixed = await open('user:alice')
    const details = { user_id: Number(first), deposit: 20, reference: 'of-user:1' }
    const key = { 'idempotency-key': 'ref:abc-1' }
    const { body: paid } = await call('POST', '/payments/deposit', details, key)
    const payment = String(paid['payment_id'])
    const main = page.locator('main')
    const findUser = async (name: string) => {
      await main.getByRole('textbox').fill(name)
      await main.getByRole('button', { name: 'Find' }).click()
    }
    const search = async (text: string) => {
      await page.locator('#search').fill(text)
      await page.keyboard.press('Enter')
      await settled(page)
    }
    const link = (name: string) => main.getByRole('link', { name, exact: true })

    await visit('/users')
    await findUser('555777')
    await main.getByRole('cell', { name: '555777' }).waitFor()
    assert.equal(await link(digits).count(), 1)
    // The id of one is the external id of another: both are shown, and once each.
    await findUser(first)
    await link(first).waitFor()
    await link(same).waitFor()
    assert.equal(await main.locator('tbody tr').count(), 2)
    await findUser('1234567')
    await link('Search everything for 1234567').waitFor()
    await visit('/users/1234567')
    await link('Search everything for 1234567').waitFor()

    await search('user:alice')
    await link(`User ${prefixed}`).waitFor()
    await search('ref:abc-1')
    await link('Search everything for ref:abc-1').click()
    await link(`Deposit ${payment}`).waitFor()
    // What begins like a field is also looked for without it.
    await search('user: plain')
    await link(`User ${first}`).waitFor()
    await search('constructor: 1')
    await main.getByText('Nothing fits these filters').waitFor()
    // The payment with this id may not be what was meant.
    await search(payment)
    await link(`Search everything for ${payment}`).waitFor()
    assert.deepEqual(await flaws(page), [])
  },
)
