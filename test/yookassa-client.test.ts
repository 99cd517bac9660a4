import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { test, type TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { yookassaDecline } from '../src/gateways/yookassa-reply.ts'
import { runClient, skipWithout } from './python.ts'
import { serveMock } from './mock-server.ts'
import { DEPOSIT, DETAILS, PAYOUT_SHOP, SAVED, SHOP, yookassa } from './yookassa-kit.ts'

/** One request as it passed. */
interface Passed {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: unknown
}

function jsonIn(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return text
  }
}

/** Stands before a server and notes every request. */
async function recorder(t: TestContext, target: string) {
  const passed: Passed[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const { method = '', url: path = '', headers } = request
    passed.push({ method, path, headers, body: jsonIn(text) })
    const { authorization = '', 'content-type': type = '' } = headers
    const key = String(headers['idempotence-key'] ?? '')
    const own = {
      authorization,
      'idempotence-key': key,
      ...(type === '' ? {} : { 'content-type': type }),
    }
    const init = method === 'GET' ? { headers: own } : { method, headers: own, body: text }
    // Whatever happens, who asked is answered: it would wait for half an hour.
    const answer = await fetch(target + path, init).catch(() => Response.error())
    response.writeHead(answer.status || 502, { 'content-type': 'application/json' })
    response.end(await answer.text())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}`, passed }
}

const REDIRECT: GatewayOperation = {
  ...DEPOSIT,
  key: 'key-of-redirect',
  paymentId: 8n,
  details: { ...DETAILS, paymentMethod: null, returnUrl: 'https://shop.example/thanks?order=8' },
}
const REFUND: GatewayOperation = {
  ...DEPOSIT,
  key: 'key-of-refund',
  paymentId: 9n,
  kind: 'refund',
  amount: 5_000n,
}
const PAYOUT: GatewayOperation = {
  ...DEPOSIT,
  key: 'key-of-payout',
  paymentId: 10n,
  kind: 'payout',
  amount: 100n,
  details: { ...DETAILS, paymentMethod: 'token.of-a-card_1' },
}

/** What an integrator writes for these operations, by YooKassa's own documentation. */
const WRITTEN = {
  savedKey: DEPOSIT.key,
  saved: {
    amount: { value: '200.50', currency: 'RUB' },
    capture: true,
    payment_method_id: SAVED,
    metadata: { payment_id: '7', payment_key: DEPOSIT.key },
  },
  redirectKey: REDIRECT.key,
  redirect: {
    amount: { value: '200.50', currency: 'RUB' },
    capture: true,
    confirmation: { type: 'redirect', return_url: 'https://shop.example/thanks?order=8' },
    metadata: { payment_id: '8', payment_key: REDIRECT.key },
  },
  refundKey: REFUND.key,
  refund: {
    amount: { value: '50.00', currency: 'RUB' },
    metadata: { payment_id: '9', payment_key: REFUND.key },
  },
  payoutKey: PAYOUT.key,
  payout: {
    amount: { value: '1.00', currency: 'RUB' },
    payout_token: 'token.of-a-card_1',
    metadata: { payment_id: '10', payment_key: PAYOUT.key },
  },
  authorization: `Basic ${btoa(`${SHOP.id}:${SHOP.secretKey}`)}`,
  notice: {
    type: 'notification',
    event: 'payment.succeeded',
    object: { id: 'object-of-a-notice', status: 'succeeded' },
  },
}

/** What counts of a request. The client adds its own name and lists without members. */
function essence({ method, path, headers, body }: Passed) {
  const { authorization, 'content-type': type, 'idempotence-key': key } = headers
  const fields = Object.entries((body ?? {}) as Record<string, unknown>)
    .filter(([, value]) => !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => {
      if (name !== 'metadata') return [name, value]
      const { cms_name: _, ...metadata } = value as Record<string, unknown>
      return [name, metadata]
    })
  return { method, path, authorization, type, key, body: Object.fromEntries(fields) as unknown }
}

const TITLE =
  'YooKassa’s own client for Python sees what it sees there, and our requests are its requests'

test(TITLE, { skip: skipWithout('yookassa') }, async (t) => {
  const theirs = await serveMock(t)
  const before = await recorder(t, `${theirs.url}/yookassa/v3`)
  const told = await runClient('yookassa_flows.py', before.url, JSON.stringify(WRITTEN))
  const { networks, codes, ...seen } = told as Record<string, unknown>
  assert.deepEqual(seen, {
    saved: ['succeeded', true, true, '200.50'],
    again: true,
    redirect: ['pending', true, true],
    refund: ['succeeded', true],
    staged: ['waiting_for_capture', 'succeeded'],
    canceled: ['canceled', 'canceled_by_merchant'],
    listed: [2, 2, true],
    payout: ['succeeded', true, 1],
    me: ['100500', true],
    notice: 'object-of-a-notice',
    refusals: {
      duplicated: ['BadRequestError', 'invalid_request', 'Idempotence-Key'],
      unknown: ['NotFoundError', 'not_found', null],
      'too much': ['BadRequestError', 'invalid_request', 'amount.value'],
      payout: ['ForbiddenError', 'forbidden', null],
      cancel: ['BadRequestError', 'invalid_request', 'payment_id'],
      credentials: ['UnauthorizedError', 'invalid_credentials', null],
    },
  })
  await sameRequests(t, before.passed)
  sameLists(t, networks as string[], codes as string[])
})

/** Carry out the same operations with our driver, and compare what was sent. */
async function sameRequests(t: TestContext, passed: readonly Passed[]): Promise<void> {
  const ours = await serveMock(t)
  const recorded = await recorder(t, `${ours.url}/yookassa/v3`)
  const gateway = yookassa(t, recorded.url)
  const charged = await gateway.execute(DEPOSIT)
  assert(charged.outcome.kind === 'success')
  const { gatewayRef } = charged.outcome
  await gateway.execute(REDIRECT)
  await gateway.execute({ ...REFUND, parent: { paymentId: 7n, gatewayRef } })
  await gateway.execute(PAYOUT)
  await gateway.lookup({ ...DEPOSIT, gatewayRef })
  const keys = [DEPOSIT, REDIRECT, REFUND, PAYOUT].map(({ key }) => key)
  const made = (all: readonly Passed[]) =>
    keys.map((key) => {
      const one = all.find(
        ({ method, headers }) => method === 'POST' && headers['idempotence-key'] === key,
      )
      assert(one !== undefined, `nothing was sent under ${key}`)
      return essence(one)
    })
  assert.deepEqual(made(recorded.passed), made(passed))
  const payout = Buffer.from(`${PAYOUT_SHOP.id}:${PAYOUT_SHOP.secretKey}`).toString('base64')
  assert.equal(made(recorded.passed).at(-1)?.authorization, `Basic ${payout}`)
  const asked = recorded.passed.at(-1)
  assert.equal(`${asked?.method} ${asked?.path}`, `GET /payments/${gatewayRef}`)
}

/** What the client knows by heart is what the driver knows. */
function sameLists(t: TestContext, networks: readonly string[], codes: readonly string[]): void {
  const gateway = yookassa(t, 'http://127.0.0.1:9')
  for (const network of networks) {
    const [source = ''] = network.split('/')
    const notice = gateway.readNotice?.({ source, headers: {}, body: Buffer.from('{}') })
    assert.deepEqual(notice, { kind: 'refused', reason: 'malformed' }, network)
  }
  const vague = codes.filter((code) => yookassaDecline(code) === 'declined')
  assert.deepEqual(vague, ['general_decline', 'loan_declined', 'unknown'])
}
