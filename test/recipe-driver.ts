/** A driver and the conformance tests of it, as whoever follows the recipe writes them. */
export const BANK_DRIVER = `import { writeJson } from '../domain/exact-json.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import { toWire } from '../domain/money.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { typeOf } from '../domain/payment.ts'
import { chargeKind, lookupKind } from '../domain/reply-outcome.ts'
import type { Gateway } from '../ports.ts'
import { declined, readExchange, unanswered, urlParts, withTrace } from './driver.ts'
import { httpClient, type Exchange, type HttpCall } from './http-exchange.ts'
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
      return { ...evidence, outcome: toldOf(exchange, body) }
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

function toldOf(exchange: Exchange, { shape, gatewayRef, code }: ReplyBody): LookupOutcome {
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  const kind = lookupKind(exchange.status, shape)
  const reason = code ?? 'http_' + exchange.status
  if (kind === 'success') return { kind, gatewayRef }
  if (kind === 'declined') return declined(reason, null)
  return kind === 'pending' || kind === 'not_found' ? { kind } : { kind, reason }
}
`

export const BANK_CONFORMANCE = `import type { TestContext } from 'node:test'
import { bankGateway } from '../src/gateways/bank.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { chargeKind, lookupKind } from '../src/domain/reply-outcome.ts'
import { vocabularyOf } from './conformance-table.ts'
import type { Conformer } from './conformer.ts'
import { behaving, gatewayConformance, REQUEST } from './gateway-conformance.ts'
import { manualClock } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { profileOf } from './profiles.ts'
import { SHAPES } from './reply-table.ts'

/** What names our payment. */
function echo({ paymentId, key }: GatewayOperation) {
  return { payment_id: Number(paymentId), idempotency_key: key }
}

const VOCABULARY = vocabularyOf({
  shapes: SHAPES,
  words: { success: 'success', declined: 'declined', pending: 'pending' },
  refusal: 'rejected',
  charge: chargeKind,
  lookup: lookupKind,
  body: {
    success: (operation) => ({ status: 'success', ...echo(operation) }),
    declined: (operation) => ({ status: 'failed', code: 'card_expired', ...echo(operation) }),
    pending: (operation) => ({ status: 'pending', ...echo(operation) }),
    rejected: (operation) => ({ status: 'rejected', code: 'not_found', ...echo(operation) }),
    json: () => ({ error: 'Bad Gateway' }),
    page: () => '<html>',
    empty: () => '',
    another: (operation) => ({ status: 'success', ...echo(operation), payment_id: 99 }),
  },
})

const PROFILE = profileOf({
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
})

async function conformer(t: TestContext): Promise<Conformer> {
  const clock = manualClock()
  const { url, mock } = await serveMock(t, {}, undefined, clock)
  const { url: deadUrl, close } = await serveMock(t)
  await close()
  const at = (to: string) => {
    const gateway = bankGateway({ url: to, timeoutMs: 20_000, connections: 8, profile: PROFILE })
    t.after(() => gateway.close())
    return gateway
  }
  return {
    gateway: at(url),
    dead: at(deadUrl),
    at,
    clock,
    vocabulary: VOCABULARY,
    charge: REQUEST,
    ref: 'ref-1',
    behave: behaving(mock),
    charged: (paymentId) =>
      mock.executed(0, 1_000).filter((made) => BigInt(made.paymentId) === paymentId).length,
  }
}

gatewayConformance('bank against the mock gateway', conformer)
`

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
