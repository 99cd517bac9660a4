import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { keyOfHeaders, type Key } from '../src/http/idempotency.ts'

type Row = readonly [name: string, headers: readonly string[], key: Key]
const key = (value: string | null): Key => ({ ok: true, key: value })
const NONE: Key = { ok: false }
const named = (...values: readonly string[]) => values.map((value) => `Idempotency-Key: ${value}`)

const ROWS: readonly Row[] = [
  ['no header', [], key(null)],
  ['a bare key', named('abc'), key('abc')],
  ['a quoted key', named('"abc"'), key('abc')],
  ['a name in any case', ['iDEMPOTENCY-kEY: abc'], key('abc')],
  ['white space around it', ['Idempotency-Key:  \t abc \t'], key('abc')],
  ['one character', named('1'), key('1')],
  [
    'a UUID',
    named('8e03978e-40d5-43dd-bc93-6894a57f9324'),
    key('8e03978e-40d5-43dd-bc93-6894a57f9324'),
  ],
  [
    'every visible character',
    named("!#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~"),
    key("!#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~"),
  ],
  ['a comma', named('a,b'), key('a,b')],
  ['what looks like SQL', named("';drop--"), key("';drop--")],
  ['255 characters', named('k'.repeat(255)), key('k'.repeat(255))],
  ['255 characters in quotes', named(`"${'k'.repeat(255)}"`), key('k'.repeat(255))],
  ['an empty header', ['Idempotency-Key:'], NONE],
  ['white space alone', ['Idempotency-Key:  \t '], NONE],
  ['empty quotes', named('""'), NONE],
  ['a single quote mark', named('"'), NONE],
  ['an open quote', named('"abc'), NONE],
  ['a closing quote', named('abc"'), NONE],
  ['a quote inside', named('a"c'), NONE],
  ['a quote inside quotes', named('"a\\"c"'), NONE],
  ['256 characters', named('k'.repeat(256)), NONE],
  ['256 characters in quotes', named(`"${'k'.repeat(256)}"`), NONE],
  ['3,000 characters', named('k'.repeat(3_000)), NONE],
  ['a space inside', named('a b'), NONE],
  ['a space inside quotes', named('" a"'), NONE],
  ['a tab inside', named('a\tb'), NONE],
  ['a byte beyond ASCII', named('caf\u00e9'), NONE],
  ['it twice', named('a', 'b'), NONE],
  ['it twice the same', named('a', 'a'), NONE],
  ['it twice, once empty', named('a', ''), NONE],
  ['it twice in different cases', ['Idempotency-Key: a', 'idempotency-key: a'], NONE],
  ['another header with a similar name', ['X-Idempotency-Key: a'], key(null)],
]

/** What Node makes of these header lines when they come over a real connection. */
async function received(headers: readonly string[]): Promise<IncomingMessage> {
  const server = createServer((_, response) => response.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const lines = ['POST / HTTP/1.1', 'Host: test', ...headers, 'Connection: close', '', '']
  socket.write(Buffer.from(lines.join('\r\n'), 'latin1'))
  const [request] = (await once(server, 'request')) as [IncomingMessage]
  socket.resume()
  await once(socket, 'close')
  server.close()
  return request
}

for (const [name, headers, expected] of ROWS) {
  test(`${name} is ${expected.ok ? (expected.key === null ? 'no' : 'a') : 'a bad'} key`, async () => {
    assert.deepEqual(keyOfHeaders(await received(headers)), expected)
  })
}
