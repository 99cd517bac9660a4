import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { printable, printableLines } from '../src/domain/printable.ts'
import { openAndRun } from '../src/verify/command.ts'
import { httpCharges } from '../src/gateways/http-charges.ts'
import { compareWithGateway } from '../src/verify/compare-with-gateway.ts'
import { GatewayUnreadable, type ListCharges } from '../src/ports.ts'
import { tally } from '../src/verify/report.ts'
import { testWorld } from './harness.ts'

/** A gateway that answers every request with `listener`. */
async function lying(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const CHARGE = { payment_id: 1, idempotency_key: 'k', amount: 1, type: 'deposit' }

const page = (body: unknown): RequestListener => {
  return (_, response) => void response.end(JSON.stringify(body))
}

test('a page of a gateway is read up to its bound and no further, packed ones too', async (t) => {
  const chunk = Buffer.alloc(1 << 20, ' ')
  let written = 0
  const plain = await lying(t, (_, response) => {
    const write = (): void => {
      while (!response.destroyed && written < 400 << 20) {
        written += chunk.length
        if (!response.write(chunk)) return void response.once('drain', write)
      }
    }
    write()
  })
  await assert.rejects(httpCharges(plain)(0), /a page of more than 4096000 bytes/)
  assert.ok(written < 64 << 20, `${written} bytes were taken`)

  const packed = gzipSync(Buffer.alloc(64 << 20, ' '))
  const zipped = await lying(t, (_, response) => {
    response.setHeader('content-encoding', 'gzip').end(packed)
  })
  await assert.rejects(httpCharges(zipped)(0), /a page of more than 4096000 bytes/)
})

test('a redirect of a gateway is not followed', async (t) => {
  const asked: string[] = []
  const url = await lying(t, ({ url: path = '' }, response) => {
    asked.push(path)
    if (path.startsWith('/elsewhere'))
      return page({ data: [], next_after: null })({} as never, response)
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  await assert.rejects(httpCharges(url)(0), /status 302/)
  assert.equal(asked.length, 1)
})

test('a list that does not go on is no list', async (t) => {
  const stuck: unknown[] = [
    { data: [CHARGE], next_after: 7 },
    { data: [CHARGE], next_after: 6 },
    { data: [CHARGE], next_after: -1 },
    { data: [CHARGE], next_after: 7.5 },
    { data: [CHARGE], next_after: 1e300 },
    { data: [CHARGE], next_after: '8' },
    { data: [], next_after: 8 },
    { data: {}, next_after: null },
    { data: [{ ...CHARGE, payment_id: null }], next_after: null },
    { data: [{ ...CHARGE, payment_id: 1e20 }], next_after: null },
    [],
    null,
  ]
  for (const body of stuck) {
    const url = await lying(t, page(body))
    await assert.rejects(httpCharges(url)(7), GatewayUnreadable, JSON.stringify(body))
  }
  const url = await lying(t, page({ data: [CHARGE], next_after: 8 }))
  assert.equal((await httpCharges(url)(7)).next, 8)
})

const raw = (text: string): RequestListener => {
  return (_, response) => void response.end(text)
}

test('a page, or a charge, that has a key twice has two meanings, so that it is no list', async (t) => {
  const twice = '{"payment_id":1,"amount":1,"amount":2,"type":"deposit"}'
  const row = JSON.stringify(CHARGE)
  for (const text of [
    `{"data":[],"data":[${row}],"next_after":null}`,
    `{"data":[${row}],"next_after":8,"next_after":null}`,
    `{"data":[${row},${twice}],"next_after":null}`,
    `{"data":[{"\\u0070ayment_id":2,"payment_id":1,"amount":1,"type":"deposit"}],"next_after":null}`,
  ]) {
    const url = await lying(t, raw(text))
    await assert.rejects(
      httpCharges(url)(7),
      (error) => error instanceof GatewayUnreadable && /has a key twice/.test(error.message),
      text,
    )
  }
  const elsewhere = `{"payment_id":1,"amount":1,"type":"deposit","extra":{"a":1,"a":2}}`
  const url = await lying(t, raw(`{"data":[${elsewhere},${row}],"next_after":null}`))
  assert.equal((await httpCharges(url)(7)).charges.length, 2, 'what nobody reads may say anything')
})

test('of what came back of a listed charge nothing is believed that has a key twice', async (t) => {
  const row = (ref: string, more: string) => `{"gateway_ref":"${ref}","kind":"charged_back"${more}}`
  const returns = [row('a', ',"amount":1'), row('b', ',"amount":1,"amount":2'), 'null']
  const charge = (own: readonly string[]) =>
    `{"payment_id":1,"amount":3,"type":"deposit","note":"\\"{","returns":[${own.join()}]}`
  const data = [charge(returns), charge([row('c', ',"amount":12345678901234567890')])]
  const url = await lying(t, raw(`{"data":[${data.join()}],"next_after":null}`))
  const { returns: read = [] } = await httpCharges(url)(0)
  assert.deepEqual(
    read.map(({ ref, amount }) => [ref, amount]),
    [
      ['a', 1],
      ['c', '12345678901234567890'],
    ],
  )
})

test('charges and ids beyond 2^53 are read with all their digits', async (t) => {
  const text = '{"payment_id":900719925474099301,"amount":97019999999901.03,"type":"deposit"}'
  const url = await lying(
    t,
    (_, response) => void response.end(`{"data":[${text}],"next_after":null}`),
  )
  const [charge] = (await httpCharges(url)(0)).charges
  assert.deepEqual([charge?.paymentId, charge?.amount], [900719925474099301n, '97019999999901.03'])
})

test('however many charges a gateway lists, those that are not ours are not remembered', async (t) => {
  const { world } = await testWorld(t)
  const pages = 200
  const list: ListCharges = (after) => {
    const charges = Array.from({ length: 1_000 }, (_, at) => {
      // Every id is listed twice.
      const paymentId = BigInt(after + (at >> 1) + 1)
      return { paymentId, key: 'k', amount: 0.01, currency: null, type: 'deposit', ref: null }
    })
    return Promise.resolve({ charges, next: after + 1_000 < pages * 1_000 ? after + 1_000 : null })
  }
  const kept = tally(5)
  await compareWithGateway(
    { world, tally: kept, options: {}, missing: new Set() },
    { gateway: 'http', list },
  )
  const at = { scope: 'full', complete: true, startedAt: new Date(0), durationMs: 0 } as const
  const report = kept.report(at)
  const rule = report.rules.find(({ rule: code }) => code === 'gateway_missing_here')
  assert.deepEqual([rule?.violations, rule?.examples.length], [pages * 1_000, 5])
  const twice = report.rules.find(({ rule: code }) => code === 'gateway_charged_twice')
  assert.equal(twice?.violations, 0)
})

test('no text of a gateway reaches the terminal as anything but text', async (t) => {
  const { world } = await testWorld(t)
  const escape = '\u001b]0;owned\u0007\u001b[2J\u202efdp'
  const url = await lying(t, (_, response) => void response.end(`${escape}<html>`))
  const written: string[] = []
  const stream = { isTTY: false, write: (text: string) => written.push(text) }
  const open = async () => ({
    ...world,
    gateways: [{ gateway: 'http', list: httpCharges(url) }],
    close: async () => undefined,
  })
  assert.equal(await openAndRun(open, { gateway: true }, { out: stream, err: stream }), 2)
  const told = written.join('')
  assert.match(told, /GET \/charges cannot be read/)
  assert.doesNotMatch(told.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
})

test('whatever the text, what is printed of it is one line without controls', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const shown = printable(text)
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/u)
      if (/^[ -~]{0,200}$/.test(text)) assert.equal(shown, text)
    }),
    { seed: 6, numRuns: 2_000 },
  )
  assert.equal(printable('a\u001b[31mb\u2028c\u{e0001}'), 'a\\u{1b}[31mb\\u{2028}c\\u{e0001}')
  assert.equal(printableLines('a\nb\u001b'), 'a\nb\\u{1b}')
  assert.equal(printable('x'.repeat(1_000)).length, 201)
})

test('credentials go to the configured gateway alone', async (t) => {
  const { world } = await testWorld(t)
  const seen: (string | undefined)[] = []
  const listener: RequestListener = ({ headers }, response) => {
    seen.push(headers.authorization)
    response.end('{"data":[],"next_after":null}')
  }
  const [own, other] = [await lying(t, listener), await lying(t, listener)]
  const open = async () => ({
    ...world,
    gateways: [{ gateway: 'http', list: httpCharges(own, ['authorization', 'Bearer s3cret']) }],
    close: async () => undefined,
  })
  const stream = { isTTY: false, write: () => true }
  for (const gateway of [true, other]) {
    assert.equal(await openAndRun(open, { gateway }, { out: stream, err: stream }), 0)
  }
  assert.deepEqual(seen, ['Bearer s3cret', undefined])
})
