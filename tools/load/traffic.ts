import { seededRandom } from '../../src/domain/random.ts'
import { paymentBody } from '../client.ts'
import { drawOrder } from '../mix.ts'
import type { Plan, Traffic } from './plan.ts'

/** Makes requests, ready to be written to a socket. */
export type Requests = () => Buffer

/** Requests that are made ahead and sent in turn, so that making them costs nothing. */
const MADE_AHEAD = 20_000
const BULKS_MADE_AHEAD = 16

/** Make the requests of a plan: the same seed gives the same ones in the same order. */
export function requests(plan: Plan): Requests {
  const { traffic } = plan
  const random = seededRandom(plan.seed)
  const common = `Host: ${plan.host}\r\n${
    plan.authorization === undefined ? '' : `Authorization: ${plan.authorization}\r\n`
  }`
  if (traffic.kind === 'accept' && traffic.keys) return keyed(plan, traffic, common, random)
  const count = traffic.kind === 'bulk' ? BULKS_MADE_AHEAD : MADE_AHEAD
  const made = Array.from({ length: count }, () => Buffer.from(text(traffic, common, random)))
  let next = 0
  return () => {
    next = next + 1 === count ? 0 : next + 1
    return made[next] as Buffer
  }
}

/** A request with a key of its own cannot be made ahead; the parts around the key can. */
function keyed(
  plan: Plan,
  traffic: Extract<Traffic, { kind: 'accept' }>,
  common: string,
  random: () => number,
): Requests {
  const tails = Array.from({ length: MADE_AHEAD }, () => payment(traffic, common, random))
  let count = 0
  return () => {
    count += 1
    const { line, rest } = tails[count % MADE_AHEAD] as (typeof tails)[number]
    const key = `bench-${plan.seed}-${process.pid}-${count}`
    return Buffer.from(`${line}Idempotency-Key: ${key}\r\n${rest}`, 'latin1')
  }
}

function text(traffic: Traffic, common: string, random: () => number): string {
  if (traffic.kind === 'read') {
    const { first, count } = traffic.payments
    const id = first + Math.floor(random() * count)
    return `GET /api/v1/payments/${id} HTTP/1.1\r\n${common}\r\n`
  }
  if (traffic.kind === 'accept') {
    const { line, rest } = payment(traffic, common, random)
    return line + rest
  }
  const payments = Array.from({ length: traffic.items }, () => {
    const { type, userId, amount } = order(traffic.users, random)
    return { type, user_id: userId, amount }
  })
  return post('batch', common, JSON.stringify({ payments })).join('')
}

function payment(
  traffic: Extract<Traffic, { kind: 'accept' }>,
  common: string,
  random: () => number,
): { line: string; rest: string } {
  const { type, userId, amount } = order(traffic.users, random)
  const body = JSON.stringify(paymentBody(type, userId, amount))
  const [line, rest] = post(type, common, body)
  return { line, rest }
}

function post(path: string, common: string, body: string): [line: string, rest: string] {
  const head = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return [`POST /api/v1/payments/${path} HTTP/1.1\r\n${common}`, `${head}\r\n${body}`]
}

/** 1.00 to 100.99: small, so that no user runs out of money in a long run. */
const AMOUNTS = { amountMin: 1_00, amountMax: 100_99 }

/** A payment of one of these users, its amount as the API writes it. */
function order(users: { first: number; count: number }, random: () => number) {
  const { type, user, amount } = drawOrder(random, { users: users.count, ...AMOUNTS })
  return { type, userId: users.first + user, amount: amount / 100 }
}
