import { createHmac, timingSafeEqual } from 'node:crypto'
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { publicAddresses } from '../src/adapters/public-address.ts'
import { webhookSender } from '../src/adapters/webhook-sender.ts'
import { feed } from '../src/events/feed.ts'
import {
  claimDue,
  deliver,
  settleDelivered,
  type Delivered,
  type DeliveryWorld,
} from '../src/webhooks/deliver.ts'
import { addEndpoint } from '../src/webhooks/endpoints.ts'
import type { NewEndpoint } from '../src/webhooks/store.ts'
import { pay } from './charge-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'

/** Who works here. */
export const BY = { actor: 'jane', requestId: 'test' }

export const KEY = Buffer.alloc(32, 'k')

interface Received {
  readonly id: string
  readonly timestamp: string
  readonly signature: string
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

export type Answer = (response: ServerResponse, received: Received) => void

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end()

/** A receiver that answers as it is told, one answer after the other, the last for good. */
export async function receiver(t: TestContext, ...answers: Answer[]) {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const one = (name: string) => String(request.headers[name])
      const seen = {
        id: one('webhook-id'),
        timestamp: one('webhook-timestamp'),
        signature: one('webhook-signature'),
        body: Buffer.concat(parts).toString('utf8'),
        headers: request.headers,
      }
      received.push(seen)
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      answer?.(response, seen)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/hook`, received, answers }
}

/** Verify as the specification of Standard Webhooks says, written from it alone. */
export function verifies({ id, timestamp, signature, body }: Received, secret: string): boolean {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const due = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  return signature.split(' ').some((one) => {
    const given = Buffer.from(one.replace('v1,', ''), 'base64')
    return one.startsWith('v1,') && given.length === due.length && timingSafeEqual(given, due)
  })
}

/** A world whose events go to endpoints, one turn at a time. */
export async function delivering(t: TestContext, shards = 1) {
  const world = await testWorld(t, { shards })
  const sender = webhookSender({
    allowed: publicAddresses([], true),
    clock: world.clock,
    deadlineMs: 60_000,
  })
  t.after(() => sender.close())
  const disabled: string[] = []
  const own: DeliveryWorld = {
    db: world.db,
    clock: world.clock,
    send: sender.send,
    key: KEY,
    agent: 'payments/test',
    random: () => 0.5,
    leaseMs: 45_000,
    onDisabled: (id, why) => disabled.push(`${id} ${why}`),
  }
  const never = new AbortController().signal
  const claimAndSend = async (by: DeliveryWorld = own): Promise<Delivered[]> => {
    await feed(world.db)
    const claimed = await claimDue(by, 500, () => 0)
    return Promise.all(claimed.map((one) => deliver(by, one, never)))
  }
  const turn = async (by: DeliveryWorld = own): Promise<number> => {
    const done = await claimAndSend(by)
    assert.deepEqual(await settleDelivered(own, done), [])
    return done.length
  }
  const endpoint = async (url: string, more: Partial<NewEndpoint> = {}) => {
    const draft = { url, types: ['payment.*'], description: null, payload: 'full' } as const
    const made = await addEndpoint(world.db, { ...draft, ordered: false, ...more }, BY, KEY)
    assert.ok(made.kind === 'made' && made.secret !== null)
    return { id: made.endpoint.id, secret: made.secret }
  }
  return { world, own, claimAndSend, turn, endpoint, disabled }
}

export const states = (world: TestWorld) =>
  world.sql<{ state: string; attempts: number }>(
    'select state, attempts from deliveries order by event_id, endpoint_id',
  )

export async function succeed(world: TestWorld, count = 1): Promise<void> {
  for (let made = 0; made < count; made += 1) await pay(world, 'deposit')
  await world.work()
}

/** A promise, and what resolves it. */
export function gate(): [promise: Promise<void>, open: () => void] {
  let open = () => undefined as void
  const promise = new Promise<void>((resolve) => (open = resolve))
  return [promise, () => open()]
}
