import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './sources.ts'

/** A driver, as whoever follows the recipe writes it. */
export const BANK_DRIVER = `import { writeJson } from '../domain/exact-json.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import { toWire } from '../domain/money.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { typeOf } from '../domain/payment.ts'
import { chargeKind, lookupKind } from '../domain/reply-outcome.ts'
import type { Gateway } from '../ports.ts'
import { declined, readExchange, unanswered, urlParts, withTrace } from './driver.ts'
import { httpClient, type Exchange, type HttpCall } from './http-exchange.ts'
import { wentBack } from './http-back.ts'
import { readBody, type HttpOrder, type ReplyBody } from './http-reply.ts'

interface BankOptions {
  readonly url: string
  readonly timeoutMs: number
  readonly connections: number
  readonly profile: GatewayProfile
}

/** The gateway of a bank. */
export function bankGateway({ url, profile, ...limits }: BankOptions): Gateway {
  const { origin, root } = urlParts(url)
  const client = httpClient({ origin, ...limits, keepAlive: false })
  const ask = async (call: HttpCall, order: HttpOrder, signal?: AbortSignal) => {
    const exchange = await client.exchange(withTrace(call, order), signal)
    const body = Buffer.from(exchange.kind === 'reply' ? exchange.body : '')
    return readExchange(exchange, readBody(body, order))
  }
  return {
    profile,
    async execute(operation, signal) {
      const order = orderOf(operation)
      const { exchange, body, evidence } = await ask(chargeCall(root, order), order, signal)
      return { ...evidence, outcome: outcomeOf(exchange, body) }
    },
    async lookup(operation, signal) {
      const order = orderOf(operation)
      const { exchange, body, evidence } = await ask(lookupCall(root, order), order, signal)
      return { ...evidence, outcome: toldOf(exchange, body, order) }
    },
    close: () => client.close(),
  }
}

function orderOf(operation: GatewayOperation): HttpOrder {
  return { ...operation, type: typeOf(operation.kind) }
}

function chargeCall(root: string, order: HttpOrder): HttpCall {
  const { type, key, exponent, parent } = order
  const body = writeJson({
    type,
    payment_id: Number(order.paymentId),
    user_id: Number(order.userId),
    amount: toWire(order.amount, exponent),
    currency: order.currency,
    ...(type === 'refund'
      ? { parent_id: Number(parent?.paymentId), parent_ref: parent?.gatewayRef ?? null }
      : { commission: toWire(order.commission, exponent) }),
  })
  const to = type === 'refund' ? '/refund' : '/pay'
  const headers = ['content-type', 'application/json', 'idempotency-key', key]
  return { method: 'POST', path: root + to, headers, body }
}

function lookupCall(root: string, { type, key }: HttpOrder): HttpCall {
  const path = root + (type === 'refund' ? '/refunds/' : '/payments/') + encodeURIComponent(key)
  return { method: 'GET', path, headers: [], body: null }
}

function outcomeOf(exchange: Exchange, { shape, gatewayRef, code }: ReplyBody): ChargeOutcome {
  if (exchange.kind === 'fault') return unanswered(exchange)
  const kind = chargeKind(exchange.status, shape)
  const reason = code ?? 'http_' + exchange.status
  if (kind === 'success') return { kind, gatewayRef }
  if (kind === 'declined') return declined(reason, null)
  return kind === 'not_executed' ? { kind, reason, retryAfterMs: null } : { kind, reason }
}

function toldOf(exchange: Exchange, body: ReplyBody, order: HttpOrder): LookupOutcome {
  const { shape, gatewayRef, code, fields } = body
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  const kind = lookupKind(exchange.status, shape)
  const reason = code ?? 'http_' + exchange.status
  if (kind === 'success') return { kind, gatewayRef, ...wentBack(fields ?? {}, order) }
  if (kind === 'declined') return declined(reason, null)
  return kind === 'pending' || kind === 'not_found' ? { kind } : { kind, reason }
}
`

/** They begin as a copy of those of another driver. */
export const BANK_CONFORMANCE = readFileSync(join(ROOT, 'test/http-conformance.test.ts'), 'utf8')
  .replace('gateways/http-gateway.ts', 'gateways/bank.ts')
  .replaceAll('httpGateway', 'bankGateway')
  .replace('http against', 'bank against')

export const BANK_SETTINGS = `
  bank: {
    currencies: {
      suffix: 'CURRENCIES',
      kind: currencies(),
      fallback: 'USD',
      doc: 'What the bank takes.',
    },
    pendingMsMax: shared(gatewayPendingMsMax, 'PENDING_MAX_SECONDS'),
    watchMs: watchedAt('86400'),
    url: apiAt('https://bank.example'),
  },`

export const BANK_RULES = '\n  bank: URL_RULES,'

export const BANK_LINE = '\n  bank: { profile: bankProfile, open: openBank, list: () => null },'

export const BANK_OPENING = `
function bankProfile({ name, settings }: GatewayOf<'bank'>): GatewayProfile {
  const { currencies, pendingMsMax, watchMs } = settings
  return {
    name,
    operations: new Set(['charge', 'payout', 'refund']),
    currencies: decimalsOf(currencies),
    repeats: 'first_answer',
    keyLifeMs: 3_600_000,
    lookup: 'consistent',
    lookupBy: 'key',
    details: false,
    pendingMsMax,
    watchMs,
  }
}

function openBank(
  { settings: { url }, timeoutMs }: GatewayOf<'bank'>,
  profile: GatewayProfile,
  { connections }: Opening,
): Gateway {
  return bankGateway({ url, timeoutMs, connections, profile })
}
`

export const BANK_CHAPTER = `## Bank

The driver \`bank\` speaks to a bank. \`GATEWAYS=bank\` chooses it.

`
