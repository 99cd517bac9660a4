import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

test('each guarantee of SECURITY.md names a test that there is', () => {
  const rows = [...read('SECURITY.md').matchAll(/\| `([\w-]+)`: (.+?) +\|$/gm)]
  assert.ok(rows.length > 15)
  const missing = rows.filter(([, file = '', name = '']) => {
    const text = read(`test/${file}.test.ts`)
    return !text.includes(`'${name}'`) && !text.includes(`\`${name}\``)
  })
  assert.deepEqual(
    missing.map(([row]) => row),
    [],
  )
})
