import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { fill, flaws, openConsole } from './console-kit.ts'

test(
  'each value of a chart is told by the keyboard, and all of them by a table',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    await fill(service)
    await visit('/?span=15m')
    const slider = page.getByRole('slider', { name: 'Ended' })
    await slider.focus()
    const told = () => slider.getAttribute('aria-valuetext')
    await page.keyboard.press('Home')
    assert.match((await told()) ?? '', /^0 ended, 0 of them failed/)
    const first = await told()
    await page.keyboard.press('ArrowRight')
    assert.notEqual(await told(), first)
    await page.keyboard.press('End')
    assert.equal(await slider.getAttribute('aria-valuenow'), '14')

    const chart = page.locator('figure').filter({ has: slider })
    await chart.getByText('As a table').click()
    const rows = chart.locator('tbody tr')
    await rows.first().waitFor()
    assert.equal(await rows.count(), 15)
    const said = await rows.allInnerTexts()
    const ended = said.map((text) => Number(/(\d+) ended/.exec(text)?.[1]))
    // A deposit, its refund, and one that failed; one that became unknown has not ended.
    assert.equal(
      ended.reduce((sum, one) => sum + one, 0),
      3,
    )
    // Where nothing ended there is no time that it took, and no line either.
    const latency = page
      .locator('figure')
      .filter({ has: page.getByRole('slider', { name: '95 %' }) })
    await latency.getByText('As a table').click()
    await latency.locator('tbody tr').first().waitFor()
    const times = await latency.locator('tbody tr').allInnerTexts()
    const known = times.filter((text) => !text.includes('nothing ended'))
    const drawn = (await latency.locator('path.line').getAttribute('d')) ?? ''
    assert.ok(known.length >= 1 && known.length < times.length)
    assert.equal(drawn.match(/[ML]/g)?.length, known.length)
    assert.deepEqual(await flaws(page), [])
    assert.deepEqual(await complaints(), [])
  },
)
