import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import type { Gateway } from '../src/ports.ts'
import { doubt, gateway, http, peer, REQUEST, success } from './misbehaving-peer.ts'

const PAYMENTS = 40

/** Every other payment is executed, the rest are declined: neighbours have different answers. */
const executed = (paymentId: bigint): boolean => paymentId % 2n === 0n

/** How a gateway, or what stands in front of it, gets the order of its answers wrong. */
type Disorder = (socket: Socket, answer: string) => void

/** What each connection is still owed. */
const owed = new WeakMap<Socket, string>()

const DISORDERS: Readonly<Record<string, Disorder>> = {
  'one late': (socket, answer) => {
    // The answer to the request before comes once more, when this one is already waiting for its
    // own.
    socket.write((owed.get(socket) ?? '') + answer)
    owed.set(socket, answer)
  },
  doubled: (socket, answer) => socket.write(answer + answer),
  'shifted by one': (socket, answer) => {
    socket.write(owed.get(socket) ?? answer)
    owed.set(socket, answer)
  },
}

async function disordered(t: TestContext, echo: boolean, disorder: Disorder): Promise<string> {
  const { url } = await peer(t, (socket, request) => {
    const id = BigInt(/"payment_id":(\d+)/.exec(request)?.[1] ?? 0)
    const named = echo ? `,"payment_id":${id}` : ''
    const yes = http(200, `{"status":"success"${named}}`)
    disorder(socket, executed(id) ? yes : http(402, `{"status":"failed"${named}}`))
  })
  return url
}

/** Charge one payment after the other over one connection at a time. */
async function chargeAll(client: Gateway): Promise<readonly (readonly [bigint, ChargeOutcome])[]> {
  const outcomes: [bigint, ChargeOutcome][] = []
  for (let id = 1n; id <= BigInt(PAYMENTS); id += 1n) {
    const { outcome } = await client.execute({ ...REQUEST, paymentId: id, key: `pay_${id}` })
    outcomes.push([id, outcome])
  }
  return outcomes
}

for (const [name, disorder] of Object.entries(DISORDERS)) {
  for (const echoes of [true, false]) {
    for (const echo of ['required', 'optional'] as const) {
      const words = `answers ${name}, ${echoes ? 'with' : 'without'} an echo that is ${echo}`
      test(`no payment ends by another’s answer: ${words}`, async (t) => {
        const url = await disordered(t, echoes, disorder)
        const outcomes = await chargeAll(gateway(t, url, { connections: 1, echo }))
        for (const [id, outcome] of outcomes) {
          const { kind } = outcome
          if (kind === 'success') assert.ok(executed(id), `${id}`)
          if (kind === 'declined') assert.ok(!executed(id), `${id}`)
          const open = kind === 'in_doubt' || 'unproven' in outcome
          assert.ok(kind === 'success' || kind === 'declined' || open, `${id} ${kind}`)
        }
        const told = outcomes.filter(([, { kind }]) => kind === 'success' || kind === 'declined')
        // Own connections are out of step with nobody, and an echo tells which answers are ours.
        if (echo === 'optional') assert.equal(told.length, PAYMENTS)
        else if (echoes) assert.ok(told.length >= PAYMENTS / 2, `${told.length}`)
        else assert.equal(told.length, 0)
      })
    }
  }
}

test('under a required echo a word that names nobody is none, and leaves the charge in doubt', async (t) => {
  const no_echo = { kind: 'misconfigured', reason: 'no_echo', unproven: true }
  for (const [status, body] of [
    [200, '{"status":"success","amount":200.5}'],
    [200, '{"status":"ok"}'],
    [402, '{"status":"failed"}'],
    [202, '{"status":"pending"}'],
  ] as const) {
    const { url } = await peer(t, (socket) => socket.write(http(status, body)))
    const client = gateway(t, url, { echo: 'required' })
    assert.deepEqual((await client.execute(REQUEST)).outcome, no_echo)
    const answer = (await client.lookup(REQUEST)).outcome
    assert.equal(answer.kind, 'no_answer')
  }
})

test('a refusal that names nobody proves nothing on a connection that carried others', async (t) => {
  const named = '"idempotency_key":"pay_7"'
  const { url } = await peer(t, (socket, _request, count) =>
    socket.write(count === 1 ? http(200, `{"status":"success",${named}}`) : http(429, '')),
  )
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
  const limited = { kind: 'not_executed', reason: 'http_429', retryAfterMs: null }
  assert.deepEqual((await client.execute(REQUEST)).outcome, { ...limited, unproven: true })
  // That one was closed, so this one has carried nobody else's.
  assert.deepEqual((await client.execute(REQUEST)).outcome, limited)
})

test('a "not found" that names nobody proves nothing on a connection that carried others', async (t) => {
  const yes = http(200, '{"status":"success","idempotency_key":"pay_7"}')
  const absent = http(404, '{"status":"rejected","code":"not_found"}')
  const { url } = await peer(t, (socket, _request, count) =>
    socket.write(count === 1 ? yes : absent),
  )
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
  const unproven = { kind: 'no_answer', reason: 'no_echo' }
  assert.deepEqual((await client.lookup(REQUEST)).outcome, unproven)
  // That one was closed, so this one has carried nobody else's.
  assert.deepEqual((await client.lookup(REQUEST)).outcome, { kind: 'not_found' })
})

test('what arrives on an idle connection ends it before it is used again', async (t) => {
  const yes = http(200, '{"status":"success","idempotency_key":"pay_7"}')
  const { url, sockets } = await peer(t, (socket) => socket.write(yes))
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
  const [first] = sockets
  const gone = new Promise((resolve) => first?.once('close', resolve))
  first?.write(http(200, '{"status":"success","idempotency_key":"pay_8"}'))
  await gone
  assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
  assert.equal(sockets.length, 2)
})

test('connections are kept where answers have names, and used once where they have none', async (t) => {
  for (const [echo, connections] of [
    ['required', 1],
    ['optional', 5],
  ] as const) {
    const yes = http(200, '{"status":"success","idempotency_key":"pay_7"}')
    const { url, sockets } = await peer(t, (socket) => socket.write(yes))
    const client = gateway(t, url, { echo, connections: 1 })
    for (let call = 0; call < 4; call += 1) {
      assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
    }
    await client.lookup(REQUEST)
    assert.equal(sockets.length, connections)
  }
})

test('credentials and headers go with charges and lookups alike', async (t) => {
  const { url, requests } = await peer(t, (socket) => socket.write(http(500, '')))
  const client = gateway(t, url, { headers: ['authorization', 'Bearer b', 'X-Merchant', '42'] })
  assert.deepEqual((await client.execute(REQUEST)).outcome, doubt('http_500'))
  await client.lookup(REQUEST)
  assert.equal(requests.length, 2)
  for (const request of requests) {
    assert.match(request, /\r\nauthorization: Bearer b\r\nX-Merchant: 42\r\n/)
  }
})
