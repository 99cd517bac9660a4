import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloneDatabase } from './databases.ts'
import { dataFolder, launch } from './programs.ts'
import { serve } from './serve.ts'

/** What a link of an answer leads to. */
async function follow(url: string) {
  const answer = await fetch(url)
  return {
    status: answer.status,
    type: answer.headers.get('content-type') ?? '',
    text: await answer.text(),
  }
}

function linksOf(text: string): string[] {
  return [...text.matchAll(/https?:\/\/[^\s'"]+/g)].map(([link]) => link)
}

test('every link that is printed at the start leads somewhere', async (t) => {
  const service = await launch(t, 'start', {
    DATABASE_URL: await cloneDatabase(t),
    DATA_DIR: await dataFolder(t),
  })
  const { stdout } = service
  // What follows -X POST is not to be followed by a GET, and is in the list all the same.
  const links = linksOf(stdout()).map((link) => link.replace(/\/users\/$/, ''))
  assert.ok(links.length >= 5, stdout())
  for (const link of new Set(links)) {
    const { status, text } = await follow(link)
    assert.equal(status, 200, `${link}: ${text.slice(0, 200)}`)
  }
})

test('the start page and both indexes lead to everything they name', async (t) => {
  const { url } = await serve(t)
  const page = await follow(url)
  assert.match(page.type, /^text\/html/)
  const paths = [...page.text.matchAll(/href="([^"]+)"/g)].map(([, path = '']) => path)
  for (const index of ['/api/v1', '/api/v1/', '/api/v1/mock-gateway', '/api/v1/mock-gateway/']) {
    const { type, text } = await follow(url + index)
    assert.match(type, /^application\/json/, index)
    paths.push(...Object.values((JSON.parse(text) as { links: Record<string, string> }).links))
  }
  assert.ok(new Set(paths).size >= 14, paths.join())
  for (const path of new Set(paths)) {
    const { status } = await follow(url + path)
    assert.equal(status, 200, path)
  }
})

test('the start page and the indexes need no key, and tell nothing that needs one', async (t) => {
  const { url } = await serve(t, { HOST: '0.0.0.0' })
  for (const path of ['/', '/api/v1', '/api/v1/mock-gateway']) {
    assert.equal((await follow(url + path)).status, 200, path)
  }
  assert.equal((await follow(`${url}/api/v1/payments`)).status, 401)
})
