import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { scopeOf } from '../src/http/scopes.ts'
import { ROOT } from './sources.ts'

const [, PAGE = ''] =
  /\n## What a key may do\n([^]*?)\n## /.exec(readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')) ?? []

/** What stands in backticks. */
function codesOf(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
}

/** What the page says of a scope. */
function rowOf(scope: string): string {
  return new RegExp(`\n\\| \`${scope}\` +\\| (.*) \\|`).exec(PAGE)?.[1] ?? assert.fail(scope)
}

/** The sentence of a text that has these words in it. */
function sentence(text: string, words: string): string {
  return text.split(/\.\s/).find((one) => one.includes(words)) ?? assert.fail(words)
}

const [OPEN = ''] = /\nOpen without a key[^]*$/.exec(PAGE) ?? []
const WHOLE = codesOf(sentence(rowOf('operate'), 'All of'))
const CHANGES = codesOf(sentence(rowOf('operate'), 'Every change in'))

/** What the page says that a route needs: a scope, or null, nothing. */
function said(method: string, path: string): string | null {
  const route = `${method} ${path}`
  const below = (start: string) => path === start || path.startsWith(`${start}/`)
  if (codesOf(OPEN).some((one) => one === route || one === path)) return null
  if (codesOf(rowOf('operate')).includes(route)) return 'operate'
  if (codesOf(rowOf('refund')).includes(route)) return 'refund'
  if (WHOLE.some(below)) return 'operate'
  if (method === 'GET') return 'read'
  return CHANGES.some(below) ? 'operate' : 'write'
}

/** What a route needs; null: no key. */
function needed(method: string, path: string): string | null {
  const scope = scopeOf(path.replace(/\{(\w+)\}/g, ':$1'), method)
  return ['public', 'gateway', 'anybody'].includes(scope) ? null : scope
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

test('each route needs the scope that SECURITY.md says, or none', () => {
  const document = JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as OpenApi
  const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({ method: method.toUpperCase(), path })),
  )
  assert.ok(routes.length > 70)
  for (const { method, path } of routes) {
    assert.equal(needed(method, path), said(method, path.slice('/api/v1'.length)), method + path)
  }
})

test('what SECURITY.md names as open, or under a scope, is there', () => {
  const document = readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')
  const named = [...codesOf(OPEN), ...codesOf(rowOf('operate')), ...codesOf(rowOf('refund'))]
  for (const [, path = ''] of named.flatMap((code) => [
    /^(?:[A-Z]+ )?(\/\w.*)$/.exec(code) ?? [],
  ])) {
    const open = ['/livez', '/readyz', '/docs', '/openapi.json', '/api/v1'].includes(path)
    if (open) assert.equal(needed('GET', path), null, path)
    else assert.ok(path === '' || document.includes(`"/api/v1${path}`), path)
  }
  assert.equal(needed('GET', '/metrics'), 'read')
})
