import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { bundleConsole } from '../scripts/console.mjs'

/** Compressed as the build leaves them for whoever asks. */
const BYTES_MAX = 60_000

test('all of the console is at most 60 KB compressed, and its page names what is there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'payments-console-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  await bundleConsole(folder)
  const names = readdirSync(folder)
  const sizes = names.map((name) => gzipSync(readFileSync(join(folder, name)), { level: 9 }).length)
  const size = sizes.reduce((sum, one) => sum + one, 0)
  assert.ok(size <= BYTES_MAX, `${size} bytes`)

  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  const named = [...page.matchAll(/"\/console\/([^"]+)"/g)].map(([, name]) => name ?? '')
  assert.equal(named.length, 3)
  for (const name of named) assert.ok(names.includes(name), name)
  // No policy that forbids what is inline would let these run.
  assert.doesNotMatch(page, /<script>|<style|style=|\son\w+=/)
})
