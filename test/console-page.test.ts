import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import fastify from 'fastify'
import { consolePage } from '../src/http/console-page.ts'
import { serve } from './serve.ts'

const PAGE = '<!doctype html><title>Console</title>'
const SCRIPT = `export const words = ${JSON.stringify('many words '.repeat(200))}`
const NAME = 'assets/app-4711.js'

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"

/** A console as the build leaves it, and a way to ask for its files. */
async function built(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'console-'))
  t.after(() => rm(folder, { recursive: true }))
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, 'index.html'), PAGE)
  writeFileSync(join(folder, NAME), SCRIPT)
  writeFileSync(join(folder, `${NAME}.br`), brotliCompressSync(SCRIPT))
  writeFileSync(join(folder, `${NAME}.gz`), gzipSync(SCRIPT))
  writeFileSync(join(folder, 'notes.txt'), 'not for the web')
  const app = fastify()
  void app.register(consolePage('Payments', folder))
  t.after(() => app.close())
  return (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
}

test('files are kept for good under their names, in the best encoding that is asked for', async (t) => {
  const ask = await built(t)
  const cases = [
    ['gzip, br', 'br', brotliCompressSync(SCRIPT)],
    ['br;q=0, gzip', 'gzip', gzipSync(SCRIPT)],
    ['BR;q=0.5', 'br', brotliCompressSync(SCRIPT)],
    ['deflate', undefined, Buffer.from(SCRIPT)],
    ['', undefined, Buffer.from(SCRIPT)],
  ] as const
  for (const [accepted, encoding, content] of cases) {
    const answer = await ask(`/console/${NAME}`, { 'accept-encoding': accepted })
    assert.equal(answer.statusCode, 200)
    assert.equal(answer.headers['content-encoding'], encoding, accepted)
    assert.deepEqual(answer.rawPayload, content, accepted)
    assert.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(answer.headers['content-type'], 'text/javascript; charset=utf-8')
    assert.equal(answer.headers['vary'], 'Accept-Encoding')
  }
})

test('what a browser has already is not sent again, and each encoding has a tag of its own', async (t) => {
  const ask = await built(t)
  const tags = new Set<string>()
  for (const encoding of ['br', 'gzip', 'identity']) {
    const headers = { 'accept-encoding': encoding }
    const tag = String((await ask(`/console/${NAME}`, headers)).headers['etag'])
    tags.add(tag)
    for (const known of [tag, `"other", W/${tag}`, '*']) {
      const answer = await ask(`/console/${NAME}`, { ...headers, 'if-none-match': known })
      assert.equal(answer.statusCode, 304, known)
      assert.equal(answer.body, '')
      assert.equal(answer.headers['etag'], tag)
    }
    const other = await ask(`/console/${NAME}`, { ...headers, 'if-none-match': '"other"' })
    assert.equal(other.statusCode, 200)
  }
  assert.equal(tags.size, 3)
})

test('every path that names no file is the one page, which is asked for each time', async (t) => {
  const ask = await built(t)
  for (const path of ['/console', '/console/payments', '/console/users/7?tab=journal']) {
    const answer = await ask(path)
    assert.equal(answer.body, PAGE, path)
    assert.equal(answer.headers['content-security-policy'], POLICY)
    assert.equal(answer.headers['cache-control'], 'no-cache')
    const again = await ask(path, { 'if-none-match': String(answer.headers['etag']) })
    assert.equal(again.statusCode, 304)
  }
})

test('what is no file of the console is not found, however it is written', async (t) => {
  const ask = await built(t)
  const paths = [
    '/console/app-0000.js',
    '/console/notes.txt',
    '/console/..%2f..%2fpackage.json',
    `/console/${NAME}.br`,
    `/console/./${NAME}x`,
  ]
  for (const path of paths) assert.equal((await ask(path)).statusCode, 404, path)
})

test('the service serves the console unless it is switched off, and links to it', async (t) => {
  const [on, off] = [await serve(t), await serve(t, { CONSOLE: 'off' })]
  for (const path of ['/console', '/console/payments/1']) {
    const answer = await fetch(on.url + path)
    assert.equal(answer.status, 200)
    assert.match(await answer.text(), /<title>/)
    const none = await fetch(off.url + path)
    assert.equal(none.status, 404)
    await none.arrayBuffer()
  }
  const links = async ({ call }: typeof on) => (await call('GET', '')).body['links'] as object
  assert.ok('console' in (await links(on)))
  assert.ok(!('console' in (await links(off))))
})
