import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../../src/adapters/clock.ts'
import { openConnection } from '../../tools/load/connection.ts'
import { startVictim, type Victim } from './victim.ts'

/** Payments of each gateway that are in hand there, about which notices may ask. */
const PENDING = 10
/** Clients that send notices without a pause, and the addresses that they come from. */
const CLIENTS = 96
const ADDRESSES = 40
/** Between two authentic notices, in milliseconds. */
const AUTHENTIC_MS = 25
const READY_MS_MAX = 60_000
const SECRET = 'whsec_of_the_flood'
const MB = 1_024 * 1_024

/** A service with two gateways that have payments in hand, and how often they were asked. */
export interface FloodWorld {
  readonly victim: Victim
  /** Questions about payments that both gateways were asked since the last call. */
  questions(): number
  stop(): Promise<void>
}

/** What a flood came to. */
export interface Flooded {
  readonly seconds: number
  /** Processor time of the service, in seconds. */
  readonly worked: number
  /** Answers by their status. */
  readonly statuses: ReadonlyMap<number, number>
  /** Resident memory of the service in megabytes, ten times over the flood. */
  readonly memory: readonly number[]
  /** Milliseconds of each answer to an authentic notice, and what was not 200. */
  readonly authentic: { readonly times: readonly number[]; readonly refused: readonly string[] }
}

/** Start the service with its worker; both of its gateways take what they get, and never end it. */
export async function openFlood(program: string, url: string, cwd: string): Promise<FloodWorld> {
  const gateways = await patientGateways()
  const victim = await startVictim(program, url, cwd, {
    role: 'start',
    GATEWAYS: 'http,stripe,yookassa',
    GATEWAY_ROUTES: '*:EUR=stripe,*:RUB=yookassa,*=http',
    PAYMENT_GATEWAY_URL: gateways.url,
    GATEWAY_ECHO: 'required',
    GATEWAY_STRIPE_DRIVER: 'stripe',
    GATEWAY_STRIPE_URL: gateways.url,
    GATEWAY_STRIPE_SECRET_KEY: 'sk_test_flood',
    GATEWAY_STRIPE_NOTICE_SECRETS: SECRET,
    GATEWAY_YOOKASSA_DRIVER: 'yookassa',
    GATEWAY_YOOKASSA_URL: gateways.url,
    GATEWAY_YOOKASSA_SHOP_ID: '1',
    GATEWAY_YOOKASSA_SECRET_KEY: 'test_flood',
  })
  const ask = async (path: string, body?: object) => {
    const { authorization, port } = victim
    const headers = { authorization, 'content-type': 'application/json' }
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, { headers, ...sent })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as Record<string, unknown>
  }
  for (const currency of ['USD', 'EUR']) {
    const { id } = await ask('/users', { balance: 0, currency })
    for (let count = 0; count < PENDING; count += 1) {
      await ask('/payments/deposit', { user_id: id, deposit: 10, payment_method: 'pm_1' })
    }
  }
  const inHand = async () => (await ask('/payments?status=pending&limit=100'))['data']
  const isReady = (seen: unknown) => Array.isArray(seen) && seen.length === 2 * PENDING
  const untilMs = performance.now() + READY_MS_MAX
  while (!isReady(await inHand())) {
    if (performance.now() > untilMs) throw new Error('the payments are not in hand')
    await wait(100)
  }
  const stop = async () => {
    await victim.stop()
    gateways.close()
  }
  return { victim, questions: gateways.questions, stop }
}

/** Our own contract and payment intents of Stripe: whatever is asked for goes on for ever. */
async function patientGateways() {
  let questions = 0
  const intents = new Map<string, object>()
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const { method, url = '' } = request
      if (method === 'GET') questions += 1
      const key = String(request.headers['idempotency-key'] ?? url.split('/').at(-1))
      const isStripe = url.startsWith('/v1/')
      if (isStripe && method === 'POST') intents.set(`pi_${key}`, intentOf(`pi_${key}`, text))
      const known = intents.get(key.split('?')[0] ?? '') ?? intents.get(`pi_${key}`)
      const body = isStripe ? known : { status: 'pending', idempotency_key: key }
      const status = body === undefined ? 404 : !isStripe && method === 'POST' ? 202 : 200
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body ?? {}))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    questions: () => [questions, (questions = 0)][0] ?? 0,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function intentOf(id: string, form: string): object {
  const fields = new URLSearchParams(form)
  const names = ['payments_payment_id', 'payments_key']
  const metadata = Object.fromEntries(names.map((name) => [name, fields.get(`metadata[${name}]`)]))
  const amount = Number(fields.get('amount'))
  const currency = fields.get('currency')
  return { id, object: 'payment_intent', status: 'processing', amount, currency, metadata }
}

