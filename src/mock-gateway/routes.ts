import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import { exponentOf } from '../domain/currency.ts'
import { writeJson } from '../domain/exact-json.ts'
import { formatMoney, parseMoney, toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { PAGE_SIZE } from '../http/page.ts'
import { IntegerText, parseInteger } from '../http/schemas.ts'
import { backRoutes } from './back-routes.ts'
import { ANSWERS, BY_KEY, Charges, FaultSettings, Journal, Key, Pay, Verdict } from './bodies.ts'
import { decimalsOf } from './given-back.ts'
import { REQUESTS_MAX, type Audit, type Seen } from './journal.ts'
import type { Charge, Order } from './orders.ts'
import { faceRoutes } from './face-routes.ts'
import { payerPages } from './payer-routes.ts'
import { gatewayRef, malformed, returnRows, type Reply } from './replies.ts'
import type { MockGateway } from './server.ts'

/** The audit names at most this many payments; the count beside them is complete. */
const TWICE_LISTED_MAX = 1_000

const tags = ['Mock gateway']

/** How the faces are spoken to. */
const STRIPE = {
  version: 'v1',
  keyHeader: 'idempotency-key',
  bodies: 'application/x-www-form-urlencoded',
}
const YOOKASSA = { version: 'v3', keyHeader: 'idempotence-key', bodies: '*' }

/** The mock gateway over HTTP. Held replies are let go when the server begins to close. */
export function mockGatewayRoutes(gateway: MockGateway): FastifyPluginAsync {
  return async (instance) => {
    const app = instance.withTypeProvider<TypeBoxTypeProvider>()
    app.addHook('preClose', async () => gateway.close())
    app.get('', { schema: { hide: true } }, () => ({
      name: 'Mock gateway',
      links: linksAt(app.prefix),
    }))
    app.post('/pay', { schema: PAY }, (request, reply) => {
      const order = toOrder(request.body, request.headers['idempotency-key'])
      play(gateway, reply, 'kind' in order ? order : gateway.pay(order))
    })
    app.get('/payments/:key', { schema: LOOKUP }, (request, reply) => {
      play(gateway, reply, gateway.lookup(request.params.key))
    })
    app.post('/payments/:key/cancel', { schema: CANCEL }, (request, reply) => {
      play(gateway, reply, gateway.cancel(request.params.key))
    })
    payerPages(app, gateway)
    const played = (reply: FastifyReply, how: Reply) => play(gateway, reply, how)
    backRoutes(app, gateway, played)
    void app.register(faceRoutes(gateway.stripe, STRIPE, played), { prefix: '/stripe' })
    void app.register(faceRoutes(gateway.yookassa, YOOKASSA, played), { prefix: '/yookassa' })
    app.get('/journal', { schema: JOURNAL }, (request, reply) => {
      const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
      const offset = parseInteger('offset', request.query.offset, OFFSETS)
      if (!limit.ok) return void refuse(reply, limit.refusal)
      if (!offset.ok) return void refuse(reply, offset.refusal)
      void reply.send({ data: gateway.requests(limit.value, offset.value).map(toRow) })
    })
    app.get('/audit', { schema: AUDIT }, () => toVerdict(gateway.audit()))
    app.get('/charges', { schema: CHARGES }, (request, reply) => {
      const after = parseInteger('after', request.query.after, AFTERS)
      const limit = parseInteger('limit', request.query.limit, CHARGE_LIMITS)
      if (!after.ok) return void refuse(reply, after.refusal)
      if (!limit.ok) return void refuse(reply, limit.refusal)
      void reply.send(toPage(gateway, after.value, limit.value))
    })
    app.get('/faults', { schema: FAULTS }, () => gateway.faults())
    app.put('/faults', { schema: CHANGE }, (request, reply) => {
      const changed = gateway.setFaults(request.body)
      if (changed.ok) return void reply.send(changed.faults)
      const errors = changed.problems.map(({ name, code }) => ({
        // The whole body is at fault when it is about the sum.
        field: name === '' ? null : name,
        code,
      }))
      return void refuse(reply, { code: 'body_invalid', errors })
    })
    app.delete('/faults', { schema: DEFAULTS }, () => gateway.resetFaults())
    app.post('/reset', { schema: RESET }, (_request, reply) => {
      gateway.reset()
      void reply.code(204).send(null)
    })
  }
}

/** What there is to look at; the prefix itself answers with it. */
function linksAt(prefix: string): Record<string, string> {
  const paths = ['audit', 'faults', 'journal', 'charges', 'returns']
  return Object.fromEntries(paths.map((path) => [path, `${prefix}/${path}`]))
}

const OFFSETS = { min: 0, max: REQUESTS_MAX, fallback: 0 }
const CHARGE_LIMITS = { min: 1, max: 1_000, fallback: 100 }
/** As many as the schema of an integer in a query can say. */
const AFTERS = { min: 0, max: 999_999_999, fallback: 0 }

const PAY = {
  tags,
  operationId: 'mockCharge',
  summary: 'Charge a payment',
  description: 'Settles the order once per `Idempotency-Key`, and fails as its faults say.',
  headers: Type.Object({ 'idempotency-key': Type.Optional(Key) }),
  body: Pay,
  response: { ...ANSWERS, ...refusals(400, 415) },
}

const LOOKUP = {
  tags,
  operationId: 'mockLookup',
  summary: 'Look a charge up by its key',
  description: 'What became of it; 404: it was never seen. Fails as its faults say.',
  ...BY_KEY,
}

const CANCEL = {
  tags,
  operationId: 'mockCancel',
  summary: 'End a charge that waits for its payer',
  description: 'What became of it; what does not wait is left as it is. Fails as its faults say.',
  ...BY_KEY,
}

const JOURNAL = {
  tags,
  operationId: 'mockJournal',
  summary: 'The last requests',
  description: `Newest first. The last ${REQUESTS_MAX} are kept.`,
  querystring: Type.Object(
    {
      limit: IntegerText('How many to list.', PAGE_SIZE),
      offset: IntegerText('How many to skip.', OFFSETS),
    },
    { additionalProperties: false },
  ),
  response: { 200: Journal, ...refusals(400) },
}

const AUDIT = {
  tags,
  operationId: 'mockAudit',
  summary: 'Was anything charged twice?',
  response: { 200: Verdict },
}

const CHARGES = {
  tags,
  operationId: 'mockCharges',
  summary: 'Everything that was charged',
  description:
    'Executed charges, payouts and refunds, oldest first, each page behind the one before: what ' +
    'a merchant reconciles its books with. `payments verify --gateway` does.',
  querystring: Type.Object(
    {
      after: IntegerText('How many charges lie before the page.', AFTERS),
      limit: IntegerText('How many to list.', CHARGE_LIMITS),
    },
    { additionalProperties: false },
  ),
  response: { 200: Charges, ...refusals(400) },
}

const FAULTS = {
  tags,
  operationId: 'mockFaults',
  summary: 'The faults as they are set',
  response: { 200: FaultSettings },
}

const CHANGE = {
  tags,
  operationId: 'mockTurnFaults',
  summary: 'Change faults',
  description:
    'Takes effect with the next request. Those left out stay, except that chances add up to 1 at ' +
    'most: those left out give way, in proportion.',
  body: { ...FaultSettings, examples: [{ decline: 1 }] },
  response: { 200: FaultSettings, ...refusals(400, 415) },
}

const DEFAULTS = {
  tags,
  operationId: 'mockResetFaults',
  summary: 'Put every fault back to where it started',
  description: 'The seed stays as it is, and chance goes on where it was.',
  response: { 200: FaultSettings },
}

const RESET = {
  tags,
  operationId: 'mockReset',
  summary: 'Forget every charge',
  description: 'Chance starts anew from the seed. The faults stay as they are.',
  response: { 204: Type.Null() },
}

function toOrder(body: Static<typeof Pay>, key: string | undefined): Order | Reply {
  const { currency, type } = body
  const exponent = currency === undefined ? 2 : exponentOf(currency)
  if (exponent === undefined) return malformed('currency_unknown')
  const amount = parseMoney(body.amount, 1n, exponent)
  const commission = parseMoney(body.commission, 0n, exponent)
  if (!amount.ok) return malformed(amount.problem)
  if (!commission.ok) return malformed(commission.problem)
  return {
    key: key ?? null,
    paymentId: body.payment_id,
    userId: body.user_id,
    amount: amount.minor,
    commission: commission.minor,
    type,
    ...(currency === undefined ? {} : { currency }),
  }
}

/**
 * Answers now or later; the handler returns nothing, which tells Fastify that a reply will come.
 */
function play(gateway: MockGateway, reply: FastifyReply, how: Reply): void {
  if (how.afterMs === 0) return show(gateway, reply, how)
  void gateway.hold(how.afterMs).then(() => show(gateway, reply, how))
}

function show(gateway: MockGateway, reply: FastifyReply, how: Reply): void {
  if (how.kind === 'answer') {
    if (how.headers !== undefined) void reply.headers(how.headers)
    if (how.retryAfterSeconds !== null) void reply.header('retry-after', how.retryAfterSeconds)
    return void reply.code(how.status).send(how.body)
  }
  if (how.kind === 'html') {
    return void reply.code(how.status).type('text/html').send('<!doctype html><h1>It works!</h1>')
  }
  // From here on Fastify is told to keep its hands off the connection.
  reply.hijack()
  if (how.kind === 'reset') return void reply.raw.socket?.resetAndDestroy()
  void sendRaw(gateway, reply, how)
}

/** Half of the body and the end of the connection; or all of it, byte by byte over `overMs`. */
async function sendRaw(
  gateway: MockGateway,
  reply: FastifyReply,
  how: Extract<Reply, { kind: 'truncated' | 'drip' }>,
): Promise<void> {
  const bytes = Buffer.from(writeJson(how.body))
  const headers = { 'content-type': 'application/json', 'content-length': bytes.length }
  reply.raw.writeHead(how.status, headers)
  if (how.kind === 'truncated') {
    reply.raw.write(bytes.subarray(0, bytes.length / 2), () => reply.raw.destroy())
    return
  }
  for (const byte of bytes) {
    if (reply.raw.destroyed) return
    reply.raw.write(Buffer.of(byte))
    await gateway.hold(how.overMs / bytes.length)
  }
  reply.raw.end()
}

function toRow(seen: Seen): Static<typeof Journal>['data'][number] {
  return {
    at: seen.at.toISOString(),
    idempotency_key: seen.key,
    payment_id: seen.paymentId,
    amount: toWire(seen.amount, decimalsOf(seen)),
    type: seen.type,
    act: seen.act,
    fault: seen.fault,
  }
}

function toVerdict(audit: Audit): Static<typeof Verdict> {
  return {
    charges: audit.charges,
    executed: audit.executed,
    declined: audit.declined,
    executed_amount: formatMoney(audit.executedAmounts.get(null) ?? 0n, decimalsOf({})),
    executed_amounts: byCurrency(audit.executedAmounts),
    distinct_payments: audit.distinctPayments,
    duplicates_refused: audit.duplicatesRefused,
    conflicts: audit.conflicts,
    charged_twice_count: audit.chargedTwice.length,
    charged_twice: audit.chargedTwice.slice(0, TWICE_LISTED_MAX).map((charges) => ({
      payment_id: charges[0]?.paymentId ?? 0,
      charges: charges.map(toCharge),
    })),
  }
}

function byCurrency(amounts: Audit['executedAmounts']): Record<string, string> {
  const named = [...amounts].flatMap(([currency, amount]) =>
    currency === null ? [] : [[currency, formatMoney(amount, decimalsOf({ currency }))] as const],
  )
  return Object.fromEntries(named.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function toPage(gateway: MockGateway, after: number, limit: number): Static<typeof Charges> {
  // One more than asked for tells whether there is another page.
  const charges = gateway.executed(after, limit + 1)
  return {
    data: charges.slice(0, limit).map((charge) => ({
      ...toCharge(charge),
      payment_id: charge.paymentId,
      user_id: charge.userId,
      type: charge.type,
      ...(charge.parentId === undefined ? {} : { parent_id: charge.parentId }),
      ...(charge.currency === undefined ? {} : { currency: charge.currency }),
      ...cameBack(gateway, charge),
    })),
    next_after: charges.length > limit ? after + limit : null,
  }
}

/** What came back of a charge, where something did. */
function cameBack(gateway: MockGateway, { paymentId, type }: Charge) {
  const rows = type === 'refund' ? [] : returnRows(gateway.cameBack(paymentId))
  return rows.length === 0 ? {} : { returns: rows }
}

function toCharge(charge: Charge) {
  return {
    gateway_ref: gatewayRef(charge),
    idempotency_key: charge.key,
    amount: toWire(charge.amount, decimalsOf(charge)),
    at: charge.at,
  }
}
