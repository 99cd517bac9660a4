import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { publicAddresses } from '../src/adapters/public-address.ts'
import { detailOf } from '../src/domain/refusal.ts'
import { URL_PROBLEMS, urlProblem } from '../src/domain/webhook-url.ts'
import { serve } from './serve.ts'

const terms = (development: boolean) => ({
  development,
  allowed: publicAddresses(['10.7.0.0/16'], development),
})

type Row = readonly [url: string, development: boolean, problem: string | null]

function judged(table: readonly Row[]): void {
  for (const [url, development, problem] of table) {
    assert.equal(urlProblem(url, terms(development)), problem, JSON.stringify(url))
  }
}

test('the URL of an endpoint is https, or in development http to this machine', () => {
  const table: readonly Row[] = [
    ['https://shop.example/hook', false, null],
    ['HTTPS://SHOP.example:8443/a%20b?c=d&e=%23', false, null],
    ['https://müller.example/ä', false, null],
    ['http://shop.example/hook', true, 'not_https'],
    ['http://localhost:3000/hook', true, null],
    ['http://127.0.0.1:3000/hook', true, null],
    ['http://[::1]:3000/', true, null],
    ['http://localhost:3000/hook', false, 'not_https'],
    ['http://localhost.example/', true, 'not_https'],
    ['ftp://shop.example/', true, 'not_https'],
    ['file:///etc/passwd', true, 'not_https'],
    ['shop.example', true, 'malformed'],
    ['', true, 'malformed'],
    ['https:shop.example', true, 'malformed'],
    ['https:/shop.example', true, 'malformed'],
    ['https:///shop.example', true, 'malformed'],
    ['https:\\\\shop.example', true, 'malformed'],
    ['https://shop.example:65536/', true, 'malformed'],
    [`https://shop.example/${'a'.repeat(2_048)}`, false, 'too_long'],
  ]
  judged(table)
})

test('what a URL has in it that is not sent as it is written, or nowhere, is refused', () => {
  const table: readonly Row[] = [
    ...[
      '\0',
      '\x01',
      '\r\nX: y',
      '\t',
      ' ',
      '\x7f',
      '\u00a0',
      '\u2028',
      '\ufeff',
      '\ud800',
      '\u202e',
    ]
      .flatMap((odd) => [`https://shop.example/${odd}x`, `${odd}https://shop.example/`])
      .map((url) => [url, true, 'characters'] as const),
    ['https://user@shop.example/', true, 'credentials'],
    ['https://user:word@shop.example/', false, 'credentials'],
    ['https://shop.example\\@evil.example/', false, 'malformed'],
    ['https://shop.example/a\\b', false, 'malformed'],
    ['https://@shop.example/', false, 'credentials'],
    ['https://:@shop.example', false, 'credentials'],
    ['https://shop.example/@here?to=a@b', false, null],
    ['https://shop.example/#', false, 'fragment'],
    ['https://shop.example/a#b', false, 'fragment'],
    ['https://shop.example:0/', false, 'port'],
    ['http://localhost:00/', true, 'port'],
  ]
  judged(table)
})

test('a private address in a URL is refused at once, however it is spelled, unless it is allowed', () => {
  const table: readonly Row[] = [
    ['https://10.0.0.1/', false, 'private_address'],
    ['https://10.7.0.1/', false, null],
    ['https://0xa.0.1/', false, 'private_address'],
    ['https://167772161/', false, 'private_address'],
    ['https://169.254.169.254/latest', true, 'private_address'],
    ['https://[::ffff:10.0.0.1]/', false, 'private_address'],
    ['https://[fd00::1]/', true, 'private_address'],
    ['https://127.0.0.1/', false, 'private_address'],
    ['https://127.0.0.1/', true, null],
    ['https://8.8.8.8/', false, null],
    ['https://[2606:4700::1111]/', false, null],
  ]
  judged(table)
})

test('a URL that is taken is called as it is written, whatever it is made of', () => {
  const piece = fc.oneof(
    fc.constantFrom('https://', 'http://', 'shop.example', 'localhost', ':', '0', '443', '@', '#'),
    fc.constantFrom(
      '/',
      '\\',
      '?',
      '//',
      '\n',
      '\t',
      ' ',
      '\0',
      '%00',
      '10.0.0.1',
      '[::1]',
      'ä',
      '..',
    ),
    fc.string({ maxLength: 3, unit: 'binary' }),
  )
  const text = fc
    .array(piece, { maxLength: 8 })
    .map((parts) => parts.join(''))
    .chain((rest) => fc.constantFrom(rest, `https://shop.example${rest}`, `https://${rest}`))
  let taken = 0
  fc.assert(
    fc.property(text, (url) => {
      if (urlProblem(url, terms(true)) !== null) return
      taken += 1
      const read = new URL(url)
      assert.doesNotMatch(url, /[\s\p{C}#]/u)
      assert.equal(read.username + read.password + read.hash, '')
      assert.notEqual(read.port, '0')
      // Who reads it with other rules comes to the same host.
      const host = /^https?:\/\/([^/\\?#]+)/i.exec(url)?.[1] ?? ''
      assert.equal(new URL(`${read.protocol}//${host}`).host, read.host)
      assert.equal(urlProblem(read.href, terms(true)), null, 'as it is called it is one as well')
    }),
    { numRuns: 3_000 },
  )
  assert.ok(taken > 100, `${taken} were taken`)
})

test('who is refused a URL is told by a pointer and a sentence what is wrong with it', async (t) => {
  const { call } = await serve(t)
  const types = ['payment.*']
  await call('POST', '/webhook-endpoints', { url: 'https://shop.example/', types })
  for (const [url, code] of [
    ['https://shop.example/\0x', 'characters'],
    ['https://@shop.example/', 'credentials'],
    ['https://10.0.0.1/', 'private_address'],
  ] as const) {
    const made = await call('POST', '/webhook-endpoints', { url, types })
    const moved = await call('PATCH', '/webhook-endpoints/1', { url })
    for (const { status, body } of [made, moved]) {
      assert.deepEqual([status, body['code']], [422, 'url_refused'])
      assert.deepEqual(body['errors'], [{ pointer: '/url', code }])
      assert.equal(body['detail'], `Events cannot be sent to this URL. ${URL_PROBLEMS[code]}`)
    }
  }
  assert.equal(detailOf({ code: 'url_refused' }), 'Events cannot be sent to this URL.')
})
