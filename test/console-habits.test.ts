import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noBrowser } from './browser.ts'
import { openConsole } from './console-kit.ts'

test(
  'a browser that lets no page keep anything shows the console all the same',
  { skip: noBrowser },
  async (t) => {
    const { page, visit, complaints } = await openConsole(t)
    await page.addInitScript(`Object.defineProperty(window, 'localStorage', {
      get() { throw new DOMException('forbidden', 'SecurityError') },
    })`)
    await visit('/settings')
    await page.getByLabel('Language').selectOption('ru')
    await page.getByRole('heading', { name: 'Настройки', level: 1 }).waitFor()
    assert.deepEqual(await complaints(), [])
  },
)
