import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './serve.ts'

const REASON = 'The shop lost a day'

/** A body of two forms, and what is wrong with it: by the form that was meant. */
const CASES: readonly (readonly [body: unknown, pointer: string, code: string])[] = [
  [{ snapshot: 'x', reason: REASON }, '/snapshot', 'wrong_type'],
  [{ snapshot: 0, reason: REASON }, '/snapshot', 'too_small'],
  [{ snapshot: 1 }, '/reason', 'missing'],
  [{ reason: REASON }, '/snapshot', 'missing'],
  [{ snapshot: 1, reason: '' }, '/reason', 'minLength'],
  [{ snapshot: 1, reason: REASON, rate_per_second: 0 }, '/rate_per_second', 'too_small'],
  [{ snapshot: 1, reason: REASON, rate_per_second: '9' }, '/rate_per_second', 'wrong_type'],
  [{ snapshot: 1, reason: REASON, rate: 9 }, '/rate', 'unknown'],
  [{ snapshot: 1, reason: REASON, dry_run: true }, '/dry_run', 'unknown'],
  [{ filter: {} }, '/dry_run', 'missing'],
  [{ dry_run: true }, '/filter', 'missing'],
  [{ filter: {}, dry_run: false }, '/dry_run', 'const'],
  [{ filter: {}, dry_run: true, reason: REASON }, '/reason', 'unknown'],
  [{ filter: [], dry_run: true }, '/filter', 'wrong_type'],
  [{ filter: { nobody: 1 }, dry_run: true }, '/filter/nobody', 'unknown'],
  [{ filter: { created_after: 1 }, dry_run: true }, '/filter/created_after', 'wrong_type'],
  [{}, '/filter', 'missing'],
  [[], '', 'wrong_type'],
]

test('of a body of two forms it is said what is wrong with the form that was meant', async (t) => {
  const service = await serve(t)
  for (const path of ['/dlq/redrive', '/webhook-endpoints/1/replays']) {
    for (const [sent, pointer, code] of CASES) {
      const { status, body } = await service.call('POST', path, sent)
      const what = `${path} ${JSON.stringify(sent)}`
      assert.deepEqual([status, body['code']], [400, 'body_invalid'], what)
      assert.deepEqual(body['errors'], [{ pointer, code }], what)
    }
  }
})
