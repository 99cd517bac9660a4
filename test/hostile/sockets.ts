import { API } from './target.ts'

/** Bytes that are no request, or one that two readers could take for different ones. */
export interface SocketCase {
  readonly name: string
  readonly bytes: Buffer
  readonly status: number
}

const PATH = `${API}/users`
const BODY = '{"balance":1}'

/** A POST that would open a user, with other headers, another end or another body. */
function post(headers: string, body: string, end = '\r\n'): Buffer {
  const lines = [
    `POST ${PATH} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/json',
    headers,
  ]
  return Buffer.from(`${lines.join(end)}${end}${end}${body}`, 'latin1')
}

/** A GET with a header line of its own. */
function get(header: string): Buffer {
  return Buffer.from(`GET ${API}/health HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n`, 'latin1')
}

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\nHost: localhost\r\n\r\n`, 'latin1')
}

const LENGTH = `Content-Length: ${BODY.length}`
const CHUNKED = 'Transfer-Encoding: chunked'
/** The body in one chunk. */
const CHUNK = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
const CHUNK_4K = `1000\r\n${' '.repeat(4_096)}\r\n`

const LARGE_CHUNKS = post(CHUNKED, `${CHUNK_4K.repeat(30)}0\r\n\r\n`)

/** All of these are refused, and the connection is closed: what follows cannot be trusted. */
export const SOCKET_CASES: readonly SocketCase[] = [
  ...table(400, {
    'Content-Length and Transfer-Encoding': post(`${LENGTH}\r\n${CHUNKED}`, CHUNK),
    'Transfer-Encoding and Content-Length': post(`${CHUNKED}\r\n${LENGTH}`, CHUNK),
    'two Content-Lengths': post(`${LENGTH}\r\nContent-Length: 5`, BODY),
    'the same Content-Length twice': post(`${LENGTH}\r\n${LENGTH}`, BODY),
    'a list of Content-Lengths': post('Content-Length: 13, 13', BODY),
    'a negative Content-Length': post('Content-Length: -1', BODY),
    'a Content-Length with a sign': post('Content-Length: +13', BODY),
    'a hexadecimal Content-Length': post('Content-Length: 0xd', BODY),
    'a Content-Length beyond 2^64': post('Content-Length: 18446744073709551629', BODY),
    'a Content-Length before a space': post('Content-Length : 13', BODY),
    'an unknown Transfer-Encoding': post('Transfer-Encoding: xchunked', CHUNK),
    'chunked and then another encoding': post('Transfer-Encoding: chunked, gzip', CHUNK),
    'a Transfer-Encoding with a control byte': post('Transfer-Encoding: \x0bchunked', CHUNK),
    'a chunk size that is no number': post(CHUNKED, `ZZ\r\n${BODY}\r\n0\r\n\r\n`),
    'a negative chunk size': post(CHUNKED, `-1\r\n${BODY}\r\n0\r\n\r\n`),
    'a chunk size beyond 2^64': post(CHUNKED, `10000000000000000d\r\n${BODY}\r\n0\r\n\r\n`),
    'a chunk longer than it says': post(CHUNKED, `5\r\n${BODY}\r\n0\r\n\r\n`),
    'a chunk extension with a bare LF': post(CHUNKED, `d;a\n${BODY}\r\n0\r\n\r\n`),
    'bare LF': post(LENGTH, BODY, '\n'),
    'bare CR': post(LENGTH, BODY, '\r'),
    'a bare LF inside a header': get('X-A: b\nX-C: d'),
    'a bare CR inside a header': get('X-A: b\rX-C: d'),
    'a folded header': get('X-A: b\r\n c'),
    'a header without a colon': get('X-A'),
    'a header without a name': get(': b'),
    'a header name with a space': get('X A: b'),
    'a header name with a NUL': get('X\x00A: b'),
    'NUL in a header': get('X-A: b\x00c'),
    'a control byte in a header': get('X-A: b\x01c'),
    'a DEL in a header': get('X-A: b\x7fc'),
    'no Host': Buffer.from(`GET ${API}/health HTTP/1.1\r\n\r\n`),
    'two Hosts': get('Host: b'),
    'HTTP/0.9': Buffer.from(`GET ${API}/health\r\n\r\n`),
    'HTTP/2': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    'HTTP/1.2': line(`GET ${API}/health HTTP/1.2`),
    'HTTP/9.9': line(`GET ${API}/health HTTP/9.9`),
    'http in small letters': line(`GET ${API}/health http/1.1`),
    'an unknown method': line(`FOO ${API}/health HTTP/1.1`),
    'a method in small letters': line(`get ${API}/health HTTP/1.1`),
    'no path': line('GET  HTTP/1.1'),
    'a space in the path': line(`GET ${API}/health x HTTP/1.1`),
    'a NUL in the path': line(`GET ${API}/heal\x00th HTTP/1.1`),
    'a control byte in the path': line(`GET ${API}/heal\x01th HTTP/1.1`),
    'a path in latin-1': line(`GET ${API}/users/\xff HTTP/1.1`),
    'an answer': Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
    'a TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
    SSH: Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'),
    'the start message of PostgreSQL': Buffer.from('0000000804d2162f', 'hex'),
    nulls: Buffer.alloc(64),
    noise: Buffer.from(Array.from({ length: 256 }, (_, byte) => (byte * 167 + 13) % 256)),
  }),
  ...table(405, { CONNECT: line('CONNECT evil.test:443 HTTP/1.1') }),
  ...table(413, {
    'a chunked body without end': LARGE_CHUNKS.subarray(0, -5),
    'a chunked body that is too large': LARGE_CHUNKS,
    'a Content-Length that is too large, and no body': post('Content-Length: 10000000', ''),
  }),
  ...table(431, {
    'a header of 20 KB': get(`X-A: ${'b'.repeat(20_000)}`),
    'a URL of 20 KB': line(`GET /${'a'.repeat(20_000)} HTTP/1.1`),
    'a header name of 20 KB': get(`${'X'.repeat(20_000)}: b`),
    '200 headers': get(Array.from({ length: 200 }, (_, index) => `X-${index}: a`).join('\r\n')),
  }),
]

function table(status: number, cases: Readonly<Record<string, Buffer>>): SocketCase[] {
  return Object.entries(cases).map(([name, bytes]) => ({ name, bytes, status }))
}

/** Two requests in one packet, the first of them refused with its body unread. */
export const PIPELINED = Buffer.concat([
  post(`${LENGTH}\r\nContent-Encoding: gzip`, BODY),
  Buffer.from(`GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n`),
])

/** What a careful client may send, however odd. */
export const SOCKETS_TAKEN: readonly SocketCase[] = table(201, {
  'a chunked body': post(CHUNKED, CHUNK),
  'a chunk extension': post(CHUNKED, CHUNK.replace('\r\n', ';a=b\r\n')),
  trailers: post(CHUNKED, CHUNK.replace(/\r\n$/, 'X-Trailer: a\r\n\r\n')),
  'Expect: 100-continue': post(`${LENGTH}\r\nExpect: 100-continue`, BODY),
  'HTTP/1.0': Buffer.from(post(LENGTH, BODY).toString('latin1').replace('HTTP/1.1', 'HTTP/1.0')),
  'a Content-Length with zeros in front': post(`Content-Length: 000${BODY.length}`, BODY),
})