/** Send so many notices as fast as they are answered, and authentic ones beside them. */
export async function flood(
  { victim }: FloodWorld,
  count: number,
  tell: (answered: number) => void = () => undefined,
): Promise<Flooded> {
  const { port } = victim
  const statuses = new Map<number, number>()
  const memory: number[] = []
  let [sent, answered] = [0, 0]
  const authentic = authenticNotices(port)
  const [startedMs, before] = [performance.now(), victim.worked()]
  await new Promise<void>((resolve, reject) => {
    const lines = Array.from({ length: CLIENTS }, (_, client) => {
      const localAddress = `127.0.0.${2 + (client % ADDRESSES)}`
      const next = () => {
        sent += 1
        if (sent <= count) line.send(noticeOf(client, sent))
      }
      const line = openConnection(
        { host: '127.0.0.1', port, bodies: false, localAddress },
        {
          onOpen: next,
          onResponse(status) {
            statuses.set(status, (statuses.get(status) ?? 0) + 1)
            answered += 1
            if (answered % Math.ceil(count / 10) === 0) {
              memory.push(victim.usage().memory / MB)
              tell(answered)
            }
            if (answered === count) {
              for (const one of lines) one.close()
              resolve()
            } else next()
          },
          onFault: reject,
        },
      )
      return line
    })
  })
  const seconds = (performance.now() - startedMs) / 1_000
  const worked = victim.worked() - before
  return { seconds, worked, statuses, memory, authentic: await authentic.stop() }
}

/** Stripe's own notices about payments in hand, each new, from an address of its own. */
function authenticNotices(port: number) {
  const times: number[] = []
  const refused: string[] = []
  let over = false
  const loop = async () => {
    for (let round = 1; !over; round += 1) {
      const body = eventOf(`authentic_${round}_${port}`, 1 + PENDING + (round % PENDING))
      const headers = { 'stripe-signature': signatureOf(body, SECRET), connection: 'close' }
      const at = `http://127.0.0.1:${port}/api/v1/gateways/stripe/notices`
      const startedMs = performance.now()
      const answer = await fetch(at, { method: 'POST', headers, body }).catch(String)
      times.push(performance.now() - startedMs)
      const said = typeof answer === 'string' ? answer : await answer.text()
      if (said !== '{"received":true}') refused.push(said)
      await wait(AUTHENTIC_MS)
    }
  }
  const running = loop()
  const stop = async () => {
    over = true
    await running
    return { times, refused }
  }
  return { stop }
}

/**
 * The n-th notice of a flood: forged in several ways, or about nobody's payment. A client sends one
 * kind, so that those which cost more are sent no faster than they are answered.
 */
function noticeOf(client: number, n: number): Buffer {
  const payment = 1 + (n % (2 * PENDING))
  const event = eventOf(`flood_${n}`, payment)
  const kinds: readonly (() => Buffer)[] = [
    () => post('stripe', event, signatureOf(event, 'whsec_forged')),
    () => post('http', `{"payment_id":${1_000_000 + n},"type":"deposit"}`),
    () => post('stripe', event, signatureOf(eventOf(`other_${n}`, payment), SECRET)),
    () => post('yookassa', JSON.stringify({ type: 'notification', event: 'payment.succeeded' })),
    () => post('stripe', event, signatureOf(event, SECRET, 3_600)),
    () => post('nobody', event),
    () => post('http', `{"payment_id":${payment},"type":"deposit"}`),
    () => post('stripe', event),
    () => post('http', event),
    // Signed, and about a payment that is none of ours: of somebody else in the same account.
    () => strangers(`stranger_${n}`, 1_000_000 + n),
  ]
  return (kinds[client % kinds.length] ?? assert.fail())()
}

function strangers(id: string, payment: number): Buffer {
  const event = eventOf(id, payment)
  return post('stripe', event, signatureOf(event, SECRET))
}

function post(gateway: string, body: string, signature?: string): Buffer {
  const signed = signature === undefined ? '' : `Stripe-Signature: ${signature}\r\n`
  const head = `POST /api/v1/gateways/${gateway}/notices HTTP/1.1\r\nHost: flood\r\n${signed}`
  return Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

function eventOf(id: string, payment: number): string {
  const metadata = { payments_payment_id: `${payment}` }
  const object = { id: `pi_${id}`, status: 'succeeded', metadata }
  const type = 'payment_intent.succeeded'
  return JSON.stringify({ id: `evt_${id}`, object: 'event', type, data: { object } })
}

function signatureOf(body: string, secret: string, agoSeconds = 0): string {
  const time = Math.floor(systemClock.now().getTime() / 1_000) - agoSeconds
  return `t=${time},v1=${createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')}`
}
