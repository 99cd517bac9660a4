import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepRecent } from '../src/verify/runs-store.ts'
import { noBrowser } from './browser.ts'
import { openConsole } from './console-kit.ts'
import { openDb, raw } from './harness.ts'

test(
  'what one check of the books found stays in sight when another has found nothing, or runs',
  { skip: noBrowser },
  async (t) => {
    const { service, page, visit, complaints } = await openConsole(t)
    const { global: db } = openDb(t, service.database)
    const full = async (state: string, report: object | null) => {
      const text = report === null ? null : JSON.stringify(report)
      const add = raw<never>(`insert into verifications
        (scope, state, started_at, started_by, seen_at, ended_at, report)
        values ('full', $1::text, now(), 'jane', now() + interval '1 hour',
          case when $1::text = 'done' then now() end, $2::jsonb)`)
      await db.run(add, [state, text])
    }
    const found = (violations: number) => ({
      complete: true,
      duration_ms: 1,
      violations,
      rules: [{ rule: 'r', severity: 'error', holds: 'h', checked: 9, violations, examples: [] }],
    })
    const recent = (violations: number) => keepRecent(db, new Date(), found(violations))
    await full('done', found(3))
    await recent(0)
    await visit('/ledger')
    const bad = page.getByText('1 rule, 3 violations')
    await bad.waitFor()
    await page.getByText('1 rule, 0 violations').waitFor()
    await page.getByText('what changed lately').waitFor()

    // A check that a worker makes meanwhile takes neither the progress away nor the button back.
    await full('running', null)
    await page.getByRole('progressbar').waitFor()
    await recent(2)
    await page.getByText('1 rule, 2 violations').waitFor()
    assert.ok(await page.getByRole('progressbar').isVisible())
    assert.ok(await page.getByRole('button', { name: 'Verify now' }).isDisabled())

    await db.run(raw<never>(`delete from verifications where scope = 'full'`), [])
    await full('done', found(0))
    await visit('/')
    await page.getByRole('link', { name: /1 rule, 2 violations/ }).waitFor()
    assert.deepEqual(await complaints(), [])
  },
)
