import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pythonWith } from '../scripts/python.ts'
import { serve } from './serve.ts'
import { ROOT } from './sources.ts'

const PACKAGES = ['openapi-python-client==0.29.1', 'python-dateutil==2.9.0.post0']

test('a client that openapi-python-client generates deposits once and reads what became of it', async (t) => {
  const folder = mkdtempSync(join(process.env['TEST_FOLDER'] ?? tmpdir(), 'python-'))
  const python = pythonWith(folder, PACKAGES)
  if ('missing' in python) return t.skip(python.missing)
  const document = join(ROOT, 'docs/openapi.json')
  const place = ['--path', document, '--output-path', join(folder, 'payments_client')]
  const made = spawnSync(
    python.program('openapi-python-client'),
    ['generate', '--meta', 'none', ...place],
    { cwd: folder, encoding: 'utf8' },
  )
  const said = `${made.stdout}${made.stderr}`
  assert.ok(!/unable|duplicate|removal of/i.test(said), said)

  const { url } = await serve(t)
  const sample = join(ROOT, 'scripts/contract-tools/sample.py')
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' }
  const output = await new Promise<string>((done) => {
    execFile(python.program('python'), [sample, url], { env }, (_error, stdout, stderr) =>
      done(`${stdout}${stderr}`),
    )
  })
  assert.match(output, /^deposit 200(\.0)? (success|failed|unknown|new|processing)\n$/)
})
