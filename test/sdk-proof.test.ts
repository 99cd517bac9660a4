import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { proveSdk } from '../scripts/prove-sdk.ts'
import { serve } from './serve.ts'

test('a caller that is killed and resumes, behind a proxy that drops, doubles and delays, pays once', async (t) => {
  const { url } = await serve(t)
  const folder = mkdtempSync(join(process.env['TEST_FOLDER'] ?? tmpdir(), 'proof-'))
  const intents = 200
  const proved = await proveSdk({ url, folder, intents, kills: 2, seed: 1 })
  assert.deepEqual([proved.payments, proved.intents], [intents, intents])
  assert.deepEqual(proved.kinds, { deposit: 69, withdraw: 70, refund: 61 })
  assert.equal(Object.keys(proved.fates).length, 8, 'every fate came')
})
